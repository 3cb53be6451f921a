//! Sends a batch of messages in one transaction, with one outcome for each message.

use super::{Message, MessageKind, NewMessage, SendOutcome, fill_senders_reactions, load_by_ids};
use crate::{Error, FileId, MessageId, Result, Time, files::FileInfo, values::Nonce};
use sqlx::{PgConnection, types::Json};
use std::collections::HashMap;

/// Writes messages in one transaction. Each has its own outcome: a rejected message
/// does not affect the others. The outer error means that no message was written,
/// except `Unavailable`, which means that it is unknown whether they were written.
/// `mentions` has the names that each message mentions.
pub(super) async fn send(
    db: &mut PgConnection,
    batch: &[NewMessage],
    mentions: &[Vec<String>],
) -> Result<Vec<Result<SendOutcome>>> {
    let mentions: Vec<(i32, String)> =
        mentions.iter().zip(0..).flat_map(|(names, nth)| names.iter().map(move |name| (nth, name.clone()))).collect();
    let rows = call_send_messages(db, batch, &mentions).await?;
    let files = load_files(db, batch).await?;
    let stored = load_stored(db, &mentions, &rows).await?;
    let mut outcomes: Vec<Option<Result<SendOutcome>>> = batch.iter().map(|_| None).collect();
    for row in rows {
        let nth = usize::try_from(row.message).map_err(Error::internal)?;
        if let (Some(slot @ None), Some(new)) = (outcomes.get_mut(nth), batch.get(nth)) {
            *slot = Some(row.to_outcome(new, &files, &stored));
        }
    }
    let missing = || Err(Error::internal("the database returned no outcome for a message"));
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
}

/// The outcome that `send_messages` returns for one message of the batch.
#[derive(sqlx::FromRow)]
struct OutcomeRow {
    message: i32,
    outcome: String,
    id: Option<MessageId>,
    created_at: Option<chrono::DateTime<chrono::Utc>>,
}

const WRITTEN: &str = "written";
const DUPLICATE: &str = "duplicate";

impl OutcomeRow {
    fn to_outcome(
        &self,
        new: &NewMessage,
        files: &HashMap<FileId, FileInfo>,
        stored: &HashMap<MessageId, Message>,
    ) -> Result<SendOutcome> {
        match (self.outcome.as_str(), self.id, self.created_at) {
            (WRITTEN, Some(id), Some(at)) => {
                let message = stored.get(&id).cloned().unwrap_or_else(|| build_message(new, id, Time(at), files));
                Ok(SendOutcome { message, is_new: true })
            }
            // A missing message means that its chat was deleted later.
            (DUPLICATE, Some(id), _) => match stored.get(&id) {
                Some(first) => Ok(SendOutcome { message: first.clone(), is_new: false }),
                None => Err(Error::NotFound("chat")),
            },
            ("not_a_member", ..) => Err(Error::NotFound("chat")),
            ("cannot_send", ..) => Err(Error::Forbidden("you cannot send messages in this chat")),
            ("reply_not_found", ..) => Err(Error::invalid("reply_to", "this chat has no message with this id")),
            ("file_not_found", ..) => Err(Error::invalid("files", "you can send only files that you uploaded")),
            (other, ..) => Err(Error::internal(format!("unknown send outcome `{other}`"))),
        }
    }
}

/// Calls `send_messages` once for the whole batch: one call is one transaction.
async fn call_send_messages(
    db: &mut PgConnection,
    batch: &[NewMessage],
    mentions: &[(i32, String)],
) -> Result<Vec<OutcomeRow>> {
    let column = |field: fn(&NewMessage) -> Option<i64>| batch.iter().map(field).collect::<Vec<_>>();
    let attachments: Vec<(i32, i16, FileId)> = batch
        .iter()
        .zip(0..)
        .flat_map(|(new, nth)| new.files.iter().zip(0..).map(move |(file, position)| (nth, position, *file)))
        .collect();
    let extras: Vec<Option<String>> = batch
        .iter()
        .map(|new| new.extra.as_ref().map(serde_json::to_string).transpose())
        .collect::<Result<_, _>>()
        .map_err(Error::internal)?;
    let sql =
        "select message, outcome, id, created_at from send_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    Ok(sqlx::query_as(sql)
        .bind(column(|new| Some(new.chat_id.get())))
        .bind(column(|new| Some(new.sender_id.get())))
        .bind(batch.iter().map(|new| new.content.as_str()).collect::<Vec<_>>())
        .bind(column(|new| new.reply_to.map(MessageId::get)))
        .bind(batch.iter().map(|new| new.nonce.as_ref().map(Nonce::as_str)).collect::<Vec<_>>())
        .bind(extras)
        .bind(attachments.iter().map(|(nth, ..)| *nth).collect::<Vec<_>>())
        .bind(attachments.iter().map(|(_, position, _)| *position).collect::<Vec<_>>())
        .bind(attachments.iter().map(|(.., file)| file.get()).collect::<Vec<_>>())
        .bind(mentions.iter().map(|(nth, _)| *nth).collect::<Vec<_>>())
        .bind(mentions.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>())
        .fetch_all(db)
        .await?)
}

async fn load_files(db: &mut PgConnection, batch: &[NewMessage]) -> Result<HashMap<FileId, FileInfo>> {
    let ids: Vec<FileId> = batch.iter().flat_map(|new| new.files.iter().copied()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Json<FileInfo>> =
        sqlx::query_scalar("select file_json(f) from files f where f.id = any($1)").bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(file)| (file.id, file)).collect())
}

/// Loads the messages that the batch alone does not describe: those that were sent
/// before under the same nonces, and those with mentions.
async fn load_stored(
    db: &mut PgConnection,
    mentions: &[(i32, String)],
    rows: &[OutcomeRow],
) -> Result<HashMap<MessageId, Message>> {
    let is_complete =
        |row: &&OutcomeRow| row.outcome == WRITTEN && !mentions.iter().any(|(nth, _)| *nth == row.message);
    let ids: Vec<MessageId> = rows.iter().filter(|row| !is_complete(row)).filter_map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut stored = load_by_ids(&mut *db, &ids).await?;
    fill_senders_reactions(db, &mut stored).await?;
    Ok(stored.into_iter().map(|message| (message.id, message)).collect())
}

/// Builds the message that the insert wrote: the same as `message_view` would
/// return, without a query.
fn build_message(new: &NewMessage, id: MessageId, created_at: Time, files: &HashMap<FileId, FileInfo>) -> Message {
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
        mentions: Vec::new(),
        mentions_everyone: false,
        reactions: Vec::new(),
        pinned: false,
        author: new.extra.as_ref().and_then(|extra| extra.author.clone()),
        embeds: new.extra.as_ref().map_or_else(Vec::new, |extra| extra.embeds.clone()),
        kind: MessageKind::User,
        change: None,
    }
}
