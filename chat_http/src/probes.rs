//! `/livez` and `/readyz`, for load balancers and orchestrators.

use crate::problem::KeepBody;
use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::db;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The paths of the probes: liveness and readiness.
pub const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Time limit of a check. A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A named check that must pass for the server to be ready.
pub struct ReadinessCheck {
    name: &'static str,
    check: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

impl ReadinessCheck {
    /// Creates a check.
    pub fn new<F: Future<Output = bool> + Send + 'static>(
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name, check: Box::new(move || Box::pin(check())) }
    }

    /// Creates the check that a crash of the database loses no acknowledged write.
    pub fn durable_database(pool: PgPool) -> Self {
        Self::new("database_is_durable", move || {
            let pool = pool.clone();
            async move { matches!(db::find_volatile_setting(&pool).await, Ok(None)) }
        })
    }
}

/// Routes of the probes. `/livez` returns 200 while the process runs. `/readyz`
/// returns 200 if every check passes and the server is not stopping, and 503
/// otherwise; the body lists each check and its result.
pub fn router(checks: Vec<ReadinessCheck>, shutdown: CancellationToken) -> Router {
    let readiness = Arc::new(Readiness { checks, last: Mutex::default() });
    let ready = move || {
        let (readiness, shutdown) = (Arc::clone(&readiness), shutdown.clone());
        async move { readiness.respond(&shutdown).await }
    };
    let [live_path, ready_path] = PROBES;
    Router::new().route(live_path, get(|| async { Json(json!({ "live": true })) })).route(ready_path, get(ready))
}

/// How long the results of the checks are used again, because anybody may ask for them.
const MAX_RESULT_AGE: Duration = Duration::from_secs(1);

type CheckResults = Map<String, Value>;

/// The checks and their last results.
struct Readiness {
    checks: Vec<ReadinessCheck>,
    last: Mutex<Option<(Instant, CheckResults)>>,
}

impl Readiness {
    async fn respond(&self, shutdown: &CancellationToken) -> Response {
        let mut results = self.results().await;
        results.insert("not_draining".into(), (!shutdown.is_cancelled()).into());
        let is_ready = results.values().all(|result| result == true);
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut response = (status, Json(json!({ "ready": is_ready, "checks": results }))).into_response();
        if !is_ready {
            response.extensions_mut().insert(KeepBody);
        }
        response
    }

    /// Runs the checks, or returns their last results. Requests that arrive meanwhile wait
    /// for the same results.
    async fn results(&self) -> CheckResults {
        let mut last = self.last.lock().await;
        if let Some((checked_at, results)) = &*last
            && checked_at.elapsed() < MAX_RESULT_AGE
        {
            return results.clone();
        }
        let mut results = Map::new();
        for ReadinessCheck { name, check } in &self.checks {
            let passes = timeout(CHECK_TIMEOUT, check()).await.unwrap_or(false);
            results.insert((*name).into(), passes.into());
        }
        *last = Some((Instant::now(), results.clone()));
        results
    }
}
