//! Chat types, roles and memberships: the types that permissions, members and
//! messages share.

use crate::values::deserialize_variant;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The type of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "chat_type", rename_all = "snake_case")]
pub enum ChatType {
    /// A direct chat of two users; at most one for each pair.
    Single,
    /// A group of users, by invitation.
    Group,
    /// A named channel, by invitation.
    PrivateChannel,
    /// A named channel that anyone can find and join.
    PublicChannel,
}

impl<'de> Deserialize<'de> for ChatType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const VARIANTS: [(&str, ChatType); 4] = [
            ("single", ChatType::Single),
            ("group", ChatType::Group),
            ("private_channel", ChatType::PrivateChannel),
            ("public_channel", ChatType::PublicChannel),
        ];
        deserialize_variant(deserializer, &VARIANTS)
    }
}

/// The role of a member, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "member_role", rename_all = "snake_case")]
pub enum Role {
    /// Reads and sends messages.
    Member,
    /// Has all permissions of a member, manages members and edits the chat.
    Admin,
    /// Has all permissions of an admin, appoints admins and deletes the chat.
    Owner,
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const VARIANTS: [(&str, Role); 3] = [("owner", Role::Owner), ("admin", Role::Admin), ("member", Role::Member)];
        deserialize_variant(deserializer, &VARIANTS)
    }
}

/// The membership of one user in one chat: the proof that the user may see it.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Membership {
    /// The user's role.
    pub role: Role,
    /// The type of the chat.
    #[sqlx(rename = "type")]
    pub kind: ChatType,
}
