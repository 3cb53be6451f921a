//! What an API token can do.

use super::Scope;
use crate::{ChatId, Error, Result};

/// What a token can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    scopes: Vec<Scope>,
    chats: Option<Vec<ChatId>>,
    write_chats: Option<Vec<ChatId>>,
    is_of_program: bool,
}

impl Grant {
    pub(super) fn new(scopes: Vec<Scope>, chats: Option<Vec<ChatId>>, write_chats: Option<Vec<ChatId>>) -> Self {
        Self { scopes, chats, write_chats, is_of_program: false }
    }

    /// Marks the grant as one to a program, which can ask the user for more (`oauth`).
    pub(super) fn of_program(self, is_of_program: bool) -> Self {
        Self { is_of_program, ..self }
    }

    /// Whether the user granted this to a program, which can ask for more.
    pub fn is_of_program(&self) -> bool {
        self.is_of_program
    }

    /// Rejects a request that needs a scope which the token does not have.
    pub fn require(&self, scope: Scope) -> Result<()> {
        if self.scopes.contains(&scope) { Ok(()) } else { Err(Error::InsufficientScope(scope.name())) }
    }

    /// Whether the token can use a scope in a chat.
    pub fn allows(&self, scope: Scope, chat: ChatId) -> bool {
        self.scopes.contains(&scope) && self.chats(scope).is_none_or(|chats| chats.contains(&chat))
    }

    /// The only chats in which the token can use a scope; `None` if it can in all.
    pub fn chats(&self, scope: Scope) -> Option<&[ChatId]> {
        let write_chats = self.write_chats.as_deref().filter(|_| scope.is_write());
        write_chats.or(self.chats.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_limits_scopes_and_chats() {
        let chat = |id: i64| ChatId::try_from(id).expect("an id");
        let grant = |chats: Option<Vec<ChatId>>, write_chats: Option<Vec<ChatId>>| Grant {
            scopes: vec![Scope::MessagesRead, Scope::MessagesWrite],
            chats,
            write_chats,
            is_of_program: false,
        };
        let all = grant(None, None);
        all.require(Scope::MessagesRead).expect("granted");
        assert!(matches!(all.require(Scope::ChatsRead), Err(Error::InsufficientScope("chats:read"))));
        assert_eq!((all.chats(Scope::MessagesRead), all.chats(Scope::MessagesWrite)), (None, None));
        let one = grant(Some(vec![chat(1)]), None);
        assert_eq!(one.chats(Scope::MessagesWrite), Some(&[chat(1)][..]));
        let writes_one = grant(None, Some(vec![chat(1)]));
        assert_eq!(writes_one.chats(Scope::MessagesRead), None);
        assert_eq!(writes_one.chats(Scope::MessagesWrite), Some(&[chat(1)][..]));
        let writes_nowhere = grant(Some(vec![chat(1)]), Some(vec![]));
        assert_eq!(writes_nowhere.chats(Scope::MessagesWrite), Some(&[][..]));
    }
}
