//! The permissions of each role in each type of chat, as one table.

use crate::{
    Error, Result,
    chats::model::{ChatType, Membership, Role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A permission of a member in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Add members, and create invites.
    Invite,
    /// Change the name, the description or the topic.
    EditChat,
    /// Pin and unpin messages.
    Pin,
    /// Delete the messages of others.
    DeleteOthersMessages,
    /// List the revisions of messages of others.
    ViewRevisions,
    /// Remove and ban members of a lower role.
    RemoveMembers,
    /// Change roles, and transfer ownership.
    SetRoles,
    /// Set how long messages are kept.
    SetRetention,
    /// Delete the chat.
    DeleteChat,
    /// Leave the chat.
    Leave,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 10] = [
        Self::Invite,
        Self::EditChat,
        Self::Pin,
        Self::DeleteOthersMessages,
        Self::ViewRevisions,
        Self::RemoveMembers,
        Self::SetRoles,
        Self::SetRetention,
        Self::DeleteChat,
        Self::Leave,
    ];
}

/// The lowest role with a permission in a type of chat; `None` if no role has it. The
/// two members of a direct chat have equal rights and cannot leave. The SQL table
/// `role_permissions` (`migrations/0007_chat_members.sql`) has the same content, for
/// chats in events.
#[rustfmt::skip]
pub fn minimum_role(permission: Permission, kind: ChatType) -> Option<Role> {
    use ChatType::{Group, PrivateChannel, PublicChannel, Single};
    use Permission::{
        DeleteChat, DeleteOthersMessages, EditChat, Invite, Leave, Pin, RemoveMembers, SetRetention, SetRoles,
        ViewRevisions,
    };
    use Role::{Admin, Member, Owner};
    match (permission, kind) {
        (Pin,                  Single)                         => Some(Member),
        (_,                    Single)                         => None,
        (Leave,                _)                              => Some(Member),
        (Invite | Pin,         Group)                          => Some(Member),
        (Invite | Pin,         PrivateChannel | PublicChannel) => Some(Admin),
        (EditChat,             _)                              => Some(Admin),
        (DeleteOthersMessages, _)                              => Some(Admin),
        (ViewRevisions,        _)                              => Some(Admin),
        (RemoveMembers,        _)                              => Some(Admin),
        (SetRoles,             _)                              => Some(Owner),
        (SetRetention,         _)                              => Some(Owner),
        (DeleteChat,           _)                              => Some(Owner),
    }
}

/// All permissions of a role in a type of chat.
pub fn permissions_of(role: Role, kind: ChatType) -> impl Iterator<Item = Permission> {
    Permission::ALL
        .into_iter()
        .filter(move |permission| minimum_role(*permission, kind).is_some_and(|minimum| role >= minimum))
}

impl Membership {
    /// Requires a permission.
    pub fn require(self, permission: Permission) -> Result<()> {
        match minimum_role(permission, self.kind) {
            None => Err(Error::Forbidden("this action is not available in direct chats")),
            Some(minimum) if self.role < minimum => Err(Error::Forbidden("your role in this chat does not allow this")),
            Some(_) => Ok(()),
        }
    }

    /// Requires the permission to remove or ban a member of this role.
    pub fn require_can_remove(self, other: Role) -> Result<()> {
        self.require(Permission::RemoveMembers)?;
        if self.role > other { Ok(()) } else { Err(Error::Forbidden("you cannot remove a member of this role")) }
    }

    /// Requires the permission to add a member with this role. A role above `Member`
    /// can be granted only by a role above it.
    pub fn require_can_add(self, role: Role) -> Result<()> {
        self.require(Permission::Invite)?;
        if role == Role::Member || self.role > role {
            Ok(())
        } else {
            Err(Error::Forbidden("you cannot add a member with this role"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChatType::{Group, PrivateChannel, PublicChannel, Single};
    use Role::{Admin, Member, Owner};

    /// Lists by hand the roles that have each permission in each type of chat. M, A
    /// and O stand for member, admin and owner.
    #[test]
    #[rustfmt::skip]
    fn the_truth_table() {
        let rows: [(Permission, [&str; 4]); 10] = [
            //                     single  group  private  public
            (Permission::Invite,       ["",    "MAO", "AO",    "AO"]),
            (Permission::EditChat,     ["",    "AO",  "AO",    "AO"]),
            (Permission::Pin,          ["MAO", "MAO", "AO",    "AO"]),
            (Permission::DeleteOthersMessages, ["",    "AO",  "AO",    "AO"]),
            (Permission::ViewRevisions,     ["",    "AO",  "AO",    "AO"]),
            (Permission::RemoveMembers,       ["",    "AO",  "AO",    "AO"]),
            (Permission::SetRoles,     ["",    "O",   "O",     "O"]),
            (Permission::SetRetention, ["",    "O",   "O",     "O"]),
            (Permission::DeleteChat,   ["",    "O",   "O",     "O"]),
            (Permission::Leave,        ["",    "MAO", "MAO",   "MAO"]),
        ];
        for (permission, cells) in rows {
            for (kind, cell) in [Single, Group, PrivateChannel, PublicChannel].into_iter().zip(cells) {
                for (role, letter) in [(Member, 'M'), (Admin, 'A'), (Owner, 'O')] {
                    let may = Membership { role, kind }.require(permission).is_ok();
                    assert_eq!(may, cell.contains(letter), "{permission:?} in {kind:?} as {role:?}");
                }
            }
        }
    }

    #[test]
    fn nobody_removes_an_equal_or_gives_a_role_they_do_not_exceed() {
        for (role, removes, adds) in [(Member, "", "M"), (Admin, "M", "M"), (Owner, "MA", "MA")] {
            for (other, letter) in [(Member, 'M'), (Admin, 'A'), (Owner, 'O')] {
                let membership = Membership { role, kind: Group };
                assert_eq!(
                    membership.require_can_remove(other).is_ok(),
                    removes.contains(letter),
                    "{role:?} removes {other:?}"
                );
                assert_eq!(membership.require_can_add(other).is_ok(), adds.contains(letter), "{role:?} adds {other:?}");
            }
        }
    }
}
