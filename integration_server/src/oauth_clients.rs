//! Loads the documents with which programs describe themselves (`chat_core::oauth::clients`).

use crate::{
    client::{CallError, OutgoingClient, ResponseLimits},
    notifications::Wakers,
};
use chat_core::oauth::clients::{self, MAX_DOCUMENT_BYTES, OAuthClient};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderValue},
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How often documents are looked for without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of documents that one process loads at once.
const MAX_AT_ONCE: i64 = 8;

/// Limits of a document. A longer one is refused.
const LIMITS: ResponseLimits = ResponseLimits { bytes: MAX_DOCUMENT_BYTES + 1, time: Duration::from_secs(2) };

/// Time limit of a document. The user waits for it.
const LOAD_TIMEOUT: Duration = Duration::from_secs(6);

/// Loads documents until `shutdown`.
pub(crate) async fn run(db: PgPool, client: OutgoingClient, wakers: Arc<Wakers>, shutdown: CancellationToken) {
    let run = async {
        loop {
            match clients::claim(&db, MAX_AT_ONCE).await {
                Ok(ids) if !ids.is_empty() => {
                    futures_util::future::join_all(ids.iter().map(|id| load_and_store(&db, &client, id))).await;
                    continue;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot look for programs"),
            }
            let _ = timeout(POLL_INTERVAL, wakers.oauth_clients.notified()).await;
        }
    };
    shutdown.run_until_cancelled(run).await;
}

async fn load_and_store(db: &PgPool, client: &OutgoingClient, id: &str) {
    let loaded = timeout(LOAD_TIMEOUT, load(client, id)).await.unwrap_or(Err("its server did not answer in time"));
    if let Err(error) = clients::store(db, id, loaded).await {
        tracing::warn!(%error, "cannot store the description of a program");
    }
}

async fn load(client: &OutgoingClient, id: &str) -> Result<OAuthClient, &'static str> {
    let accept = HeaderValue::from_static("application/json");
    // Not the text of an error: it would tell what an address inside the network answers.
    let response = match client.call(Method::GET, id, LIMITS, |request| request.header(ACCEPT, accept)).await {
        Ok(response) => response,
        Err(CallError::NotAllowed(why)) => return Err(why),
        Err(CallError::Busy) => return Err("too many others are being loaded; try again"),
        Err(CallError::NotConnected(_) | CallError::Failed(_)) => return Err("its server does not answer"),
    };
    if response.status != StatusCode::OK {
        return Err("its server did not return it with the status 200");
    }
    if response.body.len() > MAX_DOCUMENT_BYTES {
        return Err("it is larger than 16 KiB");
    }
    OAuthClient::parse(id, &response.body)
}
