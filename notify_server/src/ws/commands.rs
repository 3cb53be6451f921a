//! The commands of a WebSocket client. They call the same functions as the API.

use crate::NotifyServer;
use chat_core::{
    ChatId, Error, FileId, MessageId, Result, UserId,
    audit::Client,
    auth::{Identity, LIMITED_TO_CHATS, Scope},
    chats::{self, ChatDraft, ChatType},
    ephemeral::Status,
    files, members,
    messages::MessageDraft,
    presence,
    receipts::{self, ReceiptKind},
    values::{ChatName, Content, Description, Nonce},
};
use chat_http::{
    extract::field_error,
    problem::{Problem, log_server_error},
    request_id::new_request_id,
};
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Maximum size of a `ref` that a reply repeats, in bytes.
const MAX_REFERENCE_BYTES: usize = 128;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Command {
    #[serde(rename = "auth")]
    Auth { token: String, last_event_id: Option<String> },
    #[serde(rename = "message.send")]
    SendMessage {
        chat_id: ChatId,
        content: Content,
        #[serde(default)]
        files: Vec<FileId>,
        reply_to: Option<MessageId>,
        nonce: Option<Nonce>,
    },
    #[serde(rename = "message.read")]
    Read { chat_id: ChatId, message_id: MessageId },
    #[serde(rename = "message.delivered")]
    Delivered { chat_id: ChatId, message_id: MessageId },
    #[serde(rename = "typing.start")]
    TypingStart { chat_id: ChatId },
    #[serde(rename = "typing.stop")]
    TypingStop { chat_id: ChatId },
    #[serde(rename = "presence.update")]
    Presence { status: Status },
    #[serde(rename = "chat.create")]
    CreateChat {
        #[serde(default = "default_chat_type")]
        chat_type: ChatType,
        name: Option<ChatName>,
        description: Option<Description>,
        #[serde(default)]
        members: Vec<UserId>,
        user_id: Option<UserId>,
    },
    #[serde(rename = "chat.join")]
    Join { chat_id: ChatId },
    #[serde(rename = "chat.leave")]
    Leave { chat_id: ChatId },
    #[serde(rename = "ping")]
    Ping {},
}

impl Command {
    /// The scope that an API token needs for the command.
    fn scope(&self) -> Option<Scope> {
        match self {
            Self::SendMessage { .. } => Some(Scope::MessagesWrite),
            Self::Read { .. } | Self::Delivered { .. } => Some(Scope::ReceiptsWrite),
            Self::TypingStart { .. } | Self::TypingStop { .. } | Self::Presence { .. } => Some(Scope::PresenceWrite),
            Self::CreateChat { .. } | Self::Join { .. } | Self::Leave { .. } => Some(Scope::ChatsWrite),
            Self::Auth { .. } | Self::Ping {} => None,
        }
    }

    /// The chat that the command concerns.
    fn chat(&self) -> Option<ChatId> {
        match self {
            Self::SendMessage { chat_id, .. }
            | Self::Read { chat_id, .. }
            | Self::Delivered { chat_id, .. }
            | Self::TypingStart { chat_id }
            | Self::TypingStop { chat_id }
            | Self::Join { chat_id }
            | Self::Leave { chat_id } => Some(*chat_id),
            Self::Presence { .. } | Self::CreateChat { .. } | Self::Auth { .. } | Self::Ping {} => None,
        }
    }

    /// Whether the command is rejected while the disk is almost full.
    fn needs_space(&self) -> bool {
        match self {
            Self::SendMessage { .. }
            | Self::Read { .. }
            | Self::Delivered { .. }
            | Self::Presence { .. }
            | Self::CreateChat { .. }
            | Self::Join { .. } => true,
            Self::Leave { .. } | Self::TypingStart { .. } | Self::TypingStop { .. } => false,
            Self::Auth { .. } | Self::Ping {} => false,
        }
    }
}

fn default_chat_type() -> ChatType {
    ChatType::Group
}

/// A command, and the `ref` that its reply repeats.
pub(super) struct Envelope {
    pub(super) reference: Option<Value>,
    pub(super) command: Result<Command>,
}

impl Envelope {
    /// Reads one text message.
    pub(super) fn parse(text: &str) -> Self {
        let mut object: Map<String, Value> = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Self::invalid(Error::Malformed("a command must be a JSON object".into())),
            Err(error) => return Self::invalid(Error::Malformed(format!("a command must be a JSON object: {error}"))),
        };
        let reference = object.remove("ref");
        if reference.as_ref().is_some_and(|reference| reference.to_string().len() > MAX_REFERENCE_BYTES) {
            return Self::invalid(Error::invalid(
                "ref",
                format!("a ref must have at most {MAX_REFERENCE_BYTES} bytes"),
            ));
        }
        let command = serde_json::from_value(Value::Object(object)).map_err(|error: serde_json::Error| {
            Error::Invalid(vec![field_error("command".into(), &error.to_string())])
        });
        Self { reference, command }
    }

    fn invalid(error: Error) -> Self {
        Self { reference: None, command: Err(error) }
    }
}

/// Runs the command in a text message and returns the reply.
pub(super) async fn handle(notify: &NotifyServer, identity: &Identity, client: &Client, text: &str) -> Value {
    let Envelope { reference, command } = Envelope::parse(text);
    let outcome = match command {
        Ok(Command::Ping {}) => return with_reference(json!({ "type": "pong" }), reference),
        // An invalid command also counts, because it had to be parsed.
        _ if notify.command_limiter.check_key(&identity.account_id).is_err() => Err(Error::TooManyRequests),
        Ok(command) => dispatch(notify, identity, command).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(outcome) => ack(reference, outcome),
        Err(error) => {
            if let Error::Forbidden(_) | Error::InsufficientScope(_) = error {
                notify.refusals.record(&notify.db, identity.claims.user_id, client, &describe(text)).await;
            }
            error_reply(reference, &error, &new_request_id())
        }
    }
}

/// Describes a refused command for the audit log, without its content.
fn describe(text: &str) -> String {
    let command: Value = serde_json::from_str(text).unwrap_or_default();
    let kind = command["type"].as_str().unwrap_or_default();
    match &command["chat_id"] {
        Value::Null => format!("WebSocket {kind}"),
        chat => format!("WebSocket {kind} in chat {chat}"),
    }
}

/// Returns the reply to a command that succeeded, with its result.
pub(super) fn ack(reference: Option<Value>, outcome: Value) -> Value {
    let mut ack = json!({ "type": "ack" });
    if let (Value::Object(ack), Value::Object(outcome)) = (&mut ack, outcome) {
        ack.extend(outcome);
    }
    with_reference(ack, reference)
}

/// Returns the reply to a command that failed, with its error.
pub(super) fn error_reply(reference: Option<Value>, error: &Error, request_id: &HeaderValue) -> Value {
    let request_id = request_id.to_str().unwrap_or_default();
    log_server_error(error, &Method::GET, "/ws", request_id);
    let problem = Problem::new(error, request_id);
    let error = json!({ "type": "error", "code": problem.code, "message": problem.detail, "request_id": request_id });
    with_reference(error, reference)
}

fn with_reference(mut object: Value, reference: Option<Value>) -> Value {
    if let (Some(reference), Value::Object(object)) = (reference, &mut object) {
        object.insert("ref".into(), reference);
    }
    object
}

async fn dispatch(notify: &NotifyServer, identity: &Identity, command: Command) -> Result<Value> {
    let (user, account) = (identity.claims.user_id, identity.account_id);
    let NotifyServer { db, writer, typing, ephemeral, rate_limiter, .. } = notify;
    if let (Some(grant), Some(scope)) = (&identity.grant, command.scope()) {
        grant.require(scope)?;
        // A token that opens streams can be limited only in the chats that it writes to.
        match command.chat() {
            Some(chat) if !grant.allows(scope, chat) => return Err(Error::NotFound("chat")),
            None if grant.chats(scope).is_some() => return Err(LIMITED_TO_CHATS),
            _ => {}
        }
        if let (Command::SendMessage { files, .. }, Some(chats)) = (&command, grant.chats(scope)) {
            files::require_in_chats(db, user, files, chats).await?;
        }
    }
    if writer.is_storage_low() && command.needs_space() {
        return Err(Error::InsufficientStorage);
    }
    match command {
        Command::SendMessage { chat_id, content, files, reply_to, nonce } => {
            rate_limiter.charge_content(account, content.as_str())?;
            let outcome =
                writer.send(MessageDraft { content, files, reply_to, nonce }.into_new_message(user, chat_id)?).await?;
            Ok(json!({ "message": outcome.message }))
        }
        Command::Read { chat_id, message_id } => {
            Ok(json!({ "mark": receipts::advance(db, chat_id, user, ReceiptKind::Read, message_id).await? }))
        }
        Command::Delivered { chat_id, message_id } => {
            Ok(json!({ "mark": receipts::advance(db, chat_id, user, ReceiptKind::Delivered, message_id).await? }))
        }
        Command::TypingStart { chat_id } => typing.notify(user, chat_id, true).await.map(|()| Value::Null),
        Command::TypingStop { chat_id } => typing.notify(user, chat_id, false).await.map(|()| Value::Null),
        Command::Presence { status } => {
            Ok(json!({ "presence": presence::set_status(db, ephemeral, user, status).await? }))
        }
        Command::CreateChat { chat_type, name, description, members, user_id } => {
            rate_limiter.charge_members(account, members.len())?;
            let draft = ChatDraft { kind: chat_type, name, description, members, user_id };
            rate_limiter.charge_text(account, draft.text_bytes())?;
            Ok(json!({ "chat": chats::create(db, user, draft.try_into()?).await?.chat }))
        }
        Command::Join { chat_id } => {
            members::join(db, chat_id, user).await?;
            Ok(json!({ "chat": chats::get(db, chat_id, user).await? }))
        }
        Command::Leave { chat_id } => members::leave(db, chat_id, user).await.map(|()| Value::Null),
        Command::Auth { .. } => {
            Err(Error::Conflict { code: "authenticated", detail: "this connection is already authenticated" })
        }
        Command::Ping {} => Ok(Value::Null),
    }
}
