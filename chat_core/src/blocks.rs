//! Blocks between users. While either of two users blocks the other, neither can open a
//! direct chat with the other or add the other to a chat. In an existing direct chat the
//! blocked user can no longer send. In every chat the messages of the blocked user do not
//! count as unread and mention nobody who blocks them, and the blocked user sees neither
//! the presence of the blocker (`presence::send_to` tells open streams) nor that the blocker
//! is typing. Receipts are not hidden.

use crate::{Error, Result, UserId, events, users::User};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of users that one user can block.
const MAX_BLOCKS: i64 = 1_000;

/// Blocks a user. Idempotent; returns whether anything changed.
pub async fn block(db: &PgPool, blocker: UserId, blocked: UserId) -> Result<bool> {
    if blocker == blocked {
        return Err(Error::invalid("user_id", "you cannot block yourself"));
    }
    // Under the append lock: a direct chat that is being created, or a message that
    // is being sent, is ordered before the block or after it.
    let mut log = events::begin(db, blocker).await?;
    let others: i64 = sqlx::query_scalar("select count(*) from blocks where blocker_id = $1 and blocked_id <> $2")
        .bind(blocker)
        .bind(blocked)
        .fetch_one(&mut *log)
        .await?;
    if others >= MAX_BLOCKS {
        return Err(Error::Conflict { code: "too_many_blocks", detail: "too many blocked users; unblock one first" });
    }
    let is_new: Option<bool> = sqlx::query_scalar(
        "insert into blocks (blocker_id, blocked_id) select $1, id from users where id = $2 and state <> 'pending'
         on conflict (blocker_id, blocked_id) do update set created_at = blocks.created_at
         returning xmax = 0",
    )
    .bind(blocker)
    .bind(blocked)
    .fetch_optional(&mut *log)
    .await?;
    let is_new = is_new.ok_or(Error::NotFound("user"))?;
    set_can_send(&mut log, blocker, blocked, false).await?;
    log.commit().await?;
    Ok(is_new)
}

/// Unblocks a user. Idempotent; returns whether anything changed.
pub async fn unblock(db: &PgPool, blocker: UserId, blocked: UserId) -> Result<bool> {
    let mut log = events::begin(db, blocker).await?;
    let deleted = sqlx::query("delete from blocks where blocker_id = $1 and blocked_id = $2")
        .bind(blocker)
        .bind(blocked)
        .execute(&mut *log)
        .await?;
    set_can_send(&mut log, blocker, blocked, true).await?;
    log.commit().await?;
    Ok(deleted.rows_affected() > 0)
}

/// Sets whether the blocked user can send in the direct chat of the two.
async fn set_can_send(db: &mut PgConnection, blocker: UserId, blocked: UserId, can_send: bool) -> Result<()> {
    sqlx::query(
        "update chat_members m set can_send = $3
         from chats c
         where c.id = m.chat_id and c.pair_low = least($1, $2) and c.pair_high = greatest($1, $2) and m.user_id = $2",
    )
    .bind(blocker)
    .bind(blocked)
    .bind(can_send)
    .execute(db)
    .await?;
    Ok(())
}

/// Lists the users that a user has blocked, the most recent block first.
pub async fn list(db: impl PgExecutor<'_>, blocker: UserId) -> Result<Vec<User>> {
    let rows: Vec<Json<User>> = sqlx::query_scalar(
        "select user_json(u) from blocks b join users u on u.id = b.blocked_id
         where b.blocker_id = $1 order by b.created_at desc, u.id",
    )
    .bind(blocker)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}

/// Lists the ids of the users that a user has blocked.
pub(crate) async fn list_ids(db: impl PgExecutor<'_>, blocker: UserId) -> Result<Vec<UserId>> {
    Ok(sqlx::query_scalar("select blocked_id from blocks where blocker_id = $1 order by blocked_id")
        .bind(blocker)
        .fetch_all(db)
        .await?)
}

/// Returns the pairs of a given blocker and a user whom they have blocked, or a bot of one.
pub async fn blocked_by(db: impl PgExecutor<'_>, blockers: &[UserId]) -> Result<Vec<(UserId, UserId)>> {
    let sql = "select blocker_id, blocked_id from blocks where blocker_id = any($1)
               union all
               select b.blocker_id, bot.id from blocks b join users bot on bot.owner_id = b.blocked_id
               where b.blocker_id = any($1)";
    Ok(sqlx::query_as(sql).bind(blockers).fetch_all(db).await?)
}

/// Rejects an actor who has blocked any of the users, or is blocked by any of them. For a bot,
/// the same applies to its owner.
pub(crate) async fn require_none(db: impl PgExecutor<'_>, actor: UserId, users: &[UserId]) -> Result<()> {
    let is_blocked: bool = sqlx::query_scalar(
        "with actors as (select $1::bigint as id union select owner_id from users where id = $1 and owner_id is not null)
         select exists (select from blocks b join actors a on a.id = b.blocker_id where b.blocked_id = any($2))
             or exists (select from blocks b join actors a on a.id = b.blocked_id where b.blocker_id = any($2))",
    )
    .bind(actor)
    .bind(users)
    .fetch_one(db)
    .await?;
    if is_blocked { Err(Error::Forbidden("one of you has blocked the other")) } else { Ok(()) }
}
