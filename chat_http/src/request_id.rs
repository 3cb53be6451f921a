//! Request ids: every request, its response and every log line about them have the
//! same id.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a request id from a client, in bytes.
const MAX_LENGTH: usize = 64;

/// Creates a request id, a UUID of version 7.
pub fn new_request_id() -> HeaderValue {
    HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()).expect("a UUID is hexadecimal digits and dashes")
}

/// Reads the request id; empty before `assign`.
pub fn request_id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Assigns an id to a request, and returns it for the response. Keeps a client's own id if it is
/// short and consists of safe characters; tower-http's layer would keep any id.
pub(crate) fn assign(request: &mut Request) -> HeaderValue {
    let is_plain = |id: &str| {
        (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let own = request.headers().get(REQUEST_ID).filter(|id| id.to_str().is_ok_and(is_plain)).cloned();
    let id = own.unwrap_or_else(new_request_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    id
}

/// Writes the id of a request into its response.
pub(crate) fn write(response: &mut Response, id: HeaderValue) {
    response.headers_mut().insert(REQUEST_ID, id);
}
