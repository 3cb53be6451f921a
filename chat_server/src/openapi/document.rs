//! The OpenAPI description as it is served.

use super::openapi_json;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chat_http::{accept_encoding::accepts_gzip, settings::PublicUrl};
use flate2::{Compression, write::GzEncoder};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;

/// The description as it is served: compressed once, because it is large and anybody may
/// request it.
pub(super) struct ServedDocument {
    text: Bytes,
    gzip: Bytes,
    etag: ETag,
}

impl ServedDocument {
    /// Describes the server at its public URL, or at the URL of the description.
    pub(super) fn new(public_url: Option<&PublicUrl>) -> Self {
        let text = match public_url {
            None => openapi_json().to_owned(),
            Some(url) => {
                let mut document: Value = serde_json::from_str(openapi_json()).expect("the description is JSON");
                document["servers"] = json!([{ "url": url.as_str() }]);
                serde_json::to_string_pretty(&document).expect("the description is JSON")
            }
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).and_then(|()| encoder.try_finish()).expect("writing to memory cannot fail");
        let hash = hex::encode(Sha256::digest(&text).get(..12).unwrap_or_default());
        // Weak, because the compressed and the plain text share it.
        let etag = format!("W/\"{hash}\"").parse().expect("an entity tag");
        let gzip = encoder.finish().expect("writing to memory cannot fail").into();
        Self { text: text.into(), gzip, etag }
    }

    pub(super) fn response(&self, request: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.typed_insert(self.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if request.typed_get::<IfNoneMatch>().is_some_and(|known| !known.precondition_passes(&self.etag)) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if accepts_gzip(request) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            return (headers, self.gzip.clone()).into_response();
        }
        (headers, self.text.clone()).into_response()
    }
}
