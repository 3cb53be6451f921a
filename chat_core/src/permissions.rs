//! Who may do what in a chat: one table, without a database.

use crate::{
    Error, Result,
    chats::model::{ChatType, Membership, Role},
};

/// What not every member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Bring people in, by name or by an invite link.
    Invite,
    /// Change the name, the description or the topic.
    EditChat,
    /// Pin a message, or take a pin off.
    Pin,
    /// Delete a message of somebody else.
    DeleteOthersMessages,
    /// See what a message said before it was edited.
    ViewRevisions,
    /// Take out, or keep out, somebody of a lower role.
    RemoveMembers,
    /// Give roles, and hand the chat over.
    SetRoles,
    /// Say how long messages are kept.
    SetRetention,
    /// Delete the chat.
    DeleteChat,
    /// Go away.
    Leave,
}

/// The least role that has a right in a kind of chat; nobody, if `None`. A direct
/// chat has two equals, who stay.
#[rustfmt::skip]
pub fn minimum_role(permission: Permission, kind: ChatType) -> Option<Role> {
    use ChatType::{Group, PrivateChannel, PublicChannel, Single};
    use Role::{Admin, Member, Owner};
    match (permission, kind) {
        (Permission::Pin,          Single)                         => Some(Member),
        (_,                   Single)                         => None,
        (Permission::Leave,        _)                              => Some(Member),
        (Permission::Invite,       Group)                          => Some(Member),
        (Permission::Invite,       PrivateChannel | PublicChannel) => Some(Admin),
        (Permission::Pin,          Group)                          => Some(Member),
        (Permission::Pin,          PrivateChannel | PublicChannel) => Some(Admin),
        (Permission::EditChat,     _)                              => Some(Admin),
        (Permission::DeleteOthersMessages, _)                              => Some(Admin),
        (Permission::ViewRevisions,     _)                              => Some(Admin),
        (Permission::RemoveMembers,       _)                              => Some(Admin),
        (Permission::SetRoles,     _)                              => Some(Owner),
        (Permission::SetRetention, _)                              => Some(Owner),
        (Permission::DeleteChat,   _)                              => Some(Owner),
    }
}

impl Membership {
    /// Refuses who has not this right.
    pub fn require(self, permission: Permission) -> Result<()> {
        match minimum_role(permission, self.kind) {
            None => Err(Error::Forbidden("in a direct chat there is no such thing")),
            Some(minimum) if self.role < minimum => Err(Error::Forbidden("your role in this chat does not allow this")),
            Some(_) => Ok(()),
        }
    }

    /// Refuses who may not take away, or keep out, somebody of this role.
    pub fn require_can_remove(self, other: Role) -> Result<()> {
        self.require(Permission::RemoveMembers)?;
        if self.role > other { Ok(()) } else { Err(Error::Forbidden("you cannot remove somebody of this role")) }
    }

    /// Refuses who may not bring somebody in with this role: members bring
    /// members, and who gives a role has a higher one.
    pub fn require_can_add(self, role: Role) -> Result<()> {
        self.require(Permission::Invite)?;
        if role == Role::Member || self.role > role {
            Ok(())
        } else {
            Err(Error::Forbidden("you cannot add somebody with this role"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChatType::{Group, PrivateChannel, PublicChannel, Single};
    use Role::{Admin, Member, Owner};

    /// Written out by hand, role by role: for each right and kind of chat, who
    /// has it. M, A and O stand for member, admin and owner.
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
