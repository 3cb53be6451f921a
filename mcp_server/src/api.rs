//! Calls the REST API within the process, as the caller.

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, header, request::Parts},
};
use chat_core::{Error, UserId, auth::Identity};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc};
use tower::ServiceExt;

/// Maximum size of a response, in bytes. A page of 100 messages of the greatest size is smaller.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Calls the API as the caller and with the address of one MCP request.
#[derive(Debug, Clone)]
pub(crate) struct Api<'a> {
    router: &'a Router,
    parts: &'a Parts,
    /// The caller.
    pub(crate) user: UserId,
}

/// Why a call failed, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallError(pub(crate) String);

impl From<&str> for CallError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'a> Api<'a> {
    pub(crate) fn new(router: &'a Router, parts: &'a Parts, user: UserId) -> Self {
        Self { router, parts, user }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request with a body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, CallError> {
        let mut request = Request::builder().method(method).uri(path);
        // The headers that identify the client.
        for name in [header::HOST, header::USER_AGENT] {
            if let Some(value) = self.parts.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        for value in self.parts.headers.get_all("x-forwarded-for") {
            request = request.header("x-forwarded-for", value);
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).map_err(|error| CallError(error.to_string()))?;
        // The caller, whom the guard has verified. A token of a program is for the MCP server only.
        if let Some(identity) = self.parts.extensions.get::<Identity>() {
            request.extensions_mut().insert(identity.clone());
        }
        // The address of the client, for rate limits and the audit log.
        if let Some(peer) = self.parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            request.extensions_mut().insert(*peer);
        }
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|error| match error {});
        let status = response.status();
        // The layers of the process would write its text.
        if let Some(error) = response.extensions().get::<Arc<Error>>() {
            return Err(describe(error));
        }
        if !status.is_success() {
            return Err(CallError(format!("the request was rejected ({status})")));
        }
        let bytes = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await;
        let bytes = bytes.map_err(|_| CallError::from("the response was too large"))?.to_bytes();
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

/// Describes a rejected request for the model.
fn describe(error: &Error) -> CallError {
    match error {
        Error::Invalid(errors) => {
            let errors = errors.iter().map(|error| format!("{}: {}", error.field, error.detail));
            CallError(errors.collect::<Vec<_>>().join("; "))
        }
        error => CallError(error.to_string()),
    }
}
