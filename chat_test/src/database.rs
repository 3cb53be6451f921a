//! A database for one test. It is a copy of a template that holds the schema and the
//! demo data, in a temporary cluster that all tests of a process share.

use chat_core::{auth::Hasher, db};
use embedded_postgres::{Binaries, Cluster};
use fixtures::demo;
use sqlx::PgPool;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "template_demo";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The cluster of this process. It stops when the process ends, even if it is killed.
pub(crate) async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(|| async {
            let binaries = Binaries::find().expect("Postgres is installed");
            let cluster = Cluster::start_temporary(&binaries).await.expect("a throw-away Postgres");
            create_demo_database(&cluster, TEMPLATE).await;
            cluster
        })
        .await
}

/// Creates a database with the schema and the demo data.
pub async fn create_demo_database(cluster: &Cluster, name: &str) {
    cluster.create_database(name, "template1").await.expect("a database");
    let pool = db::create_pool(&cluster.url(name), 2).expect("a URL");
    db::migrate(&pool).await.expect("migrated");
    demo::seed(&pool, &Hasher::new().expect("a hasher")).await.expect("seeded");
    pool.close().await;
}

/// A database that belongs to one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Its connection URL.
    pub url: String,
}

impl TestDatabase {
    /// Creates a fresh copy of the demo data.
    pub async fn create() -> Self {
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let cluster = cluster().await;
        cluster.create_database(&name, TEMPLATE).await.expect("a copy of the template");
        Self { url: cluster.url(&name) }
    }

    /// Creates a small pool, as a server has.
    pub fn pool(&self, connections: u32) -> PgPool {
        db::create_pool(&self.url, connections).expect("a URL")
    }
}
