//! Applies what happened in the spaces of Google Chat: messages become messages of ghosts.

use super::{
    account::read_space,
    api::{GoogleApi, GoogleError},
    incoming::{Attachment, IncomingMessage, Item, ItemContent, RemotePerson, Source, parse},
};
use crate::bridges::receiving::{ApplyItems, Problem, ReceivedFile, ReceivedMessage, Receiver, is_notice, to_content};
use chat_core::{
    Error, FileId, MessageId, UserId,
    bridges::{
        BridgeChat, EventAccess, ServiceAccountKey,
        chats::{self, RemoteUser},
        ghosts::{self, SpaceSender},
        relay, spaces,
    },
    files::NewFile,
    messages::{self, MessageAuthor, MessageExtra},
    values::Emoji,
};
use std::time::{Duration, Instant};

/// After this time no other file of a message is loaded. Together with the time limit of a file it is
/// shorter than the lease of the inbox.
const FILES_TIME: Duration = Duration::from_secs(20);

/// What processing needs.
pub(crate) struct ReceiveContext<'a> {
    pub(crate) receiver: Receiver<'a>,
    pub(crate) api: &'a GoogleApi,
    pub(crate) key: &'a ServiceAccountKey,
}

impl ApplyItems for ReceiveContext<'_> {
    type Item = Item;

    fn parse(&self, body: &[u8]) -> Result<Vec<Item>, String> {
        parse(body)
    }

    async fn apply(&self, item: Item, age: Duration) -> Result<(), Problem> {
        let Receiver { db, account, .. } = self.receiver;
        let known = spaces::find(db, account.id, &item.space.name).await?;
        let since = item.at - spaces::START_MARGIN;
        if item.source == Source::List {
            // The chat may have been disconnected meanwhile.
            return match known {
                Some(chat) => self.apply_content(&chat, &item, age).await,
                None => Ok(()),
            };
        }
        let person = match &item.content {
            ItemContent::Message(message) => Some(&message.sender),
            ItemContent::Added(person) => Some(person),
            _ => None,
        };
        let chat = match (known, person) {
            (Some(chat), _) => chat,
            (None, Some(person)) if !person.is_app => self.connect(&item, person).await?,
            (None, _) => return Ok(()),
        };
        // If the app may read all, the list of events has it too, in order.
        if !matches!(chat.event_access, Some(EventAccess::Everything | EventAccess::Messages))
            || !is_listed(&item.content)
        {
            self.apply_content(&chat, &item, age).await?;
        }
        spaces::request_read(db, chat.id, since).await?;
        Ok(())
    }
}

impl ReceiveContext<'_> {
    /// Connects a space that the bridge did not know.
    async fn connect(&self, item: &Item, person: &RemotePerson) -> Result<BridgeChat, Problem> {
        let Receiver { db, account, limits, .. } = self.receiver;
        limits.wait_to_receive(account.owner_id).await;
        // As Google describes it to this app: not every webhook tells of what kind the space is.
        let found = self.api.get(self.key, &item.space.name, &[]).await.map_err(Problem::from)?;
        let space = read_space(&found).ok_or_else(|| Problem::Final("the space has no name".into()))?;
        let name = match space.is_direct {
            true => person.name.clone(),
            false => space.title.clone(),
        };
        let remote = RemoteUser { key: space.name.clone(), phone: None, name, is_space: !space.is_direct };
        Ok(chats::find_or_create(db, account, &remote).await?)
    }

    async fn apply_content(&self, chat: &BridgeChat, item: &Item, age: Duration) -> Result<(), Problem> {
        let db = self.receiver.db;
        match &item.content {
            ItemContent::Message(message) => self.apply_message(chat, message, age).await,
            ItemContent::Deletion(name) => {
                let Some(original) = relay::find_incoming(db, chat.id, name).await? else { return Ok(()) };
                let Some(sender) = original.sender_id else { return Ok(()) };
                ignore_missing(messages::delete(db, sender, original.id).await)
            }
            ItemContent::Reaction { message, person, emoji, is_added } if !person.is_app => {
                let Some(id) = relay::find_by_remote_id(db, chat.id, message).await? else { return Ok(()) };
                // Somebody without a ghost has no reaction to take back.
                if !is_added && !ghosts::has_ghost(db, chat, &person.key).await? {
                    return Ok(());
                }
                match self.find_sender(chat, person).await? {
                    Some(sender) => self.react(&sender, id, emoji, *is_added).await,
                    None => Ok(()),
                }
            }
            ItemContent::Added(_) => Ok(spaces::set_added(db, chat.id).await?),
            ItemContent::Removed => Ok(spaces::set_removed(db, chat.id).await?),
            ItemContent::Reaction { .. } | ItemContent::Other => Ok(()),
        }
    }

    async fn apply_message(&self, chat: &BridgeChat, message: &IncomingMessage, age: Duration) -> Result<(), Problem> {
        let Receiver { db, account, limits, .. } = self.receiver;
        // Messages of apps are not relayed, this one's included, so that no loop can begin.
        if message.sender.is_app {
            return Ok(());
        }
        if let Some(original) = relay::find_incoming(db, chat.id, &message.name).await? {
            return self.edit(&original, message).await;
        }
        // It may have been deleted here.
        if relay::is_stored(db, account.id, &message.name).await? {
            return Ok(());
        }
        limits.wait_to_receive(account.owner_id).await;
        let Some(SpaceSender { ghost_id, author }) = self.find_sender(chat, &message.sender).await? else {
            // Banned from the chat.
            return Ok(());
        };
        let (text, files) = self.receive_files(ghost_id, message, age).await?;
        let received = ReceivedMessage {
            sender_id: ghost_id,
            remote_id: &message.name,
            remote_thread: message.thread.as_deref(),
            reply_to: self.find_replied(chat, message).await?,
            text,
            files,
            extra: author.map(|name| MessageExtra {
                author: Some(MessageAuthor { name, avatar_url: None }),
                ..MessageExtra::default()
            }),
        };
        self.receiver.store(chat, received).await
    }

    /// Changes the text of a message. The list of events has the newest version with every event, so
    /// most have been applied before.
    async fn edit(&self, original: &relay::IncomingOriginal, message: &IncomingMessage) -> Result<(), Problem> {
        let Some(sender) = original.sender_id else { return Ok(()) };
        // What the message says of files that were not loaded stays.
        let notices = original.content.lines().filter(|line| is_notice(line)).map(str::to_owned);
        let text = [message.text.clone()].into_iter().chain(notices).collect::<Vec<_>>().join("\n");
        let content = to_content(text.trim().to_owned())?;
        if original.content == content.as_str() {
            return Ok(());
        }
        ignore_missing(messages::update(self.receiver.db, sender, original.id, &content, false).await.map(|_| ()))
    }

    /// The message to which a message replies: the one that it quotes, or the first of its thread.
    async fn find_replied(&self, chat: &BridgeChat, message: &IncomingMessage) -> Result<Option<MessageId>, Problem> {
        let db = self.receiver.db;
        if let Some(quoted) = &message.quotes
            && let Some(id) = relay::find_by_remote_id(db, chat.id, quoted).await?
        {
            return Ok(Some(id));
        }
        match &message.thread {
            Some(thread) if message.is_reply => Ok(relay::find_thread_start(db, chat.id, thread).await?),
            _ => Ok(None),
        }
    }

    /// Finds the ghost of a person; `None` if the person is banned. Most events contain the name; otherwise it
    /// is looked up.
    async fn find_sender(&self, chat: &BridgeChat, person: &RemotePerson) -> Result<Option<SpaceSender>, Problem> {
        let Receiver { db, account, .. } = self.receiver;
        let mut name = person.name.clone();
        if name.is_none() && chat.is_space && !ghosts::has_ghost(db, chat, &person.key).await? {
            let id = person.key.strip_prefix("users/").unwrap_or_default();
            if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let path = format!("{}/members/{id}", chat.remote_key);
                name = match self.api.get(self.key, &path, &[]).await {
                    Ok(member) => member["member"]["displayName"].as_str().map(str::to_owned),
                    Err(GoogleError::Refused { .. }) => None,
                    Err(error) => return Err(error.into()),
                };
            }
        }
        Ok(ghosts::find_or_create_sender(db, account, chat, &person.key, name.as_deref()).await?)
    }

    async fn react(&self, sender: &SpaceSender, id: MessageId, emoji: &str, is_added: bool) -> Result<(), Problem> {
        let Ok(emoji) = Emoji::try_from(emoji.to_owned()) else { return Ok(()) };
        let db = self.receiver.db;
        match is_added {
            true => ignore_missing(messages::add_reaction(db, sender.ghost_id, id, &emoji).await.map(|_| ())),
            false => ignore_missing(messages::remove_reaction(db, sender.ghost_id, id, &emoji).await.map(|_| ())),
        }
    }

    /// Loads the files of a message. Of those that cannot be loaded, the text says so. If one is to be tried
    /// again, none is kept.
    async fn receive_files(
        &self,
        uploader: UserId,
        message: &IncomingMessage,
        age: Duration,
    ) -> Result<(String, Vec<FileId>), Problem> {
        let started_at = Instant::now();
        let (mut lines, mut loaded) = (vec![message.text.clone()], Vec::new());
        for attachment in &message.attachments {
            let file = ReceivedFile { kind: "file", filename: &attachment.filename, sha256: None };
            let one = match started_at.elapsed() > FILES_TIME {
                true => Err(Problem::Temporary("the files take too long".into())),
                false => self.load_file(uploader, attachment, &file).await,
            };
            match self.receiver.settle_file(one, &file, age) {
                Ok(Ok(file)) => loaded.push(file),
                Ok(Err(notice)) => lines.push(notice),
                Err(problem) => {
                    self.receiver.files.discard(loaded).await;
                    return Err(problem);
                }
            }
        }
        let files = self.receiver.register_files(uploader, loaded).await?;
        Ok((lines.join("\n").trim().to_owned(), files))
    }

    async fn load_file(
        &self,
        uploader: UserId,
        attachment: &Attachment,
        file: &ReceivedFile<'_>,
    ) -> Result<NewFile, Problem> {
        let resource = attachment.resource.as_deref();
        let resource = resource.ok_or_else(|| Problem::Final("the file cannot be loaded by an app".into()))?;
        let max_bytes = self.receiver.max_file_bytes(uploader, None).await?;
        let opened = self.api.open_file(self.key, resource).await.map_err(Problem::from)?;
        self.receiver.load_file(uploader, opened, file, max_bytes).await
    }
}

/// Whether the list of events of a space contains this too.
fn is_listed(content: &ItemContent) -> bool {
    !matches!(content, ItemContent::Added(_) | ItemContent::Removed)
}

/// The message may be gone, or the person may not be a member any more.
fn ignore_missing(result: Result<(), Error>) -> Result<(), Problem> {
    match result {
        Ok(()) | Err(Error::NotFound(_) | Error::Forbidden(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
