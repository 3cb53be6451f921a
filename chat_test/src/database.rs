//! A database for one test: a copy of a template that holds the schema and the
//! demo world, in a throw-away cluster that all tests of a process share.

use chat_core::{auth::Hasher, db};
use embedded_postgres::{Binaries, Cluster};
use fixtures::demo;
use sqlx::PgPool;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "template_demo";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The cluster of this process. It goes with the process, however that ends.
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

/// Makes a database with the schema and the demo world in it.
pub async fn create_demo_database(cluster: &Cluster, name: &str) {
    cluster.create_database(name, "template1").await.expect("a database");
    let pool = db::create_pool(&cluster.url(name), 2).expect("a URL");
    db::migrate(&pool).await.expect("migrated");
    demo::seed(&pool, &Hasher::new().expect("a hasher")).await.expect("seeded");
    pool.close().await;
}

/// A database of one test's own.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Where it is.
    pub url: String,
}

impl TestDatabase {
    /// A fresh copy of the demo world.
    pub async fn create() -> Self {
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let cluster = cluster().await;
        cluster.create_database(&name, TEMPLATE).await.expect("a copy of the template");
        Self { url: cluster.url(&name) }
    }

    /// A small pool, as a server has.
    pub fn pool(&self, connections: u32) -> PgPool {
        db::create_pool(&self.url, connections).expect("a URL")
    }
}
