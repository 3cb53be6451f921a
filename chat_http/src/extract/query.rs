//! Query strings.

use super::field_error::field_error;
use crate::{ApiError, Result};
use axum::{extract::FromRequestParts, http::request::Parts};
use chat_core::Error;
use serde::de::DeserializeOwned;

/// The query string. Unknown keys are rejected, as in bodies.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let axum::extract::Query(query) = axum::extract::Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            // Example: "Failed to deserialize query string: limit: expected an integer".
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (field, detail) = text.split_once(": ").unwrap_or(("query", text));
            Error::Invalid(vec![field_error(field.into(), detail)])
        })?;
        Ok(Self(query))
    }
}
