//! Checks an app: its credentials, and the spaces to which it was added.

use super::api::GoogleApi;
use crate::bridges::jobs::CheckError;
use chat_core::{
    bridges::{BridgeProfile, RemoteSpace, ServiceAccountKey},
    values::SpaceName,
};
use serde_json::Value;

/// Maximum number of spaces that are kept.
const MAX_SPACES: usize = 1_000;

/// The number of spaces of a page.
const PAGE_SIZE: &str = "500";

/// Loads the profile of an app.
pub(crate) async fn check(api: &GoogleApi, key: &ServiceAccountKey) -> Result<BridgeProfile, CheckError> {
    let (mut spaces, mut page_token) = (Vec::new(), String::new());
    while spaces.len() < MAX_SPACES {
        let page = api.get(key, "spaces", &[("pageSize", PAGE_SIZE), ("pageToken", page_token.as_str())]).await?;
        spaces.extend(page["spaces"].as_array().into_iter().flatten().filter_map(read_space));
        page_token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if page_token.is_empty() {
            break;
        }
    }
    spaces.truncate(MAX_SPACES);
    Ok(BridgeProfile { phone_number: None, name: key.client_email.clone(), spaces })
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
    SpaceName::try_from(name.to_owned()).is_ok()
}
