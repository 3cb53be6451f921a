//! Tests of the hub. Its invariants are checked after every batch.

use super::*;
use crate::send_queue::Polled;
use chat_core::{Time, time};
use uuid::Uuid;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
    number.to_string().parse().expect("an id")
}

fn hub() -> Hub {
    let hub = Hub::default();
    hub.start_history(Epoch::of(1, "00000001", 1), Position::START);
    hub
}

fn entry(position: u64, kind: &str, chat: u64, user: Option<u64>) -> LogEntry {
    let (chat_id, user_id) = (Some(id(chat)), user.map(id));
    let at = Time(time::now());
    LogEntry {
        id: id(position),
        kind: kind.into(),
        chat_id,
        user_id,
        chat_ids: Vec::new(),
        message_id: None,
        at,
        data: "{}".into(),
    }
}

fn route(hub: &Hub, entries: &[LogEntry]) {
    hub.route(entries, entries.last().expect("an entry").position());
    hub.check_invariants();
}

/// Returns the positions of the queued events, read from their frames.
fn received(queue: &SendQueue) -> Vec<i64> {
    let mut frames = Vec::new();
    queue.take(&mut frames);
    let text = String::from_utf8(frames.concat()).expect("text");
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.split_once('-')?.1.parse().ok());
    ids.collect()
}

fn attach(hub: &Hub, user: u64, chats: &[u64]) -> Arc<SendQueue> {
    let queue = Arc::new(SendQueue::default());
    let loaded = (EventId::START, chats.iter().map(|chat| id(*chat)).collect());
    hub.attach(id(user), &queue, Some(&loaded)).expect("attached");
    hub.check_invariants();
    queue
}

#[test]
fn a_member_receives_events_from_joining_to_leaving() {
    let hub = hub();
    let bob = attach(&hub, 2, &[]);
    route(&hub, &[entry(1, "message.new", 9, None)]);
    route(&hub, &[entry(2, "chat.added", 9, Some(2))]);
    route(&hub, &[entry(3, "message.new", 9, None)]);
    route(&hub, &[entry(4, "chat.removed", 9, Some(2))]);
    route(&hub, &[entry(5, "message.new", 9, None)]);
    assert_eq!(received(&bob), [2, 3, 4]);
}

#[test]
fn an_ephemeral_event_keeps_the_cursor_and_yields_to_the_log() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    route(&hub, &[entry(3, "message.new", 9, None)]);
    assert_eq!(received(&bob), [3]);
    let (everybody, mut frames) = (hub.online_members(&HashSet::from([id(9)])), Vec::new());
    hub.dispatch_ephemeral(&everybody, &Bytes::from_static(b"event: typing\n\n"));
    let polled = bob.take(&mut frames);
    assert!(matches!(polled, Some(Polled::Frames { last_event, .. }) if last_event == id(3)), "{polled:?}");
    for _ in 0..10_000 {
        hub.dispatch_ephemeral(&everybody, &Bytes::from_static(b"event: typing\n\n"));
    }
    assert!(!bob.has_lagged(), "a flood of ephemeral events must not cause a lag");
    route(&hub, &[entry(4, "message.new", 9, None)]);
    assert_eq!(received(&bob), [4]);
    assert!(hub.online_members(&HashSet::from([id(8)])).is_empty());
}

#[test]
fn closing_one_tab_leaves_the_other() {
    let hub = hub();
    let (one, other) = (attach(&hub, 2, &[9]), attach(&hub, 2, &[9]));
    route(&hub, &[entry(1, "message.new", 9, None)]);
    hub.detach(id(2), &one);
    route(&hub, &[entry(2, "message.new", 9, None)]);
    assert_eq!((received(&one), received(&other)), (vec![1], vec![1, 2]));
    hub.detach(id(2), &other);
    hub.check_invariants();
    assert!(hub.users.is_empty() && hub.members_by_chat.is_empty());
}

#[test]
fn chats_loaded_in_the_past_are_brought_forward() {
    let hub = hub();
    route(&hub, &[entry(1, "chat.added", 9, Some(2))]);
    let bob = attach(&hub, 2, &[]);
    route(&hub, &[entry(2, "message.new", 9, None)]);
    assert_eq!(received(&bob), [2]);
}

#[test]
fn chats_loaded_in_the_future_wait_for_the_log() {
    let hub = hub();
    let queue = Arc::new(SendQueue::default());
    let loaded = (id(2), Chats::from([id(9)]));
    let early = hub.attach(id(2), &queue, Some(&loaded));
    assert!(matches!(early, Err(AttachError::LogBehind(position)) if position == id(2)));
    // The loaded chats are still usable after the hub has passed their position.
    for position in 1..=3 {
        route(&hub, &[entry(position, "chat.added", 8, Some(3))]);
    }
    hub.attach(id(2), &queue, Some(&loaded)).expect("attached");
    route(&hub, &[entry(4, "message.new", 9, None)]);
    assert_eq!(received(&queue), [4]);
}

#[test]
fn a_history_change_closes_every_connection() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    hub.start_history(Epoch::of(2, "00000001", 1), Position::START);
    hub.check_invariants();
    assert_eq!(bob.take(&mut Vec::new()), Some(Polled::Closed(CloseReason::HistoryChanged)));
    let again = hub.attach(id(2), &bob, Some(&(EventId::START, Chats::new())));
    assert!(matches!(again, Err(AttachError::Closed(CloseReason::HistoryChanged))));
}

#[test]
fn revoking_a_session_closes_only_its_own_connections() {
    let hub = hub();
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let open = |session| {
        let queue = Arc::new(SendQueue::for_session(session));
        hub.attach(id(2), &queue, Some(&(EventId::START, Chats::from([id(9)])))).map(|_| queue)
    };
    let (gone, stays) = (open(one).expect("attached"), open(other).expect("attached"));
    let data = format!(r#"{{"session_id":"{one}"}}"#);
    let revoked = LogEntry { data, ..entry(1, "session.revoked", 9, Some(2)) };
    route(&hub, &[revoked, entry(2, "message.new", 9, None)]);
    assert_eq!(received(&gone).first(), Some(&1));
    assert_eq!(gone.take(&mut Vec::new()), Some(Polled::Closed(CloseReason::SessionRevoked)));
    assert_eq!(received(&stays), [1, 2]);
    assert!(
        matches!(open(one), Err(AttachError::Closed(CloseReason::SessionRevoked))),
        "a session revoked after it was loaded must not attach"
    );
}

#[test]
fn one_connection_too_many_closes_the_oldest() {
    let hub = hub();
    let streams: Vec<_> = (0..=MAX_CONNECTIONS_PER_USER).map(|_| attach(&hub, 2, &[9])).collect();
    let first = streams.first().expect("a stream");
    assert_eq!(first.take(&mut Vec::new()), Some(Polled::Closed(CloseReason::TooManyConnections)));
}

#[test]
fn a_batch_is_split_where_the_audience_changes() {
    let hub = hub();
    let (bob, carol) = (attach(&hub, 2, &[9]), attach(&hub, 3, &[9, 8]));
    let message = |position, chat| entry(position, "message.new", chat, None);
    let entries = [
        message(1, 9),
        message(2, 9),
        message(3, 8),
        message(4, 9),
        entry(5, "chat.removed", 9, Some(2)),
        message(6, 9),
        message(7, 9),
    ];
    route(&hub, &entries);
    assert_eq!((received(&bob), received(&carol)), (vec![1, 2, 4, 5], vec![1, 2, 3, 4, 6, 7]));
}

#[test]
fn an_event_is_delivered_once_even_if_it_is_routed_twice() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    for position in [1, 1, 2, 1, 2] {
        route(&hub, &[entry(position, "message.new", 9, None)]);
    }
    assert_eq!(received(&bob), [1, 2]);
}
