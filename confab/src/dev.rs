//! `confab dev`: everything in one process, from nothing.

use crate::{data::DataFolder, database, frontend::Frontend, node};
use anyhow::Context;
use chat_core::{
    auth::Hasher,
    db, demo,
    devdb::{Binaries, Cluster, Home},
    net,
    web::Origins,
};
use chat_server::{Keeping, RateLimits};
use clap::{Args, ValueEnum};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// The database that an embedded cluster holds for us.
pub(crate) const DATABASE: &str = "confab";

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
    /// How often one may ask, as `confab serve` has it; here nobody counts unless
    /// asked to.
    #[arg(long, env = "RATE_LIMITS", default_value = "off")]
    rate_limits: RateLimits,
    #[command(flatten)]
    keeping: Keeping,
    #[command(flatten)]
    frontend: Frontend,
}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        net::raise_file_limit();
        let shutdown = net::shutdown_on_signal();
        let data = DataFolder::take(&self.data)?;
        // The port before the database: a taken one is the likelier trouble.
        let listener = node::bind(self.bind).await?;
        let origins = Origins::parse(&self.cors_origins).context("CORS_ORIGINS")?;
        if let Some(url) = &self.database_url {
            return self.serve(listener, url, &data, origins, shutdown).await;
        }
        let (binaries, home) = (Binaries::find()?, Home::of(&data.path)?);
        let cluster = start_postgres(&data, &binaries, &home).await?;
        let url = cluster.url(DATABASE);
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(cluster, binaries, home, stop.clone()));
        let outcome = self.serve(listener, &url, &data, origins, shutdown).await;
        stop.cancel();
        keeper.await.context("stopping Postgres")?;
        outcome
    }

    async fn serve(
        &self,
        listener: tokio::net::TcpListener,
        url: &str,
        data: &DataFolder,
        origins: Origins,
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
            stream_db: db::pool(url, database::CONNECTIONS)?,
            writer_db: db::pool(url, database::CONNECTIONS)?,
            redis: None,
            signer: data.signer()?,
            files: data.files(),
            origins,
            rate_limits: self.rate_limits,
            proxies: 0,
            keeping: self.keeping,
            offers_demo,
            frontend: self.frontend.clone(),
            max_connections: 18_000,
            figures: chat_core::metrics::Place::Here,
        };
        let world = demo::world()?;
        node.serve(listener, shutdown, |address| {
            println!("listening on http://{address}");
            if offers_demo {
                say_who_may_sign_in(&world);
            }
            println!("Ctrl-C stops it");
        })
        .await
    }
}

/// Names the people of the demo world.
pub(crate) fn say_who_may_sign_in(world: &demo::World) {
    let people: Vec<&str> = world.users.iter().map(|person| person.email.as_str()).collect();
    println!("sign in as {} with the password {}", people.join(", "), world.password.as_str());
}

/// Starts the private Postgres of a data folder.
pub(crate) async fn start_postgres(data: &DataFolder, binaries: &Binaries, home: &Home) -> anyhow::Result<Cluster> {
    if home.is_moved {
        println!(
            "the user that runs Postgres cannot reach {}; the database is kept in {}",
            data.path.display(),
            home.folder.display()
        );
    }
    println!("starting Postgres {} in {}", binaries.version, home.folder.display());
    let cluster = Cluster::durable(binaries, home).await?;
    cluster.create_database(DATABASE, "template1").await?;
    Ok(cluster)
}

/// How often it is looked whether Postgres is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts Postgres again if it ends by itself, until told to stop it.
pub(crate) async fn keep(cluster: Cluster, binaries: Binaries, home: Home, stop: CancellationToken) {
    let mut cluster = Some(cluster);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if cluster.as_ref().is_some_and(Cluster::is_running) {
            continue;
        }
        tracing::error!("Postgres has ended by itself; starting it again");
        // The shell that held the old one must go first: until then the old
        // process number counts as taken.
        cluster.take().into_iter().for_each(Cluster::stop);
        match Cluster::durable(&binaries, &home).await {
            Ok(again) => cluster = Some(again),
            Err(error) => tracing::error!(%error, "Postgres does not start"),
        }
    }
    cluster.into_iter().for_each(Cluster::stop);
}
