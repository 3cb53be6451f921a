//! The handlers: one file per resource, one function per operation. A handler extracts
//! its input, calls one function and returns the result.

pub(crate) mod accounts;
pub(crate) mod auth;
pub(crate) mod bans;
pub(crate) mod bots;
pub(crate) mod bridges;
pub(crate) mod channels;
pub(crate) mod chats;
pub(crate) mod config;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod inbox;
pub(crate) mod invites;
pub(crate) mod mail;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod notifications;
pub(crate) mod oauth;
pub(crate) mod operator;
pub(crate) mod presence;
pub(crate) mod push;
pub(crate) mod receipts;
pub(crate) mod saved_messages;
pub(crate) mod search;
pub(crate) mod sign_up;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod webhook_endpoints;
pub(crate) mod webhooks;

use crate::extract::Limit;
use chat_core::UserId;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Parses a time, or a date, which means the start of the day in UTC.
fn deserialize_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(from)?;
    let time = text.parse::<DateTime<Utc>>().ok();
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let parsed = time.or_else(date).filter(|time| (1970..10_000).contains(&chrono::Datelike::year(time)));
    parsed.map(Some).ok_or_else(|| serde::de::Error::custom("must be a time such as 2026-01-31T12:00:00Z, or a date"))
}

/// A list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(crate) struct List<T> {
    items: Vec<T>,
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// The query string of the next page; null on the last page.
    next: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` rows. The extra row shows that there is a
    /// next page.
    fn of(rows: Vec<T>, limit: i64, after: impl Fn(&T) -> i64) -> Self {
        Self::with_filters(rows, limit, &[], |last| ("after", after(last)))
    }

    /// Builds a page like [`Self::of`]. The next page has the same filters, and continues at
    /// the parameter that `cursor` returns for the last row.
    fn with_filters(
        mut rows: Vec<T>,
        limit: i64,
        filters: &[(&str, Option<String>)],
        cursor: impl Fn(&T) -> (&'static str, i64),
    ) -> Self {
        let limit_rows = usize::try_from(limit).unwrap_or(0);
        let has_more = rows.len() > limit_rows;
        rows.truncate(limit_rows);
        let next = rows.last().filter(|_| has_more).map(|last| next_query(limit, filters, cursor(last)));
        Self { items: rows, next }
    }

    /// Adds a next page that continues after what was read but is not on this page.
    fn or_resume_at(mut self, limit: i64, filters: &[(&str, Option<String>)], at: Option<(&'static str, i64)>) -> Self {
        if self.next.is_none() {
            self.next = at.map(|at| next_query(limit, filters, at));
        }
        self
    }
}

/// The query string of a page that continues at a position.
fn next_query(limit: i64, filters: &[(&str, Option<String>)], (name, position): (&str, i64)) -> String {
    let filters = filters.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(filters)
        .append_pair(name, &position.to_string())
        .append_pair("limit", &limit.to_string())
        .finish()
}

/// The start of a page of a list that is ordered by user id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPageParams {
    after: Option<UserId>,
    #[serde(default)]
    limit: Limit,
}
