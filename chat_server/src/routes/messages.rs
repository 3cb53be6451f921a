//! Messages.

use super::{Page, created};
use crate::{
    Api,
    extract::{Asked, Caller, ChatMember, Input, Limit, Segment},
};
use axum::{Json, extract::State, response::IntoResponse};
use chat_core::{
    ChatId, Error, FileId, MessageId, Result,
    messages::{self, MAX_FILES, Message, NewMessage, Position},
    text::{Content, Nonce},
};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    content: Content,
    #[serde(default)]
    files: Vec<FileId>,
    reply_to: Option<MessageId>,
    nonce: Option<Nonce>,
}

/// Sends a message. The same nonce again answers with the first. That the caller
/// is a member is proved by the statement that writes, at no further cost.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Caller { user_id: sender_id, .. }: Caller,
    Segment(chat_id): Segment<ChatId>,
    Input(Create { content, files, reply_to, nonce }): Input<Create>,
) -> Result<impl IntoResponse> {
    if content.is_blank() && files.is_empty() {
        return Err(Error::invalid("content", "a message has words or files"));
    }
    if (1..files.len()).any(|nth| files.get(..nth).is_some_and(|before| before.contains(&files[nth]))) {
        return Err(Error::invalid("files", "a file is shown once in a message"));
    }
    if files.len() > MAX_FILES {
        return Err(Error::invalid("files", format!("a message shows at most {MAX_FILES} files")));
    }
    let new = NewMessage { chat_id, sender_id, content, files, reply_to, nonce };
    let sent = api.writer.send(new).await?;
    Ok((created(sent.is_new), Json(sent.message)))
}

#[derive(Deserialize)]
pub(crate) struct Where {
    before: Option<MessageId>,
    after: Option<MessageId>,
    around: Option<MessageId>,
    #[serde(default)]
    limit: Limit,
}

/// A page of history, newest first.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Asked(Where { before, after, around, limit: Limit(limit) }): Asked<Where>,
) -> Result<Json<Page<Message>>> {
    let position = match (before, after, around) {
        (None, None, None) => Position::Newest,
        (Some(id), None, None) => Position::Before(id),
        (None, Some(id), None) => Position::After(id),
        (None, None, Some(id)) => Position::Around(id),
        _ => return Err(Error::invalid("before", "give one of before, after and around")),
    };
    let page = messages::page(&api.db, member.chat_id, position, limit).await?;
    let next = page.next.map(|next| match next {
        Position::After(id) => format!("after={id}&limit={limit}"),
        Position::Before(id) | Position::Around(id) => format!("before={id}&limit={limit}"),
        Position::Newest => format!("limit={limit}"),
    });
    Ok(Json(Page { items: page.messages, next }))
}
