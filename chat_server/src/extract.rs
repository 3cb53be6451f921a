//! Extractors of this server. `Caller` proves that the caller is signed in, and
//! `ChatMember` that the caller is a member of the chat in the path.

use crate::{AppState, limits, request_guard::VerifiedRequest, token_access};
use axum::{
    RequestExt,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use bytes::Bytes;
use chat_core::{
    ChatId, Error, UserId,
    audit::Client,
    auth::{Claims, Grant, Identity, Scope, token},
    chats::ChatType,
    mail::Language,
    members,
    messages::Message,
    oauth::{
        AuthorizationServer,
        tokens::{TokenError, TokenRequest},
    },
    operators::{self, Operator},
};
pub(crate) use chat_http::extract::{Json, Path, PathParam, Query};
use chat_http::{ApiError, Result, authorization_server::authorization_server, refusals::read_client};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{borrow::Cow, convert::Infallible, sync::Arc};
use uuid::Uuid;

/// The user who sends a request: one who has signed in, or for whom an API token acts that can
/// use the route.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user_id: UserId,
    pub(crate) session_id: Uuid,
    /// Whose limits the request counts for: the user, or the owner of a bot.
    pub(crate) account_id: UserId,
    /// What the API token can do, if there is one.
    pub(crate) grant: Option<Arc<Grant>>,
    /// The only chats of the user that the request may concern; `None` if it may concern all.
    /// Checked already if the chat, the message or the file is in the path.
    pub(crate) chats: Option<Vec<ChatId>>,
}

impl Caller {
    pub(crate) fn claims(&self) -> Claims {
        Claims { user_id: self.user_id, session_id: self.session_id }
    }
}

/// Removes the content of a message of another user unless the token can read messages.
pub(crate) fn redact_unreadable(grant: Option<&Grant>, user: UserId, mut message: Message) -> Message {
    let can_read = grant.is_none_or(|grant| grant.allows(Scope::MessagesRead, message.chat_id));
    if !can_read && message.sender_id != Some(user) {
        message.redact();
    }
    message
}

impl FromRequestParts<Arc<AppState>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self> {
        let verified = parts.extensions.get::<VerifiedRequest>().cloned();
        let VerifiedRequest { identity, access } = verified.ok_or(token::MISSING)?;
        state.authenticator.sessions.require_active(identity.claims).await?;
        let Identity { claims, account_id, grant } = identity;
        let chats = match &grant {
            Some(grant) => token_access::check(parts, state, claims.user_id, grant, access).await?,
            None => None,
        };
        Ok(Self { user_id: claims.user_id, session_id: claims.session_id, account_id, grant, chats })
    }
}

/// The caller as an operator. Other callers get 403.
#[derive(Debug, Clone)]
pub(crate) struct OperatorCaller(pub(crate) Operator);

impl FromRequestParts<Arc<AppState>> for OperatorCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self> {
        let Caller { user_id, .. } = Caller::from_request_parts(parts, state).await?;
        if !operators::is_operator(&state.db, user_id).await? {
            return Err(Error::Forbidden("only operators of this server can do this").into());
        }
        let ClientInfo(client) = ClientInfo::from_parts(parts, state);
        Ok(Self(Operator { user_id, client }))
    }
}

/// The client that sent the request, for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct ClientInfo(pub(crate) Client);

impl ClientInfo {
    fn from_parts(parts: &Parts, state: &AppState) -> Self {
        let address = state.rate_limiter.client_address(&parts.extensions, &parts.headers);
        let languages = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = Language::preferred(languages.unwrap_or_default());
        Self(Client { language, ..read_client(address, parts.headers.get(header::USER_AGENT)) })
    }
}

impl FromRequestParts<Arc<AppState>> for ClientInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Infallible> {
        Ok(Self::from_parts(parts, state))
    }
}

/// The caller as a member of the chat in the path. Other callers get 404.
#[derive(Debug, Clone)]
pub(crate) struct ChatMember {
    pub(crate) user_id: UserId,
    pub(crate) chat_id: ChatId,
    pub(crate) kind: ChatType,
    /// What the API token can do, if there is one.
    pub(crate) grant: Option<Arc<Grant>>,
}

impl FromRequestParts<Arc<AppState>> for ChatMember {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self> {
        let Caller { user_id, grant, .. } = Caller::from_request_parts(parts, state).await?;
        let Path(chat_id) = Path::from_request_parts(parts, state).await?;
        let membership = members::find_membership(&state.db, chat_id, user_id).await?.ok_or(Error::NotFound("chat"))?;
        Ok(Self { user_id, chat_id, kind: membership.kind, grant })
    }
}

/// Number of items per page: 1 to 100.
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
            "description": "Number of items per page.", "type": "integer",
            "minimum": 1, "maximum": limits::MAX_PAGE_SIZE, "default": limits::DEFAULT_PAGE_SIZE,
        })
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(limits::DEFAULT_PAGE_SIZE)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let out_of_range = || D::Error::custom(format!("must be an integer from 1 to {}", limits::MAX_PAGE_SIZE));
        let number = String::deserialize(deserializer)?.parse().map_err(|_| out_of_range())?;
        if (1..=limits::MAX_PAGE_SIZE).contains(&number) { Ok(Self(number)) } else { Err(out_of_range()) }
    }
}

/// User ids, separated by commas.
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
            "description": format!("At most {} user ids, separated by commas.", limits::MAX_USER_IDS),
            "type": "string", "pattern": r"^[1-9]\d{0,15}(,[1-9]\d{0,15}){0,99}$", "example": "1,2,3",
        })
    }
}

impl<'de> Deserialize<'de> for UserIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ids: std::result::Result<Vec<UserId>, _> = text.split(',').map(str::parse).collect();
        match ids {
            Ok(ids) if ids.len() <= limits::MAX_USER_IDS => Ok(Self(ids)),
            Ok(_) => Err(D::Error::custom(format!("must be at most {} ids", limits::MAX_USER_IDS))),
            Err(_) => Err(D::Error::custom("must be positive integers, separated by commas")),
        }
    }
}

/// The server at which programs are authorized, as the client of the request reaches it.
#[derive(Debug)]
pub(crate) struct OAuthServer(pub(crate) AuthorizationServer);

impl FromRequestParts<Arc<AppState>> for OAuthServer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self> {
        let server = authorization_server(state.public_url.as_ref(), &parts.headers);
        // Without PUBLIC_URL the server does not know its name.
        Ok(Self(server.ok_or(Error::NotFound("authorization server"))?))
    }
}

/// The form that a program sends, or its mistake.
#[derive(Debug)]
pub(crate) struct OAuthForm(pub(crate) Result<TokenRequest, TokenError>);

/// Maximum size of such a form, in bytes.
const MAX_FORM_BYTES: usize = 16 * 1024;

impl FromRequest<Arc<AppState>> for OAuthForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<AppState>) -> Result<Self> {
        let refused = |description| Ok(Self(Err(TokenError::Refused("invalid_request", description))));
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            return refused("the body must be application/x-www-form-urlencoded");
        }
        let body: Bytes = request.extract().await.map_err(Error::internal)?;
        if body.len() > MAX_FORM_BYTES {
            return refused("the body is too large");
        }
        Ok(Self(TokenRequest::new(form_urlencoded::parse(&body).into_owned())))
    }
}

/// A body as it arrived, of any media type.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest<Arc<AppState>> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<AppState>) -> Result<Self> {
        // `buffer_body` has read it within the limit.
        Ok(Self(request.extract().await.map_err(Error::internal)?))
    }
}
