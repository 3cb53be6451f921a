//! Confab for clients of the Model Context Protocol (MCP), at `/mcp`.
//!
//! Each tool calls the REST API within the process, as the caller: rights, limits and validation are
//! those of REST, and exist once. `tools` lists the tools, `call` runs them, `api` calls REST,
//! `confirmation` asks the user before a change, `resources` reads chats and messages by their URIs,
//! `subscription` tells clients of changes, and `text` removes what could deceive a reader.

mod api;
mod call;
mod confirmation;
mod log_follower;
mod prompts;
mod resources;
mod service;
mod subscription;
mod summary;
mod text;
mod tools;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use chat_core::{
    Error,
    auth::{Authenticator, Scope},
    oauth,
};
use chat_http::{
    ApiError, Result,
    authorization_server::authorization_server,
    extract::buffer_body,
    problem::KeepBody,
    rate_limit::{RateLimiter, RouteClass, has_body},
    settings::PublicUrl,
};
use confirmation::Confirmations;
use log_follower::LogFollower;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use service::McpService;
use sqlx::PgPool;
use std::sync::{Arc, OnceLock};
use subscription::Subscriptions;
use tokio_util::sync::CancellationToken;

/// The path of the server.
pub const MCP_PATH: &str = "/mcp";

/// The path at which programs learn where to get tokens for the server (RFC 9728).
pub const RESOURCE_METADATA_PATH: &str = "/.well-known/oauth-protected-resource/mcp";

/// Maximum size of a request, in bytes.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// The dependencies of the server.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The routes of the REST API, with their guard.
    pub api: Router,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// Limits the requests of each user.
    pub rate_limiter: Arc<RateLimiter>,
    /// Holds the key that signs confirmations.
    pub db: PgPool,
    /// The public URL of the server, at which programs get tokens.
    pub public_url: Option<PublicUrl>,
}

/// Returns the routes of the server. `shutdown` ends subscriptions.
pub fn router(Deps { api, authenticator, rate_limiter, db, public_url }: Deps, shutdown: &CancellationToken) -> Router {
    // The layers of the process check the host, and `guard` the origin.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_REQUEST_BYTES)
        .with_cancellation_token(shutdown.child_token())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let log = LogFollower::new(db.clone(), shutdown.clone());
    let subscriptions = Subscriptions::new(db.clone(), log, Arc::clone(&authenticator));
    let confirmations = Arc::new(Confirmations::new(db));
    let service = McpService { api, confirmations, subscriptions: Arc::clone(&subscriptions) };
    let create = move || Ok(service.clone());
    let service = StreamableHttpService::new(create, NeverSessionManager::default().into(), config);
    let guard_state = Arc::new(Guard { authenticator, rate_limiter, public_url, subscriptions });
    Router::new()
        .route_service(MCP_PATH, service)
        .layer(middleware::from_fn(|request, next| buffer_body(MAX_REQUEST_BYTES, request, next)))
        .layer(middleware::from_fn_with_state(guard_state, guard))
}

/// The header that names the method of a request, and the method of subscriptions (revision 2026-07-28).
const METHOD_HEADER: &str = "mcp-method";
const SUBSCRIBE_METHOD: &str = "subscriptions/listen";

/// The account has as many subscriptions as allowed.
const TOO_MANY_SUBSCRIPTIONS: Error =
    Error::Conflict { code: "too_many_subscriptions", detail: "too many subscriptions; close one first" };

/// What the guard needs.
struct Guard {
    authenticator: Arc<Authenticator>,
    rate_limiter: Arc<RateLimiter>,
    public_url: Option<PublicUrl>,
    subscriptions: Arc<Subscriptions>,
}

/// A scope that the tool of a request needs and the program does not have, and all scopes that the program
/// should ask for. A tool sets it, and the guard answers with a challenge.
#[derive(Debug, Clone, Default)]
pub(crate) struct MissingScope(Arc<OnceLock<(Scope, String)>>);

impl MissingScope {
    pub(crate) fn set(&self, scope: Scope, all: String) {
        // A request has one tool.
        let _ = self.0.set((scope, all));
    }
}

/// Rejects requests of foreign pages and without a valid token. The tools see who calls.
async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if let Err(error) = check_origin(&request) {
        return error.into_response();
    }
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let has_token = authorization.is_some();
    let metadata = authorization_server(guard.public_url.as_ref(), request.headers())
        .map(|server| format!("{}{RESOURCE_METADATA_PATH}", server.issuer));
    let identity = match guard.authenticator.authenticate_mcp(authorization).await {
        Ok(identity) => identity,
        Err(error) => {
            let error = match error {
                Error::Unauthorized { code: code @ "session_revoked", .. } => Error::Unauthorized {
                    code,
                    detail: "this token was revoked or has expired; ask the user for another one",
                },
                error => error,
            };
            let code = matches!(error, Error::Unauthorized { .. }).then_some(has_token.then_some("invalid_token"));
            let mut response = ApiError(error).into_response();
            if let Some(code) = code {
                challenge(&mut response, metadata.as_deref(), code, &oauth::scope_names());
            }
            return response;
        }
    };
    // Besides what the tools do.
    if let Err(status) = guard.rate_limiter.check(&request, RouteClass::Read, Some(identity.account_id)) {
        return status.into_rejection(has_body(&request));
    }
    // Refused before the client is told that it is subscribed. The request holds the slot.
    if request.headers().get(METHOD_HEADER).is_some_and(|method| method == SUBSCRIBE_METHOD) {
        match guard.subscriptions.acquire(identity.account_id) {
            Some(slot) => drop(request.extensions_mut().insert(slot)),
            None => return ApiError(TOO_MANY_SUBSCRIPTIONS).into_response(),
        }
    }
    let missing_scope = MissingScope::default();
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(missing_scope.clone());
    let mut response = next.run(request).await;
    if let Some((scope, all)) = missing_scope.0.get() {
        let mut response = ApiError(Error::InsufficientScope(scope.name())).into_response();
        challenge(&mut response, metadata.as_deref(), Some("insufficient_scope"), all);
        return response;
    }
    if response.extensions().get::<Arc<Error>>().is_none() {
        // Errors of the protocol keep their form.
        response.extensions_mut().insert(KeepBody);
    }
    response
}

/// Tells a program where to get a token, and with which scopes (RFC 9728, RFC 6750).
fn challenge(response: &mut Response, metadata: Option<&str>, error: Option<&str>, scopes: &str) {
    let Some(metadata) = metadata else { return };
    let error = error.map_or_else(String::new, |error| format!("error=\"{error}\", "));
    let value = format!("Bearer {error}resource_metadata=\"{metadata}\", scope=\"{scopes}\"");
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// Rejects a request that a page of another site sends: browsers name it in `Origin`.
fn check_origin(request: &Request) -> Result<()> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match origin {
        Some(origin) if Some(origin) == host => Ok(()),
        _ => Err(Error::Forbidden("pages of other sites may not use MCP").into()),
    }
}
