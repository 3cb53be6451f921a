//! JSON bodies, in and out.

use super::field_error::field_error;
use crate::{ApiError, Result};
use axum::{
    RequestExt,
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::Error;
use http_body_util::LengthLimitError;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// A JSON body. As an extractor it answers 415 to another media type, 413 to too
/// large a body, 400 to invalid JSON, and 422 to the wrong JSON.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        if media_type(request.headers()) != "application/json" {
            return Err(
                Error::UnsupportedMediaType("send JSON with the header `Content-Type: application/json`").into()
            );
        }
        let body: Bytes = request.extract().await.map_err(Error::internal)?;
        Ok(Self(from_slice(&body)?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads a body whole before the handler runs, unless it is an upload. A client
/// that gets an early error while it still writes would see a broken connection
/// and never the error.
pub async fn buffer_body(limit: usize, request: Request, next: Next) -> Response {
    if media_type(request.headers()).starts_with("multipart/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, limit).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => {
            let is_too_large = std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
            let error = match is_too_large {
                true => Error::TooLarge(limit as u64),
                false => Error::Malformed("the body did not arrive whole".into()),
            };
            ([(header::CONNECTION, "close")], ApiError(error)).into_response()
        }
    }
}

/// The media type without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    // serde would also take the values of an object as a list.
    if body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Err(Error::invalid("body", "the body is a list; send an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // serde reports a null in place of an enum as a syntax error; the syntax is
        // fine.
        match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Error::Invalid(vec![field_error(path, &inner.to_string())]),
            Err(error) => Error::Malformed(format!("the body is not valid JSON: {error}")),
        }
    })?;
    json.end().map_err(|error| Error::Malformed(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}
