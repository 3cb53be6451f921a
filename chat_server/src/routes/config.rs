//! The configuration that a frontend needs before sign-in.

use crate::{
    AppState, DemoAccounts,
    extract::Json,
    limits::{DEFAULT_PAGE_SIZE, MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_PAGE_SIZE},
};
use axum::extract::State;
use chat_core::{chats, messages, values};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The features that every server has.
const FEATURES: [&str; 5] = ["sse", "websocket", "uploads", "search", "presence"];

/// The feature of a server that can sign outgoing webhooks.
const OUTGOING_WEBHOOKS: &str = "outgoing_webhooks";

/// The configuration that frontends need.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Config {
    name: &'static str,
    version: &'static str,
    limits: Limits,
    /// Optional features of this server.
    features: Vec<&'static str>,
    /// Who may create an account.
    sign_up: SignUp,
    /// Whether the server sends mail, so that lost passwords can be replaced.
    mail: bool,
    /// The demo accounts, if the server offers them.
    demo: Option<DemoAccounts>,
}

/// Who may create an account.
#[derive(Serialize, JsonSchema)]
struct SignUp {
    /// `open`, `closed`, `invite` (with an invite to a chat), `approval` (by an operator), or `domains`.
    policy: &'static str,
    /// The allowed domains of email addresses; empty if all are allowed.
    domains: Vec<String>,
    /// Whether a new account needs a link that the server sends by mail.
    verification: bool,
}

/// The limits of requests.
#[derive(Serialize, JsonSchema)]
struct Limits {
    content_bytes: usize,
    file_bytes: u64,
    files_per_upload: usize,
    files_per_message: usize,
    initial_members: usize,
    emoji_per_message: i64,
    pins_per_chat: i64,
    page_default: i64,
    page_max: i64,
}

/// Returns the configuration.
pub(crate) async fn get(State(state): State<Arc<AppState>>) -> Result<Json<Config>> {
    Ok(Json(Config {
        name: "Confab",
        version: env!("CARGO_PKG_VERSION"),
        limits: Limits {
            content_bytes: values::MAX_CONTENT_BYTES,
            file_bytes: MAX_FILE_BYTES,
            files_per_upload: MAX_FILES_PER_UPLOAD,
            files_per_message: messages::MAX_FILES,
            initial_members: chats::MAX_INITIAL_MEMBERS,
            emoji_per_message: messages::MAX_EMOJI.into(),
            pins_per_chat: messages::MAX_PINS.into(),
            page_default: DEFAULT_PAGE_SIZE,
            page_max: MAX_PAGE_SIZE,
        },
        features: FEATURES.into_iter().chain(state.sealer.as_ref().map(|_| OUTGOING_WEBHOOKS)).collect(),
        sign_up: SignUp {
            policy: state.sign_up.name(),
            domains: state.sign_up.domains().to_vec(),
            verification: state.mail.is_some_and(|mail| mail.is_verification_required),
        },
        mail: state.mail.is_some(),
        demo: state.demo.clone(),
    }))
}
