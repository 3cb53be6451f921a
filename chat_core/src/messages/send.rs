//! Sending: one transaction for a batch, one outcome for each message in it.

use super::{Message, NewMessage, Sent, exists};
use crate::{Error, FileId, MessageId, Result, Time, events, files::FileInfo, members, text::Nonce};
use sqlx::{PgConnection, PgPool, types::Json};
use std::collections::HashMap;

/// Writes messages in one transaction. Each has its own outcome: a refused one
/// does not touch its neighbours. The outer error means none was written.
pub async fn send(db: &PgPool, batch: &[NewMessage]) -> Result<Vec<Result<Sent>>> {
    let mut log = events::begin_batch(db).await?;
    let written = insert(&mut log, batch).await?;
    let files = files_of(&mut log, batch).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for (new, row) in batch.iter().zip(written) {
        outcomes.push(match row {
            Some((id, created_at)) => Ok(Sent { message: as_written(new, id, Time(created_at), &files), is_new: true }),
            None => not_written(&mut log, new).await?,
        });
    }
    log.commit().await?;
    Ok(outcomes)
}

type Written = (MessageId, chrono::DateTime<chrono::Utc>);

/// One statement for the whole batch. A row is left out when its sender is no
/// member, its nonce is used, or it points at a message or file it may not.
async fn insert(log: &mut PgConnection, batch: &[NewMessage]) -> Result<Vec<Option<Written>>> {
    let column = |field: fn(&NewMessage) -> Option<i64>| batch.iter().map(field).collect::<Vec<_>>();
    let attached: Vec<(i32, i16, FileId)> = batch
        .iter()
        .zip(0..)
        .flat_map(|(new, ord)| new.files.iter().zip(0..).map(move |(file, position)| (ord, position, *file)))
        .collect();
    let rows: Vec<(i32, MessageId, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
        "with input as materialized (
             select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
                 with ordinality as i (chat_id, sender_id, content, reply_to, nonce, nth)
         ), attached as materialized (
             select * from unnest($6::int[], $7::smallint[], $8::bigint[]) as a (ord, position, file_id)
         ), eligible as materialized (
             select i.nth::int - 1 as ord, nextval('messages_id_seq') as id, i.*
             from input i
             join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id
             where (i.reply_to is null or exists (
                       select from messages r where r.chat_id = i.chat_id and r.id = i.reply_to))
               and not exists (
                       select from attached a where a.ord = i.nth - 1 and not exists (
                           select from files f where f.id = a.file_id and f.uploader_id = i.sender_id))
             order by i.nth
         ), inserted as (
             insert into messages (id, chat_id, sender_id, content, reply_to, nonce)
             overriding system value
             select id, chat_id, sender_id, content, reply_to, nonce from eligible order by id
             on conflict (sender_id, chat_id, nonce) where nonce is not null do nothing
             returning id, created_at
         ), shown as (
             insert into message_files (message_id, position, file_id)
             select e.id, a.position, a.file_id
             from attached a join eligible e on e.ord = a.ord join inserted n on n.id = e.id
         )
         select e.ord, n.id, n.created_at from inserted n join eligible e on e.id = n.id",
    )
    .bind(column(|new| Some(new.chat_id.get())))
    .bind(column(|new| Some(new.sender_id.get())))
    .bind(batch.iter().map(|new| new.content.as_str()).collect::<Vec<_>>())
    .bind(column(|new| new.reply_to.map(MessageId::get)))
    .bind(batch.iter().map(|new| new.nonce.as_ref().map(Nonce::as_str)).collect::<Vec<_>>())
    .bind(attached.iter().map(|(ord, ..)| *ord).collect::<Vec<_>>())
    .bind(attached.iter().map(|(_, position, _)| *position).collect::<Vec<_>>())
    .bind(attached.iter().map(|(.., file)| file.get()).collect::<Vec<_>>())
    .fetch_all(log)
    .await?;
    let mut written = vec![None; batch.len()];
    for (ord, id, created_at) in rows {
        if let Some(slot) = usize::try_from(ord).ok().and_then(|ord| written.get_mut(ord)) {
            *slot = Some((id, created_at));
        }
    }
    Ok(written)
}

async fn files_of(log: &mut PgConnection, batch: &[NewMessage]) -> Result<HashMap<FileId, FileInfo>> {
    let ids: Vec<FileId> = batch.iter().flat_map(|new| new.files.iter().copied()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Json<FileInfo>> =
        sqlx::query_scalar("select file_json(f) from files f where f.id = any($1)").bind(ids).fetch_all(log).await?;
    Ok(rows.into_iter().map(|Json(file)| (file.id, file)).collect())
}

/// The message that the insert wrote: the same as `message_view` would answer,
/// without asking.
fn as_written(new: &NewMessage, id: MessageId, created_at: Time, files: &HashMap<FileId, FileInfo>) -> Message {
    Message {
        id,
        chat_id: new.chat_id,
        sender_id: Some(new.sender_id),
        content: new.content.as_str().to_owned(),
        files: new.files.iter().filter_map(|id| files.get(id).cloned()).collect(),
        reply_to: new.reply_to,
        nonce: new.nonce.as_ref().map(|nonce| nonce.as_str().to_owned()),
        created_at,
        edited_at: None,
        deleted_at: None,
        reactions: Vec::new(),
        pinned: false,
    }
}

/// Why the insert left a message out. The outer error is the database's.
async fn not_written(log: &mut PgConnection, new: &NewMessage) -> Result<Result<Sent>> {
    if members::membership(&mut *log, new.chat_id, new.sender_id).await?.is_none() {
        return Ok(Err(Error::NotFound("chat")));
    }
    let first: Option<Json<Message>> = sqlx::query_scalar(
        "select m.json from message_view m where m.sender_id = $1 and m.chat_id = $2 and m.nonce = $3",
    )
    .bind(new.sender_id)
    .bind(new.chat_id)
    .bind(new.nonce.as_ref().map(Nonce::as_str))
    .fetch_optional(&mut *log)
    .await?;
    if let Some(Json(message)) = first {
        return Ok(Ok(Sent { message, is_new: false }));
    }
    if let Some(reply_to) = new.reply_to
        && !exists(&mut *log, new.chat_id, reply_to).await?
    {
        return Ok(Err(Error::invalid("reply_to", "there is no such message in this chat")));
    }
    Ok(Err(Error::invalid("files", "only files that you uploaded yourself can be sent")))
}
