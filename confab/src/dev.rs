//! `confab dev`: everything in one process, from nothing.

use crate::{data::DataFolder, database, node};
use anyhow::Context;
use chat_core::{
    auth::Hasher,
    db, demo,
    devdb::{Binaries, Cluster, Home},
    net,
    web::Origins,
};
use clap::{Args, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};
use tokio_util::sync::CancellationToken;

/// The database that an embedded cluster holds for us.
const DATABASE: &str = "confab";

/// What an empty database starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SeedWith {
    /// The demo world: four people, four chats, some history.
    Demo,
    /// Nothing.
    None,
}

/// `confab dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where to listen.
    #[arg(long, env = "CHAT_BIND", default_value = "127.0.0.1:6688")]
    bind: SocketAddr,
    /// Where keys, files and the embedded database are kept.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    data: PathBuf,
    /// What an empty database starts with.
    #[arg(long, value_enum, default_value = "demo")]
    seed: SeedWith,
    /// Use this database instead of an embedded one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Web origins, separated by commas, whose pages may call.
    #[arg(long, env = "CORS_ORIGINS", default_value = "")]
    cors_origins: String,
}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        net::raise_file_limit();
        let shutdown = net::shutdown_on_signal();
        let data = DataFolder::take(&self.data)?;
        // The port before the database: a taken one is the likelier trouble.
        let listener = node::bind(self.bind).await?;
        let cluster = match &self.database_url {
            Some(_) => None,
            None => Some(self.start_cluster(&data).await?),
        };
        let url = match (&self.database_url, &cluster) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url(DATABASE),
            (None, None) => unreachable!("without a URL a cluster was started"),
        };
        let outcome = self.serve(listener, &url, &data, shutdown).await;
        if let Some(cluster) = cluster {
            cluster.stop();
        }
        outcome
    }

    async fn start_cluster(&self, data: &DataFolder) -> anyhow::Result<Cluster> {
        let binaries = Binaries::find()?;
        let home = Home::of(&data.path)?;
        if home.is_moved {
            println!(
                "the user that runs Postgres cannot reach {}; the database is kept in {}",
                data.path.display(),
                home.folder.display()
            );
        }
        println!("starting Postgres {} in {}", binaries.version, home.folder.display());
        let cluster = Cluster::durable(&binaries, &home).await?;
        cluster.create_database(DATABASE, "template1").await?;
        Ok(cluster)
    }

    async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        url: &str,
        data: &DataFolder,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let pool = db::pool(url, database::CONNECTIONS)?;
        db::migrate(&pool).await.map_err(database::explain)?;
        let offers_demo = self.seed == SeedWith::Demo;
        if offers_demo && demo::seed(&pool, &Hasher::new()?).await.map_err(database::explain)? {
            println!("seeded the demo world");
        }
        let node = node::Node {
            db: pool,
            signer: data.signer()?,
            files: data.files(),
            origins: Origins::parse(&self.cors_origins).context("CORS_ORIGINS")?,
            offers_demo,
            max_connections: 18_000,
        };
        let world = demo::world()?;
        node.serve(listener, shutdown, |address| {
            println!("listening on http://{address}");
            if offers_demo {
                let people: Vec<&str> = world.users.iter().map(|person| person.email.as_str()).collect();
                println!("sign in as {} with the password {}", people.join(", "), world.password.as_str());
            }
            println!("Ctrl-C stops it");
        })
        .await
    }
}
