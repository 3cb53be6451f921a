//! Scopes: what an API token can do. The router of the API names the scope of each route.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

macro_rules! scopes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// A part of the API that a token can use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Scope {
            /// All scopes.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, as clients write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

scopes! {
    /// Read chats, channels, members, bans and invites.
    ChatsRead = "chats:read";
    /// Create, change, join and leave chats; add and remove members, bans and invites.
    ChatsWrite = "chats:write";
    /// Read messages, their revisions and receipts, and download files.
    MessagesRead = "messages:read";
    /// Send, edit, delete and pin messages, and upload files for them.
    MessagesWrite = "messages:write";
    /// Add and remove reactions.
    ReactionsWrite = "reactions:write";
    /// Mark messages as read and as delivered.
    ReceiptsWrite = "receipts:write";
    /// Set the status, and send typing indicators.
    PresenceWrite = "presence:write";
    /// Read profiles and presence, and search users.
    UsersRead = "users:read";
    /// Search messages.
    SearchRead = "search:read";
    /// Read the initial state and the event log, and open event streams.
    EventsRead = "events:read";
}

impl Scope {
    /// Whether the scope changes something.
    pub fn is_write(self) -> bool {
        self.name().ends_with(":write")
    }

    /// Finds a scope by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            let names = Self::ALL.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
            de::Error::custom(format!("must be one of {names}"))
        })
    }
}

impl JsonSchema for Scope {
    fn schema_name() -> Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::ALL.iter().map(|scope| scope.name()).collect();
        json_schema!({ "description": "What an API token can do.", "type": "string", "enum": names })
    }
}
