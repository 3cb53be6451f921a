//! Applies what WhatsApp sent: messages become messages of ghosts, statuses become states and
//! receipts.

use super::{
    graph::{self, Graph, GraphError, WINDOW_CLOSED},
    incoming::{IncomingContent, IncomingMedia, IncomingMessage, Item, parse},
};
use crate::bridges::Limits;
use chat_core::{
    Error, FileId, MessageId, UserId,
    bridges::{
        self, BridgeAccount, BridgeChat, RelayState, chats,
        inbox::{WaitingWebhook, WebhookOutcome},
        relay::{self, Status},
    },
    files,
    messages::{self, MessageExtra, NewMessage, Writer},
    values::{Content, Emoji, Nonce},
};
use file_store::{FileStore, MAX_FILE_BYTES};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Maximum number of remote users of one bridge whose items are processed at once.
const REMOTE_USERS_AT_ONCE: usize = 8;

/// After this time no other item of a batch begins. Together with the time limits of a file it is
/// shorter than the lease of the inbox.
const BATCH_TIME: Duration = Duration::from_secs(45);

/// After this time without success in loading a file, the message is stored without it.
const MAX_FILE_AGE: Duration = Duration::from_secs(10 * 60);

/// After this time a webhook that cannot be processed is given up: the network keeps files for
/// seven days.
const MAX_AGE: Duration = Duration::from_secs(6 * 24 * 3600);

/// What processing needs.
pub(crate) struct ReceiveContext<'a> {
    pub(crate) db: &'a PgPool,
    pub(crate) graph: &'a Graph,
    pub(crate) files: &'a FileStore,
    pub(crate) writer: &'a Writer,
    /// Maximum size of all files of one person, in bytes.
    pub(crate) user_quota_bytes: i64,
    pub(crate) account: &'a BridgeAccount,
    pub(crate) limits: &'a Limits,
    pub(crate) token: &'a str,
}

/// Why an item was not applied.
enum Problem {
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

/// An item of a webhook, by the place of the webhook in the batch.
struct BatchItem {
    webhook: usize,
    /// How long ago the webhook arrived.
    age: Duration,
    item: Item,
}

/// What became of each webhook of a batch: `None` if nothing has become of it yet.
type Results = Mutex<Vec<Option<WebhookOutcome>>>;

/// Processes a batch: the items of one remote user in order, several remote users at once. Returns what
/// became of the webhooks that were processed.
pub(crate) async fn process(receiving: &ReceiveContext<'_>, webhooks: &[WaitingWebhook]) -> Vec<(i64, WebhookOutcome)> {
    let started_at = Instant::now();
    let results: Arc<Results> = Arc::new(Mutex::new(vec![Some(WebhookOutcome::Done(None)); webhooks.len()]));
    // In the order of arrival.
    let mut items = Vec::new();
    for (nth, webhook) in webhooks.iter().enumerate() {
        match parse(&webhook.body, receiving.account.settings.phone_number_id.as_str()) {
            Ok(parsed) => {
                let age = Duration::from_secs_f64(webhook.age_seconds.max(0.0));
                items.extend(parsed.into_iter().map(|item| BatchItem { webhook: nth, age, item }));
            }
            Err(why) => record(&results, nth, Some(WebhookOutcome::Done(Some(why)))),
        }
    }
    let remote_users = group_by_remote_user(items);
    stream::iter(remote_users)
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
                    match receiving.apply(item, age).await {
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
    let results = std::mem::take(&mut *results.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    webhooks.iter().zip(results).filter_map(|(webhook, result)| Some((webhook.id, result?))).collect()
}

/// Groups the items of each remote user. If one has moved, the items before and after that have
/// different keys, so all are one group.
fn group_by_remote_user(items: Vec<BatchItem>) -> Vec<Vec<BatchItem>> {
    let has_move = items.iter().any(|one| one.item.is_move());
    let mut groups: Vec<Vec<BatchItem>> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for item in items {
        let key = if has_move { String::new() } else { item.item.remote_user_key().to_owned() };
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
    let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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

impl ReceiveContext<'_> {
    async fn apply(&self, item: Item, age: Duration) -> Result<(), Problem> {
        match item {
            Item::Message(message) => self.apply_message(&message, age).await,
            Item::Status { status, error_code, .. } => self.apply_status(&status, error_code).await,
        }
    }

    async fn apply_status(&self, status: &Status, error_code: i64) -> Result<(), Problem> {
        let Some(target) = relay::apply_status(self.db, self.account.id, status).await? else { return Ok(()) };
        match status.state {
            RelayState::Delivered | RelayState::Read => {
                let is_read = status.state == RelayState::Read;
                match relay::advance_receipt(self.db, target, is_read).await {
                    // The remote user has left the chat, or the message is gone.
                    Err(Error::NotFound(_) | Error::Invalid(_)) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            RelayState::Failed if graph::is_account_error(error_code) => {
                let detail = status.error.as_deref().unwrap_or("the network refuses the account");
                bridges::stop(self.db, self.account, detail).await?;
            }
            RelayState::Failed if error_code == WINDOW_CLOSED => {
                chats::close_window(self.db, target.bridge_chat_id).await?
            }
            RelayState::Failed | RelayState::Sent => {}
        }
        Ok(())
    }

    async fn apply_message(&self, message: &IncomingMessage, age: Duration) -> Result<(), Problem> {
        // A message that is known costs nothing, so that an inbox that is processed again gets further.
        if relay::is_stored(self.db, self.account.id, &message.id).await? {
            return Ok(());
        }
        self.limits.wait_to_receive(self.account.owner_id).await;
        let chat = chats::find_or_create(self.db, self.account, &message.remote_user).await?;
        if !message.is_echo {
            chats::extend_window(self.db, chat.id, relay::compute_window_end(message.at)).await?;
        }
        let sender = if message.is_echo { self.account.owner_id } else { chat.ghost_id };
        match &message.content {
            IncomingContent::Text(text) => {
                self.store(&chat, sender, message, text.clone(), Vec::new()).await?;
            }
            IncomingContent::Media(media) => {
                // A file of a message that is known is not loaded again.
                if relay::find_by_remote_id(self.db, chat.id, &message.id).await?.is_none() {
                    let (text, files) = self.receive_file(sender, media, age).await?;
                    self.store(&chat, sender, message, text, files).await?;
                }
            }
            IncomingContent::Reaction { to, emoji } => {
                if let Some(id) = relay::find_by_remote_id(self.db, chat.id, to).await? {
                    self.react(sender, id, emoji.as_deref()).await?;
                }
            }
            IncomingContent::Edit { of, text } => {
                if let Some(id) = relay::find_by_remote_id(self.db, chat.id, of).await? {
                    messages::update(self.db, sender, id, &to_content(text.clone())?, false).await?;
                }
            }
            IncomingContent::Deletion { of } => {
                if let Some(id) = relay::find_by_remote_id(self.db, chat.id, of).await? {
                    messages::delete(self.db, sender, id).await?;
                }
            }
            IncomingContent::Moved { key, phone } => {
                chats::set_key(self.db, chat.id, key, phone.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// Stores a message. Its nonce follows from its id on the network, so that it is stored once
    /// however often it arrives.
    async fn store(
        &self,
        chat: &BridgeChat,
        sender_id: UserId,
        message: &IncomingMessage,
        text: String,
        files: Vec<FileId>,
    ) -> Result<(), Problem> {
        let reply_to = match &message.reply_to {
            Some(remote_id) => relay::find_by_remote_id(self.db, chat.id, remote_id).await?,
            None => None,
        };
        let hash = hex::encode(Sha256::digest(format!("{}/{}", self.account.id, message.id).as_bytes()));
        let nonce = Nonce::try_from(format!("bridge-{}", hash.get(..40).unwrap_or_default()));
        let origin = message.is_echo.then_some(self.account.id);
        let outcome = self.writer.send(NewMessage {
            chat_id: chat.chat_id,
            sender_id,
            content: to_content(text)?,
            files,
            reply_to,
            nonce: Some(nonce.map_err(Problem::Final)?),
            has_mentions: true,
            extra: origin.map(|bridge| Box::new(MessageExtra { origin: Some(bridge), ..MessageExtra::default() })),
        });
        let outcome = outcome.await?;
        relay::record_incoming(self.db, chat.id, outcome.message.id, &message.id).await?;
        Ok(())
    }

    async fn react(&self, user: UserId, id: MessageId, emoji: Option<&str>) -> Result<(), Problem> {
        let emoji = emoji.map(|emoji| Emoji::try_from(emoji.to_owned())).transpose().map_err(Problem::Final)?;
        // A remote user has one reaction to a message.
        for old in relay::list_reactions(self.db, id, user).await? {
            if emoji.as_ref().is_none_or(|emoji| emoji.as_str() != old) {
                let old = Emoji::try_from(old).map_err(Problem::Final)?;
                messages::remove_reaction(self.db, user, id, &old).await?;
            }
        }
        if let Some(emoji) = emoji {
            messages::add_reaction(self.db, user, id, &emoji).await?;
        }
        Ok(())
    }

    /// Loads the file of a message. If that is not possible, the text says so.
    async fn receive_file(
        &self,
        uploader: UserId,
        media: &IncomingMedia,
        age: Duration,
    ) -> Result<(String, Vec<FileId>), Problem> {
        let why = match self.load_file(uploader, media).await {
            Ok(file) => return Ok((media.caption.clone(), vec![file])),
            Err(Problem::Account(why)) => return Err(Problem::Account(why)),
            Err(Problem::Temporary(why)) if age < MAX_FILE_AGE => return Err(Problem::Temporary(why)),
            Err(Problem::Temporary(why) | Problem::Final(why)) => why,
        };
        tracing::info!(bridge = %self.account.id, why, "a file of a remote user was not loaded");
        let notice = format!("_[{} “{}” was not loaded]_", media.kind, media.filename.replace(['_', '*', '\n'], " "));
        Ok((format!("{}\n{notice}", media.caption).trim().to_owned(), Vec::new()))
    }

    async fn load_file(&self, uploader: UserId, media: &IncomingMedia) -> Result<FileId, Problem> {
        let found = self.graph.find_media(self.token, &media.id).await.map_err(Problem::from)?;
        let free = files::require_quota(self.db, uploader, self.user_quota_bytes).await?;
        let max_bytes = MAX_FILE_BYTES.min(free);
        if found.size.is_some_and(|size| size > max_bytes) {
            return Err(Problem::Final("the file is too large".into()));
        }
        let opened = self.graph.download(self.token, &found).await.map_err(Problem::from)?;
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let hashing = Arc::clone(&hash);
        let chunks = graph::read(opened).inspect(move |chunk| {
            if let Ok(bytes) = chunk {
                hashing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).update(bytes);
            }
        });
        let file = self.files.store(uploader, chunks, &media.filename, max_bytes).await?;
        let hash = hash.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone().finalize();
        let expected = media.sha256.as_ref().or(found.sha256.as_ref());
        if expected.is_some_and(|expected| expected.as_slice() != hash.as_slice()) {
            self.files.discard(vec![file]).await;
            return Err(Problem::Temporary("the file is not the one that was announced".into()));
        }
        let files = vec![file];
        match files::create(self.db, uploader, &files, self.user_quota_bytes).await {
            Ok(created) => created.first().map(|file| file.id).ok_or_else(|| Problem::Final("no file".into())),
            Err(error) => {
                self.files.discard(files).await;
                Err(error.into())
            }
        }
    }
}

impl From<GraphError> for Problem {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Permanent { why, .. } => Self::Final(why),
            GraphError::Account(why) => Self::Account(why),
            GraphError::Busy => Self::Temporary(error.why().to_owned()),
            GraphError::Temporary { why, .. } | GraphError::NotSent(why) | GraphError::Unknown(why) => {
                Self::Temporary(why)
            }
        }
    }
}

fn to_content(text: String) -> Result<Content, Problem> {
    Content::try_from(text.replace('\0', "")).map_err(Problem::Final)
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
