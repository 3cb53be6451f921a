//! Errors as `application/problem+json`: which status and code each outcome has,
//! and the one layer that writes the body of every error response.

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{Error, error::FieldError};
use schemars::JsonSchema;
use serde::Serialize;
use std::{borrow::Cow, sync::Arc};

/// The media type of errors, RFC 9457.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The `Retry-After` of a 503, and of a 429 without a rate limit, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// The result of a handler or an extractor.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// A domain error as the response of a handler.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.into())
    }
}

/// The body of an error response.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// A human-readable explanation.
    pub detail: String,
    /// A stable code for programs.
    pub code: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: Vec<FieldError>,
    /// After how many seconds to retry, as in the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    /// Creates the problem that a client receives for an error.
    pub fn new(error: &Error, request_id: &str) -> Self {
        let errors = match error {
            Error::Invalid(errors) => errors.clone(),
            _ => Vec::new(),
        };
        Self { errors, ..Self::plain(status(error), code(error), error.to_string(), request_id) }
    }

    fn plain(status: StatusCode, code: &'static str, detail: String, request_id: &str) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code,
            request_id: request_id.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }
}

/// Returns the status of an error.
pub fn status(error: &Error) -> StatusCode {
    match error {
        Error::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
        Error::Forbidden(_) | Error::InsufficientScope(_) | Error::Inactive { .. } => StatusCode::FORBIDDEN,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::Malformed(_) => StatusCode::BAD_REQUEST,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Reset(_) => StatusCode::GONE,
        Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::TooManyRequests | Error::TooManyRequestsFor(_) | Error::TooManyAttempts(_) => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::Unauthorized { code, .. } | Error::Inactive { code, .. } | Error::Conflict { code, .. } => code,
        Error::InsufficientScope(_) => "insufficient_scope",
        Error::Reset(_) => "reset",
        Error::TooManyAttempts(_) => "too_many_attempts",
        other => code_of_status(status(other)),
    }
}

fn code_of_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "malformed",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::PRECONDITION_FAILED => "precondition_failed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::RANGE_NOT_SATISFIABLE => "range_not_satisfiable",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::INSUFFICIENT_STORAGE => "insufficient_storage",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        StatusCode::MISDIRECTED_REQUEST => "misdirected",
        _ if status.is_server_error() => "internal",
        _ => "refused",
    }
}

/// Puts the error into the extensions of the response. `render` writes the body,
/// because it also needs the request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        let retry_after = match self.0 {
            Error::TooManyRequests => Some(RETRY_AFTER_SECONDS),
            Error::TooManyRequestsFor(seconds) | Error::TooManyAttempts(seconds) => Some(seconds),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

/// Marks an error response that keeps its own body.
#[derive(Clone)]
pub struct KeepBody;

/// Writes the body of every error response, whichever layer produced it, and logs each
/// server error once.
pub(crate) fn render(response: Response, method: &Method, path: &str, request_id: &str) -> Response {
    let status = response.status();
    let keeps_body = response.extensions().get::<KeepBody>().is_some();
    if keeps_body || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut problem = match response.extensions().get::<Arc<Error>>() {
        Some(error) => {
            log_server_error(error, method, &hide_secret(path), request_id);
            Problem::new(error, request_id)
        }
        None => Problem::plain(status, code_of_status(status), fallback_detail(status, method, path), request_id),
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        parts.headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        parts.headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    let retry_after = parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    problem.retry_after = retry_after.and_then(|seconds| seconds.parse().ok());
    let body = serde_json::to_vec(&problem).expect("a problem is strings and numbers");
    Response::from_parts(parts, Body::from(body))
}

/// The path of a request as it may be logged: the one of a webhook contains its secret.
fn hide_secret(path: &str) -> Cow<'_, str> {
    for part in ["/webhooks/", "/in/google-chat/"] {
        if let Some((before, rest)) = path.split_once(part) {
            return format!("{before}{part}{}/…", rest.split('/').next().unwrap_or_default()).into();
        }
    }
    path.into()
}

/// Logs a server error with its chain of causes. A client error is not logged.
pub fn log_server_error(error: &Error, method: &Method, path: &str, request_id: &str) {
    let cause = || {
        std::iter::successors(std::error::Error::source(error), |cause| cause.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    match error {
        Error::Internal(_) => tracing::error!(%method, path, request_id, cause = cause(), "request failed"),
        Error::Unavailable(_) => tracing::warn!(%method, path, request_id, cause = cause(), "request unavailable"),
        _ => {}
    }
}

fn fallback_detail(status: StatusCode, method: &Method, path: &str) -> String {
    match status {
        StatusCode::NOT_FOUND => format!("no route matches {path}"),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not support {method}"),
        StatusCode::REQUEST_TIMEOUT => "the request was not received in time".into(),
        StatusCode::MISDIRECTED_REQUEST => "this server does not answer at this host; PUBLIC_URL is its address".into(),
        StatusCode::PRECONDITION_FAILED => "the file is not the expected version".into(),
        StatusCode::INTERNAL_SERVER_ERROR => "internal server error".into(),
        _ => status.canonical_reason().unwrap_or("rejected").to_lowercase(),
    }
}
