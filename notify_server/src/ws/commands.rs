//! What a client may say on a WebSocket, and who does it: the same functions that
//! the API calls.

use crate::Notify;
use chat_core::{
    ChatId, Error, FileId, MessageId, Result, UserId,
    auth::Claims,
    chats::{self, ChatDraft, ChatType},
    members,
    messages::Draft,
    presence::{self, Status},
    receipts::{self, Kind},
    text::{ChatName, Content, Description, Nonce},
    web,
};
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The longest `ref` that is given back, in bytes.
const MAX_REFERENCE: usize = 128;

/// How many people's commands are counted before those who said nothing lately are
/// forgotten.
const MAX_COUNTED: usize = 50_000;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Received {
    #[serde(rename = "auth")]
    Auth { token: String, last_event_id: Option<String> },
    #[serde(rename = "message.send")]
    Send {
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
        #[serde(default = "group")]
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

fn group() -> ChatType {
    ChatType::Group
}

/// A command, and what its answer is to be known by.
pub(super) struct Frame {
    pub(super) reference: Option<Value>,
    pub(super) command: Result<Received>,
}

impl Frame {
    /// Reads one text message.
    pub(super) fn read(text: &str) -> Self {
        let mut object: Map<String, Value> = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Self::wrong(Error::Malformed("a command is a JSON object".into())),
            Err(error) => return Self::wrong(Error::Malformed(format!("a command is a JSON object: {error}"))),
        };
        let reference = object.remove("ref");
        if reference.as_ref().is_some_and(|reference| reference.to_string().len() > MAX_REFERENCE) {
            return Self::wrong(Error::invalid("ref", format!("a ref has at most {MAX_REFERENCE} bytes")));
        }
        let command = serde_json::from_value(Value::Object(object))
            .map_err(|error| Error::invalid("command", error.to_string().chars().take(300).collect::<String>()));
        Self { reference, command }
    }

    fn wrong(error: Error) -> Self {
        Self { reference: None, command: Err(error) }
    }
}

/// Does what a text message says; answers what is to be said of it.
pub(super) async fn answer(notify: &Notify, claims: Claims, text: &str) -> Value {
    let Frame { reference, command } = Frame::read(text);
    if notify.commands.len() > MAX_COUNTED {
        notify.commands.retain_recent();
    }
    let done = match command {
        Ok(Received::Ping {}) => return with_reference(json!({ "type": "pong" }), reference),
        // What cannot be read counts too: to try was work.
        _ if notify.commands.check_key(&claims.user_id).is_err() => Err(Error::TooMany),
        Ok(command) => perform(notify, claims.user_id, command).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(outcome) => ack(reference, outcome),
        Err(error) => refusal(reference, &error, &web::new_request_id()),
    }
}

/// Says that a command was done, and what came of it.
pub(super) fn ack(reference: Option<Value>, outcome: Value) -> Value {
    let mut ack = json!({ "type": "ack" });
    if let (Value::Object(ack), Value::Object(outcome)) = (&mut ack, outcome) {
        ack.extend(outcome);
    }
    with_reference(ack, reference)
}

/// Says why a command was not done.
pub(super) fn refusal(reference: Option<Value>, error: &Error, request_id: &HeaderValue) -> Value {
    let request_id = request_id.to_str().unwrap_or_default();
    web::log_fault(error, &Method::GET, "/ws", request_id);
    let problem = error.problem(request_id);
    let refusal = json!({ "type": "error", "code": problem.code, "message": problem.detail, "request_id": request_id });
    with_reference(refusal, reference)
}

fn with_reference(mut object: Value, reference: Option<Value>) -> Value {
    if let (Some(reference), Value::Object(object)) = (reference, &mut object) {
        object.insert("ref".into(), reference);
    }
    object
}

async fn perform(notify: &Notify, user: UserId, command: Received) -> Result<Value> {
    let Notify { db, writer, typists, whispers, .. } = notify;
    match command {
        Received::Send { chat_id, content, files, reply_to, nonce } => {
            let sent = writer.send(Draft { content, files, reply_to, nonce }.by(user, chat_id)?).await?;
            Ok(json!({ "message": sent.message }))
        }
        Received::Read { chat_id, message_id } => {
            Ok(json!({ "mark": receipts::mark(db, chat_id, user, Kind::Read, message_id).await? }))
        }
        Received::Delivered { chat_id, message_id } => {
            Ok(json!({ "mark": receipts::mark(db, chat_id, user, Kind::Delivered, message_id).await? }))
        }
        Received::TypingStart { chat_id } => typists.say(user, chat_id, true).await.map(|()| Value::Null),
        Received::TypingStop { chat_id } => typists.say(user, chat_id, false).await.map(|()| Value::Null),
        Received::Presence { status } => Ok(json!({ "presence": presence::set(db, whispers, user, status).await? })),
        Received::CreateChat { chat_type, name, description, members, user_id } => {
            let draft = ChatDraft { kind: chat_type, name, description, members, user_id };
            Ok(json!({ "chat": chats::create(db, user, draft.try_into()?).await?.chat }))
        }
        Received::Join { chat_id } => {
            members::join(db, chat_id, user).await?;
            Ok(json!({ "chat": chats::find(db, chat_id, user).await? }))
        }
        Received::Leave { chat_id } => members::leave(db, chat_id, user).await.map(|()| Value::Null),
        Received::Auth { .. } => {
            Err(Error::Conflict { code: "authenticated", detail: "this connection is signed in already" })
        }
        Received::Ping {} => Ok(Value::Null),
    }
}
