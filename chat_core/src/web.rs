//! What both servers do to every request and answer: a request id, a log line,
//! a time limit, and errors as `application/problem+json`.

use crate::Error;
use axum::{
    Json, Router,
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    trace::TraceLayer,
};

/// The media type of errors, RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// How long a client waits before it tries an unavailable server again, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// An error as it goes over the wire.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// A sentence for people.
    pub detail: String,
    /// A word for programs.
    pub code: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Vec<crate::error::FieldError>,
}

impl Error {
    /// The status this outcome answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::WrongMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Reset(_) => StatusCode::GONE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized { code, .. } | Self::Conflict { code, .. } => code,
            Self::Reset(_) => "reset",
            other => code_of(other.status()),
        }
    }

    /// The error as a client sees it.
    pub fn problem(&self, request_id: &str) -> Problem {
        let errors = match self {
            Self::Invalid(errors) => errors.clone(),
            _ => Vec::new(),
        };
        Problem { errors, ..Problem::of(self.status(), self.code(), self.to_string(), request_id) }
    }
}

impl Problem {
    fn of(status: StatusCode, code: &'static str, detail: String, request_id: &str) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            request_id: request_id.into(),
            errors: Vec::new(),
        }
    }
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "malformed",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::RANGE_NOT_SATISFIABLE => "range_not_satisfiable",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ if status.is_server_error() => "internal",
        _ => "refused",
    }
}

/// Carries the error itself; `render_problems` writes the body, because only it
/// knows the request id.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// The path of every answer that is an error, whoever made it: one body, one log
/// line for each fault of ours.
async fn render_problems(request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers()).to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    let is_rendered = response.extensions().get::<KeepBody>().is_some();
    if is_rendered || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = match response.extensions().get::<Arc<Error>>() {
        Some(error) => {
            log_fault(error, &method, &path, &request_id);
            error.problem(&request_id)
        }
        None => Problem::of(status, code_of(status), fallback_detail(status, &method, &path), &request_id),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        parts.headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

/// Logs the cause of a fault of ours with its chain of sources; a client's
/// mistake is not a log line.
pub fn log_fault(error: &Error, method: &Method, path: &str, request_id: &str) {
    let cause = || {
        std::iter::successors(std::error::Error::source(error), |cause| cause.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    match error {
        Error::Internal(_) => tracing::error!(%method, path, request_id, cause = cause(), "a request failed"),
        Error::Unavailable(_) => tracing::warn!(%method, path, request_id, cause = cause(), "a request was put off"),
        _ => {}
    }
}

fn fallback_detail(status: StatusCode, method: &Method, path: &str) -> String {
    match status {
        StatusCode::NOT_FOUND => format!("there is nothing at {path}"),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not answer to {method}"),
        StatusCode::REQUEST_TIMEOUT => "the request took too long to arrive".into(),
        StatusCode::INTERNAL_SERVER_ERROR => "something went wrong on the server".into(),
        _ => status.canonical_reason().unwrap_or("refused").to_lowercase(),
    }
}

/// Gives every request an id and every answer the same one. A client's own is
/// kept if it is short and plain.
async fn identify(mut request: Request, next: Next) -> Response {
    let plain = |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let kept = request.headers().get(REQUEST_ID).filter(|id| id.to_str().is_ok_and(plain)).cloned();
    let id = kept.unwrap_or_else(new_request_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A fresh id for a request.
pub fn new_request_id() -> HeaderValue {
    HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()).expect("a UUID is hexadecimal digits and dashes")
}

/// The id under which a request appears in the logs.
pub fn request_id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Puts the layers that every request passes around a router.
pub fn with_layers(router: Router, origins: &Origins) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &axum::http::Request<Body>| {
            // The matched route, never the full URI: a query can hold a ticket.
            let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
            tracing::debug_span!("http", method = %request.method(), route, request_id = request_id(request.headers()))
        })
        .on_failure(());
    router
        .layer(trace)
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
            Error::internal(format!("panic: {text}")).into_response()
        }))
        .layer(middleware::from_fn(render_problems))
        .layer(middleware::from_fn(identify))
        .layer(origins.cors())
}

/// One thing that readiness depends on.
pub struct Check {
    name: &'static str,
    holds: Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

impl Check {
    /// A named condition.
    pub fn new<F: Future<Output = bool> + Send + 'static>(
        name: &'static str,
        holds: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name, holds: Box::new(move || Box::pin(holds())) }
    }
}

/// How long a check may take before it counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where probes are: is it alive, is it ready.
pub const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// `/livez`: the process answers. `/readyz`: everything it needs is there and it
/// is not stopping; 503 otherwise, with the names of what is not.
pub fn probes(checks: Vec<Check>, shutdown: CancellationToken) -> Router {
    let checks = Arc::new(checks);
    let ready = move || {
        let (checks, shutdown) = (Arc::clone(&checks), shutdown.clone());
        async move {
            let mut states = serde_json::Map::new();
            for check in checks.iter() {
                let holds = timeout(CHECK_TIMEOUT, (check.holds)()).await.unwrap_or(false);
                states.insert(check.name.into(), holds.into());
            }
            states.insert("not_draining".into(), (!shutdown.is_cancelled()).into());
            let is_ready = states.values().all(|state| state == true);
            let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let mut answer = (status, Json(json!({ "ready": is_ready, "checks": states }))).into_response();
            if !is_ready {
                answer.extensions_mut().insert(KeepBody);
            }
            answer
        }
    };
    let [live, ready_path] = PROBES;
    Router::new().route(live, get(|| async { Json(json!({ "live": true })) })).route(ready_path, get(ready))
}

/// Marks an answer whose body says more than a problem would.
#[derive(Clone)]
struct KeepBody;

/// Text that no browser would send as an origin.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an origin; one looks like https://chat.example or http://127.0.0.1:3000, without a path")]
pub struct InvalidOrigin(String);

/// The web origins whose pages may call from another host.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<[HeaderValue]>);

impl Origins {
    /// From a comma-separated list such as `https://chat.example`.
    pub fn parse(list: &str) -> Result<Self, InvalidOrigin> {
        let origins = list.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let parse = |origin: &str| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_bare = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '*', '?', '#']));
            let value = HeaderValue::from_str(origin).ok().filter(|_| is_bare);
            value.ok_or_else(|| InvalidOrigin(origin.to_owned()))
        };
        Ok(Self(origins.map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether this origin is on the list.
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    fn cors(&self) -> CorsLayer {
        let exposed = ["x-request-id", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
        let exposed = exposed.map(HeaderName::from_static);
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("last-event-id")])
            .allow_credentials(true)
            .expose_headers(exposed)
            .max_age(Duration::from_secs(3600))
    }
}
