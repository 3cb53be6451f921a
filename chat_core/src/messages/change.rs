//! Changing a message: edits, deletion, pins and reactions. Each is one call of one
//! SQL function (`migrations/0027_change_messages.sql`), which takes the append lock,
//! checks, and writes. The changed message is read afterwards, without the lock.

use super::{Message, MessageExtra, MessageRevision, find_chat_type, get, load_access, system};
use crate::{
    Error, MessageId, Result, UserId,
    chats::model::Role,
    permissions::{Permission, minimum_role},
    values::{Content, Emoji},
};
use sqlx::{PgConnection, PgPool, types::Json};

/// Maximum number of revisions that are kept of one message.
const MAX_REVISIONS: i32 = 100;

/// Maximum number of pins in one chat.
pub const MAX_PINS: i32 = 50;

/// Maximum number of different emoji on one message.
pub const MAX_EMOJI: i32 = 20;

/// Edits the text of the actor's own message. An identical text changes nothing. The names in the
/// text mention users if `has_mentions`.
pub async fn update(
    db: &PgPool,
    actor: UserId,
    id: MessageId,
    content: &Content,
    has_mentions: bool,
) -> Result<Message> {
    let outcome = sqlx::query_scalar("select edit_message($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(actor)
        .bind(content.as_str())
        .bind(if has_mentions { content.mentions() } else { Vec::new() })
        .bind(MAX_REVISIONS)
        .fetch_one(db)
        .await?;
    require_done(outcome)?;
    load_changed(db, id, actor).await
}

/// Replaces what the actor's own message shows besides its text.
pub async fn set_extra(db: &PgPool, actor: UserId, id: MessageId, extra: &MessageExtra) -> Result<()> {
    let outcome = sqlx::query_scalar("select edit_extra($1, $2, $3)")
        .bind(id)
        .bind(actor)
        .bind(Json(extra))
        .fetch_one(db)
        .await?;
    require_done(outcome)
}

/// Deletes a message, for its sender or a role with the permission. Idempotent.
pub async fn delete(db: &PgPool, actor: UserId, id: MessageId) -> Result<()> {
    let minimum = required_role(db, id, Permission::DeleteOthersMessages).await?;
    let outcome = sqlx::query_scalar("select delete_message($1, $2, $3)")
        .bind(id)
        .bind(actor)
        .bind(minimum)
        .fetch_one(db)
        .await?;
    require_done(outcome)
}

/// Pins a message. Idempotent.
pub async fn pin(db: &PgPool, actor: UserId, id: MessageId) -> Result<Message> {
    set_pinned(db, actor, id, true).await
}

/// Unpins a message. Idempotent.
pub async fn unpin(db: &PgPool, actor: UserId, id: MessageId) -> Result<Message> {
    set_pinned(db, actor, id, false).await
}

async fn set_pinned(db: &PgPool, actor: UserId, id: MessageId, is_pinned: bool) -> Result<Message> {
    let minimum = required_role(db, id, Permission::Pin).await?;
    let outcome: String = sqlx::query_scalar("select set_pinned($1, $2, $3, $4, $5, $6, $7)")
        .bind(id)
        .bind(actor)
        .bind(minimum)
        .bind(is_pinned)
        .bind(MAX_PINS)
        .bind(system::MAX_RECENT)
        .bind(system::RECENT_SECONDS)
        .fetch_one(db)
        .await?;
    if outcome == "too_many" {
        return Err(Error::Conflict { code: "too_many_pins", detail: "this chat has too many pins; unpin one first" });
    }
    require_done(outcome)?;
    load_changed(db, id, actor).await
}

/// Adds a reaction. Idempotent.
pub async fn add_reaction(db: &PgPool, actor: UserId, id: MessageId, emoji: &Emoji) -> Result<Message> {
    let outcome: String = sqlx::query_scalar("select add_reaction($1, $2, $3, $4)")
        .bind(id)
        .bind(actor)
        .bind(emoji.as_str())
        .bind(MAX_EMOJI)
        .fetch_one(db)
        .await?;
    if outcome == "too_many" {
        return Err(Error::Conflict { code: "too_many_emoji", detail: "this message has too many different emoji" });
    }
    require_done(outcome)?;
    load_changed(db, id, actor).await
}

/// Removes a reaction. Idempotent.
pub async fn remove_reaction(db: &PgPool, actor: UserId, id: MessageId, emoji: &Emoji) -> Result<Message> {
    let outcome = sqlx::query_scalar("select remove_reaction($1, $2, $3)")
        .bind(id)
        .bind(actor)
        .bind(emoji.as_str())
        .fetch_one(db)
        .await?;
    require_done(outcome)?;
    load_changed(db, id, actor).await
}

/// Lists the revisions of a message, oldest first, for its sender and for roles with
/// the permission.
pub async fn list_revisions(db: &mut PgConnection, actor: UserId, id: MessageId) -> Result<Vec<MessageRevision>> {
    let access = load_access(&mut *db, id, actor).await?;
    if access.sender_id != Some(actor) {
        access.membership().require(Permission::ViewRevisions)?;
    }
    Ok(sqlx::query_as("select content, edited_at from message_edits where message_id = $1 order by edited_at")
        .bind(id)
        .fetch_all(db)
        .await?)
}

/// Returns the lowest role with a permission in the chat of a message. The type of a
/// chat never changes, so it is read without the append lock.
async fn required_role(db: &PgPool, id: MessageId, permission: Permission) -> Result<Option<Role>> {
    let kind = find_chat_type(db, id).await?.ok_or(Error::NotFound("message"))?;
    Ok(minimum_role(permission, kind))
}

async fn load_changed(db: &PgPool, id: MessageId, viewer: UserId) -> Result<Message> {
    let mut connection = db.acquire().await?;
    get(&mut connection, id, viewer).await
}

/// Turns the outcome of a change into an error, unless it is `done`.
pub(super) fn require_done(outcome: String) -> Result<()> {
    match outcome.as_str() {
        "done" => Ok(()),
        "not_found" => Err(Error::NotFound("message")),
        "deleted" => Err(Error::Conflict { code: "message_deleted", detail: "this message has been deleted" }),
        "cannot_send" => Err(Error::Forbidden("you cannot send messages in this chat")),
        "forbidden" => Err(Error::Forbidden("your role in this chat does not allow this")),
        "not_the_author" => Err(Error::Forbidden("only the sender can edit a message")),
        "system_message" => {
            Err(Error::Conflict { code: "system_message", detail: "a system message cannot be edited or pinned" })
        }
        "empty" => Err(Error::invalid("content", "a message must have text or files")),
        other => Err(Error::internal(format!("unknown outcome of a message change: `{other}`"))),
    }
}
