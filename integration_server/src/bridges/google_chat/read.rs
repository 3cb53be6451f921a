//! Reads the list of events of a space.

use super::{
    api::{GoogleApi, GoogleError},
    tokens::Scope,
};
use chat_core::bridges::{
    Hears, ServiceAccountKey,
    spaces::{ReadOutcome, SpaceEvent, SpaceRead},
};
use chrono::{DateTime, SecondsFormat};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// Maximum number of pages of one read; the next read continues.
const MAX_PAGES: usize = 10;

/// The number of events of a page.
const PAGE_SIZE: &str = "100";

/// The pause after a read that failed.
const ERROR_PAUSE: Duration = Duration::from_secs(10);

/// The pause after the account was refused.
const ACCOUNT_PAUSE: Duration = Duration::from_secs(60);

/// The events of messages. Those of several messages at once come with them.
const MESSAGE_EVENTS: [&str; 3] = ["message.v1.created", "message.v1.updated", "message.v1.deleted"];

/// The events of reactions.
const REACTION_EVENTS: [&str; 2] = ["reaction.v1.created", "reaction.v1.deleted"];

/// Reads the events of a space since the last read. Also returns why the account was refused, if it was.
pub(crate) async fn read_events(
    api: &GoogleApi,
    key: &ServiceAccountKey,
    read: &SpaceRead,
) -> (ReadOutcome, Option<String>) {
    let mut outcome = ReadOutcome { events: Vec::new(), hears: None, pause: None, has_more: false };
    let levels: &[Hears] = match read.hears {
        Some(Hears::Messages) => &[Hears::Messages],
        _ => &[Hears::Everything, Hears::Messages],
    };
    for level in levels {
        match read_pages(api, key, read, *level, &mut outcome).await {
            Ok(()) => {
                outcome.hears = Some(*level);
                return (outcome, None);
            }
            // The app may not read these events, or not yet.
            Err(error) if error.is_missing() => {}
            Err(GoogleError::Account(why)) => {
                outcome.pause = Some(ACCOUNT_PAUSE);
                return (outcome, Some(why));
            }
            Err(error) => {
                tracing::info!(bridge = %read.account.id, space = read.space, why = error.why(),
                               "cannot read the events of a space; trying again");
                let asked = if let GoogleError::Temporary { pause, .. } = error { pause } else { Duration::ZERO };
                outcome.pause = Some(asked.max(ERROR_PAUSE));
                return (outcome, None);
            }
        }
    }
    outcome.hears = Some(Hears::Mentions);
    (outcome, None)
}

async fn read_pages(
    api: &GoogleApi,
    key: &ServiceAccountKey,
    read: &SpaceRead,
    level: Hears,
    outcome: &mut ReadOutcome,
) -> Result<(), GoogleError> {
    let kinds = MESSAGE_EVENTS.iter().chain(REACTION_EVENTS.iter().filter(|_| level == Hears::Everything));
    let kinds: Vec<String> = kinds.map(|kind| format!("event_types:\"google.workspace.chat.{kind}\"")).collect();
    let since = read.since.to_rfc3339_opts(SecondsFormat::Micros, true);
    let filter = format!("start_time=\"{since}\" AND ({})", kinds.join(" OR "));
    let path = format!("{}/spaceEvents", read.space);
    let mut page_token = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = vec![("filter", filter.as_str()), ("pageSize", PAGE_SIZE)];
        if !page_token.is_empty() {
            query.push(("pageToken", page_token.as_str()));
        }
        let page = api.request(key, Scope::ReadMessages, Method::GET, &path, &query, None).await?;
        let events = page["spaceEvents"].as_array().map(Vec::as_slice).unwrap_or_default();
        outcome.events.extend(events.iter().filter_map(read_event));
        page_token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if page_token.is_empty() {
            return Ok(());
        }
    }
    outcome.has_more = true;
    Ok(())
}

fn read_event(event: &Value) -> Option<SpaceEvent> {
    let name = event["name"].as_str()?.to_owned();
    let at = DateTime::parse_from_rfc3339(event["eventTime"].as_str()?).ok()?.to_utc();
    Some(SpaceEvent { name, at, body: serde_json::to_vec(event).ok()? })
}
