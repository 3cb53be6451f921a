//! Who may do what in a chat: one table, without a database.

use crate::{
    Error, Result,
    chats::ChatType,
    members::{Membership, Role},
};

/// What not every member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Bring people in, by name or by an invite link.
    Invite,
    /// Change the name, the description or the topic.
    EditChat,
    /// Pin a message, or take a pin off.
    Pin,
    /// Delete a message of somebody else.
    DeleteOthers,
    /// See what a message said before it was edited.
    SeeEdits,
    /// Take out, or keep out, somebody of a lower role.
    Remove,
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
pub fn least(right: Right, kind: ChatType) -> Option<Role> {
    use ChatType::{Group, PrivateChannel, PublicChannel, Single};
    use Role::{Admin, Member, Owner};
    match (right, kind) {
        (Right::Pin,          Single)                         => Some(Member),
        (_,                   Single)                         => None,
        (Right::Leave,        _)                              => Some(Member),
        (Right::Invite,       Group)                          => Some(Member),
        (Right::Invite,       PrivateChannel | PublicChannel) => Some(Admin),
        (Right::Pin,          Group)                          => Some(Member),
        (Right::Pin,          PrivateChannel | PublicChannel) => Some(Admin),
        (Right::EditChat,     _)                              => Some(Admin),
        (Right::DeleteOthers, _)                              => Some(Admin),
        (Right::SeeEdits,     _)                              => Some(Admin),
        (Right::Remove,       _)                              => Some(Admin),
        (Right::SetRoles,     _)                              => Some(Owner),
        (Right::SetRetention, _)                              => Some(Owner),
        (Right::DeleteChat,   _)                              => Some(Owner),
    }
}

impl Membership {
    /// Refuses who has not this right.
    pub fn may(self, right: Right) -> Result<()> {
        match least(right, self.kind) {
            None => Err(Error::Forbidden("in a direct chat there is no such thing")),
            Some(least) if self.role < least => Err(Error::Forbidden("your role in this chat does not allow this")),
            Some(_) => Ok(()),
        }
    }

    /// Refuses who may not take away, or keep out, somebody of this role.
    pub fn may_remove(self, other: Role) -> Result<()> {
        self.may(Right::Remove)?;
        if self.role > other { Ok(()) } else { Err(Error::Forbidden("you cannot remove somebody of this role")) }
    }

    /// Refuses who may not bring somebody in with this role: members bring
    /// members, and who gives a role has a higher one.
    pub fn may_add(self, role: Role) -> Result<()> {
        self.may(Right::Invite)?;
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
        let rows: [(Right, [&str; 4]); 10] = [
            //                     single  group  private  public
            (Right::Invite,       ["",    "MAO", "AO",    "AO"]),
            (Right::EditChat,     ["",    "AO",  "AO",    "AO"]),
            (Right::Pin,          ["MAO", "MAO", "AO",    "AO"]),
            (Right::DeleteOthers, ["",    "AO",  "AO",    "AO"]),
            (Right::SeeEdits,     ["",    "AO",  "AO",    "AO"]),
            (Right::Remove,       ["",    "AO",  "AO",    "AO"]),
            (Right::SetRoles,     ["",    "O",   "O",     "O"]),
            (Right::SetRetention, ["",    "O",   "O",     "O"]),
            (Right::DeleteChat,   ["",    "O",   "O",     "O"]),
            (Right::Leave,        ["",    "MAO", "MAO",   "MAO"]),
        ];
        for (right, cells) in rows {
            for (kind, cell) in [Single, Group, PrivateChannel, PublicChannel].into_iter().zip(cells) {
                for (role, letter) in [(Member, 'M'), (Admin, 'A'), (Owner, 'O')] {
                    let may = Membership { role, kind }.may(right).is_ok();
                    assert_eq!(may, cell.contains(letter), "{right:?} in {kind:?} as {role:?}");
                }
            }
        }
    }

    #[test]
    fn nobody_removes_an_equal_or_gives_a_role_they_do_not_exceed() {
        for (role, removes, adds) in [(Member, "", "M"), (Admin, "M", "M"), (Owner, "MA", "MA")] {
            for (other, letter) in [(Member, 'M'), (Admin, 'A'), (Owner, 'O')] {
                let own = Membership { role, kind: Group };
                assert_eq!(own.may_remove(other).is_ok(), removes.contains(letter), "{role:?} removes {other:?}");
                assert_eq!(own.may_add(other).is_ok(), adds.contains(letter), "{role:?} adds {other:?}");
            }
        }
    }
}
