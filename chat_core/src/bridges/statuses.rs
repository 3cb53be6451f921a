//! What another network reports about the messages that it accepted.

use crate::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, MessageId, Result, UserId, outbox,
    receipts::{self, ReceiptKind},
};
use sqlx::PgPool;

/// A status that the network reported.
#[derive(Debug, Clone)]
pub struct Status {
    /// The id of the message on the network.
    pub remote_id: String,
    /// What Confab sent along: the delivery and the part.
    pub reference: Option<(DeliveryId, i16)>,
    /// The new state: `sent`, `delivered`, `read` or `failed`.
    pub state: super::RelayState,
    /// Why it failed.
    pub error: Option<String>,
}

/// A message of a status that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct StatusTarget {
    /// The connected chat.
    pub bridge_chat_id: BridgeChatId,
    /// The chat.
    pub chat_id: ChatId,
    /// The ghost, whose receipts follow the status.
    pub ghost_id: UserId,
    /// The message.
    pub message_id: MessageId,
}

/// Applies a status: the state of a message never goes back. Returns `None` if Confab did not send
/// the message through this bridge.
pub async fn apply_status(db: &PgPool, bridge: BridgeId, status: &Status) -> Result<Option<StatusTarget>> {
    let (delivery, part) = status.reference.map_or((None, None), |(delivery, part)| (Some(delivery), Some(part)));
    let sql = "select m.id, m.lane_id, m.remote_id is null as was_unknown, c.chat_id, c.ghost_id, m.message_id,
                      m.remote_id is null or relay_rank(m.state) < relay_rank($5) as changes_state
               from (
                   select * from bridge_messages where remote_id = $2 and not is_incoming
                   union all
                   select * from bridge_messages where delivery_id = $3 and part = $4 and coalesce(remote_id, $2) = $2
               ) m
               join bridge_chats c on c.id = m.lane_id and c.bridge_id = $1
               limit 1";
    let row: Option<(i64, BridgeChatId, bool, ChatId, UserId, MessageId, bool)> = sqlx::query_as(sql)
        .bind(bridge)
        .bind(&status.remote_id)
        .bind(delivery)
        .bind(part)
        .bind(status.state)
        .fetch_optional(db)
        .await?;
    let Some((id, chat, was_unknown, chat_id, ghost_id, message_id, changes_state)) = row else { return Ok(None) };
    if changes_state {
        let mut log = db.begin_with("begin; select append_lock()").await?;
        sqlx::query(
            "update bridge_messages
             set remote_id = coalesce(remote_id, $2),
                 state = case when relay_rank(state) < relay_rank($3) then $3 else state end,
                 error = case when relay_rank(state) < relay_rank($3) then left($4, 500) else error end
             where id = $1",
        )
        .bind(id)
        .bind(&status.remote_id)
        .bind(status.state)
        .bind(&status.error)
        .execute(&mut *log)
        .await?;
        log.commit().await?;
    }
    if was_unknown {
        // What follows need not wait any longer.
        let mut tx = db.begin().await?;
        outbox::lock_lane(&mut tx, chat).await?;
        outbox::wake(&mut tx, chat).await?;
        tx.commit().await?;
    }
    Ok(Some(StatusTarget { bridge_chat_id: chat, chat_id, ghost_id, message_id }))
}

/// Marks a message as delivered to or read by a remote user.
pub async fn advance_receipt(db: &PgPool, target: StatusTarget, is_read: bool) -> Result<()> {
    let StatusTarget { chat_id, ghost_id, message_id, .. } = target;
    receipts::advance(db, chat_id, ghost_id, ReceiptKind::Delivered, message_id).await?;
    if is_read {
        receipts::advance(db, chat_id, ghost_id, ReceiptKind::Read, message_id).await?;
    }
    Ok(())
}
