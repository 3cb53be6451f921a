//! Both servers in one process on one port.

use crate::{database, frontend::Frontend};
use anyhow::Context;
use chat_core::{
    auth::{Hasher, LiveSessions, Signer},
    messages::Writer,
    metrics, net,
    redis::Redis,
    typing::Typists,
    web::{self, Origins},
    whispers::Whispers,
};
use chat_server::{Api, Blobs, Counters, Keeping, RateLimits};
use clap::Args;
use notify_server::{Notify, Parts};
use sqlx::PgPool;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What both servers stand on.
pub(crate) struct Node {
    /// For the API.
    pub(crate) db: PgPool,
    /// For the streams, which go on while API calls wait for each other.
    pub(crate) stream_db: PgPool,
    /// For the writer of messages, likewise.
    pub(crate) writer_db: PgPool,
    /// Where other nodes over the same database are met.
    pub(crate) redis: Option<Redis>,
    pub(crate) signer: Signer,
    pub(crate) files: PathBuf,
    pub(crate) origins: Origins,
    pub(crate) rate_limits: RateLimits,
    /// How many stand before this server.
    pub(crate) proxies: usize,
    pub(crate) keeping: Keeping,
    pub(crate) offers_demo: bool,
    pub(crate) frontend: Frontend,
    pub(crate) max_connections: usize,
    /// Where `/metrics` is.
    pub(crate) figures: metrics::Place,
}

impl Node {
    /// Serves until `shutdown`; `ready` is called once the log is being followed.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
        ready: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<()> {
        let address = listener.local_addr().context("reading the address")?;
        let blobs = Blobs::on_disk(&self.files).context("opening the file store")?;
        let verifier = self.signer.verifier().clone();
        let hasher = Hasher::new()?;
        let writer = Writer::start(self.writer_db);
        let whispers = Whispers::new(self.db.clone(), self.redis.clone());
        let api = Arc::new(Api {
            db: self.db.clone(),
            live: LiveSessions::new(self.db.clone()),
            signer: self.signer,
            hasher,
            writer: writer.clone(),
            typists: Typists::new(self.db.clone(), whispers.clone()),
            whispers,
            blobs,
            counters: Counters::new(self.rate_limits, self.proxies),
            keeping: self.keeping,
            offers_demo: self.offers_demo,
        });
        api.tend(&shutdown);
        let parts = Parts {
            name: address.to_string(),
            db: self.stream_db,
            redis: self.redis,
            writer,
            verifier,
            origins: self.origins.clone(),
        };
        let notify = Notify::start(parts, shutdown.clone());

        let mut registry = metrics::registry();
        api.register(&mut registry);
        notify.register(&mut registry);
        let mut checks = api.checks();
        checks.extend(notify.checks());
        let router = api
            .router()
            .merge(notify.router())
            .merge(self.frontend.router())
            .merge(web::probes(checks, shutdown.clone()))
            .merge(self.figures.serve(registry, &shutdown));
        let router = web::with_layers(router, &self.origins);
        let serving =
            tokio::spawn(net::serve(listener, self.max_connections, notify.front(), router, shutdown.clone()));
        tokio::select! {
            () = notify.live() => ready(address),
            () = shutdown.cancelled() => {}
        }
        serving.await.context("serving")?;
        self.db.close().await;
        Ok(())
    }
}

/// `confab serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen.
    #[arg(long, env = "CHAT_BIND", default_value = "127.0.0.1:6688")]
    bind: SocketAddr,
    #[command(flatten)]
    database: database::Database,
    /// Redis, through which several nodes over one database share one reading of
    /// the event log; without it each reads for itself.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// Where uploaded files are kept.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    data: PathBuf,
    /// The Ed25519 key that signs tokens, PKCS#8 PEM.
    #[arg(long, env = "JWT_PRIVATE_KEY_FILE")]
    jwt_private_key_file: PathBuf,
    /// Public halves of the keys that signed before, whose tokens are still good.
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE")]
    jwt_public_key_file: Option<PathBuf>,
    /// Web origins, separated by commas, whose pages may call.
    #[arg(long, env = "CORS_ORIGINS", default_value = "")]
    cors_origins: String,
    /// Where to answer `/metrics`, apart from everything else; without it, beside
    /// the rest.
    #[arg(long, env = "METRICS_BIND")]
    metrics_bind: Option<SocketAddr>,
    /// How often one may ask: on, off, or some of
    /// auth=60/m,upload=120/m,write=50/s,read=100/s,address=1000/s.
    #[arg(long, env = "RATE_LIMITS", default_value = "on")]
    rate_limits: RateLimits,
    /// How many proxies of yours stand before this server: so far down
    /// X-Forwarded-For is the caller.
    #[arg(long, env = "PROXIES", default_value_t = 0)]
    proxies: usize,
    #[command(flatten)]
    frontend: Frontend,
    #[command(flatten)]
    keeping: Keeping,
    /// The most connections held at once.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 18_000)]
    max_connections: usize,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        net::raise_file_limit();
        let key = &self.jwt_private_key_file;
        let mut signer = Signer::read(key).with_context(|| format!("reading the private key {}", key.display()))?;
        if let Some(public) = &self.jwt_public_key_file {
            signer =
                signer.trusting(public).with_context(|| format!("reading the public keys {}", public.display()))?;
        }
        let node = Node {
            db: self.database.open()?,
            stream_db: self.database.open()?,
            writer_db: self.database.open()?,
            redis: self.redis_url.as_deref().map(Redis::at).transpose().context("REDIS_URL")?,
            signer,
            files: self.data.join("files"),
            origins: Origins::parse(&self.cors_origins).context("CORS_ORIGINS")?,
            rate_limits: self.rate_limits,
            proxies: self.proxies,
            keeping: self.keeping,
            offers_demo: false,
            frontend: self.frontend,
            max_connections: self.max_connections,
            figures: metrics::Place::at(self.metrics_bind).await.context("METRICS_BIND")?,
        };
        let listener = bind(self.bind).await?;
        node.serve(listener, net::shutdown_on_signal(), |address| println!("listening on http://{address}")).await
    }
}

/// Takes the port, or says who may have it.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with --bind"))
}
