//! Which messages notify whom: one pure function with a truth table.

use crate::{chats::ChatType, notification_settings::NotificationLevel};
use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

/// What decides whether a message notifies a member of its chat.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Facts {
    /// The type of the chat.
    pub chat_type: ChatType,
    /// Which messages of the chat notify the member.
    pub level: NotificationLevel,
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
    /// Whether the message contains a keyword of the member.
    pub has_keyword: bool,
    /// Whether the status of the member is busy.
    pub is_busy: bool,
    /// The times at which the member wants to hear of nothing.
    #[sqlx(flatten)]
    pub quiet: QuietTimes,
    /// The time of the decision.
    pub at: DateTime<Utc>,
}

/// The times at which a user wants to hear of nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct QuietTimes {
    /// Do not disturb before this time.
    pub dnd_until: Option<DateTime<Utc>>,
    /// The beginning of the quiet hours.
    pub quiet_from: Option<NaiveTime>,
    /// The end of the quiet hours.
    pub quiet_until: Option<NaiveTime>,
    /// The IANA name of the user's time zone.
    pub time_zone: Option<String>,
}

impl QuietTimes {
    /// Whether an instant is in one of these times.
    fn contains(&self, at: DateTime<Utc>) -> bool {
        self.dnd_until.is_some_and(|until| at < until) || self.is_in_quiet_hours(at).unwrap_or(false)
    }

    /// `None` without quiet hours.
    fn is_in_quiet_hours(&self, at: DateTime<Utc>) -> Option<bool> {
        let (from, until) = (self.quiet_from?, self.quiet_until?);
        let zone: Tz = self.time_zone.as_ref()?.parse().ok()?;
        let time = at.with_timezone(&zone).time();
        Some(if from < until { from <= time && time < until } else { from <= time || time < until })
    }
}

/// How a message notifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// The member hears of it.
    Normal,
    /// The message is for the member: wake the device.
    High,
}

/// Decides whether a message notifies a member.
pub fn decide(facts: &Facts) -> Option<Urgency> {
    let is_unwanted = facts.is_own || facts.is_deleted || facts.is_blocked || facts.is_muted;
    if is_unwanted || facts.is_busy || facts.quiet.contains(facts.at) {
        return None;
    }
    let is_for_member = facts.is_mentioned || facts.is_reply || facts.has_keyword;
    match facts.level {
        NotificationLevel::None => None,
        NotificationLevel::All if facts.chat_type == ChatType::Single => Some(Urgency::High),
        _ if is_for_member => Some(Urgency::High),
        NotificationLevel::All => Some(Urgency::Normal),
        NotificationLevel::Mentions => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NotificationLevel::{All, Mentions, None as Nothing};

    fn facts(chat_type: ChatType, level: NotificationLevel) -> Facts {
        Facts {
            chat_type,
            level,
            is_muted: false,
            is_own: false,
            is_deleted: false,
            is_blocked: false,
            is_mentioned: false,
            is_reply: false,
            has_keyword: false,
            is_busy: false,
            quiet: QuietTimes::default(),
            at: at("2026-03-10T12:00:00Z"),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    /// The facts of a message in each way in which it can be for the member.
    fn for_the_member(facts: &Facts) -> [Facts; 3] {
        [
            Facts { is_mentioned: true, ..facts.clone() },
            Facts { is_reply: true, ..facts.clone() },
            Facts { has_keyword: true, ..facts.clone() },
        ]
    }

    #[test]
    fn the_truth_table_holds() {
        use ChatType::{Group, PrivateChannel, PublicChannel, Single};
        let (high, normal) = (Some(Urgency::High), Some(Urgency::Normal));
        // For each level and type: a plain message, and one that is for the member.
        for (level, chat_type, plain, for_member) in [
            (All, Single, high, high),
            (All, Group, normal, high),
            (All, PrivateChannel, normal, high),
            (All, PublicChannel, normal, high),
            (Mentions, Single, None, high),
            (Mentions, Group, None, high),
            (Mentions, PrivateChannel, None, high),
            (Mentions, PublicChannel, None, high),
            (Nothing, Single, None, None),
            (Nothing, Group, None, None),
            (Nothing, PrivateChannel, None, None),
            (Nothing, PublicChannel, None, None),
        ] {
            let facts = facts(chat_type, level);
            assert_eq!(decide(&facts), plain, "{facts:?}");
            for facts in for_the_member(&facts) {
                assert_eq!(decide(&facts), for_member, "{facts:?}");
            }
        }
    }

    #[test]
    fn each_reason_for_silence_is_enough() {
        for level in [All, Mentions, Nothing] {
            for chat_type in [ChatType::Single, ChatType::Group, ChatType::PrivateChannel, ChatType::PublicChannel] {
                let plain = facts(chat_type, level);
                for facts in for_the_member(&plain).into_iter().chain([plain]) {
                    let quiet = QuietTimes { dnd_until: Some(at("2026-03-10T12:00:01Z")), ..QuietTimes::default() };
                    for silent in [
                        Facts { is_own: true, ..facts.clone() },
                        Facts { is_deleted: true, ..facts.clone() },
                        Facts { is_blocked: true, ..facts.clone() },
                        Facts { is_muted: true, ..facts.clone() },
                        Facts { is_busy: true, ..facts.clone() },
                        Facts { quiet, ..facts.clone() },
                    ] {
                        assert_eq!(decide(&silent), None, "{silent:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn quiet_times_end_as_the_clock_of_the_user_says() {
        let hours = |from: &str, until: &str, zone: &str| QuietTimes {
            quiet_from: Some(from.parse().expect("a time")),
            quiet_until: Some(until.parse().expect("a time")),
            time_zone: Some(zone.into()),
            ..QuietTimes::default()
        };
        let (night, lunch) =
            (hours("22:00:00", "07:00:00", "Europe/Berlin"), hours("12:00:00", "13:00:00", "Asia/Kathmandu"));
        let dnd = QuietTimes { dnd_until: Some(at("2026-01-10T09:00:00Z")), ..QuietTimes::default() };
        for (quiet, instant, expected) in [
            // Winter: one hour ahead of UTC.
            (&night, "2026-01-10T20:59:59Z", false),
            (&night, "2026-01-10T21:00:00Z", true),
            (&night, "2026-01-11T00:30:00Z", true),
            (&night, "2026-01-11T05:59:59Z", true),
            (&night, "2026-01-11T06:00:00Z", false),
            // Summer: two hours.
            (&night, "2026-07-10T19:59:59Z", false),
            (&night, "2026-07-10T20:00:00Z", true),
            (&night, "2026-07-11T05:00:00Z", false),
            // The night in which the clock changes, at 01:00 UTC.
            (&night, "2026-03-29T04:59:59Z", true),
            (&night, "2026-03-29T05:00:00Z", false),
            // 5:45 ahead of UTC.
            (&lunch, "2026-01-10T06:14:59Z", false),
            (&lunch, "2026-01-10T06:15:00Z", true),
            (&lunch, "2026-01-10T07:14:59Z", true),
            (&lunch, "2026-01-10T07:15:00Z", false),
            (&dnd, "2026-01-10T08:59:59Z", true),
            (&dnd, "2026-01-10T09:00:00Z", false),
            (&QuietTimes::default(), "2026-01-10T00:00:00Z", false),
        ] {
            assert_eq!(quiet.contains(at(instant)), expected, "{instant}");
        }
    }
}
