//! `confab cluster`: Confab as it runs on many machines, on this one. Postgres,
//! Redis, chat servers, notify servers and nginx before them, each a process that
//! may be killed: it is started again, and the conversation goes on.

mod balancer;
mod process;

use crate::{data::DataFolder, database, dev, frontend::Frontend};
use anyhow::Context;
use chat_core::{
    auth::Hasher,
    db, demo,
    devdb::{Binaries, Home},
    net, replicas,
};
use clap::Args;
use process::Process;
use sqlx::PgPool;
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often it is looked who leads, and who has ended.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// `confab cluster`.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// Where to listen, for everybody; the servers take the ports after it.
    #[arg(long, env = "CHAT_BIND", default_value = "127.0.0.1:6688")]
    bind: SocketAddr,
    /// Where keys, files and the embedded database are kept.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    data: PathBuf,
    /// How many chat servers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    chat: u16,
    /// How many notify servers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    notify: u16,
    #[command(flatten)]
    frontend: Frontend,
}

impl Cluster {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = net::shutdown_on_signal();
        let data = DataFolder::take(&self.data)?;
        let (binaries, home) = (Binaries::find()?, Home::of(&data.path)?);
        let postgres = dev::start_postgres(&data, &binaries, &home).await?;
        let url = postgres.url(dev::DATABASE);
        let pool = db::pool(&url, 4)?;
        db::migrate(&pool).await.map_err(database::explain)?;
        if demo::seed(&pool, &Hasher::new()?).await.map_err(database::explain)? {
            println!("seeded the demo world");
        }
        data.signer()?;
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(dev::keep(postgres, binaries, home, stop.clone()));

        let folder = data.path.join("cluster");
        std::fs::create_dir_all(&folder).context("making the folder of the cluster")?;
        let pages = serve_pages(&self.frontend, &shutdown).await?;
        let plan = Plan::new(&self, &data.path, &folder, &url, pages)?;
        let outcome = plan.run(&pool, &shutdown).await;
        stop.cancel();
        keeper.await.context("stopping Postgres")?;
        outcome
    }
}

/// The web frontend, for nginx to fetch.
async fn serve_pages(frontend: &Frontend, shutdown: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for the pages")?;
    let address = listener.local_addr().context("reading the address")?;
    tokio::spawn(net::serve(listener, 64, net::NoFront, frontend.router(), shutdown.clone()));
    Ok(address)
}

/// Who runs, where, and how each is started.
struct Plan {
    front: SocketAddr,
    processes: Vec<Process>,
}

impl Plan {
    fn new(asked: &Cluster, data: &Path, folder: &Path, database: &str, pages: SocketAddr) -> anyhow::Result<Self> {
        let at = |nth: u16| -> anyhow::Result<SocketAddr> {
            let port = asked.bind.port().checked_add(nth).context("there are not enough ports after this one")?;
            Ok(SocketAddr::new(asked.bind.ip(), port))
        };
        let redis = folder.join("redis.sock");
        let mut shared: Vec<(&str, OsString)> = vec![
            ("DATABASE_URL", database.into()),
            ("REDIS_URL", format!("unix://{}", redis.display()).into()),
            ("CHAT_DATA_DIR", data.into()),
            ("JWT_PRIVATE_KEY_FILE", data.join("keys/jwt_private.pem").into()),
            ("JWT_PUBLIC_KEY_FILE", data.join("keys/jwt_public.pem").into()),
            ("PROXIES", "1".into()),
            ("OFFER_DEMO", "true".into()),
        ];
        // As in `confab dev`: nobody counts unless asked to.
        if std::env::var_os("RATE_LIMITS").is_none() {
            shared.push(("RATE_LIMITS", "off".into()));
        }
        let server = |kind: &str, variable: &'static str, at: SocketAddr| {
            let mut settings = shared.clone();
            settings.push((variable, at.to_string().into()));
            Process::server(kind, at, settings, folder)
        };
        let mut processes = vec![Process::redis(&redis, folder)?];
        let (mut chats, mut notifies) = (Vec::new(), Vec::new());
        for nth in 1..=asked.chat {
            chats.push(at(nth)?);
            processes.push(server("chat_server", "CHAT_BIND", at(nth)?)?);
        }
        for nth in asked.chat + 1..=asked.chat + asked.notify {
            notifies.push(at(nth)?);
            processes.push(server("notify_server", "NOTIFY_BIND", at(nth)?)?);
        }
        let settings = balancer::configure(folder, asked.bind, &chats, &notifies, pages)?;
        processes.push(Process::nginx(asked.bind, &settings, folder)?);
        Ok(Self { front: asked.bind, processes })
    }

    /// Keeps them all running until `shutdown`, and says what changes.
    async fn run(mut self, pool: &PgPool, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let begun = self.begin(shutdown).await;
        if begun.is_ok() {
            self.keep(pool, shutdown).await;
        }
        // Whoever sends work first, so that nobody is sent any who is gone.
        for process in self.processes.iter_mut().rev() {
            process.stop().await;
        }
        begun
    }

    async fn begin(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.start()?;
        }
        for process in &mut self.processes {
            process.ready(shutdown).await?;
            println!("{process}");
        }
        Ok(())
    }

    async fn keep(&mut self, pool: &PgPool, shutdown: &CancellationToken) {
        println!("listening on http://{}", self.front);
        if let Ok(world) = demo::world() {
            dev::say_who_may_sign_in(&world);
        }
        println!("kill any of them; Ctrl-C stops them all");
        let mut leader = None;
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            for process in &mut self.processes {
                match process.keep() {
                    Ok(None) => {}
                    Ok(Some(how)) => println!("{} has ended ({how}); started again: {process}", process.name()),
                    Err(error) => println!("{} does not start: {error:#}; trying again", process.name()),
                }
            }
            let now = replicas::leader(pool).await.ok().flatten();
            if now.is_some() && now != leader {
                println!("{} leads", now.as_deref().unwrap_or_default());
                leader = now;
            }
        }
    }
}
