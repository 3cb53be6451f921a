//! Sends what happened in a chat to its remote user on WhatsApp.

use super::{
    compose::{Outgoing, compose, compose_edit},
    graph::{Graph, GraphError, WINDOW_CLOSED},
    incoming::write_reference,
};
use crate::bridges::{EntryOutcome, EventData, EventMessage, Halt, Target, limits::Limits};
use chat_core::{
    MessageId, UserId,
    bridges::{
        ReadReceipts, WhatsappSettings,
        attempts::{self, Attempt, Part},
        chats,
        relay::{self, Recipient, RelayedMessage},
    },
    outbox::Entry,
};
use file_store::BlobStore;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// How often it is looked whether a status has told the outcome of an attempt.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(5);

/// After this many attempts without an outcome a message is given up: each may have arrived.
const MAX_UNKNOWN: i16 = 3;

/// What sending needs.
pub(crate) struct SendContext<'a> {
    pub(crate) db: &'a PgPool,
    pub(crate) graph: &'a Graph,
    pub(crate) blobs: &'a BlobStore,
    pub(crate) target: &'a Target,
    pub(crate) account: &'a WhatsappSettings,
    pub(crate) token: &'a str,
    pub(crate) limits: &'a Limits,
    /// After this time no other part is sent.
    pub(crate) deadline: Instant,
}

/// Sends an entry of the outbox.
pub(crate) async fn send(sending: &SendContext<'_>, entry: &Entry) -> Result<EntryOutcome, Halt> {
    let (id, EventData { message, user_id, .. }) = EventData::read(entry)?;
    match entry.kind.as_str() {
        "message.new" | "message.missed" => sending.send_message(entry, id, message).await,
        "message.updated" => sending.send_edit(entry, id, message).await,
        "reaction.added" | "reaction.removed" => sending.send_reaction(id, user_id).await,
        "message.read" => sending.send_read(id, user_id).await,
        _ => Ok(EntryOutcome::Nothing),
    }
}

impl SendContext<'_> {
    fn recipient(&self) -> &Recipient {
        &self.target.recipient
    }

    async fn load(&self, id: MessageId, event: Option<EventMessage>) -> Result<Option<RelayedMessage>, Halt> {
        self.target.load_message(self.db, id, event).await
    }

    async fn send_message(
        &self,
        entry: &Entry,
        id: MessageId,
        event: Option<EventMessage>,
    ) -> Result<EntryOutcome, Halt> {
        let Some(message) = self.load(id, event).await? else { return Ok(EntryOutcome::Nothing) };
        if entry.attempts == 0
            && let Some(reason) = attempts::detect_loop(self.db, self.recipient().id, id, &message.content).await?
        {
            return Err(Halt::PauseChat(reason));
        }
        let (mut failure, mut outcome) = (None, EntryOutcome::Nothing);
        for (number, outgoing) in (0i16..).zip(compose(&message, self.target.account.settings.shows_names)) {
            if number > 0 && Instant::now() > self.deadline {
                return Err(Halt::Pause { pause: Duration::ZERO, why: None });
            }
            let part = Part { chat: self.recipient().id, delivery: entry.id, message: id, number, is_original: true };
            let reply_to = message.reply_to.as_deref().filter(|_| number == 0);
            match self.send_part(part, &outgoing, reply_to, entry.attempts).await? {
                Some(Ok(())) => outcome = EntryOutcome::Sent,
                Some(Err((code, why))) => {
                    failure = Some(why);
                    if code == WINDOW_CLOSED {
                        break;
                    }
                }
                None => {}
            }
        }
        failure.map_or(Ok(outcome), |why| Err(Halt::Dead(why)))
    }

    /// Tells of an edit in a new message, because the network has no edits.
    async fn send_edit(&self, entry: &Entry, id: MessageId, event: Option<EventMessage>) -> Result<EntryOutcome, Halt> {
        if !self.target.account.settings.sends_edits {
            return Ok(EntryOutcome::Nothing);
        }
        let Some(message) = self.load(id, event).await? else { return Ok(EntryOutcome::Nothing) };
        let original = relay::find_remote_id(self.db, self.recipient().id, id).await?;
        let Some(original) = original.filter(|_| !message.content.trim().is_empty()) else {
            return Ok(EntryOutcome::Nothing);
        };
        let outgoing = compose_edit(&message, self.target.account.settings.shows_names);
        let part = Part { chat: self.recipient().id, delivery: entry.id, message: id, number: 0, is_original: false };
        match self.send_part(part, &outgoing, Some(&original), entry.attempts).await? {
            Some(Err((_, why))) => Err(Halt::Dead(why)),
            _ => Ok(EntryOutcome::Sent),
        }
    }

    /// Sends one message of WhatsApp. `None` if it was sent before. An error is final.
    async fn send_part(
        &self,
        part: Part,
        outgoing: &Outgoing,
        reply_to: Option<&str>,
        attempts: i16,
    ) -> Result<Option<Result<(), (i64, String)>>, Halt> {
        match attempts::begin_attempt(self.db, part, None).await? {
            Attempt::Settled => return Ok(None),
            // Looked at again soon, because the status may come at any time.
            Attempt::Unknown(wait) => return Err(Halt::Pause { pause: wait.min(UNKNOWN_PAUSE), why: None }),
            Attempt::Send(_) => {}
        }
        if let Err(halt) = self.charge() {
            attempts::forget_attempt(self.db, part).await?;
            return Err(halt);
        }
        let sent = match self.post_part(part, outgoing, reply_to).await {
            Ok(response) => match response["messages"][0]["id"].as_str() {
                Some(remote_id) => {
                    attempts::set_sent(self.db, part, remote_id, None).await?;
                    return Ok(Some(Ok(())));
                }
                None => Err(GraphError::Unknown("the response has no id".into())),
            },
            Err(error) => Err(error),
        };
        match sent {
            Err(GraphError::Permanent { code, why }) => {
                attempts::set_failed(self.db, part, &why).await?;
                if code == WINDOW_CLOSED {
                    chats::close_window(self.db, self.recipient().id).await?;
                }
                Ok(Some(Err((code, why))))
            }
            Err(GraphError::Unknown(why)) if attempts + 1 >= MAX_UNKNOWN => {
                let why = format!("it is not known whether it arrived: {why}");
                attempts::set_failed(self.db, part, &why).await?;
                Ok(Some(Err((0, why))))
            }
            // The row stays: the next attempt waits for a status.
            Err(GraphError::Unknown(why)) => Err(Halt::Pause { pause: UNKNOWN_PAUSE, why: Some(why) }),
            Err(error) => {
                attempts::forget_attempt(self.db, part).await?;
                Err(Halt::from(error))
            }
            Ok(()) => Ok(Some(Ok(()))),
        }
    }

    async fn post_part(&self, part: Part, outgoing: &Outgoing, reply_to: Option<&str>) -> Result<Value, GraphError> {
        let media_id = match outgoing {
            Outgoing::Media { file, .. } => {
                let bytes = self.blobs.read(&file.blob_key, None).await;
                let missing = |_| GraphError::Permanent { code: 0, why: "the file is no longer stored".into() };
                let about = (file.filename.as_str(), file.mime_type.as_str(), file.size);
                let (token, phone) = (self.token, self.account.phone_number_id.as_str());
                Some(self.graph.upload(token, phone, about, bytes.map_err(missing)?).await?)
            }
            Outgoing::Text(_) | Outgoing::Template(_) => None,
        };
        let (kind, content) = outgoing.to_json(media_id.as_deref());
        let mut body = self.address();
        body["type"] = json!(kind);
        body[kind] = content;
        body["biz_opaque_callback_data"] = json!(write_reference(part.delivery, part.number));
        if let Some(reply_to) = reply_to {
            body["context"] = json!({ "message_id": reply_to });
        }
        self.post(&body).await
    }

    /// A request to the remote user, without its content.
    fn address(&self) -> Value {
        let recipient = self.recipient();
        let mut body = json!({ "messaging_product": "whatsapp", "recipient_type": "individual" });
        match &recipient.phone {
            Some(phone) => body["to"] = json!(phone),
            None => body["recipient"] = json!(recipient.remote_key),
        }
        body
    }

    /// Waits its turn, within the limits of the network.
    fn charge(&self) -> Result<(), Halt> {
        match self.limits.charge_remote_user(self.recipient()) {
            Some(pause) => Err(Halt::Pause { pause, why: None }),
            None => Ok(()),
        }
    }

    async fn post(&self, body: &Value) -> Result<Value, GraphError> {
        let path = format!("{}/messages", self.account.phone_number_id.as_str());
        self.graph.post(self.token, &path, body).await
    }

    /// Sends the last reaction of a member: the business has one reaction for all.
    async fn send_reaction(&self, id: MessageId, user: Option<UserId>) -> Result<EntryOutcome, Halt> {
        if user == Some(self.recipient().ghost_id) {
            return Ok(EntryOutcome::Nothing);
        }
        let remote_id = relay::find_remote_id(self.db, self.recipient().id, id).await?;
        let Some(remote_id) = remote_id else { return Ok(EntryOutcome::Nothing) };
        self.charge()?;
        let emoji = relay::find_last_reaction(self.db, id).await?.unwrap_or_default();
        let mut body = self.address();
        body["type"] = json!("reaction");
        body["reaction"] = json!({ "message_id": remote_id, "emoji": emoji });
        self.post(&body).await.map_err(Halt::from)?;
        Ok(EntryOutcome::Sent)
    }

    /// Tells the remote user that a member has read the remote user's messages.
    async fn send_read(&self, id: MessageId, reader: Option<UserId>) -> Result<EntryOutcome, Halt> {
        let account = &self.target.account;
        let tells = match account.settings.read_receipts {
            ReadReceipts::First => match reader {
                Some(reader) => relay::is_person(self.db, reader).await?,
                None => false,
            },
            ReadReceipts::Owner => reader == Some(account.owner_id),
            ReadReceipts::Never => false,
        };
        if !tells {
            return Ok(EntryOutcome::Nothing);
        }
        let last = relay::find_unacknowledged(self.db, self.recipient().id, id).await?;
        let Some((message, remote_id)) = last else { return Ok(EntryOutcome::Nothing) };
        let body = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": remote_id });
        self.post(&body).await.map_err(Halt::from)?;
        relay::set_acknowledged(self.db, self.recipient().id, message).await?;
        Ok(EntryOutcome::Sent)
    }
}
