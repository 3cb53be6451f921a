//! What a frontend should know before anybody signs in.

use crate::{
    Api,
    limits::{DEFAULT_PAGE, MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_PAGE},
};
use axum::{Json, extract::State};
use chat_core::{Result, chats, demo, messages, text};
use serde_json::{Value, json};
use std::sync::Arc;

/// The name, the limits and what is there to use.
pub(crate) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Value>> {
    let demo = match api.offers_demo {
        true => {
            let world = demo::world()?;
            let accounts = world.users.iter().map(|person| {
                json!({ "username": person.username, "display_name": person.display_name, "email": person.email })
            });
            json!({ "password": world.password, "accounts": accounts.collect::<Vec<_>>() })
        }
        false => Value::Null,
    };
    Ok(Json(json!({
        "name": "Confab",
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {
            "content_bytes": text::MAX_CONTENT_BYTES,
            "file_bytes": MAX_FILE_BYTES,
            "files_per_upload": MAX_FILES_PER_UPLOAD,
            "files_per_message": messages::MAX_FILES,
            "initial_members": chats::MAX_INITIAL_MEMBERS,
            "page_default": DEFAULT_PAGE,
            "page_max": MAX_PAGE,
        },
        "features": ["sse", "uploads"],
        "demo": demo,
    })))
}
