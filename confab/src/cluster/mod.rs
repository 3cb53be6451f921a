//! `confab cluster`: the processes of a deployment on one machine. It runs Postgres,
//! Redis, chat servers, notify servers and nginx, and restarts each that exits.

mod balancer;
mod process;

use crate::{data_dir::DataDir, dev, frontend};
use anyhow::Context;
use chat_core::{db, replicas};
use chat_http::{
    acceptor::{self, NoHook},
    connection_limits::ConnectionLimits,
    settings::{ChatBind, DataSettings, FrontendSettings},
    shutdown,
};
use chat_server::DemoAccounts;
use clap::Args;
use embedded_postgres::{Binaries, ClusterLocation};
use process::Process;
use sqlx::PgPool;
use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How often the processes and the leader are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// `confab cluster`.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// Address of nginx. The servers use the ports after its port.
    #[command(flatten)]
    bind: ChatBind,
    #[command(flatten)]
    data: DataSettings,
    /// Number of chat servers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    chat: u16,
    /// Number of notify servers.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    notify: u16,
    #[command(flatten)]
    frontend: FrontendSettings,
}

impl Cluster {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        embedded_postgres::restart_without_postgres_variables()?;
        let shutdown = shutdown::shutdown_on_signal();
        let data_dir = DataDir::lock(&self.data.chat_data_dir)?;
        let (binaries, location) = (Binaries::find()?, ClusterLocation::for_data_dir(&data_dir.path)?);
        let postgres = dev::start_postgres(&data_dir, &binaries, &location).await?;
        let url = postgres.url(dev::DATABASE_NAME);
        let demo = dev::migrate_and_seed(&url).await?;
        demo.write(&data_dir.path).context("writing the demo accounts")?;
        let pool = db::create_pool(&url, 4)?;
        data_dir.load_signer()?;
        data_dir.load_sealer()?;
        let stop = CancellationToken::new();
        let postgres_supervisor = tokio::spawn(dev::supervise_postgres(postgres, binaries, location, stop.clone()));

        let folder = data_dir.path.join("cluster");
        std::fs::create_dir_all(&folder).context("creating the directory of the cluster")?;
        let frontend_address = serve_frontend(&self.frontend, &shutdown).await?;
        let supervisor = Supervisor::new(&self, &data_dir.path, &folder, &url, frontend_address)?;
        let outcome = supervisor.run(&pool, &demo, &shutdown).await;
        stop.cancel();
        postgres_supervisor.await.context("stopping Postgres")?;
        outcome
    }
}

/// Serves the web frontend to nginx.
async fn serve_frontend(frontend: &FrontendSettings, shutdown: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("binding the frontend")?;
    let address = listener.local_addr().context("reading the address")?;
    tokio::spawn(acceptor::serve(
        listener,
        ConnectionLimits::in_all(64),
        NoHook,
        frontend::router(frontend),
        shutdown.clone(),
    ));
    Ok(address)
}

/// Starts the processes and restarts those that exit.
struct Supervisor {
    public_address: SocketAddr,
    processes: Vec<Process>,
}

impl Supervisor {
    fn new(
        args: &Cluster,
        data_dir: &Path,
        folder: &Path,
        database_url: &str,
        frontend_address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let address_of = |offset: u16| -> anyhow::Result<SocketAddr> {
            let port = args
                .bind
                .chat_bind
                .port()
                .checked_add(offset)
                .context("the servers need more ports after the port of --bind; choose a lower port")?;
            Ok(SocketAddr::new(args.bind.chat_bind.ip(), port))
        };
        let redis = folder.join("redis.sock");
        let mut shared: Vec<(&str, OsString)> = vec![
            ("DATABASE_URL", database_url.into()),
            ("REDIS_URL", format!("unix://{}", redis.display()).into()),
            ("CHAT_DATA_DIR", data_dir.into()),
            ("JWT_PRIVATE_KEY_FILE", data_dir.join("keys/jwt_private.pem").into()),
            ("JWT_PUBLIC_KEY_FILE", data_dir.join("keys/jwt_public.pem").into()),
            ("SECRETS_KEY_FILE", data_dir.join("keys/secrets.key").into()),
            ("TRUSTED_PROXIES", "127.0.0.0/8".into()),
            ("DEMO_MODE", "true".into()),
        ];
        // As in `confab dev`, unless they are set.
        let outgoing = if args.bind.chat_bind.ip().is_loopback() { "127.0.0.0/8,::1/128,localhost" } else { "" };
        for (name, default) in [("RATE_LIMITS", "off"), ("USER_DIRECTORY", "everyone"), ("OUTGOING_ALLOW", outgoing)] {
            if std::env::var_os(name).is_none() {
                shared.push((name, default.into()));
            }
        }
        let server = |kind: &str, variable: &'static str, at: SocketAddr| {
            let mut settings = shared.clone();
            settings.push((variable, at.to_string().into()));
            Process::server(kind, at, settings, folder)
        };
        let mut processes = vec![Process::redis(&redis, folder)?];
        let (mut chat_addresses, mut notify_addresses) = (Vec::new(), Vec::new());
        for offset in 1..=args.chat {
            chat_addresses.push(address_of(offset)?);
            processes.push(server("chat_server", "CHAT_BIND", address_of(offset)?)?);
        }
        for offset in args.chat + 1..=args.chat + args.notify {
            notify_addresses.push(address_of(offset)?);
            processes.push(server("notify_server", "NOTIFY_BIND", address_of(offset)?)?);
        }
        let integration_address = address_of(args.chat + args.notify + 1)?;
        processes.push(server("integration_server", "INTEGRATION_BIND", integration_address)?);
        let config_path =
            balancer::write_config(folder, args.bind.chat_bind, &chat_addresses, &notify_addresses, frontend_address)?;
        processes.push(Process::nginx(args.bind.chat_bind, &config_path, folder)?);
        Ok(Self { public_address: args.bind.chat_bind, processes })
    }

    /// Runs all processes until `shutdown`. Prints each restart and each new leader.
    async fn run(mut self, pool: &PgPool, demo: &DemoAccounts, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let started = self.start_all(shutdown).await;
        if started.is_ok() {
            self.supervise(pool, demo, shutdown).await;
        }
        // In reverse order, nginx first, so that no request is sent to a stopped server.
        for process in self.processes.iter_mut().rev() {
            process.stop().await;
        }
        started
    }

    async fn start_all(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.start()?;
        }
        for process in &mut self.processes {
            process.wait_until_ready(shutdown).await?;
            println!("{process}");
        }
        Ok(())
    }

    async fn supervise(&mut self, pool: &PgPool, demo: &DemoAccounts, shutdown: &CancellationToken) {
        println!("listening on http://{}", self.public_address);
        dev::print_demo_accounts(demo);
        println!("kill any process to see it restart; press Ctrl-C to stop all processes");
        let mut leader = None;
        while shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
            for process in &mut self.processes {
                match process.restart_if_exited() {
                    Ok(None) => {}
                    Ok(Some(status)) => println!("{} exited ({status}); restarted: {process}", process.name()),
                    Err(error) => println!("cannot start {}: {error:#}; trying again", process.name()),
                }
            }
            let now = replicas::find_leader(pool).await.ok().flatten();
            if now.is_some() && now != leader {
                println!("leader: {}", now.as_deref().unwrap_or_default());
                leader = now;
            }
        }
    }
}
