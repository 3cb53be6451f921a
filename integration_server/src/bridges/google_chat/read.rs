//! Reads the list of events of a space.

use super::{
    api::{GoogleApi, GoogleError},
    tokens::Scope,
};
use chat_core::bridges::{
    EventAccess, ServiceAccountKey,
    spaces::{ReadOutcome, SpaceEvent, SpaceRead},
};
use chat_core::time::now;
use chrono::{DateTime, SecondsFormat};
use reqwest::Method;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Maximum number of pages of one read; the next read continues.
const MAX_PAGES: usize = 10;

/// Maximum size of the events of one read, in bytes.
const MAX_READ_BYTES: usize = 8 * 1024 * 1024;

/// After this time a read makes no other request. Together with the time limits of a request and of a token
/// it is shorter than its lease.
const READ_TIME: Duration = Duration::from_secs(40);

/// The numbers of events of a page: fewer if a page is too long to be read.
const PAGE_SIZES: [&str; 3] = ["100", "10", "1"];

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
    let mut outcome = ReadOutcome { events: Vec::new(), event_access: None, pause: None, has_more: false };
    let started_at = Instant::now();
    for level in [EventAccess::Everything, EventAccess::Messages] {
        let mut read_all = Err(GoogleError::Incomplete);
        for page_size in PAGE_SIZES {
            if started_at.elapsed() > READ_TIME {
                break;
            }
            outcome.events.clear();
            read_all = read_pages(api, key, read, level, page_size, started_at, &mut outcome).await;
            if read_all != Err(GoogleError::Incomplete) {
                break;
            }
        }
        match read_all {
            Ok(()) => {
                outcome.event_access = Some(level);
                return (outcome, None);
            }
            // The app may not read these events, or not yet.
            Err(GoogleError::Refused { status: 400 | 403 | 404, .. }) => {}
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
    outcome.event_access = Some(EventAccess::Mentions);
    (outcome, None)
}

async fn read_pages(
    api: &GoogleApi,
    key: &ServiceAccountKey,
    read: &SpaceRead,
    level: EventAccess,
    page_size: &str,
    started_at: Instant,
    outcome: &mut ReadOutcome,
) -> Result<(), GoogleError> {
    let kinds = MESSAGE_EVENTS.iter().chain(REACTION_EVENTS.iter().filter(|_| level == EventAccess::Everything));
    let kinds: Vec<String> = kinds.map(|kind| format!("event_types:\"google.workspace.chat.{kind}\"")).collect();
    let since = read.since.to_rfc3339_opts(SecondsFormat::Micros, true);
    let filter = format!("start_time=\"{since}\" AND ({})", kinds.join(" OR "));
    let path = format!("{}/spaceEvents", read.space);
    let mut page_token = String::new();
    for _ in 0..MAX_PAGES {
        let mut query = vec![("filter", filter.as_str()), ("pageSize", page_size)];
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
        let size: usize = outcome.events.iter().map(|event| event.body.len()).sum();
        if size > MAX_READ_BYTES || started_at.elapsed() > READ_TIME {
            break;
        }
    }
    outcome.has_more = true;
    Ok(())
}

fn read_event(event: &Value) -> Option<SpaceEvent> {
    let name = event["name"].as_str()?.to_owned();
    let at = DateTime::parse_from_rfc3339(event["eventTime"].as_str()?).ok()?.to_utc();
    // A clock that is wrong must not skip events.
    let at = at.min(now());
    Some(SpaceEvent { name, at, body: serde_json::to_vec(event).ok()? })
}
