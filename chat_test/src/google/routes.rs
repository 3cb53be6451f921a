//! The routes of the stand-in of Google.

use super::{
    ApiState, Approved, CHAT_ACCOUNT, GooglePerson, GoogleReply, GoogleWrite, PROJECT_NUMBER, SERVICE_ACCOUNT, SPACE,
    Shared, Space, app_event, claims,
    fcm::{self, PUSH_SCOPE},
    is_named, new_message, space_of,
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// The scope for what an app can do by itself.
const APP_SCOPE: &str = "https://www.googleapis.com/auth/chat.bot";

/// The scope for reading all messages.
const READ_SCOPE: &str = "https://www.googleapis.com/auth/chat.app.messages.readonly";

/// Maximum size of a text, in bytes.
const MAX_TEXT_BYTES: usize = 32_000;

/// The routes, with this state.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/token", post(issue_token))
        .route("/v1/spaces", get(list_spaces))
        .route("/v1/spaces/{space}", get(get_space))
        .route("/v1/spaces/{space}/messages", post(create_message))
        .route("/v1/spaces/{space}/messages/{message}", get(get_message).patch(update_message).delete(delete_message))
        .route("/v1/spaces/{space}/members/{user}", get(get_member))
        .route("/v1/spaces/{space}/spaceEvents", get(list_events))
        .route("/v1/media/{*resource}", get(download))
        .route("/oauth2/v3/certs", get(list_keys))
        .route("/service_accounts/v1/jwk/{issuer}", get(list_keys))
        .route("/v1/projects/{project}/messages:send", post(fcm::send))
        .route("/person/say", post(say))
        .route("/person/messages", get(list_messages))
        .route("/person/refuse", post(refuse))
        .with_state(shared)
}

impl Shared {
    /// Whether a request has a token with this scope.
    pub(super) fn is_authorized(&self, headers: &HeaderMap, scope: &str) -> bool {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        token.is_some_and(|token| self.state().tokens.get(token).is_some_and(|of| of == scope))
    }
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
    if iss != SERVICE_ACCOUNT || ![APP_SCOPE, READ_SCOPE, PUSH_SCOPE].contains(&scope.as_str()) {
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
        let is_is_known_thread = is_known_thread(&state.spaces[&space], thread);
        if query.get("messageReplyOption").is_some_and(|option| option.starts_with("REPLY_MESSAGE"))
            && is_is_known_thread
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

fn is_known_thread(space: &Space, thread: &Value) -> bool {
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
