//! The free space of the disk that holds the data directory. Below a floor the API writes
//! nothing, so that the database can still recover and housekeeping can still delete. A
//! notify server in the same process rejects the commands of WebSockets that write.

use crate::AppState;
use axum::extract::Request;
use http::Method;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// How often the free space is read.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that may write although the disk is almost full: they need little space, and
/// a user must be able to sign in to delete something.
const EXEMPT_PATHS: [&str; 3] = ["/api/signin", "/api/token/refresh", "/api/signout"];

/// Watches the free space of a directory. Tells the writer of messages when it is below
/// `min_free_bytes`.
pub(crate) async fn watch(state: Arc<AppState>, folder: PathBuf, min_free_bytes: u64) {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let is_low = free_bytes(&folder).is_some_and(|free| free < min_free_bytes);
        if is_low != state.writer.is_storage_low() {
            state.writer.set_storage_low(is_low);
            match is_low {
                true => tracing::error!(min_free_bytes, "the disk is almost full: nothing is written until it is not"),
                false => tracing::info!("the disk has space again"),
            }
        }
    }
}

fn free_bytes(folder: &std::path::Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Whether a request is refused because it writes while the disk is almost full.
pub(crate) fn is_refused(state: &AppState, request: &Request) -> bool {
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE);
    writes && state.writer.is_storage_low() && !EXEMPT_PATHS.contains(&request.uri().path())
}
