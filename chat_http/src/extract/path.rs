//! Path parameters.

use crate::{ApiError, Result};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use chat_core::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, EndpointId, Error, FileId, MessageId, UserId, WebhookId,
    auth::api_tokens::TokenId,
    ids::InvalidId,
    values::{Emoji, InviteCode, WebhookToken},
};
use uuid::Uuid;

/// One path parameter, found by the parameter name of its type.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// A type that appears in paths.
pub trait PathParam: Sized {
    /// The name in the path, as in `{chat_id}`.
    const NAME: &'static str;

    /// Parses the parameter. The error is a sentence that says what is allowed.
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! id_params {
    ($($id:ty = $name:literal;)*) => {$(
        impl PathParam for $id {
            const NAME: &'static str = $name;

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: InvalidId| error.to_string())
            }
        }
    )*};
}

id_params! {
    UserId = "user_id";
    ChatId = "chat_id";
    MessageId = "message_id";
    FileId = "file_id";
    WebhookId = "webhook_id";
    EndpointId = "endpoint_id";
    DeliveryId = "delivery_id";
    BridgeId = "bridge_id";
    BridgeChatId = "bridge_chat_id";
}

impl PathParam for Emoji {
    const NAME: &'static str = "emoji";

    fn parse(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl PathParam for WebhookToken {
    const NAME: &'static str = "webhook_token";

    fn parse(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl PathParam for InviteCode {
    const NAME: &'static str = "code";

    fn parse(text: &str) -> Result<Self, String> {
        text.to_owned().try_into()
    }
}

impl PathParam for Uuid {
    const NAME: &'static str = "session_id";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "a session id must be a UUID".to_owned())
    }
}

impl PathParam for TokenId {
    const NAME: &'static str = "token_id";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<Uuid>().map(Self::from).map_err(|_| "a token id must be a UUID".to_owned())
    }
}

impl<S: Send + Sync, T: PathParam> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::invalid(T::NAME, "a path parameter must be UTF-8"))?;
        let (_, text) = params.iter().find(|(name, _)| *name == T::NAME).ok_or(Error::NotFound("path"))?;
        T::parse(text).map(Self).map_err(|detail| Error::invalid(T::NAME, detail).into())
    }
}
