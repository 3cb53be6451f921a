//! What a handler can ask for. A value of one of these types is a proof: that
//! the caller signed in, is a member, sent input that is right.

mod query;

pub(crate) use query::{Asked, Limit, UserIds};

use crate::{Api, limits};
use axum::{
    RequestExt,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{
    ChatId, Error, FileId, MessageId, Result, UserId,
    auth::{self, Audience, Claims, token},
    chats::ChatType,
    error::FieldError,
    ids::InvalidId,
    members,
    text::{Emoji, InviteCode},
};
use http_body_util::LengthLimitError;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::sync::Arc;
use uuid::Uuid;

/// Somebody who has signed in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) user_id: UserId,
    pub(crate) session_id: Uuid,
}

impl Caller {
    pub(crate) fn claims(self) -> Claims {
        Claims { user_id: self.user_id, session_id: self.session_id }
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self> {
        let header = parts.headers.get(header::AUTHORIZATION).ok_or(token::MISSING)?;
        let bearer = header.to_str().ok().and_then(auth::bearer).ok_or(token::MISSING)?;
        let claims = api.signer.verifier().verify(bearer, Audience::Api)?;
        api.live.check(claims).await?;
        Ok(Self { user_id: claims.user_id, session_id: claims.session_id })
    }
}

/// A member of the chat in the path. For anybody else there is no such chat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChatMember {
    pub(crate) user_id: UserId,
    pub(crate) chat_id: ChatId,
    pub(crate) kind: ChatType,
}

impl FromRequestParts<Arc<Api>> for ChatMember {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self> {
        let Caller { user_id, .. } = Caller::from_request_parts(parts, api).await?;
        let Segment(chat_id) = Segment::from_request_parts(parts, api).await?;
        let own = members::membership(&api.db, chat_id, user_id).await?.ok_or(Error::NotFound("chat"))?;
        Ok(Self { user_id, chat_id, kind: own.kind })
    }
}

/// A part of the path, found by its type's name there.
#[derive(Debug, Clone)]
pub(crate) struct Segment<T>(pub(crate) T);

/// What paths name.
pub(crate) trait PathPart: Sized {
    /// As in `{chat_id}`.
    const NAME: &'static str;

    /// Reads it, or says in a sentence what it must be.
    fn read(text: &str) -> Result<Self, String>;
}

macro_rules! path_ids {
    ($($id:ty = $name:literal;)*) => {$(
        impl PathPart for $id {
            const NAME: &'static str = $name;

            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: InvalidId| error.to_string())
            }
        }
    )*};
}

path_ids! {
    UserId = "user_id";
    ChatId = "chat_id";
    MessageId = "message_id";
    FileId = "file_id";
}

impl PathPart for Emoji {
    const NAME: &'static str = "emoji";

    fn read(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl PathPart for InviteCode {
    const NAME: &'static str = "code";

    fn read(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl PathPart for Uuid {
    const NAME: &'static str = "session_id";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "a session's id is a UUID".to_owned())
    }
}

impl<T: PathPart> FromRequestParts<Arc<Api>> for Segment<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, api)
            .await
            .map_err(|_| Error::invalid(T::NAME, "this part of the path is not UTF-8"))?;
        let (_, text) = params.iter().find(|(name, _)| *name == T::NAME).ok_or(Error::NotFound("path"))?;
        T::read(text).map(Self).map_err(|detail| Error::invalid(T::NAME, detail))
    }
}

/// Reads a body whole before anything is answered, unless it is an upload. A
/// client that is refused while it still writes would see a broken connection
/// and never the refusal.
pub(crate) async fn body_first(request: Request, next: Next) -> Response {
    if media_type(request.headers()).starts_with("multipart/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, limits::MAX_JSON_BYTES).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => {
            let is_too_large = std::error::Error::source(&error).is_some_and(|cause| cause.is::<LengthLimitError>());
            let error = match is_too_large {
                true => Error::TooLarge(limits::MAX_JSON_BYTES as u64),
                false => Error::Malformed("the body did not arrive whole".into()),
            };
            ([(header::CONNECTION, "close")], error).into_response()
        }
    }
}

/// Without parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON body. 415 for another media type, 413 for too much, 400 for what is
/// not JSON, 422 for the wrong JSON.
#[derive(Debug)]
pub(crate) struct Input<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Input<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self> {
        if media_type(request.headers()) != "application/json" {
            return Err(Error::WrongMediaType("send JSON, and say so: `Content-Type: application/json`"));
        }
        let body: Bytes = request.extract().await.map_err(Error::internal)?;
        parse(&body).map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    // Serde would also take the values of an object as a list.
    if body.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Err(Error::invalid("body", "the body is a list; send an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // An enum that meets a null calls it bad syntax; the syntax is fine.
        match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => Error::Invalid(vec![field_error(path, &inner.to_string())]),
            Err(error) => Error::Malformed(format!("the body is not valid JSON: {error}")),
        }
    })?;
    json.end().map_err(|error| Error::Malformed(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}

/// Serde's message about a field, as a client can use it.
fn field_error(path: String, message: &str) -> FieldError {
    let detail = in_words(message.split(" at line ").next().unwrap_or(message));
    let quoted = || detail.split('`').nth(1).map(str::to_owned);
    let (field, code) = match detail.as_str() {
        text if text.starts_with("missing field") => (quoted(), "missing"),
        text if text.starts_with("unknown field") => (quoted(), "unknown"),
        _ => (None, "invalid"),
    };
    let field = match (field, path.as_str()) {
        (Some(name), "." | "" | "query") => name,
        (Some(name), path) if path.ends_with(&name) => path.to_owned(),
        (Some(name), path) => format!("{path}.{name}"),
        (None, "." | "") => "body".into(),
        (None, path) => path.to_owned(),
    };
    let detail = if code == "invalid" { format!("{field}: {detail}") } else { detail };
    FieldError { field, code, detail }
}

/// A message of serde's for people, without the value: it can be long, and it
/// can be a password.
fn in_words(message: &str) -> String {
    let expected = match message.rsplit_once("expected ") {
        Some((_, expected)) if !message.starts_with("missing") && !message.starts_with("unknown field") => expected,
        _ if message.contains("invalid digit") || message.contains("parse integer") => "a whole number",
        _ => return message.chars().take(MAX_DETAIL).collect(),
    };
    let expected = match expected {
        "i64" => "a whole number",
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "an object",
        other => other,
    };
    format!("expected {expected}")
}

/// How long a detail is at most, in characters.
const MAX_DETAIL: usize = 300;
