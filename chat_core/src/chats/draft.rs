//! The request to create a chat, and its validation.

use super::{ChatType, MAX_INITIAL_MEMBERS, NewChat};
use crate::{
    Error, Result, UserId,
    values::{ChatName, Description},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A chat to create. A direct chat takes the `type` and a `user_id` only; a channel
/// requires a `name`; a group may have one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewChat", example = json!({ "type": "group", "name": "Lunch", "members": [2, 3] }))]
#[expect(missing_docs, reason = "the doc comment of the struct covers every field")]
pub struct ChatDraft {
    #[serde(rename = "type")]
    pub kind: ChatType,
    pub name: Option<ChatName>,
    pub description: Option<Description>,
    #[serde(default)]
    pub members: Vec<UserId>,
    pub user_id: Option<UserId>,
}

impl ChatDraft {
    /// Size of the name and the description, in bytes.
    pub fn text_bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        name + self.description.as_ref().map_or(0, |description| description.as_str().len())
    }
}

impl TryFrom<ChatDraft> for NewChat {
    type Error = Error;

    fn try_from(draft: ChatDraft) -> Result<Self> {
        let ChatDraft { kind, name, description, members, user_id } = draft;
        if kind == ChatType::Single {
            if name.is_some() || description.is_some() {
                return Err(Error::invalid("name", "a direct chat cannot have a name or a description"));
            }
            return match (user_id, members.as_slice()) {
                (Some(other), []) => Ok(Self::Single(other)),
                (None, [other]) => Ok(Self::Single(*other)),
                _ => Err(Error::invalid_with_code("user_id", "missing", "a direct chat must have exactly one user_id")),
            };
        }
        if user_id.is_some() {
            return Err(Error::invalid("user_id", "user_id is for direct chats only; list the users in members"));
        }
        if name.is_none() && kind != ChatType::Group {
            return Err(Error::invalid_with_code("name", "missing", "a channel must have a name"));
        }
        if members.len() > MAX_INITIAL_MEMBERS {
            return Err(Error::invalid("members", format!("list at most {MAX_INITIAL_MEMBERS} initial members")));
        }
        let name = name.map(String::from).unwrap_or_default();
        let description = description.map(String::from).unwrap_or_default();
        Ok(Self::Named { kind, name, description, members })
    }
}
