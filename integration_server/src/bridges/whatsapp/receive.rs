//! Applies what WhatsApp sent: messages become messages of ghosts, statuses become states and
//! receipts.

use super::{
    graph::{self, Graph, GraphError, WINDOW_CLOSED},
    incoming::{IncomingContent, IncomingMedia, IncomingMessage, Item, parse},
};
use crate::bridges::receiving::{ApplyItems, Problem, ReceivedFile, ReceivedMessage, Receiver, to_content};
use chat_core::{
    Error, FileId, MessageId, UserId,
    bridges::{
        self, BridgeChat, RelayState, WhatsappSettings, chats, relay,
        statuses::{self, Status},
    },
    files::NewFile,
    messages::{self, MessageExtra},
    values::Emoji,
};
use std::time::Duration;

/// What processing needs.
pub(crate) struct ReceiveContext<'a> {
    pub(crate) receiver: Receiver<'a>,
    pub(crate) graph: &'a Graph,
    pub(crate) settings: &'a WhatsappSettings,
    pub(crate) token: &'a str,
}

impl ApplyItems for ReceiveContext<'_> {
    type Item = Item;

    fn parse(&self, body: &[u8]) -> Result<Vec<Item>, String> {
        parse(body, self.settings.phone_number_id.as_str())
    }

    async fn apply(&self, item: Item, age: Duration) -> Result<(), Problem> {
        match item {
            Item::Message(message) => self.apply_message(&message, age).await,
            Item::Status { status, error_code, .. } => self.apply_status(&status, error_code).await,
        }
    }
}

impl ReceiveContext<'_> {
    async fn apply_status(&self, status: &Status, error_code: i64) -> Result<(), Problem> {
        let Some(target) = statuses::apply_status(self.receiver.db, self.receiver.account.id, status).await? else {
            return Ok(());
        };
        match status.state {
            RelayState::Delivered | RelayState::Read => {
                let is_read = status.state == RelayState::Read;
                match statuses::advance_receipt(self.receiver.db, target, is_read).await {
                    // The remote user has left the chat, or the message is gone.
                    Err(Error::NotFound(_) | Error::Invalid(_)) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            RelayState::Failed if graph::is_account_error(error_code) => {
                let detail = status.error.as_deref().unwrap_or("the network refuses the account");
                bridges::stop(self.receiver.db, self.receiver.account, detail).await?;
            }
            RelayState::Failed if error_code == WINDOW_CLOSED => {
                chats::close_window(self.receiver.db, target.bridge_chat_id).await?
            }
            RelayState::Failed | RelayState::Sent => {}
        }
        Ok(())
    }

    async fn apply_message(&self, message: &IncomingMessage, age: Duration) -> Result<(), Problem> {
        // A message that is known costs nothing, so that an inbox that is processed again gets further.
        if relay::is_stored(self.receiver.db, self.receiver.account.id, &message.id).await? {
            return Ok(());
        }
        self.receiver.limits.wait_to_receive(self.receiver.account.owner_id).await;
        let chat = chats::find_or_create(self.receiver.db, self.receiver.account, &message.remote_user).await?;
        if !message.is_echo {
            chats::extend_window(self.receiver.db, chat.id, relay::compute_window_end(message.at)).await?;
        }
        let sender = if message.is_echo { self.receiver.account.owner_id } else { chat.ghost_id };
        match &message.content {
            IncomingContent::Text(text) => {
                self.store(&chat, sender, message, text.clone(), Vec::new()).await?;
            }
            IncomingContent::Media(media) => {
                // A file of a message that is known is not loaded again.
                if relay::find_by_remote_id(self.receiver.db, chat.id, &message.id).await?.is_none() {
                    let (text, files) = self.receive_file(sender, media, age).await?;
                    self.store(&chat, sender, message, text, files).await?;
                }
            }
            IncomingContent::Reaction { to, emoji } => {
                if let Some(id) = relay::find_by_remote_id(self.receiver.db, chat.id, to).await? {
                    self.react(sender, id, emoji.as_deref()).await?;
                }
            }
            IncomingContent::Edit { of, text } => {
                if let Some(id) = relay::find_by_remote_id(self.receiver.db, chat.id, of).await? {
                    messages::update(self.receiver.db, sender, id, &to_content(text.clone())?, false).await?;
                }
            }
            IncomingContent::Deletion { of } => {
                if let Some(id) = relay::find_by_remote_id(self.receiver.db, chat.id, of).await? {
                    messages::delete(self.receiver.db, sender, id).await?;
                }
            }
            IncomingContent::Moved { key, phone } => {
                chats::set_key(self.receiver.db, chat.id, key, phone.as_deref()).await?;
            }
        }
        Ok(())
    }

    async fn store(
        &self,
        chat: &BridgeChat,
        sender_id: UserId,
        message: &IncomingMessage,
        text: String,
        files: Vec<FileId>,
    ) -> Result<(), Problem> {
        let Receiver { db, account, .. } = self.receiver;
        let reply_to = match &message.reply_to {
            Some(remote_id) => relay::find_by_remote_id(db, chat.id, remote_id).await?,
            None => None,
        };
        let origin = message.is_echo.then_some(account.id);
        let extra = origin.map(|bridge| MessageExtra { origin: Some(bridge), ..MessageExtra::default() });
        let remote_id = &message.id;
        let received = ReceivedMessage { sender_id, remote_id, remote_thread: None, reply_to, text, files, extra };
        self.receiver.store(chat, received).await
    }

    async fn react(&self, user: UserId, id: MessageId, emoji: Option<&str>) -> Result<(), Problem> {
        let emoji = emoji.map(|emoji| Emoji::try_from(emoji.to_owned())).transpose().map_err(Problem::Final)?;
        // A remote user has one reaction to a message.
        for old in relay::list_reactions(self.receiver.db, id, user).await? {
            if emoji.as_ref().is_none_or(|emoji| emoji.as_str() != old) {
                let old = Emoji::try_from(old).map_err(Problem::Final)?;
                messages::remove_reaction(self.receiver.db, user, id, &old).await?;
            }
        }
        if let Some(emoji) = emoji {
            messages::add_reaction(self.receiver.db, user, id, &emoji).await?;
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
        let file = ReceivedFile { kind: &media.kind, filename: &media.filename, sha256: None };
        match self.receiver.settle_file(self.load_file(uploader, media).await, &file, age)? {
            Ok(file) => Ok((media.caption.clone(), self.receiver.register_files(uploader, vec![file]).await?)),
            Err(notice) => Ok((format!("{}\n{notice}", media.caption).trim().to_owned(), Vec::new())),
        }
    }

    async fn load_file(&self, uploader: UserId, media: &IncomingMedia) -> Result<NewFile, Problem> {
        let found = self.graph.find_media(self.token, &media.id).await.map_err(Problem::from)?;
        let max_bytes = self.receiver.max_file_bytes(uploader, found.size).await?;
        let opened = self.graph.download(self.token, &found).await.map_err(Problem::from)?;
        let sha256 = media.sha256.as_deref().or(found.sha256.as_deref());
        let file = ReceivedFile { kind: &media.kind, filename: &media.filename, sha256 };
        self.receiver.load_file(uploader, opened, &file, max_bytes).await
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
