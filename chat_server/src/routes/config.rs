//! What a frontend should know before anybody signs in.

use crate::{
    Api,
    limits::{DEFAULT_PAGE, MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_PAGE},
};
use axum::{Json, extract::State};
use chat_core::{
    Result, chats, demo, messages,
    text::{self, DisplayName, Email, Password, Username},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// What a frontend should know.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Config {
    name: &'static str,
    version: &'static str,
    limits: Limits,
    /// What there is to use.
    features: Vec<&'static str>,
    /// The demo world's sign-ins, where they are offered.
    demo: Option<Demo>,
}

/// The limits that requests meet.
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

#[derive(Serialize, JsonSchema)]
struct Demo {
    password: Password,
    accounts: Vec<Account>,
}

#[derive(Serialize, JsonSchema)]
struct Account {
    username: Username,
    display_name: DisplayName,
    email: Email,
}

/// The name, the limits and what is there to use.
pub(crate) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Config>> {
    Ok(Json(Config {
        name: "Confab",
        version: env!("CARGO_PKG_VERSION"),
        limits: Limits {
            content_bytes: text::MAX_CONTENT_BYTES,
            file_bytes: MAX_FILE_BYTES,
            files_per_upload: MAX_FILES_PER_UPLOAD,
            files_per_message: messages::MAX_FILES,
            initial_members: chats::MAX_INITIAL_MEMBERS,
            emoji_per_message: messages::MAX_EMOJI,
            pins_per_chat: messages::MAX_PINS,
            page_default: DEFAULT_PAGE,
            page_max: MAX_PAGE,
        },
        features: vec!["sse", "websocket", "uploads", "search", "presence"],
        demo: if api.offers_demo { Some(demo()?) } else { None },
    }))
}

fn demo() -> Result<Demo> {
    let world = demo::world()?;
    let account = |person: demo::Person| Account {
        username: person.username,
        display_name: person.display_name,
        email: person.email,
    };
    Ok(Demo { password: world.password, accounts: world.users.into_iter().map(account).collect() })
}
