//! Which messages notify whom: one pure function with a truth table.

use crate::chats::ChatType;

/// What decides whether a message notifies a member of its chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Facts {
    /// The type of the chat.
    pub chat_type: ChatType,
    /// Whether the member has muted the chat.
    pub is_muted: bool,
    /// Whether the member sent the message.
    pub is_own: bool,
    /// Whether the message was deleted.
    pub is_deleted: bool,
    /// Whether the member has blocked the sender.
    pub is_blocked: bool,
    /// Whether the message mentions the member or everyone.
    pub is_mentioned: bool,
    /// Whether the message replies to one of the member's.
    pub is_reply: bool,
}

/// How a message notifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The member hears of it.
    Normal,
    /// The message is for the member: wake the device.
    High,
}

/// Decides whether a message notifies a member. Direct chats and groups notify of all messages, channels of
/// those that mention the member or reply to them.
pub fn decide(facts: Facts) -> Option<Urgency> {
    let Facts { chat_type, is_muted, is_own, is_deleted, is_blocked, is_mentioned, is_reply } = facts;
    if is_own || is_deleted || is_blocked || is_muted {
        return None;
    }
    match chat_type {
        ChatType::Single => Some(Urgency::High),
        _ if is_mentioned || is_reply => Some(Urgency::High),
        ChatType::Group => Some(Urgency::Normal),
        ChatType::PrivateChannel | ChatType::PublicChannel => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_table_holds() {
        use ChatType::{Group, PrivateChannel, PublicChannel, Single};
        let (high, normal) = (Some(Urgency::High), Some(Urgency::Normal));
        // For each type: a plain message, one that mentions, one that replies.
        for (chat_type, plain, mentioned, reply) in [
            (Single, high, high, high),
            (Group, normal, high, high),
            (PrivateChannel, None, high, high),
            (PublicChannel, None, high, high),
        ] {
            let facts = Facts {
                chat_type,
                is_muted: false,
                is_own: false,
                is_deleted: false,
                is_blocked: false,
                is_mentioned: false,
                is_reply: false,
            };
            assert_eq!(decide(facts), plain);
            assert_eq!(decide(Facts { is_mentioned: true, ..facts }), mentioned);
            assert_eq!(decide(Facts { is_reply: true, ..facts }), reply);
            // Each of these alone is enough for silence, whatever else holds.
            for (is_mentioned, is_reply) in [(false, false), (true, false), (false, true), (true, true)] {
                let facts = Facts { is_mentioned, is_reply, ..facts };
                assert_eq!(decide(Facts { is_own: true, ..facts }), None);
                assert_eq!(decide(Facts { is_deleted: true, ..facts }), None);
                assert_eq!(decide(Facts { is_blocked: true, ..facts }), None);
                assert_eq!(decide(Facts { is_muted: true, ..facts }), None);
            }
        }
    }
}
