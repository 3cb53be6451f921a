//! A stand-in of Google for Google Chat: access tokens, spaces with their messages and events, and public
//! keys. It signs what Google would send, and misbehaves on command. The program `google_api` runs it for
//! people who try a bridge: its routes below `/person` play a person in a space.

use crate::DEADLINE;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chat_core::time::now;
use chrono::{DateTime, SecondsFormat, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, jwk::Jwk};
use pem::Pem;
use serde::Deserialize;
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

/// The scope for what an app can do by itself.
const APP_SCOPE: &str = "https://www.googleapis.com/auth/chat.bot";

/// The scope for reading all messages.
const READ_SCOPE: &str = "https://www.googleapis.com/auth/chat.app.messages.readonly";

/// Maximum size of a text, in bytes.
const MAX_TEXT_BYTES: usize = 32_000;

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

struct SigningKey {
    id: String,
    pem: String,
    key: EncodingKey,
    jwk: Jwk,
}

impl SigningKey {
    fn generate(id: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).expect("a key").as_ref().to_vec();
        Self::from_pem(id, pem::encode(&Pem::new("PRIVATE KEY", der)))
    }

    /// Reads the key of a key file.
    fn read(text: &str) -> Self {
        let file: Value = serde_json::from_str(text).expect("a key file");
        let field = |name: &str| file[name].as_str().expect("a key file").to_owned();
        Self::from_pem(&field("private_key_id"), field("private_key"))
    }

    fn from_pem(id: &str, pem: String) -> Self {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key");
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a public key");
        jwk.common.key_id = Some(id.into());
        Self { id: id.into(), pem, key, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.key).expect("a token")
    }
}

struct Shared {
    account: SigningKey,
    google: Mutex<Vec<SigningKey>>,
    writes: mpsc::Sender<GoogleWrite>,
    state: Mutex<ApiState>,
}

struct ApiState {
    spaces: HashMap<String, Space>,
    replies: VecDeque<GoogleReply>,
    /// The access tokens that were issued, with their scope.
    tokens: HashMap<String, String>,
    approved: Approved,
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

    /// Whether a request has a token with this scope.
    fn is_authorized(&self, headers: &HeaderMap, scope: &str) -> bool {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        token.is_some_and(|token| self.state().tokens.get(token).is_some_and(|of| of == scope))
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
        let shared = Arc::new(Shared {
            account: match key_file {
                Some(text) => SigningKey::read(text),
                None => SigningKey::generate(&Uuid::new_v4().to_string()),
            },
            google: Mutex::new(vec![SigningKey::generate(&Uuid::new_v4().to_string())]),
            writes: sender,
            state: Mutex::new(ApiState {
                spaces,
                replies: VecDeque::new(),
                tokens: HashMap::new(),
                approved: Approved::Everything,
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
        let router = Router::new()
            .route("/token", post(issue_token))
            .route("/v1/spaces", get(list_spaces))
            .route("/v1/spaces/{space}", get(get_space))
            .route("/v1/spaces/{space}/messages", post(create_message))
            .route(
                "/v1/spaces/{space}/messages/{message}",
                get(get_message).patch(update_message).delete(delete_message),
            )
            .route("/v1/spaces/{space}/members/{user}", get(get_member))
            .route("/v1/spaces/{space}/spaceEvents", get(list_events))
            .route("/v1/media/{*resource}", get(download))
            .route("/oauth2/v3/certs", get(list_keys))
            .route("/service_accounts/v1/jwk/{issuer}", get(list_keys))
            .route("/person/say", post(say))
            .route("/person/messages", get(list_messages))
            .route("/person/refuse", post(refuse))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { url, shared, writes, server }
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

fn error(status: u16, reason: &str) -> Response {
    let status_code = StatusCode::from_u16(status).expect("a status");
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason });
    let body = json!({ "error": { "code": status, "message": format!("refused: {reason}"), "details": [detail] } });
    (status_code, Json(body)).into_response()
}

fn unauthorized() -> Response {
    error(401, "ACCESS_TOKEN_EXPIRED")
}

#[derive(Deserialize)]
struct ProofClaims {
    iss: String,
    scope: String,
}

async fn issue_token(State(shared): State<Arc<Shared>>, body: String) -> Response {
    let form: HashMap<String, String> =
        reqwest::Url::parse(&format!("http://x/?{body}")).expect("a form").query_pairs().into_owned().collect();
    let refused = |why: &str| {
        let body = json!({ "error": "invalid_grant", "error_description": why });
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    if form.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return refused("Unsupported grant type");
    }
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://oauth2.googleapis.com/token"]);
    let key = DecodingKey::from_jwk(&shared.account.jwk).expect("a key");
    let proof = form.get("assertion").map(String::as_str).unwrap_or_default();
    let Ok(proof) = decode::<ProofClaims>(proof, &key, &validation) else { return refused("Invalid JWT Signature.") };
    let ProofClaims { iss, scope } = proof.claims;
    if iss != SERVICE_ACCOUNT || ![APP_SCOPE, READ_SCOPE].contains(&scope.as_str()) {
        return refused("Invalid scope or account");
    }
    let mut state = shared.state();
    if state.is_account_refused {
        return refused("Invalid JWT: the account was deleted");
    }
    let token = format!("ya29.{}", state.next_id());
    state.tokens.insert(token.clone(), scope);
    Json(json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" })).into_response()
}

fn space_json(name: &str, space: &Space) -> Value {
    let Space { title, kind, .. } = space;
    json!({ "name": name, "displayName": title, "spaceType": kind, "singleUserBotDm": *kind == "DIRECT_MESSAGE" })
}

async fn get_space(State(shared): State<Arc<Shared>>, Path(space): Path<String>, headers: HeaderMap) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let name = format!("spaces/{space}");
    match shared.state().spaces.get(&name) {
        Some(space) => Json(space_json(&name, space)).into_response(),
        None => error(404, "NOT_FOUND"),
    }
}

async fn list_spaces(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let state = shared.state();
    let mut names: Vec<&String> = state.spaces.keys().collect();
    names.sort();
    let spaces: Vec<Value> = names.into_iter().map(|name| space_json(name, &state.spaces[name])).collect();
    Json(json!({ "spaces": spaces })).into_response()
}

/// Whether the body of a message has only fields that Google knows.
fn is_valid_message(body: &Value) -> bool {
    let fields = body.as_object().expect("an object");
    fields.keys().all(|field| ["text", "thread"].contains(&field.as_str()))
        && body["text"].as_str().is_some_and(|text| !text.trim().is_empty() && text.len() <= MAX_TEXT_BYTES)
}

async fn create_message(
    State(shared): State<Arc<Shared>>,
    Path(space): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let space = format!("spaces/{space}");
    let (created, reply) = {
        let mut state = shared.state();
        if !state.spaces.contains_key(&space) {
            return error(404, "NOT_FOUND");
        }
        let reply = state.replies.pop_front();
        if let Some(GoogleReply::Error(status, reason)) = reply {
            return error(status, reason);
        }
        let (message_id, request_id) = (query.get("messageId").cloned(), query.get("requestId").cloned());
        let is_valid_id = message_id.as_ref().is_none_or(|id| {
            id.starts_with("client-")
                && id.len() <= 63
                && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        });
        if !is_valid_id || !is_valid_message(&body) {
            return error(400, "INVALID_ARGUMENT");
        }
        let known = &state.spaces[&space];
        let first = request_id.as_ref().and_then(|id| known.requests.get(id)).cloned();
        if let Some(first) = first {
            return Json(state.message_mut(&first).expect("a message").clone()).into_response();
        }
        if message_id.as_ref().is_some_and(|id| known.messages.iter().any(|one| one["clientAssignedMessageId"] == *id))
        {
            return error(409, "ALREADY_EXISTS");
        }
        if count_write(&mut state, &space) {
            return error(429, "RATE_LIMIT_EXCEEDED");
        }
        let id = state.next_id();
        let mut message =
            new_message(&space, &id, json!({ "name": "users/99", "displayName": "Confab", "type": "BOT" }));
        message["text"] = body["text"].clone();
        message["formattedText"] = body["text"].clone();
        if let Some(id) = message_id {
            message["clientAssignedMessageId"] = json!(id);
        }
        let thread = &body["thread"]["name"];
        let is_known_thread = known_thread(&state.spaces[&space], thread);
        if query.get("messageReplyOption").is_some_and(|option| option.starts_with("REPLY_MESSAGE")) && is_known_thread
        {
            message["thread"] = json!({ "name": thread });
            message["threadReply"] = json!(true);
        }
        let space_state = state.spaces.get_mut(&space).expect("a space");
        if let Some(id) = request_id {
            space_state.requests.insert(id, message["name"].as_str().expect("a name").to_owned());
        }
        space_state.messages.push(message.clone());
        state.add_event(&space, "message.v1.created", "messageCreatedEventData", json!({ "message": message }));
        (message, reply)
    };
    let _ = shared.writes.try_send(GoogleWrite { kind: "create", message: created.clone() });
    match reply {
        Some(GoogleReply::AcceptAndCut) => (StatusCode::OK, r#"{"name":"spaces/AA"#).into_response(),
        Some(GoogleReply::AcceptAndFail) => StatusCode::BAD_GATEWAY.into_response(),
        _ => Json(created).into_response(),
    }
}

fn known_thread(space: &Space, thread: &Value) -> bool {
    thread.is_string() && space.messages.iter().any(|message| message["thread"]["name"] == *thread)
}

/// Counts a write. Returns whether it came too fast.
fn count_write(state: &mut ApiState, space: &str) -> bool {
    let period = state.write_period;
    let last = &mut state.spaces.get_mut(space).expect("a space").last_write;
    let is_too_fast = last.is_some_and(|last| last.elapsed() < period);
    if is_too_fast {
        state.too_fast += 1;
    } else {
        *last = Some(Instant::now());
    }
    is_too_fast
}

async fn get_message(
    State(shared): State<Arc<Shared>>,
    Path((space, message)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let mut state = shared.state();
    match state.message_mut(&format!("spaces/{space}/messages/{message}")) {
        Some(message) => Json(message.clone()).into_response(),
        None => error(404, "NOT_FOUND"),
    }
}

/// Changes a message of the app, and tells of it.
fn change(
    shared: &Shared,
    headers: &HeaderMap,
    name: &str,
    kind: &'static str,
    apply: impl FnOnce(&mut Value),
) -> Response {
    if !shared.is_authorized(headers, APP_SCOPE) {
        return unauthorized();
    }
    let mut state = shared.state();
    if state.are_changes_refused {
        return error(403, "PERMISSION_DENIED");
    }
    let is_own = |message: &&mut Value| message["sender"]["type"] == "BOT" && message["deleteTime"].is_null();
    if state.message_mut(name).filter(is_own).is_none() {
        return error(404, "NOT_FOUND");
    }
    if count_write(&mut state, &space_of(name)) {
        return error(429, "RATE_LIMIT_EXCEEDED");
    }
    let message = state.message_mut(name).expect("a message");
    apply(message);
    let message = message.clone();
    let (event, field) = match kind {
        "update" => ("message.v1.updated", "messageUpdatedEventData"),
        _ => ("message.v1.deleted", "messageDeletedEventData"),
    };
    state.add_event(&space_of(name), event, field, json!({ "message": message }));
    let _ = shared.writes.try_send(GoogleWrite { kind, message: message.clone() });
    match kind {
        "update" => Json(message).into_response(),
        _ => Json(json!({})).into_response(),
    }
}

async fn update_message(
    State(shared): State<Arc<Shared>>,
    Path((space, message)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if query.get("updateMask").map(String::as_str) != Some("text") || !is_valid_message(&body) {
        return error(400, "INVALID_ARGUMENT");
    }
    change(&shared, &headers, &format!("spaces/{space}/messages/{message}"), "update", |message| {
        message["text"] = body["text"].clone();
        message["formattedText"] = body["text"].clone();
    })
}

async fn delete_message(
    State(shared): State<Arc<Shared>>,
    Path((space, message)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    change(&shared, &headers, &format!("spaces/{space}/messages/{message}"), "delete", |message| {
        message["deleteTime"] = json!("2026-01-01T00:00:00Z");
    })
}

async fn get_member(
    State(shared): State<Arc<Shared>>,
    Path((space, user)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let key = format!("users/{user}");
    let known = ["Eve", "Frank", "Grace"].iter().map(|name| GooglePerson::new(name)).find(|one| one.key == key);
    match known {
        Some(person) => {
            let name = format!("spaces/{space}/members/{user}");
            Json(json!({ "name": name, "state": "JOINED", "member": person.to_json() })).into_response()
        }
        None => error(404, "NOT_FOUND"),
    }
}

async fn list_events(
    State(shared): State<Arc<Shared>>,
    Path(space): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !shared.is_authorized(&headers, READ_SCOPE) {
        return unauthorized();
    }
    let mut state = shared.state();
    let filter = query.get("filter").map(String::as_str).unwrap_or_default();
    let is_allowed = match state.approved {
        Approved::Everything => true,
        Approved::Messages => !filter.contains(".reaction."),
        Approved::Nothing => false,
    };
    if !is_allowed {
        return error(403, "PERMISSION_DENIED");
    }
    if state.is_list_down {
        state.failed_lists += 1;
        return error(503, "UNAVAILABLE");
    }
    let since = filter.split("start_time=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let Ok(since) = DateTime::parse_from_rfc3339(since) else { return error(400, "INVALID_ARGUMENT") };
    let events = state.spaces.get(&format!("spaces/{space}")).map(|space| space.events.as_slice()).unwrap_or_default();
    let at = |event: &Value| event["eventTime"].as_str()?.parse::<DateTime<Utc>>().ok();
    let is_wanted = |event: &&Value| {
        let kind = event["eventType"].as_str().unwrap_or_default();
        filter.contains(&format!("event_types:\"{kind}\"")) && at(event).is_some_and(|at| at > since)
    };
    let found: Vec<Value> = events.iter().filter(is_wanted).map(|event| newest(&state, event)).collect();
    let size = query.get("pageSize").and_then(|size| size.parse().ok()).unwrap_or(100);
    let from: usize = query.get("pageToken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let page: Vec<&Value> = found.iter().skip(from).take(size).collect();
    let next = if from + size < found.len() { (from + size).to_string() } else { String::new() };
    Json(json!({ "spaceEvents": page, "nextPageToken": next })).into_response()
}

/// An event with the newest version of what it is about, as Google lists it.
fn newest(state: &ApiState, event: &Value) -> Value {
    let mut event = event.clone();
    for field in ["messageCreatedEventData", "messageUpdatedEventData"] {
        let name = event[field]["message"]["name"].as_str().unwrap_or_default().to_owned();
        let space = state.spaces.get(&space_of(&name));
        if let Some(message) = space.and_then(|space| space.messages.iter().find(|message| is_named(message, &name))) {
            event[field]["message"] = message.clone();
        }
    }
    event
}

async fn download(State(shared): State<Arc<Shared>>, Path(resource): Path<String>, headers: HeaderMap) -> Response {
    if !shared.is_authorized(&headers, APP_SCOPE) {
        return unauthorized();
    }
    let mut state = shared.state();
    if state.broken_files.contains(&resource) {
        return error(503, "UNAVAILABLE");
    }
    if state.file_failures > 0 {
        state.file_failures -= 1;
        return error(503, "UNAVAILABLE");
    }
    match state.files.get(&resource) {
        Some(bytes) => bytes.clone().into_response(),
        None => error(404, "NOT_FOUND"),
    }
}

async fn list_keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let keys = shared.google.lock().expect("the keys");
    Json(json!({ "keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() }))
}

/// What the person writes.
#[derive(Debug, Deserialize)]
struct PersonMessage {
    text: String,
    #[serde(default = "default_name")]
    name: String,
    #[serde(default = "default_space")]
    space: String,
    /// The URL of the webhook of the bridge: without one, the bridge finds the message when it reads the
    /// events of the space.
    webhook: Option<String>,
}

fn default_name() -> String {
    "Eve".into()
}

fn default_space() -> String {
    SPACE.into()
}

/// The person writes a message, of which Google tells the bridge.
async fn say(State(shared): State<Arc<Shared>>, Json(saying): Json<PersonMessage>) -> Response {
    let PersonMessage { text, name, space, webhook } = saying;
    let person = GooglePerson::new(&name);
    let message = {
        let mut state = shared.state();
        if !state.spaces.contains_key(&space) {
            return error(404, "NOT_FOUND");
        }
        state.add_message(&space, &person, &json!({ "text": text, "formattedText": text }))
    };
    let mut answered = None;
    if let Some(webhook) = webhook {
        let token =
            shared.google.lock().expect("the keys").last().expect("a key").sign(&claims(CHAT_ACCOUNT, PROJECT_NUMBER));
        let event = app_event("MESSAGE", &space, &message, &person);
        let sent = reqwest::Client::new().post(webhook).bearer_auth(token).json(&event).send().await;
        answered = sent.ok().map(|response| response.status().as_u16());
    }
    Json(json!({ "name": message["name"], "confab_answered": answered })).into_response()
}

/// With which status the next message is refused.
#[derive(Debug, Deserialize)]
struct Refusal {
    status: u16,
}

/// Refuses the next message of the app.
async fn refuse(State(shared): State<Arc<Shared>>, Json(Refusal { status }): Json<Refusal>) -> StatusCode {
    shared.state().replies.push_back(GoogleReply::Error(status, "REFUSED"));
    StatusCode::NO_CONTENT
}

/// The messages of all spaces.
async fn list_messages(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let state = shared.state();
    let spaces = state.spaces.iter().map(|(name, space)| (name.clone(), json!(space.messages)));
    Json(Value::Object(spaces.collect()))
}
