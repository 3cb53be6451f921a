//! Sends what happened in a chat to its space at Google Chat. A message has an id that Confab chose before
//! the first attempt, so another attempt never sends it twice.

use super::{
    api::{GoogleApi, GoogleError},
    compose::compose,
    incoming::is_message_name,
    tokens::Scope,
};
use crate::bridges::{EntryOutcome, EventData, EventMessage, Halt, MAX_AGE_DAYS, Target, limits::Limits};
use chat_core::{
    MessageId,
    bridges::{
        PausedReason, ServiceAccountKey,
        attempts::{self, Attempt, Part},
        relay::{self, Recipient, RelayedMessage},
    },
    outbox::Entry,
    sealing::Sealer,
    time::now,
};
use chat_http::settings::PublicUrl;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use uuid::Uuid;

/// Starts a new thread if the thread of a reply no longer exists.
const REPLY_OPTION: (&str, &str) = ("messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");

/// How often to check whether another write is allowed.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// The app is not in the space.
const FORBIDDEN: u16 = 403;

/// There is no such message.
const NOT_FOUND: u16 = 404;

/// There is a message with this id already.
const ALREADY_EXISTS: u16 = 409;

/// What sending needs.
pub(crate) struct SendContext<'a> {
    pub(crate) db: &'a PgPool,
    pub(crate) api: &'a GoogleApi,
    pub(crate) sealer: &'a Sealer,
    /// The public URL of the chat server: links to files begin with it.
    pub(crate) public_url: Option<&'a PublicUrl>,
    pub(crate) target: &'a Target,
    pub(crate) key: &'a ServiceAccountKey,
    pub(crate) limits: &'a Limits,
    /// After this time no other part is sent.
    pub(crate) deadline: Instant,
}

/// Sends an entry of the outbox.
pub(crate) async fn send(sending: &SendContext<'_>, entry: &Entry) -> Result<EntryOutcome, Halt> {
    let (id, EventData { message, .. }) = EventData::read(entry)?;
    match entry.kind.as_str() {
        "message.new" | "message.missed" => sending.send_message(entry, id, message).await,
        "message.updated" => sending.send_edit(entry, id, message).await,
        "message.deleted" => sending.send_deletion(id).await,
        _ => Ok(EntryOutcome::Nothing),
    }
}

/// What to do if nothing can be written in the space right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenLimited {
    /// End the run; the next one goes on.
    Pause,
    /// Wait.
    Wait,
}

impl SendContext<'_> {
    fn part(&self, entry: &Entry, message: MessageId, number: i16) -> Part {
        Part { chat: self.recipient().id, delivery: entry.id, message, number, is_original: true }
    }

    fn recipient(&self) -> &Recipient {
        &self.target.recipient
    }

    fn compose(&self, message: &RelayedMessage) -> Result<Vec<String>, Halt> {
        Ok(compose(message, self.target.account.settings.shows_names, self.sealer, self.public_url)?)
    }

    async fn send_message(
        &self,
        entry: &Entry,
        id: MessageId,
        event: Option<EventMessage>,
    ) -> Result<EntryOutcome, Halt> {
        let Some(message) = self.target.load_message(self.db, id, event).await? else {
            return Ok(EntryOutcome::Nothing);
        };
        if entry.attempts == 0
            && let Some(reason) = attempts::detect_loop(self.db, self.recipient().id, id, &message.content).await?
        {
            return Err(Halt::PauseChat(reason));
        }
        let mut outcome = EntryOutcome::Nothing;
        for (number, text) in (0i16..).zip(self.compose(&message)?) {
            if number > 0 && Instant::now() > self.deadline {
                return Err(Halt::Pause { pause: Duration::ZERO, why: None });
            }
            if self.create(entry, number, &message, &text, WhenLimited::Pause).await? {
                outcome = EntryOutcome::Sent;
            }
        }
        Ok(outcome)
    }

    /// Creates one message of Google Chat. Returns false if that was done before.
    async fn create(
        &self,
        entry: &Entry,
        number: i16,
        message: &RelayedMessage,
        text: &str,
        when_limited: WhenLimited,
    ) -> Result<bool, Halt> {
        let part = self.part(entry, message.id, number);
        let key = format!("client-{}", Uuid::new_v4().simple());
        let key = match attempts::begin_attempt(self.db, part, Some(&key)).await? {
            // An attempt before this one had no answer: the same id again.
            Attempt::Send(first) => first.unwrap_or(key),
            Attempt::Settled | Attempt::Unknown(_) => return Ok(false),
        };
        match when_limited {
            WhenLimited::Pause => self.charge()?,
            WhenLimited::Wait => self.wait_for_turn().await?,
        }
        let space = &self.recipient().remote_key;
        let mut body = json!({ "text": text });
        let mut query = vec![("messageId", key.as_str()), ("requestId", key.as_str())];
        if let Some(thread) = message.reply_thread.as_ref().filter(|_| self.recipient().is_space) {
            body["thread"] = json!({ "name": thread });
            query.push(REPLY_OPTION);
        }
        let path = format!("{space}/messages");
        let sent = match self.request(Method::POST, &path, &query, Some(&body)).await {
            Err(GoogleError::Refused { status: ALREADY_EXISTS, .. }) => {
                match self.request(Method::GET, &format!("{path}/{key}"), &[], None).await {
                    Err(GoogleError::Refused { status: NOT_FOUND, .. }) => {
                        attempts::set_failed(self.db, part, "it was deleted there").await?;
                        return Ok(false);
                    }
                    found => found,
                }
            }
            sent => sent,
        };
        match sent {
            Ok(created) => {
                let name = created["name"].as_str().filter(|name| is_message_name(name));
                let Some(name) = name else {
                    let why = "the response names no message".into();
                    return Err(Halt::Retry { pause: Duration::ZERO, why });
                };
                attempts::set_sent(self.db, part, name, created["thread"]["name"].as_str()).await?;
                Ok(true)
            }
            // The app is not in the space any more.
            Err(error) if error.is_missing() => Err(Halt::PauseChat(PausedReason::Removed)),
            Err(GoogleError::Refused { why, .. }) => {
                attempts::set_failed(self.db, part, &why).await?;
                Err(Halt::Dead(why))
            }
            Err(error) => {
                let is_retried = matches!(error, GoogleError::Temporary { .. } | GoogleError::Incomplete);
                if is_retried && (now() - entry.created_at.0).num_days() >= MAX_AGE_DAYS {
                    // It is given up.
                    attempts::set_failed(self.db, part, error.why()).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Changes the texts of a message. If there are more than before, the others are sent; those that
    /// are no longer needed are deleted.
    async fn send_edit(&self, entry: &Entry, id: MessageId, event: Option<EventMessage>) -> Result<EntryOutcome, Halt> {
        let Some(message) = self.target.load_message(self.db, id, event).await? else {
            return Ok(EntryOutcome::Nothing);
        };
        let mut sent = relay::list_sent_parts(self.db, self.recipient().id, id).await?;
        if sent.is_empty() {
            return Ok(EntryOutcome::Nothing);
        }
        // Parts that an earlier attempt of this edit began to send are sent, with the same id.
        sent.retain(|part| !(part.is_unsure && part.delivery_id == entry.id));
        let texts = self.compose(&message)?;
        self.charge()?;
        for (nth, part) in sent.iter().enumerate() {
            if nth > 0 {
                self.wait_for_turn().await?;
            }
            let text = usize::try_from(part.number).ok().and_then(|number| texts.get(number));
            match text {
                Some(text) => {
                    let body = json!({ "text": text });
                    let query = [("updateMask", "text")];
                    self.change(Method::PATCH, &part.remote_id, &query, Some(&body)).await?;
                }
                None => {
                    self.delete(&part.remote_id).await?;
                    // If a later edit needs this part, it creates another message.
                    attempts::forget_part(self.db, self.recipient().id, id, part.number).await?;
                }
            }
        }
        for (number, text) in (0i16..).zip(&texts) {
            if !sent.iter().any(|part| part.number == number) {
                self.create(entry, number, &message, text, WhenLimited::Wait).await?;
            }
        }
        Ok(EntryOutcome::Sent)
    }

    async fn send_deletion(&self, id: MessageId) -> Result<EntryOutcome, Halt> {
        let sent = relay::list_sent_parts(self.db, self.recipient().id, id).await?;
        if sent.is_empty() {
            return Ok(EntryOutcome::Nothing);
        }
        self.charge()?;
        for (nth, part) in sent.iter().enumerate() {
            if nth > 0 {
                self.wait_for_turn().await?;
            }
            self.delete(&part.remote_id).await?;
        }
        Ok(EntryOutcome::Sent)
    }

    async fn delete(&self, name: &str) -> Result<(), Halt> {
        self.change(Method::DELETE, name, &[], None).await
    }

    /// Changes or deletes a message. Ignores one that no longer exists there.
    async fn change(
        &self,
        method: Method,
        name: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(), Halt> {
        // The answer to the request that created it may have been lost: then it has the id that Confab chose.
        let path = match name.starts_with("spaces/") {
            true => name.to_owned(),
            false => format!("{}/messages/{name}", self.recipient().remote_key),
        };
        match self.request(method, &path, query, body).await {
            Ok(_) | Err(GoogleError::Refused { status: NOT_FOUND, .. }) => Ok(()),
            Err(GoogleError::Refused { status: FORBIDDEN, .. }) => Err(Halt::PauseChat(PausedReason::Removed)),
            Err(error) => Err(error.into()),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, GoogleError> {
        self.api.request(self.key, Scope::App, method, path, query, body).await
    }

    /// Waits until something more can be written in the space. All parts of a message are changed in one
    /// run, because another attempt begins with the first.
    async fn wait_for_turn(&self) -> Result<(), Halt> {
        while self.limits.charge_space(self.recipient()).is_some() {
            if Instant::now() > self.deadline {
                return Err(Halt::Pause { pause: Duration::ZERO, why: None });
            }
            sleep(WAIT_STEP).await;
        }
        Ok(())
    }

    /// Counts a write, within the limit of a space.
    fn charge(&self) -> Result<(), Halt> {
        match self.limits.charge_space(self.recipient()) {
            Some(pause) => Err(Halt::Pause { pause, why: None }),
            None => Ok(()),
        }
    }
}
