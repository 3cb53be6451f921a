//! What a query string asks for.

use super::field_error;
use crate::{Api, limits};
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use chat_core::{Error, Result, UserId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use std::{borrow::Cow, sync::Arc};

/// The query string.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self> {
        let Query(asked) = Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            // As in "Failed to deserialize query string: limit: a page has 1 to 100 items".
            let text = rejection.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            match text.split_once(": ") {
                Some((field, detail)) => Error::Invalid(vec![field_error(field.into(), detail)]),
                None => Error::Invalid(vec![field_error("query".into(), text)]),
            }
        })?;
        Ok(Self(asked))
    }
}

/// How many items a page has: 1 to 100.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) i64);

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many items a page has.", "type": "integer",
            "minimum": 1, "maximum": limits::MAX_PAGE, "default": limits::DEFAULT_PAGE,
        })
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(limits::DEFAULT_PAGE)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom(format!("a page has 1 to {} items", limits::MAX_PAGE));
        let number = String::deserialize(from)?.parse().map_err(|_| wrong())?;
        if (1..=limits::MAX_PAGE).contains(&number) { Ok(Self(number)) } else { Err(wrong()) }
    }
}

/// The people that are asked for, with commas between them.
#[derive(Debug, Clone)]
pub(crate) struct UserIds(pub(crate) Vec<UserId>);

impl JsonSchema for UserIds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UserIds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": format!("The ids of at most {} people, with commas between them.", limits::MAX_IDS),
            "type": "string", "pattern": r"^[1-9]\d{0,15}(,[1-9]\d{0,15}){0,99}$", "example": "1,2,3",
        })
    }
}

impl<'de> Deserialize<'de> for UserIds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ids: Result<Vec<UserId>, _> = String::deserialize(from)?.split(',').map(str::parse).collect();
        match ids {
            Ok(ids) if ids.len() <= limits::MAX_IDS => Ok(Self(ids)),
            Ok(_) => Err(D::Error::custom(format!("at most {} people can be asked for at once", limits::MAX_IDS))),
            Err(_) => Err(D::Error::custom("ids are whole numbers from 1 on, with commas between them")),
        }
    }
}
