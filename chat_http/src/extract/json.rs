//! JSON bodies of requests and responses.

use super::field_error::field_error;
use crate::{ApiError, Result};
use axum::{
    RequestExt,
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::Error;
use http_body_util::LengthLimitError;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use std::time::Duration;
use tokio::time::timeout;

/// A JSON body. The extractor rejects another media type with 415, a body that is too
/// large with 413, invalid JSON with 400, and JSON that fails validation with 422.
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

/// How long a client has to send the whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads the whole body before the handler runs, unless it is an upload. If it
/// ran earlier, a client that receives an error while it still writes would see a
/// broken connection instead of the error.
pub async fn buffer_body(limit: usize, request: Request, next: Next) -> Response {
    if media_type(request.headers()).starts_with("multipart/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(result) = timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await else {
        return ([(header::CONNECTION, "close")], StatusCode::REQUEST_TIMEOUT).into_response();
    };
    match result {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => {
            let is_too_large = std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
            let error = match is_too_large {
                true => Error::TooLarge(limit as u64),
                false => Error::Malformed("the body is incomplete".into()),
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
    // serde would also accept a list of the values in place of an object.
    if body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Err(Error::invalid("body", "the body must be an object, not a list"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // serde reports a null in place of an enum as a syntax error, although the
        // syntax is valid.
        match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Error::Invalid(vec![field_error(path, &inner.to_string())]),
            Err(error) => Error::Malformed(format!("the body is not valid JSON: {error}")),
        }
    })?;
    json.end().map_err(|error| Error::Malformed(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, middleware, routing::post};
    use futures_util::stream;
    use std::convert::Infallible;
    use tokio::time::{Instant, sleep};
    use tower::ServiceExt;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_a_byte_at_a_time_is_rejected_after_15_seconds() {
        let router = Router::new()
            .route("/", post(async |body: Bytes| body))
            .layer(middleware::from_fn(|request, next| buffer_body(1024, request, next)));
        let drip = stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>("x"), ()))
        });
        let started_at = Instant::now();
        let request = Request::post("/").body(Body::from_stream(drip)).expect("a request");
        let response = router.oneshot(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(started_at.elapsed(), BODY_TIMEOUT);
    }
}
