//! Messages.

use super::{AfterPerson, Items, Page};
use crate::{
    Api,
    extract::{Asked, Caller, ChatMember, Input, Limit, Segment},
    openapi::{Done, Made},
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Error, MessageId, Result,
    messages::{self, Draft, Edit, Message, Position},
    receipts::{self, Receipt},
    text::{Content, Emoji},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Sends a message. The same nonce again answers with the first. That the caller
/// is a member is proved by the statement that writes, at no further cost.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Caller { user_id: sender_id, .. }: Caller,
    Segment(chat_id): Segment<ChatId>,
    Input(draft): Input<Draft>,
) -> Result<Made<Message>> {
    let sent = api.writer.send(draft.by(sender_id, chat_id)?).await?;
    Ok(Made { is_new: sent.is_new, body: sent.message })
}

#[derive(Deserialize, JsonSchema)]
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
    let mut db = api.db.acquire().await?;
    let page = messages::page(&mut db, member.user_id, member.chat_id, position, limit).await?;
    drop(db);
    if let Some(newest) = page.messages.first() {
        // Reading does not fail because its mark could not be made; the next one is.
        let marked = receipts::fetched(&api.db, member.chat_id, member.user_id, member.kind, newest.id).await;
        if let Err(error) = marked {
            tracing::debug!(%error, "a fetched page was not marked as delivered");
        }
    }
    Ok(Json(paged(page, limit)))
}

fn paged(page: messages::Page, limit: i64) -> Page<Message> {
    let next = page.next.map(|next| match next {
        Position::After(id) => format!("after={id}&limit={limit}"),
        Position::Before(id) | Position::Around(id) => format!("before={id}&limit={limit}"),
        Position::Newest => format!("limit={limit}"),
    });
    Page { items: page.messages, next }
}

/// A message.
pub(crate) async fn find(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
) -> Result<Json<Message>> {
    let mut db = api.db.acquire().await?;
    messages::find(&mut db, id, caller.user_id).await.map(Json)
}

/// What it is to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MessagePatch", example = json!({ "content": "Hello, Bob!" }))]
pub(crate) struct Update {
    content: Content,
}

/// Changes the text of one's own message.
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
    Input(Update { content }): Input<Update>,
) -> Result<Json<Message>> {
    messages::edit(&api.db, caller.user_id, id, &content).await.map(Json)
}

/// Deletes a message: its place stays, what it said goes. Twice is once.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
) -> Result<Done> {
    messages::delete(&api.db, caller.user_id, id).await?;
    Ok(Done)
}

/// What a message said before it was edited, oldest first.
pub(crate) async fn edits(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
) -> Result<Json<Items<Edit>>> {
    let mut db = api.db.acquire().await?;
    Ok(Json(Items { items: messages::edits(&mut db, caller.user_id, id).await? }))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Before {
    before: Option<MessageId>,
    #[serde(default)]
    limit: Limit,
}

/// The answers to a message, newest first.
pub(crate) async fn replies(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
    Asked(Before { before, limit: Limit(limit) }): Asked<Before>,
) -> Result<Json<Page<Message>>> {
    let mut db = api.db.acquire().await?;
    let page = messages::replies(&mut db, caller.user_id, id, before, limit).await?;
    Ok(Json(paged(page, limit)))
}

/// Whom a message of one's own has reached, and who has read it.
pub(crate) async fn receipts(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
    Asked(AfterPerson { after, limit: Limit(limit) }): Asked<AfterPerson>,
) -> Result<Json<Page<Receipt>>> {
    let mut db = api.db.acquire().await?;
    let rows = receipts::of_message(&mut db, caller.user_id, id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |receipt| receipt.user_id.get())))
}

/// Reacts with an emoji. Twice is once.
pub(crate) async fn react(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
    Segment(emoji): Segment<Emoji>,
) -> Result<Json<Message>> {
    messages::react(&api.db, caller.user_id, id, &emoji).await.map(Json)
}

/// Takes a reaction back. Twice is once.
pub(crate) async fn unreact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
    Segment(emoji): Segment<Emoji>,
) -> Result<Json<Message>> {
    messages::unreact(&api.db, caller.user_id, id, &emoji).await.map(Json)
}

/// Pins a message. Twice is once.
pub(crate) async fn pin(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
) -> Result<Json<Message>> {
    messages::pin(&api.db, caller.user_id, id).await.map(Json)
}

/// Takes a pin off. Twice is once.
pub(crate) async fn unpin(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<MessageId>,
) -> Result<Json<Message>> {
    messages::unpin(&api.db, caller.user_id, id).await.map(Json)
}

/// The pinned messages of a chat, the last pinned first.
pub(crate) async fn pins(State(api): State<Arc<Api>>, member: ChatMember) -> Result<Json<Items<Message>>> {
    let mut db = api.db.acquire().await?;
    Ok(Json(Items { items: messages::pins(&mut db, member.user_id, member.chat_id).await? }))
}
