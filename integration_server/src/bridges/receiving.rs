//! What the bridges to all networks have in common when they receive: a batch of webhooks is processed
//! in the order of each remote user, and messages and files are stored once.

use super::limits::Limits;
use crate::client::PendingResponse;
use chat_core::{
    Error, FileId, MessageId, UserId,
    bridges::{
        BridgeAccount, BridgeChat,
        inbox::{WaitingWebhook, WebhookOutcome},
        relay,
    },
    files::{self, NewFile},
    messages::{MessageExtra, NewMessage, Writer},
    values::{Content, MAX_CONTENT_BYTES, Nonce},
};
use file_store::{FileStore, MAX_FILE_BYTES};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Maximum number of remote users of one bridge whose items are processed at once.
const REMOTE_USERS_AT_ONCE: usize = 8;

/// After this time no other item of a batch begins. Together with the time limits of a file it is
/// shorter than the lease of the inbox.
const BATCH_TIME: Duration = Duration::from_secs(45);

/// After this time without success in loading a file, the message is stored without it.
const MAX_FILE_AGE: Duration = Duration::from_secs(10 * 60);

/// After this time a webhook that cannot be processed is given up: networks keep files for
/// seven days.
const MAX_AGE: Duration = Duration::from_secs(6 * 24 * 3600);

/// The end of the notice that a file was not loaded.
const NOTICE_END: &str = "” was not loaded]_";

/// Maximum number of characters of a file name in a notice.
const MAX_NAME_CHARS: usize = 255;

/// The end of a text that was too long.
const CUT_NOTICE: &str = "\n_[the rest was cut]_";

/// Maximum number of items of one webhook that are processed.
const MAX_ITEMS: usize = 1_000;

/// Why an item was not applied.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It will never be.
    Final(String),
    /// It may be applied later.
    Temporary(String),
    /// It can be applied when the account works again.
    Account(String),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unavailable(_) | Error::Internal(_) | Error::InsufficientStorage | Error::TooManyRequests => {
                Self::Temporary(text)
            }
            _ => Self::Final(text),
        }
    }
}

/// Something that a webhook tells.
pub(crate) trait InboxItem {
    /// The remote user, or the space. The items of one are processed in order.
    fn key(&self) -> &str;

    /// Whether a remote user has another key from now on.
    fn is_move(&self) -> bool {
        false
    }
}

/// Refuses a webhook with too many items.
pub(crate) fn require_few_items<I>(items: Vec<I>) -> Result<Vec<I>, String> {
    match items.len() {
        0..=MAX_ITEMS => Ok(items),
        _ => Err(format!("more than {MAX_ITEMS} items")),
    }
}

/// The elements of an array; none if it is something else.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

/// A text that is not empty.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Applies what a network sent.
pub(crate) trait ApplyItems: Sync {
    /// What the webhooks of the network tell.
    type Item: InboxItem + Send;

    /// Reads a webhook.
    fn parse(&self, body: &[u8]) -> Result<Vec<Self::Item>, String>;

    /// Applies an item of a webhook that arrived so long ago.
    fn apply(&self, item: Self::Item, age: Duration) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// An item of a webhook, by the place of the webhook in the batch.
struct BatchItem<I> {
    webhook: usize,
    /// How long ago the webhook arrived.
    age: Duration,
    item: I,
}

/// What became of each webhook of a batch: `None` if nothing has become of it yet.
type Results = Mutex<Vec<Option<WebhookOutcome>>>;

/// Processes a batch: the items of one remote user in order, several remote users at once. Returns what
/// became of the webhooks that were processed.
pub(crate) async fn process(network: &impl ApplyItems, webhooks: &[WaitingWebhook]) -> Vec<(i64, WebhookOutcome)> {
    let started_at = Instant::now();
    let results: Arc<Results> = Arc::new(Mutex::new(vec![Some(WebhookOutcome::Done(None)); webhooks.len()]));
    // In the order of arrival.
    let mut items = Vec::new();
    for (nth, webhook) in webhooks.iter().enumerate() {
        match network.parse(&webhook.body) {
            Ok(parsed) => {
                let age = Duration::from_secs_f64(webhook.age_seconds.max(0.0));
                items.extend(parsed.into_iter().map(|item| BatchItem { webhook: nth, age, item }));
            }
            Err(why) => record(&results, nth, Some(WebhookOutcome::Done(Some(why)))),
        }
    }
    stream::iter(group_by_key(items))
        .for_each_concurrent(REMOTE_USERS_AT_ONCE, |items| {
            let results = Arc::clone(&results);
            async move {
                let mut is_blocked = false;
                for BatchItem { webhook, age, item } in items {
                    if is_blocked || started_at.elapsed() > BATCH_TIME {
                        // Later, in order.
                        is_blocked = true;
                        record(&results, webhook, None);
                        continue;
                    }
                    match network.apply(item, age).await {
                        Ok(()) => {}
                        Err(Problem::Final(why)) => record(&results, webhook, Some(WebhookOutcome::Done(Some(why)))),
                        Err(Problem::Temporary(why) | Problem::Account(why)) if age > MAX_AGE => {
                            record(&results, webhook, Some(WebhookOutcome::Done(Some(why))));
                        }
                        Err(Problem::Temporary(why) | Problem::Account(why)) => {
                            is_blocked = true;
                            record(&results, webhook, Some(WebhookOutcome::Retry(why)));
                        }
                    }
                }
            }
        })
        .await;
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    webhooks.iter().zip(results).filter_map(|(webhook, result)| Some((webhook.id, result?))).collect()
}

/// Groups the items of each remote user. If one has moved, the items before and after that have
/// different keys, so all are one group.
fn group_by_key<I: InboxItem>(items: Vec<BatchItem<I>>) -> Vec<Vec<BatchItem<I>>> {
    let has_move = items.iter().any(|one| one.item.is_move());
    let mut groups: Vec<Vec<BatchItem<I>>> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for item in items {
        let key = if has_move { String::new() } else { item.item.key().to_owned() };
        let at = *index.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(item);
    }
    groups
}

/// Records what became of a webhook. An item that waits outweighs one that failed, which outweighs
/// those that were applied.
fn record(results: &Results, webhook: usize, result: Option<WebhookOutcome>) {
    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    let known = &mut results[webhook];
    *known = match (known.take(), result) {
        (Some(WebhookOutcome::Retry(why)), _) | (_, Some(WebhookOutcome::Retry(why))) => {
            Some(WebhookOutcome::Retry(why))
        }
        (None, _) | (_, None) => None,
        (Some(WebhookOutcome::Done(Some(why))), _) => Some(WebhookOutcome::Done(Some(why))),
        (Some(WebhookOutcome::Done(None)), result) => result,
    };
}

/// A message to store.
#[derive(Debug)]
pub(crate) struct ReceivedMessage<'a> {
    /// The ghost that sends it, or the owner of the bridge.
    pub(crate) sender_id: UserId,
    /// Its id on the network.
    pub(crate) remote_id: &'a str,
    /// Its thread on the network.
    pub(crate) remote_thread: Option<&'a str>,
    /// The message to which it replies.
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) text: String,
    pub(crate) files: Vec<FileId>,
    pub(crate) extra: Option<MessageExtra>,
}

/// A file of a message on the network.
#[derive(Debug)]
pub(crate) struct ReceivedFile<'a> {
    /// What it is, such as `image`.
    pub(crate) kind: &'a str,
    pub(crate) filename: &'a str,
    /// The SHA-256 of its bytes, if the network told it.
    pub(crate) sha256: Option<&'a [u8]>,
}

/// Stores what a bridge receives.
#[derive(Clone, Copy)]
pub(crate) struct Receiver<'a> {
    pub(crate) db: &'a PgPool,
    pub(crate) files: &'a FileStore,
    pub(crate) writer: &'a Writer,
    /// Maximum size of all files of one person, in bytes.
    pub(crate) user_quota_bytes: i64,
    pub(crate) account: &'a BridgeAccount,
    pub(crate) limits: &'a Limits,
}

impl Receiver<'_> {
    /// Stores a message. Its nonce follows from its id on the network, so that it is stored once
    /// however often it arrives.
    pub(crate) async fn store(&self, chat: &BridgeChat, received: ReceivedMessage<'_>) -> Result<(), Problem> {
        let ReceivedMessage { sender_id, remote_id, remote_thread, reply_to, text, files, extra } = received;
        let hash = hex::encode(Sha256::digest(format!("{}/{remote_id}", self.account.id).as_bytes()));
        let nonce = Nonce::try_from(format!("bridge-{}", hash.get(..40).unwrap_or_default()));
        let outcome = self.writer.send(NewMessage {
            chat_id: chat.chat_id,
            sender_id,
            content: to_content(text)?,
            files,
            reply_to,
            nonce: Some(nonce.map_err(Problem::Final)?),
            has_mentions: true,
            extra: extra.map(Box::new),
        });
        let outcome = outcome.await?;
        relay::record_incoming(self.db, chat.id, outcome.message.id, remote_id, remote_thread).await?;
        Ok(())
    }

    /// The result of loading a file: the file, or a notice that it was not loaded. Fails if it is to be
    /// tried again.
    pub(crate) fn settle_file(
        &self,
        loaded: Result<NewFile, Problem>,
        file: &ReceivedFile<'_>,
        age: Duration,
    ) -> Result<Result<NewFile, String>, Problem> {
        let why = match loaded {
            Ok(file) => return Ok(Ok(file)),
            Err(Problem::Account(why)) => return Err(Problem::Account(why)),
            Err(Problem::Temporary(why)) if age < MAX_FILE_AGE => return Err(Problem::Temporary(why)),
            Err(Problem::Temporary(why) | Problem::Final(why)) => why,
        };
        tracing::info!(bridge = %self.account.id, why, "a file of a remote user was not loaded");
        let filename: String = file.filename.replace(['_', '*', '\n'], " ").chars().take(MAX_NAME_CHARS).collect();
        Ok(Err(format!("_[{} “{filename}{NOTICE_END}", file.kind)))
    }

    /// The largest size of another file of a user, in bytes.
    pub(crate) async fn max_file_bytes(&self, uploader: UserId, size: Option<u64>) -> Result<u64, Problem> {
        let free = files::require_quota(self.db, uploader, self.user_quota_bytes).await?;
        let max_bytes = MAX_FILE_BYTES.min(free);
        match size.is_some_and(|size| size > max_bytes) {
            true => Err(Problem::Final("the file is too large".into())),
            false => Ok(max_bytes),
        }
    }

    /// Stores the bytes of a file. It belongs to nobody until it is registered.
    pub(crate) async fn load_file(
        &self,
        uploader: UserId,
        opened: PendingResponse,
        file: &ReceivedFile<'_>,
        max_bytes: u64,
    ) -> Result<NewFile, Problem> {
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let hashing = Arc::clone(&hash);
        let chunks = opened.into_chunks().inspect(move |chunk| {
            if let Ok(bytes) = chunk {
                hashing.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
            }
        });
        let stored = self.files.store(uploader, chunks, file.filename, max_bytes).await?;
        let hash = hash.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize();
        if file.sha256.is_some_and(|expected| expected != hash.as_slice()) {
            self.files.discard(vec![stored]).await;
            return Err(Problem::Temporary("the file is not the one that was announced".into()));
        }
        Ok(stored)
    }

    /// Registers the files of a message, all or none.
    pub(crate) async fn register_files(&self, uploader: UserId, files: Vec<NewFile>) -> Result<Vec<FileId>, Problem> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        match files::create(self.db, uploader, &files, self.user_quota_bytes).await {
            Ok(created) => Ok(created.iter().map(|file| file.id).collect()),
            Err(error) => {
                self.files.discard(files).await;
                Err(error.into())
            }
        }
    }
}

/// Whether a line of a message says that a file was not loaded.
pub(crate) fn is_notice(line: &str) -> bool {
    line.starts_with("_[") && line.ends_with(NOTICE_END)
}

/// The content of a message from the network. One that is too long is cut: marks and names can make a text
/// longer than it was there.
pub(crate) fn to_content(text: String) -> Result<Content, Problem> {
    let mut text = text.replace('\0', "");
    if text.len() > MAX_CONTENT_BYTES {
        let end = text.floor_char_boundary(MAX_CONTENT_BYTES - CUT_NOTICE.len());
        text.truncate(end);
        text.push_str(CUT_NOTICE);
    }
    Content::try_from(text).map_err(Problem::Final)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_done_only_if_all_its_items_are() {
        let outcome = |outcomes: &[Option<WebhookOutcome>]| {
            let results: Results = Mutex::new(vec![Some(WebhookOutcome::Done(None))]);
            for one in outcomes {
                record(&results, 0, one.clone());
            }
            results.into_inner().expect("no panic")[0].clone()
        };
        let (failed, again) =
            (Some(WebhookOutcome::Done(Some("no".into()))), Some(WebhookOutcome::Retry("later".into())));
        assert_eq!(outcome(&[]), Some(WebhookOutcome::Done(None)));
        assert_eq!(outcome(&[Some(WebhookOutcome::Done(None)), failed.clone()]), failed);
        assert_eq!(outcome(&[failed.clone(), None]), None);
        assert_eq!(outcome(&[None, failed.clone()]), None);
        assert_eq!(outcome(&[again.clone(), failed]), again);
        assert_eq!(outcome(&[None, again.clone()]), again);
    }
}
