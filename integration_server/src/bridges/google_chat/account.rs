//! Checks an app: its credentials, and the spaces to which it was added.

use super::api::GoogleApi;
use crate::bridges::jobs::CheckError;
use chat_core::bridges::{BridgeProfile, RemoteSpace, ServiceAccountKey};
use serde_json::Value;

/// Maximum number of spaces that are kept.
const MAX_SPACES: usize = 100;

/// Loads what Google tells of an app.
pub(crate) async fn check(api: &GoogleApi, key: &ServiceAccountKey) -> Result<BridgeProfile, CheckError> {
    let found = api.get(key, "spaces", &[("pageSize", "100")]).await?;
    let spaces = found["spaces"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(BridgeProfile {
        phone_number: None,
        name: key.client_email.clone(),
        spaces: spaces.iter().filter_map(read_space).take(MAX_SPACES).collect(),
    })
}

/// Reads a space. `None` if it has no valid name.
pub(super) fn read_space(space: &Value) -> Option<RemoteSpace> {
    let name = space["name"].as_str().filter(|name| is_space_name(name))?.to_owned();
    let title = space["displayName"].as_str().filter(|title| !title.trim().is_empty());
    let is_direct = space["spaceType"] == "DIRECT_MESSAGE" || space["type"] == "DM" || space["singleUserBotDm"] == true;
    Some(RemoteSpace { name, title: title.map(|title| title.chars().take(128).collect()), is_direct })
}

/// Whether a text is the name of a space. It becomes part of a URL.
pub(super) fn is_space_name(name: &str) -> bool {
    let id = name.strip_prefix("spaces/").unwrap_or_default();
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
