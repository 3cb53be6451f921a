//! A stand-in of the Graph API of Meta, for WhatsApp. It keeps what it was sent, makes the webhooks
//! that Meta would send, and misbehaves on command. The program `graph_api` runs it for people who
//! try a bridge: its routes below `/person` play a person on WhatsApp.

use crate::DEADLINE;
use aws_lc_rs::hmac;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Multipart, Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};

/// After how much time the stand-in reports statuses on its own.
const REPORT_DELAY: std::time::Duration = std::time::Duration::from_millis(200);

/// Maximum number of messages that a test has not looked at yet.
const MAX_SENT: usize = 100_000;

/// The access token that the stand-in accepts.
pub const ACCESS_TOKEN: &str = "EAAtest-system-user-token";

/// The app secret that signs webhooks.
pub const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The id of the phone number of the business.
pub const PHONE_NUMBER_ID: &str = "106540352242922";

/// The id of the business account.
pub const BUSINESS_ACCOUNT_ID: &str = "102290129340398";

/// How the stand-in answers a request to send.
#[derive(Debug, Clone)]
pub enum GraphReply {
    /// With an error that has this status and this code, and without accepting the message.
    Error(u16, i64),
    /// It accepts the message, and never answers.
    AcceptAndHang,
    /// It accepts the message, and sends half of the response.
    AcceptAndCut,
    /// It accepts the message, and answers 502 without a reason.
    AcceptAndFail,
}

/// A message that the stand-in accepted.
#[derive(Debug, Clone)]
pub struct SentMessage {
    /// The id that it got.
    pub id: String,
    /// The body of the request.
    pub body: Value,
}

impl SentMessage {
    /// The text or the caption.
    pub fn text(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        self.body[kind]["body"].as_str().or_else(|| self.body[kind]["caption"].as_str()).unwrap_or_default()
    }
}

/// A file that was uploaded, or that a remote user sent.
#[derive(Debug, Clone)]
pub struct GraphFile {
    /// Its name.
    pub filename: String,
    /// Its type.
    pub mime_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

#[derive(Debug)]
struct Shared {
    url: String,
    sent: mpsc::Sender<SentMessage>,
    accepted: Mutex<Vec<SentMessage>>,
    replies: Mutex<VecDeque<GraphReply>>,
    files: Mutex<HashMap<String, GraphFile>>,
    file_failures: AtomicUsize,
    count: AtomicUsize,
    person: Mutex<Person>,
}

/// The person on WhatsApp whom the routes below `/person` play.
#[derive(Debug, Default)]
struct Person {
    /// The webhook of the bridge, once the person has written.
    webhook: Option<String>,
    /// How many of the accepted messages the person has read.
    read_count: usize,
    /// Of messages with this text, nothing is reported.
    silent_text: Option<String>,
}

/// The stand-in, on a port of its own.
#[derive(Debug)]
pub struct GraphApi {
    /// Its URL.
    pub url: String,
    shared: Arc<Shared>,
    sent: mpsc::Receiver<SentMessage>,
    server: JoinHandle<()>,
}

impl GraphApi {
    /// Starts the stand-in.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts the stand-in at an address.
    pub async fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, sent) = mpsc::channel(MAX_SENT);
        let shared = Arc::new(Shared {
            url: url.clone(),
            sent: sender,
            accepted: Mutex::default(),
            replies: Mutex::default(),
            files: Mutex::default(),
            file_failures: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            person: Mutex::default(),
        });
        let router = Router::new()
            .route("/v26.0/{id}/messages", post(send))
            .route("/v26.0/{id}/media", post(upload))
            .route("/v26.0/{id}/message_templates", get(list_templates))
            .route("/v26.0/{id}", get(get_object))
            .route("/files/{id}", get(download))
            .route("/person/say", post(say))
            .route("/person/messages", get(list_messages))
            .route("/person/refuse", post(refuse))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { url, shared, sent, server }
    }

    /// Answers the next requests to send like this, then as usual.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = GraphReply>) {
        self.shared.replies.lock().expect("the replies").extend(replies);
    }

    /// Reports no status of messages with this text.
    pub fn report_nothing_of(&self, text: &str) {
        self.shared.person.lock().expect("the person").silent_text = Some(text.to_owned());
    }

    /// Fails the next downloads of files.
    pub fn fail_downloads(&self, count: usize) {
        self.shared.file_failures.store(count, Ordering::SeqCst);
    }

    /// Returns the next message that was accepted.
    pub async fn next(&mut self) -> SentMessage {
        timeout(DEADLINE, self.sent.recv()).await.expect("a message in time").expect("a message")
    }

    /// Returns the next message that is no status or reaction.
    pub async fn next_message(&mut self) -> SentMessage {
        loop {
            let sent = self.next().await;
            if sent.body.get("status").is_none() && sent.body["type"] != "reaction" {
                return sent;
            }
        }
    }

    /// Returns everything that was accepted so far.
    pub fn accepted(&self) -> Vec<SentMessage> {
        self.shared.accepted.lock().expect("the messages").clone()
    }

    /// Returns an uploaded file.
    pub fn file(&self, id: &str) -> Option<GraphFile> {
        self.shared.files.lock().expect("the files").get(id).cloned()
    }

    /// Stores a file of a remote user, and returns its id.
    pub fn add_file(&self, mime_type: &str, bytes: impl Into<Bytes>) -> String {
        let file = GraphFile { filename: String::new(), mime_type: mime_type.into(), bytes: bytes.into() };
        let id = format!("media{}", self.shared.count.fetch_add(1, Ordering::SeqCst));
        self.shared.files.lock().expect("the files").insert(id.clone(), file);
        id
    }
}

impl Drop for GraphApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn error(status: u16, code: i64) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let body = json!({ "error": { "message": format!("(#{code}) refused"), "type": "OAuthException", "code": code,
                                  "error_data": { "details": "on command" }, "fbtrace_id": "x" } });
    (status, Json(body)).into_response()
}

fn is_authorized(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == &format!("Bearer {ACCESS_TOKEN}"))
}

async fn send(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if !is_authorized(&headers) {
        return error(401, 190);
    }
    // Receipts and reactions are accepted: a test means a message.
    let is_message = body.get("status").is_none() && body["type"] != "reaction";
    let reply = if is_message { shared.replies.lock().expect("the replies").pop_front() } else { None };
    if let Some(GraphReply::Error(status, code)) = reply {
        return error(status, code);
    }
    let id = format!("wamid.{:06}", shared.count.fetch_add(1, Ordering::SeqCst));
    let sent = SentMessage { id: id.clone(), body: body.clone() };
    shared.accepted.lock().expect("the messages").push(sent.clone());
    // A person who plays with the stand-in reads nothing from the queue.
    let _ = shared.sent.try_send(sent.clone());
    report(&shared, &sent, &["sent", "delivered"]);
    match reply {
        Some(GraphReply::AcceptAndHang) => std::future::pending().await,
        Some(GraphReply::AcceptAndCut) => (StatusCode::OK, r#"{"messages":[{"id":"wami"#).into_response(),
        Some(GraphReply::AcceptAndFail) => StatusCode::BAD_GATEWAY.into_response(),
        _ if body.get("status").is_some() => Json(json!({ "success": true })).into_response(),
        _ => Json(json!({ "messaging_product": "whatsapp", "contacts": [{ "input": body["to"], "wa_id": body["to"] }],
                          "messages": [{ "id": id }] }))
        .into_response(),
    }
}

async fn upload(State(shared): State<Arc<Shared>>, headers: HeaderMap, mut form: Multipart) -> Response {
    if !is_authorized(&headers) {
        return error(401, 190);
    }
    let mut stored = None;
    while let Some(field) = form.next_field().await.expect("a form") {
        if field.name() == Some("file") {
            let (filename, mime_type) = (field.file_name().map(str::to_owned), field.content_type().map(str::to_owned));
            let bytes = field.bytes().await.expect("bytes");
            let (filename, mime_type) = (filename.unwrap_or_default(), mime_type.unwrap_or_default());
            stored = Some(GraphFile { filename, mime_type, bytes });
        }
    }
    let Some(file) = stored else { return error(400, 100) };
    let id = format!("media{}", shared.count.fetch_add(1, Ordering::SeqCst));
    shared.files.lock().expect("the files").insert(id.clone(), file);
    Json(json!({ "id": id })).into_response()
}

async fn list_templates(headers: HeaderMap) -> Response {
    if !is_authorized(&headers) {
        return error(401, 190);
    }
    let body = |text: &str| json!([{ "type": "BODY", "text": text }]);
    Json(json!({ "data": [
        { "name": "order_ready", "language": "en_US", "status": "APPROVED",
          "components": body("Hello {{1}}, your order {{2}} is ready.") },
        { "name": "hello_world", "language": "en_US", "status": "APPROVED", "components": body("Hello there.") },
        { "name": "with_image", "language": "en_US", "status": "APPROVED",
          "components": [{ "type": "HEADER", "format": "IMAGE" }, { "type": "BODY", "text": "Look" }] },
    ] }))
    .into_response()
}

async fn get_object(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(_): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !is_authorized(&headers) {
        return error(401, 190);
    }
    if id == PHONE_NUMBER_ID {
        return Json(json!({ "display_phone_number": "+1 555 010 9999", "verified_name": "Corner Shop", "id": id }))
            .into_response();
    }
    let files = shared.files.lock().expect("the files");
    let Some(file) = files.get(&id) else { return error(404, 100) };
    Json(json!({ "messaging_product": "whatsapp", "id": id, "url": format!("{}/files/{id}", shared.url),
                 "mime_type": file.mime_type, "sha256": hex::encode(Sha256::digest(&file.bytes)),
                 "file_size": file.bytes.len() }))
    .into_response()
}

async fn download(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let must_fail =
        shared.file_failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok();
    if must_fail || !is_authorized(&headers) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let files = shared.files.lock().expect("the files");
    files.get(&id).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |file| file.bytes.clone().into_response())
}

/// Reports statuses of a message to the bridge, if its webhook is known.
fn report(shared: &Arc<Shared>, sent: &SentMessage, statuses: &'static [&'static str]) {
    let (webhook, silent_text) = {
        let person = shared.person.lock().expect("the person");
        (person.webhook.clone(), person.silent_text.clone())
    };
    let is_silent = silent_text.is_some_and(|silent| sent.text().contains(&silent));
    let Some(webhook) = webhook.filter(|_| !is_silent && sent.body.get("status").is_none()) else { return };
    let sent = sent.clone();
    tokio::spawn(async move {
        // After the response to the request that sent it.
        tokio::time::sleep(REPORT_DELAY).await;
        let remote_user = GraphPerson::new("", sent.body["to"].as_str().unwrap_or_default());
        for status in statuses {
            post_webhook(&webhook, &status_webhook(&remote_user, &sent, status)).await;
        }
    });
}

/// Posts a signed webhook, and returns the status of the response.
async fn post_webhook(url: &str, webhook: &Value) -> Option<StatusCode> {
    let body = webhook.to_string();
    let request = reqwest::Client::new().post(url).header("x-hub-signature-256", sign(body.as_bytes()));
    let response = request.header("content-type", "application/json").body(body).send().await.ok()?;
    Some(response.status())
}

/// What the person writes.
#[derive(Debug, Deserialize)]
struct PersonMessage {
    /// The URL of the webhook of the bridge.
    webhook: String,
    text: String,
    #[serde(default = "default_name")]
    name: String,
    #[serde(default = "default_phone")]
    phone: String,
}

fn default_name() -> String {
    "Eve".into()
}

fn default_phone() -> String {
    "491511234567".into()
}

/// The person reads everything and writes a message.
async fn say(State(shared): State<Arc<Shared>>, Json(saying): Json<PersonMessage>) -> Response {
    let accepted = shared.accepted.lock().expect("the messages").clone();
    let unread = {
        let mut person = shared.person.lock().expect("the person");
        person.webhook = Some(saying.webhook.clone());
        let unread = accepted.get(person.read_count..).unwrap_or_default().to_vec();
        person.read_count = accepted.len();
        unread
    };
    for sent in &unread {
        report(&shared, sent, &["read"]);
    }
    let remote_user = GraphPerson::new(&saying.name, &saying.phone);
    let id = format!("wamid.person{}", shared.count.fetch_add(1, Ordering::SeqCst));
    let message = message_webhook(&remote_user, &id, "text", json!({ "body": saying.text }));
    let status = post_webhook(&saying.webhook, &message).await;
    Json(json!({ "id": id, "confab_answered": status.map(|status| status.as_u16()) })).into_response()
}

/// What the person received: the requests that were accepted, oldest first.
async fn list_messages(State(shared): State<Arc<Shared>>) -> Json<Vec<Value>> {
    Json(shared.accepted.lock().expect("the messages").iter().map(|sent| sent.body.clone()).collect())
}

/// Which error the next message gets.
#[derive(Debug, Deserialize)]
struct Refusal {
    status: u16,
    code: i64,
}

/// Refuses the next message.
async fn refuse(State(shared): State<Arc<Shared>>, Json(Refusal { status, code }): Json<Refusal>) -> StatusCode {
    shared.replies.lock().expect("the replies").push_back(GraphReply::Error(status, code));
    StatusCode::NO_CONTENT
}

/// A webhook about the business' phone number, with this value.
pub fn webhook(value: Value) -> Value {
    let mut value = value;
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({ "display_phone_number": "15550109999", "phone_number_id": PHONE_NUMBER_ID });
    json!({ "object": "whatsapp_business_account",
            "entry": [{ "id": BUSINESS_ACCOUNT_ID, "changes": [{ "field": "messages", "value": value }] }] })
}

/// The webhook of a message from a remote user, of this type and content.
pub fn message_webhook(remote_user: &GraphPerson, id: &str, kind: &str, content: Value) -> Value {
    let mut message = json!({ "id": id, "from": remote_user.phone, "from_user_id": remote_user.user_id, "type": kind,
                              "timestamp": chat_core::time::now().timestamp().to_string() });
    message[kind] = content;
    webhook(json!({ "contacts": [remote_user.to_json()], "messages": [message] }))
}

/// The webhook of a status of a message.
pub fn status_webhook(remote_user: &GraphPerson, sent: &SentMessage, status: &str) -> Value {
    webhook(json!({ "statuses": [status_json(remote_user, sent, status)] }))
}

/// One status, as an item of a webhook.
pub fn status_json(remote_user: &GraphPerson, sent: &SentMessage, status: &str) -> Value {
    json!({ "id": sent.id, "status": status, "timestamp": chat_core::time::now().timestamp().to_string(),
            "recipient_id": remote_user.phone, "recipient_user_id": remote_user.user_id,
            "biz_opaque_callback_data": sent.body["biz_opaque_callback_data"] })
}

/// A person on WhatsApp.
#[derive(Debug, Clone)]
pub struct GraphPerson {
    /// The phone number, in digits.
    pub phone: String,
    /// The key of the person for this business.
    pub user_id: String,
    /// The name.
    pub name: String,
}

impl GraphPerson {
    /// A person with this name.
    pub fn new(name: &str, phone: &str) -> Self {
        Self { phone: phone.into(), user_id: format!("DE.{phone}"), name: name.into() }
    }

    fn to_json(&self) -> Value {
        json!({ "profile": { "name": self.name }, "wa_id": self.phone, "user_id": self.user_id })
    }
}

/// The signature of a webhook.
pub fn sign(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, APP_SECRET.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}
