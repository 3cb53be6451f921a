//! What an API token can do with a route: the route names the scope that it needs, and the path
//! often names the chat.

use crate::{AppState, router::Access};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use chat_core::{
    ChatId, Error, FileId, MessageId, UserId,
    auth::{Grant, LIMITED_TO_CHATS, Scope},
    files, messages,
    values::InviteCode,
};
use chat_http::{
    Result,
    extract::{Path, PathParam},
};
use std::sync::Arc;

/// Rejects a token without the scope of the route, and one that is limited to other chats than
/// the one in the path. Returns the chats to which the token is limited.
pub(crate) async fn check(
    parts: &mut Parts,
    state: &Arc<AppState>,
    user: UserId,
    grant: &Grant,
    access: Access,
) -> Result<Option<Vec<ChatId>>> {
    let Access::Scope(scope) = access else {
        return Err(Error::Forbidden("an API token cannot do this; sign in instead").into());
    };
    grant.require(scope)?;
    let Some(chats) = grant.chats(scope) else { return Ok(None) };
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(Error::internal)?;
    let has = |name: &str| params.iter().any(|(param, _)| param == name);
    if has(ChatId::NAME) {
        let Path(chat) = Path::<ChatId>::from_request_parts(parts, state).await?;
        if !chats.contains(&chat) {
            // Whoever can read the chat learns why.
            let can_read = scope.is_write() && grant.allows(Scope::MessagesRead, chat);
            return Err(if can_read { WRITES_ELSEWHERE } else { Error::NotFound("chat") }.into());
        }
    } else if has(MessageId::NAME) {
        let Path(message) = Path::<MessageId>::from_request_parts(parts, state).await?;
        if !messages::is_in_chats(&state.db, message, chats).await? {
            return Err(Error::NotFound("message").into());
        }
    } else if has(FileId::NAME) {
        let Path(file) = Path::<FileId>::from_request_parts(parts, state).await?;
        if !files::are_in_chats(&state.db, user, &[file], chats).await? {
            return Err(Error::NotFound("file").into());
        }
    } else if concerns_all_chats(scope) || has(InviteCode::NAME) || scope.is_write() && chats.is_empty() {
        return Err(LIMITED_TO_CHATS.into());
    }
    Ok(Some(chats.to_vec()))
}

/// The token can read the chat, and writes only to others.
const WRITES_ELSEWHERE: Error = Error::Forbidden("this token may not write to this chat; its user chose others");

/// Whether a route with this scope and without a chat in its path concerns all chats of the
/// user. Handlers of the others use `Caller::chats`, or are about no chat: profiles, and files
/// that no message attaches yet.
fn concerns_all_chats(scope: Scope) -> bool {
    match scope {
        Scope::EventsRead | Scope::ChatsWrite | Scope::PresenceWrite => true,
        Scope::ChatsRead
        | Scope::MessagesRead
        | Scope::MessagesWrite
        | Scope::ReactionsWrite
        | Scope::ReceiptsWrite
        | Scope::UsersRead
        | Scope::SearchRead => false,
    }
}
