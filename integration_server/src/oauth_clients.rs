//! Loads the documents with which programs describe themselves (`chat_core::oauth::clients`).

use crate::{
    client::{CallError, OutgoingClient, ResponseLimits},
    loader::Load,
};
use chat_core::{
    Result,
    oauth::clients::{self, MAX_DOCUMENT_BYTES, OAuthClient},
};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderValue},
};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::timeout;

/// Limits of a document. A longer one is refused.
const LIMITS: ResponseLimits = ResponseLimits { bytes: MAX_DOCUMENT_BYTES + 1, time: Duration::from_secs(2) };

/// Time limit of a document. The user waits for it.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Loads the documents of programs.
pub(crate) struct OAuthClients {
    pub(crate) db: PgPool,
    pub(crate) client: OutgoingClient,
}

impl Load for OAuthClients {
    type Item = String;

    async fn claim(&self) -> Result<Option<String>> {
        clients::claim(&self.db).await
    }

    async fn load(&self, id: String) -> Result<()> {
        let loaded = timeout(LOAD_TIMEOUT, load(&self.client, &id)).await;
        clients::store(&self.db, &id, loaded.unwrap_or(Err("its server did not answer in time"))).await
    }
}

async fn load(client: &OutgoingClient, id: &str) -> Result<OAuthClient, &'static str> {
    let accept = HeaderValue::from_static("application/json");
    // Not the text of an error: it would tell what an address inside the network answers.
    let response = match client.call(Method::GET, id, LIMITS, |request| request.header(ACCEPT, accept)).await {
        Ok(response) => response,
        Err(CallError::NotAllowed(why)) => return Err(why),
        Err(CallError::Busy) => return Err("too many others are being loaded; try again"),
        Err(CallError::NotConnected(_) | CallError::Failed(_)) => {
            return Err("there is no connection to its server, or the certificate of the server is not valid");
        }
    };
    if response.status != StatusCode::OK {
        return Err("its server did not return it with the status 200");
    }
    if !response.is_json {
        return Err("its server does not say that it is JSON");
    }
    if response.body.len() > MAX_DOCUMENT_BYTES {
        return Err("it is larger than 16 KiB");
    }
    OAuthClient::parse(id, &response.body)
}
