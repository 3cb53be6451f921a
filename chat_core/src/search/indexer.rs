//! The job that keeps the search index up to date.

use super::words::words;
use crate::{ChatId, Error, MessageId, Result, UserId};
use sqlx::{PgConnection, PgPool};
use std::time::{Duration, Instant};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

/// How often new messages are indexed.
const INDEX_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of messages indexed at a time.
const INDEX_BATCH: i32 = 500;

/// The pause after a full batch, as a multiple of the time it took, so that indexing
/// does not slow down senders.
const PAUSE_FACTOR: u32 = 3;

/// Indexes new messages until `shutdown`. Any number of processes may run this; only
/// one of them indexes at a time. If a batch fails, it is indexed later: meanwhile a
/// search also reads messages that are not indexed, only more slowly.
pub async fn run_indexer(db: PgPool, shutdown: CancellationToken) {
    let mut pause = INDEX_INTERVAL;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        let started_at = Instant::now();
        pause = match index_batch(&db).await {
            Ok(INDEX_BATCH..) => started_at.elapsed() * PAUSE_FACTOR,
            Ok(_) => INDEX_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "cannot index new messages; searches find only the newest of them");
                INDEX_INTERVAL
            }
        };
    }
}

/// Number of message ids of which skipped messages are indexed at a time.
const REINDEX_IDS: i64 = 5_000;

/// Maximum length of the part of a text that is indexed, in characters.
pub(super) const MAX_INDEXED_CHARACTERS: i32 = 16_384;

/// A message that is not in the index.
#[derive(sqlx::FromRow)]
struct MessageToIndex {
    id: MessageId,
    chat_id: ChatId,
    sender_id: Option<UserId>,
    content: String,
    has_files: bool,
}

/// Indexes a batch of changed messages and one of new ones, and returns how many. Only one
/// process does so at a time; a second one returns 0. A crash loses the entries and the
/// progress together, so the commit does not wait for the disk.
pub async fn index_batch(db: &PgPool) -> Result<i32> {
    let mut tx = db.begin().await?;
    let has_lock: bool = sqlx::query_scalar(
        "select pg_try_advisory_xact_lock(4861703374915) and set_config('synchronous_commit', 'off', true) = 'off'",
    )
    .fetch_one(&mut *tx)
    .await?;
    if !has_lock {
        return Ok(0);
    }
    // Each change whose row is read here is visible to the statements after it. A later
    // change adds another row.
    let stale: Vec<(String, MessageId)> = sqlx::query_as("select ctid::text, message_id from search_stale limit $1")
        .bind(INDEX_BATCH)
        .fetch_all(&mut *tx)
        .await?;
    let (rows, changed): (Vec<String>, Vec<MessageId>) = stale.into_iter().unzip();
    let mut messages = load_new(&mut tx).await?;
    let last = messages.last().map(|message| message.id);
    let count = i32::try_from(messages.len() + changed.len()).unwrap_or(INDEX_BATCH);
    messages.extend(load_changed(&mut tx, &changed).await?);
    // In a transaction of its own: an edit holds the append lock while it waits for the lock
    // of an entry.
    sqlx::query("delete from search_entries where message_id = any($1)").bind(&changed).execute(db).await?;
    insert_entries(&mut tx, messages).await?;
    sqlx::query("delete from search_stale where ctid = any($1::text[]::tid[])").bind(rows).execute(&mut *tx).await?;
    sqlx::query("update search_progress set indexed_up_to = $1 where $1 is not null")
        .bind(last)
        .execute(&mut *tx)
        .await?;
    if count < INDEX_BATCH {
        reindex_skipped(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(count)
}

/// Indexes the next of those messages that an earlier version left out: those without words.
async fn reindex_skipped(tx: &mut PgConnection) -> Result<()> {
    let range: Option<(i64, i64)> = sqlx::query_as(
        "select reindexed_up_to, least(reindexed_up_to + $1, indexed_up_to) from search_progress
         where reindexed_up_to is not null",
    )
    .bind(REINDEX_IDS)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((after, up_to)) = range else { return Ok(()) };
    let skipped: Vec<MessageToIndex> = sqlx::query_as(
        "select m.id, m.chat_id, m.sender_id, left(m.content, $3) as content,
                exists (select from message_files f where f.message_id = m.id) as has_files
         from messages m
         where m.id > $1 and m.id <= $2 and m.deleted_at is null and m.change is null
           and not exists (select from search_entries e where e.message_id = m.id)
         order by m.id",
    )
    .bind(after)
    .bind(up_to)
    .bind(MAX_INDEXED_CHARACTERS)
    .fetch_all(&mut *tx)
    .await?;
    insert_entries(&mut *tx, skipped).await?;
    sqlx::query("update search_progress set reindexed_up_to = case when indexed_up_to > $1 then $1 end")
        .bind(up_to)
        .execute(tx)
        .await?;
    Ok(())
}

/// Loads the next batch of messages after the progress. The text of a deleted message is
/// empty.
async fn load_new(tx: &mut PgConnection) -> Result<Vec<MessageToIndex>> {
    let sql = "select m.id, m.chat_id, m.sender_id, left(m.content, $2) as content,
                      exists (select from message_files f where f.message_id = m.id) as has_files
               from messages m where m.id > (select indexed_up_to from search_progress)
               order by m.id limit $1";
    Ok(sqlx::query_as(sql).bind(INDEX_BATCH).bind(MAX_INDEXED_CHARACTERS).fetch_all(tx).await?)
}

/// Loads those changed messages that have been indexed before.
async fn load_changed(tx: &mut PgConnection, changed: &[MessageId]) -> Result<Vec<MessageToIndex>> {
    let sql = "select m.id, m.chat_id, m.sender_id, left(m.content, $2) as content,
                      exists (select from message_files f where f.message_id = m.id) as has_files
               from messages m where m.id = any($1) and m.id <= (select indexed_up_to from search_progress)";
    Ok(sqlx::query_as(sql).bind(changed).bind(MAX_INDEXED_CHARACTERS).fetch_all(tx).await?)
}

async fn insert_entries(tx: &mut PgConnection, messages: Vec<MessageToIndex>) -> Result<()> {
    let entries = spawn_blocking(move || {
        let with_words = messages.into_iter().map(|message| {
            let words = words(&message.content);
            (message, words)
        });
        with_words.filter(|(message, _)| !message.content.is_empty() || message.has_files).collect::<Vec<_>>()
    });
    let entries = entries.await.map_err(Error::internal)?;
    sqlx::query(
        "insert into search_entries (message_id, chat_id, sender_id, has_files, words)
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[])
         on conflict do nothing",
    )
    .bind(entries.iter().map(|(message, _)| message.id).collect::<Vec<_>>())
    .bind(entries.iter().map(|(message, _)| message.chat_id).collect::<Vec<_>>())
    .bind(entries.iter().map(|(message, _)| message.sender_id).collect::<Vec<_>>())
    .bind(entries.iter().map(|(message, _)| message.has_files).collect::<Vec<_>>())
    .bind(entries.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
