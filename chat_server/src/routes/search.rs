//! Finding what was said.

use super::Page;
use crate::{
    Api,
    extract::{Asked, Caller, Limit},
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Error, MessageId, Result, UserId,
    messages::Message,
    search::{self, Has, Hits, Place, Query},
    text::SearchText,
};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Search {
    q: SearchText,
    chat_id: Option<ChatId>,
    from: Option<UserId>,
    has: Option<Has>,
    /// A time, or a date.
    #[serde(default, deserialize_with = "time")]
    #[schemars(with = "Option<String>")]
    before: Option<DateTime<Utc>>,
    /// A time, or a date.
    #[serde(default, deserialize_with = "time")]
    #[schemars(with = "Option<String>")]
    after: Option<DateTime<Utc>>,
    /// Where the page starts, as the last one said.
    page: Option<String>,
    #[serde(default)]
    limit: Limit,
}

/// A time, or a date, which stands for its first moment in UTC.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(from)?;
    let time = text.parse::<DateTime<Utc>>().ok();
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let found = time.or_else(date).filter(|time| (1970..10_000).contains(&chrono::Datelike::year(time)));
    found.map(Some).ok_or_else(|| serde::de::Error::custom("expected a time as in 2026-01-31T12:00:00Z, or a date"))
}

/// As in `2.1234`: the rank and the message of the last hit.
fn place(text: &str) -> Result<Place> {
    let read = || {
        let (rank, id) = text.split_once('.')?;
        Some(Place { rank: rank.parse().ok()?, id: id.parse::<MessageId>().ok()? })
    };
    read().ok_or_else(|| Error::invalid("page", "give what `next` of the last page said"))
}

/// Messages in the caller's chats that have these words, best first.
pub(crate) async fn messages(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(asked): Asked<Search>,
) -> Result<Json<Page<Message>>> {
    let Search { q, chat_id, from, has, before, after, page, limit: Limit(limit) } = asked;
    let page = page.as_deref().map(place).transpose()?;
    let query = Query { text: q, chat_id, from, has, before, after };
    let mut db = api.db.acquire().await?;
    let Hits { messages, next } = search::messages(&mut db, caller.user_id, &query, page, limit).await?;
    let next = next.map(|Place { rank, id }| next_query(&query, rank, id, limit));
    Ok(Json(Page { items: messages, next }))
}

/// The same question again, from further on.
fn next_query(query: &Query, rank: i32, id: MessageId, limit: i64) -> String {
    let Query { text, chat_id, from, has, before, after } = query;
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.append_pair("q", text.as_str());
    let ids = [("chat_id", chat_id.map(|id| id.to_string())), ("from", from.map(|id| id.to_string()))];
    let times = [("before", before.map(|time| time.to_rfc3339())), ("after", after.map(|time| time.to_rfc3339()))];
    let has = [("has", has.map(|Has::File| "file".to_owned()))];
    for (name, value) in ids.into_iter().chain(times).chain(has) {
        if let Some(value) = value {
            next.append_pair(name, &value);
        }
    }
    next.append_pair("page", &format!("{rank}.{id}")).append_pair("limit", &limit.to_string());
    next.finish()
}
