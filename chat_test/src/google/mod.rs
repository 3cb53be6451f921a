//! A stand-in of Google for Google Chat: access tokens, spaces with their messages and events, and public
//! keys. It signs what Google would send, and misbehaves on command. The program `google_api` runs it for
//! people who try a bridge: its routes below `/person` play a person in a space.

mod fcm;
mod keys;
mod routes;

use crate::DEADLINE;
use axum::body::Bytes;
use chat_core::time::now;
use chrono::{DateTime, SecondsFormat, Utc};
use keys::SigningKey;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};
use uuid::Uuid;

/// The service account of the app.
pub const SERVICE_ACCOUNT: &str = "confab-bridge@corner-shop.iam.gserviceaccount.com";

/// The number of the project of the app.
pub const PROJECT_NUMBER: &str = "123456789012";

/// The service account of Google Chat, which signs tokens for the number of the project.
pub const CHAT_ACCOUNT: &str = "chat@system.gserviceaccount.com";

/// A space with several people.
pub const SPACE: &str = "spaces/AAAAplans";

/// A direct message of Eve and the app.
pub const DIRECT_SPACE: &str = "spaces/BBBBdirect";

/// The shortest time between two writes in a space. A little less than the second of Google, because
/// the requests take different times.
const WRITE_PERIOD: Duration = Duration::from_millis(900);

/// Maximum number of requests that a test has not looked at yet.
const MAX_WRITES: usize = 100_000;

/// How the stand-in answers a request to create a message.
#[derive(Debug, Clone)]
pub enum GoogleReply {
    /// With this status and this reason, and without creating the message.
    Error(u16, &'static str),
    /// It creates the message, and sends half of the response.
    AcceptAndCut,
    /// It creates the message, and answers 502.
    AcceptAndFail,
}

/// What the app may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approved {
    /// Messages and reactions.
    Everything,
    /// Messages.
    Messages,
    /// Nothing that is not addressed to it.
    Nothing,
}

/// A person at Google Chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GooglePerson {
    /// The name in the API.
    pub key: String,
    /// The name that people see.
    pub name: String,
}

impl GooglePerson {
    /// A person with this name.
    pub fn new(name: &str) -> Self {
        let number: u32 = name.bytes().fold(7, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        Self { key: format!("users/1{number:011}"), name: name.into() }
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.key, "displayName": self.name, "type": "HUMAN", "domainId": "shop" })
    }
}

/// A write of the app.
#[derive(Debug, Clone)]
pub struct GoogleWrite {
    /// `create`, `update` or `delete`.
    pub kind: &'static str,
    /// The message as it is now.
    pub message: Value,
}

impl GoogleWrite {
    /// The text.
    pub fn text(&self) -> &str {
        self.message["text"].as_str().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Space {
    title: Option<&'static str>,
    kind: &'static str,
    messages: Vec<Value>,
    /// The messages that the app created, by the id of the request.
    requests: HashMap<String, String>,
    events: Vec<Value>,
    last_write: Option<Instant>,
}

struct Shared {
    account: SigningKey,
    google: Mutex<Vec<SigningKey>>,
    writes: mpsc::Sender<GoogleWrite>,
    pushes: mpsc::Sender<Value>,
    state: Mutex<ApiState>,
}

struct ApiState {
    spaces: HashMap<String, Space>,
    replies: VecDeque<GoogleReply>,
    /// The access tokens that were issued, with their scope.
    tokens: HashMap<String, String>,
    approved: Approved,
    /// How pushes to devices are answered.
    push_answers: HashMap<String, (u16, &'static str)>,
    files: HashMap<String, Bytes>,
    file_failures: usize,
    write_period: Duration,
    /// Writes that came faster than Google allows.
    too_fast: usize,
    /// Whether the list of events fails.
    is_list_down: bool,
    /// Whether changes of messages are refused, as if the app was not in the space.
    are_changes_refused: bool,
    /// Whether the service account is refused.
    is_account_refused: bool,
    /// Files that cannot be loaded.
    broken_files: HashSet<String>,
    /// How often the list of events failed.
    failed_lists: usize,
    count: usize,
    /// Begins all ids, so that those of another run are others.
    run: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, ApiState> {
        self.state.lock().expect("the state")
    }
}

impl ApiState {
    fn next_id(&mut self) -> String {
        self.count += 1;
        format!("{}{:06}", self.run, self.count)
    }

    fn add_event(&mut self, space: &str, kind: &str, field: &str, data: Value) {
        let id = self.next_id();
        let at = now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let event = json!({ "name": format!("{space}/spaceEvents/{id}"), "eventTime": at,
                            "eventType": format!("google.workspace.chat.{kind}"), field: data });
        self.spaces.get_mut(space).expect("a space").events.push(event);
    }

    /// A person writes a message with these fields.
    fn add_message(&mut self, space: &str, person: &GooglePerson, fields: &Value) -> Value {
        let id = self.next_id();
        let mut message = new_message(space, &id, person.to_json());
        for (field, value) in fields.as_object().expect("fields") {
            message[field] = value.clone();
        }
        self.spaces.get_mut(space).expect("a space").messages.push(message.clone());
        self.add_event(space, "message.v1.created", "messageCreatedEventData", json!({ "message": message }));
        message
    }

    fn message_mut(&mut self, name: &str) -> Option<&mut Value> {
        let space = space_of(name);
        self.spaces.get_mut(&space)?.messages.iter_mut().find(|message| is_named(message, name))
    }
}

fn space_of(name: &str) -> String {
    name.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")
}

/// Whether a message has this name, with its own id or with that which the app chose.
fn is_named(message: &Value, name: &str) -> bool {
    let id = name.rsplit('/').next().unwrap_or_default();
    message["name"] == name || message["clientAssignedMessageId"] == id
}

/// The stand-in, on a port of its own.
pub struct Google {
    /// Its URL.
    pub url: String,
    shared: Arc<Shared>,
    writes: mpsc::Receiver<GoogleWrite>,
    pushes: mpsc::Receiver<Value>,
    server: JoinHandle<()>,
}

impl Google {
    /// Starts the stand-in.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", None).await
    }

    /// Starts the stand-in at an address, with the service account of this key file if there is one.
    pub async fn start_at(address: &str, key_file: Option<&str>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let space = |title, kind| Space {
            title,
            kind,
            messages: Vec::new(),
            requests: HashMap::new(),
            events: Vec::new(),
            last_write: None,
        };
        let spaces = HashMap::from([
            (SPACE.to_owned(), space(Some("Plans"), "SPACE")),
            (DIRECT_SPACE.to_owned(), space(None, "DIRECT_MESSAGE")),
        ]);
        let (sender, writes) = mpsc::channel(MAX_WRITES);
        let (push_sender, pushes) = mpsc::channel(MAX_WRITES);
        let shared = Arc::new(Shared {
            account: match key_file {
                Some(text) => SigningKey::read(text),
                None => SigningKey::generate(&Uuid::new_v4().to_string()),
            },
            google: Mutex::new(vec![SigningKey::generate(&Uuid::new_v4().to_string())]),
            writes: sender,
            pushes: push_sender,
            state: Mutex::new(ApiState {
                spaces,
                replies: VecDeque::new(),
                tokens: HashMap::new(),
                approved: Approved::Everything,
                push_answers: HashMap::new(),
                files: HashMap::new(),
                file_failures: 0,
                write_period: WRITE_PERIOD,
                too_fast: 0,
                is_list_down: false,
                are_changes_refused: false,
                is_account_refused: false,
                broken_files: HashSet::new(),
                failed_lists: 0,
                count: 0,
                run: format!("{:x}", now().timestamp()),
            }),
        });
        let router = routes::router(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { url, shared, writes, pushes, server }
    }

    /// The key file of the service account.
    pub fn key_file(&self) -> String {
        json!({ "type": "service_account", "project_id": "corner-shop", "client_email": SERVICE_ACCOUNT,
                "private_key_id": self.shared.account.id, "private_key": self.shared.account.pem,
                "token_uri": "https://oauth2.googleapis.com/token" })
        .to_string()
    }

    /// Answers the next requests to create a message like this, then as usual.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = GoogleReply>) {
        self.shared.state().replies.extend(replies);
    }

    /// Lets the app read this much.
    pub fn approve(&self, approved: Approved) {
        self.shared.state().approved = approved;
    }

    /// Makes the list of events fail, or work again.
    pub fn set_list_down(&self, is_down: bool) {
        self.shared.state().is_list_down = is_down;
    }

    /// Refuses the service account and all its tokens, or accepts it again.
    pub fn refuse_account(&self, is_refused: bool) {
        let mut state = self.shared.state();
        state.is_account_refused = is_refused;
        state.tokens.clear();
    }

    /// Refuses changes of messages, as if the app was not in the space, or accepts them again.
    pub fn refuse_changes(&self, are_refused: bool) {
        self.shared.state().are_changes_refused = are_refused;
    }

    /// Revokes all access tokens.
    pub fn revoke_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Accepts any number of writes in a second.
    pub fn allow_fast_writes(&self) {
        self.shared.state().write_period = Duration::ZERO;
    }

    /// Fails the next downloads of files.
    pub fn fail_downloads(&self, count: usize) {
        self.shared.state().file_failures = count;
    }

    /// How many writes came faster than Google allows.
    pub fn too_fast(&self) -> usize {
        self.shared.state().too_fast
    }

    /// Signs with another key from now on.
    pub fn rotate_keys(&self) {
        let mut keys = self.shared.google.lock().expect("the keys");
        keys.push(SigningKey::generate(&Uuid::new_v4().to_string()));
    }

    /// Returns the next write of the app.
    pub async fn next(&mut self) -> GoogleWrite {
        timeout(DEADLINE, self.writes.recv()).await.expect("a write in time").expect("a write")
    }

    /// Returns the messages of a space, oldest first, with those that were deleted.
    pub fn messages(&self, space: &str) -> Vec<Value> {
        self.shared.state().spaces[space].messages.clone()
    }

    /// Returns the texts of the messages of the app in a space, oldest first.
    pub fn app_texts(&self, space: &str) -> Vec<String> {
        let is_of_app = |message: &&Value| message["sender"]["type"] == "BOT" && message["deleteTime"].is_null();
        let messages = self.messages(space);
        let texts = messages.iter().filter(is_of_app).map(|message| message["text"].as_str().unwrap_or_default());
        texts.map(str::to_owned).collect()
    }

    /// A person writes a message, which the list of events tells. Returns the message.
    pub fn write(&self, space: &str, person: &GooglePerson, text: &str) -> Value {
        self.write_with(space, person, json!({ "text": text, "formattedText": text }))
    }

    /// A person writes a message with these fields.
    pub fn write_with(&self, space: &str, person: &GooglePerson, fields: Value) -> Value {
        self.shared.state().add_message(space, person, &fields)
    }

    /// A person changes a message.
    pub fn edit(&self, message: &Value, text: &str) {
        let mut state = self.shared.state();
        let name = message["name"].as_str().expect("a name");
        let stored = state.message_mut(name).expect("a message");
        (stored["text"], stored["formattedText"]) = (json!(text), json!(text));
        let stored = stored.clone();
        let data = json!({ "message": stored });
        state.add_event(&space_of(name), "message.v1.updated", "messageUpdatedEventData", data);
    }

    /// A person deletes a message.
    pub fn delete(&self, message: &Value) {
        let mut state = self.shared.state();
        let name = message["name"].as_str().expect("a name");
        state.message_mut(name).expect("a message")["deleteTime"] = json!("2026-01-01T00:00:00Z");
        let data = json!({ "message": { "name": name, "deleteTime": "2026-01-01T00:00:00Z" } });
        state.add_event(&space_of(name), "message.v1.deleted", "messageDeletedEventData", data);
    }

    /// A person reacts to a message, or takes the reaction back.
    pub fn react(&self, message: &Value, person: &GooglePerson, emoji: &str, is_added: bool) {
        let name = message["name"].as_str().expect("a name");
        let (kind, field) = match is_added {
            true => ("reaction.v1.created", "reactionCreatedEventData"),
            false => ("reaction.v1.deleted", "reactionDeletedEventData"),
        };
        let reaction = json!({ "name": format!("{name}/reactions/1"), "user": person.to_json(),
                               "emoji": { "unicode": emoji } });
        self.shared.state().add_event(&space_of(name), kind, field, json!({ "reaction": reaction }));
    }

    /// Stores a file of a person, and returns it as an attachment of a message.
    pub fn add_file(&self, filename: &str, bytes: impl Into<Bytes>) -> Value {
        let mut state = self.shared.state();
        let resource = format!("file{}", state.next_id());
        state.files.insert(resource.clone(), bytes.into());
        json!({ "name": format!("{SPACE}/messages/x/attachments/y"), "contentName": filename,
                "source": "UPLOADED_CONTENT", "attachmentDataRef": { "resourceName": resource } })
    }

    /// Stores a file of a person that cannot be loaded, and returns it as an attachment.
    pub fn add_broken_file(&self, filename: &str) -> Value {
        let attachment = self.add_file(filename, "");
        let resource = attachment["attachmentDataRef"]["resourceName"].as_str().expect("a name").to_owned();
        self.shared.state().broken_files.insert(resource);
        attachment
    }

    /// How often the list of events failed.
    pub fn failed_lists(&self) -> usize {
        self.shared.state().failed_lists
    }

    /// A person writes a message at a time of the clock of Google.
    pub fn write_at(&self, space: &str, person: &GooglePerson, text: &str, at: DateTime<Utc>) {
        self.write(space, person, text);
        let mut state = self.shared.state();
        let event = state.spaces.get_mut(space).expect("a space").events.last_mut().expect("an event");
        event["eventTime"] = json!(at.to_rfc3339_opts(SecondsFormat::Micros, true));
    }

    /// A token that Google signs with its newest key.
    pub fn sign(&self, claims: &Value) -> String {
        self.shared.google.lock().expect("the keys").last().expect("a key").sign(claims)
    }

    /// A token that Google would send for the number of the project.
    pub fn project_token(&self) -> String {
        self.sign(&claims(CHAT_ACCOUNT, PROJECT_NUMBER))
    }
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Google({})", self.url)
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The claims of a token of this issuer, for an hour.
pub fn claims(issuer: &str, audience: &str) -> Value {
    let at = now().timestamp();
    json!({ "iss": issuer, "aud": audience, "iat": at, "exp": at + 3600 })
}

/// An event of the app, in its first form.
pub fn app_event(kind: &str, space: &str, message: &Value, person: &GooglePerson) -> Value {
    let (title, space_type) = if space == DIRECT_SPACE { (None, "DIRECT_MESSAGE") } else { (Some("Plans"), "SPACE") };
    json!({ "type": kind, "eventTime": now().to_rfc3339(), "user": person.to_json(), "message": message,
            "space": { "name": space, "displayName": title, "spaceType": space_type } })
}

fn new_message(space: &str, id: &str, sender: Value) -> Value {
    let at = now().to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({ "name": format!("{space}/messages/{id}.{id}"), "sender": sender, "createTime": at,
            "thread": { "name": format!("{space}/threads/{id}") } })
}
