//! The handshake of a connection: authentication and the cursor to resume from. All
//! transports use it.

use crate::{NotifyServer, membership_loader::LoadedMembership};
use axum::{
    extract::Query,
    http::{HeaderMap, Uri, header},
};
use chat_core::{
    Error, Result,
    auth::{self, Identity, sessions},
    events::{Cursor, InvalidCursor},
};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
struct ConnectQuery {
    ticket: Option<String>,
    last_event_id: Option<String>,
}

/// The parameters of a request to connect.
#[derive(Debug)]
pub(crate) struct ConnectRequest {
    /// The cursor after which to resume.
    pub(crate) resume: Option<Cursor>,
    ticket: Option<String>,
}

/// An authenticated request to connect.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) identity: Identity,
    pub(crate) resume: Option<Cursor>,
    /// An error here does not fail the request: after a 503 a browser's `EventSource`
    /// never reconnects, so the connection opens and tells the client when to reconnect.
    pub(crate) membership: Result<LoadedMembership>,
}

impl ConnectRequest {
    /// Parses the request. Runs before authentication, which consumes a ticket.
    pub(crate) fn parse(uri: &Uri, headers: &HeaderMap) -> Result<Self> {
        let Query(query) = Query::<ConnectQuery>::try_from_uri(uri)
            .map_err(|_| Error::Malformed("the query string is malformed".into()))?;
        // The header takes precedence: a browser that reconnects repeats its first
        // query string.
        let resume = match headers.get("last-event-id") {
            Some(id) if !id.is_empty() => Some(id.to_str().unwrap_or_default()),
            _ => query.last_event_id.as_deref().filter(|id| !id.is_empty()),
        };
        Ok(Self { resume: resume.map(parse_cursor).transpose()?, ticket: query.ticket })
    }

    /// Verifies the bearer token or the ticket, and that its session can open streams; returns
    /// `None` if the request has neither.
    pub(crate) async fn authenticate(&self, notify: &NotifyServer, headers: &HeaderMap) -> Result<Option<Identity>> {
        let identity = match (headers.get(header::AUTHORIZATION), &self.ticket) {
            (Some(value), _) => notify.authenticator.identify(value.to_str().ok()).await?,
            (None, Some(ticket)) => {
                let claims = auth::tickets::redeem(&notify.db, ticket).await?;
                notify.authenticator.identify_session(claims).await?
            }
            (None, None) => return Ok(None),
        };
        identity.require_stream()?;
        Ok(Some(identity))
    }
}

/// Parses a cursor that a client sent.
pub(crate) fn parse_cursor(text: &str) -> Result<Cursor> {
    text.parse().map_err(|error: InvalidCursor| Error::invalid("last_event_id", error.to_string()))
}

impl Handshake {
    /// Loads the user's chats and checks that the session is active.
    pub(crate) async fn load(notify: &NotifyServer, identity: Identity, resume: Option<Cursor>) -> Result<Self> {
        let membership = notify.membership_loader.load(identity.claims).await;
        if membership.as_ref().is_ok_and(|membership| !membership.is_session_active) {
            return Err(sessions::REVOKED);
        }
        Ok(Self { identity, resume, membership })
    }
}

/// Whether the request has no origin, or comes from a page on this host or from an
/// allowed origin.
pub(crate) fn is_allowed_origin(notify: &NotifyServer, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin_host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    notify.policy.origins.is_allowed(origin) || (host.is_some() && origin_host == host)
}
