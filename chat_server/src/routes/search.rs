//! Message search.

use super::{Page, deserialize_time};
use crate::{
    AppState,
    extract::{Caller, Json, Limit, Query},
};
use axum::extract::State;
use chat_core::{
    ChatId, Error, MessageId, UserId,
    messages::Message,
    search::{self, ContentFilter, SearchCursor, SearchOrder, SearchQuery, SearchResults},
    values::SearchText,
};
use chat_http::Result;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchParams {
    /// The text: words in any order, `"a phrase"`, `-excluded`, and `or`. Of each message the
    /// first 16,384 characters are searched.
    /// Without a text, a filter is needed.
    q: Option<SearchText>,
    chat_id: Option<ChatId>,
    from: Option<UserId>,
    has: Option<ContentFilter>,
    /// Only messages before this time, or before this date in UTC.
    #[serde(default, deserialize_with = "deserialize_time")]
    #[schemars(with = "Option<String>")]
    before: Option<DateTime<Utc>>,
    /// Only messages at or after this time, or on or after this date in UTC.
    #[serde(default, deserialize_with = "deserialize_time")]
    #[schemars(with = "Option<String>")]
    after: Option<DateTime<Utc>>,
    /// The order of the results.
    #[serde(default)]
    order: SearchOrder,
    /// The start of the page, from `next` of the previous page.
    page: Option<String>,
    #[serde(default)]
    limit: Limit,
}

/// Parses a cursor such as `2.1234`: the rank and the message id of the last result.
fn parse_cursor(text: &str) -> Result<SearchCursor> {
    let parse = || {
        let (rank, id) = text.split_once('.')?;
        Some(SearchCursor { rank: rank.parse().ok()?, id: id.parse::<MessageId>().ok()? })
    };
    parse().ok_or_else(|| Error::invalid("page", "page must be copied from `next` of the previous page").into())
}

/// Returns the messages in the caller's chats that match the query, best match first.
pub(crate) async fn messages(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(params): Query<SearchParams>,
) -> Result<Json<Page<Message>>> {
    let SearchParams { q, chat_id, from, has, before, after, order, page, limit: Limit(limit) } = params;
    let page = page.as_deref().map(parse_cursor).transpose()?;
    let query = SearchQuery { text: q, chat_id, from, contains: has, before, after, order };
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let SearchResults { messages, next } =
        search::search_messages(&state.expensive_db, caller.user_id, caller.chats.as_deref(), &query, page, limit)
            .await?;
    let next = next.map(|SearchCursor { rank, id }| next_query(&query, rank, id, limit));
    Ok(Json(Page { items: messages, next }))
}

/// Builds the query string of the next page.
fn next_query(query: &SearchQuery, rank: i32, id: MessageId, limit: i64) -> String {
    let SearchQuery { text, chat_id, from, contains: has, before, after, order } = query;
    let mut next = form_urlencoded::Serializer::new(String::new());
    let ids = [("chat_id", chat_id.map(|id| id.to_string())), ("from", from.map(|id| id.to_string()))];
    let times = [("before", before.map(|time| time.to_rfc3339())), ("after", after.map(|time| time.to_rfc3339()))];
    let names = [
        ("q", text.as_ref().map(|text| text.as_str().to_owned())),
        ("has", has.map(|has| has.as_str().to_owned())),
        ("order", (*order == SearchOrder::Newest).then(|| "newest".to_owned())),
    ];
    for (name, value) in names.into_iter().chain(ids).chain(times) {
        if let Some(value) = value {
            next.append_pair(name, &value);
        }
    }
    next.append_pair("page", &format!("{rank}.{id}")).append_pair("limit", &limit.to_string());
    next.finish()
}
