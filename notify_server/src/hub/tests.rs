//! What the hub keeps, stretch by stretch.

use super::*;
use crate::outbox::Found;
use chat_core::{Time, time};
use uuid::Uuid;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
    number.to_string().parse().expect("an id")
}

fn hub() -> Hub {
    let hub = Hub::default();
    hub.begin(Epoch::of(1, "00000001", 1), EventId::START);
    hub
}

fn entry(position: u64, kind: &str, chat: u64, user: Option<u64>) -> LogEntry {
    let (chat_id, user_id) = (Some(id(chat)), user.map(id));
    let at = Time(time::now());
    LogEntry { id: id(position), kind: kind.into(), chat_id, user_id, at, data: "{}".into() }
}

fn route(hub: &Hub, entries: &[LogEntry]) {
    hub.route(entries, entries.last().expect("an entry").id);
    hub.check_invariants();
}

/// The positions of the events that wait, read from their frames.
fn heard(outbox: &Outbox) -> Vec<i64> {
    let mut pieces = Vec::new();
    outbox.take(&mut pieces);
    let text = String::from_utf8(pieces.concat()).expect("text");
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")?.split_once('-')?.1.parse().ok());
    ids.collect()
}

fn attach(hub: &Hub, user: u64, chats: &[u64]) -> Arc<Outbox> {
    let outbox = Arc::new(Outbox::default());
    let loaded = (EventId::START, chats.iter().map(|chat| id(*chat)).collect());
    hub.attach(id(user), &outbox, Some(&loaded)).expect("attached");
    hub.check_invariants();
    outbox
}

#[test]
fn a_member_hears_a_chat_from_entering_to_leaving() {
    let hub = hub();
    let bob = attach(&hub, 2, &[]);
    route(&hub, &[entry(1, "message.new", 9, None)]);
    route(&hub, &[entry(2, "chat.added", 9, Some(2))]);
    route(&hub, &[entry(3, "message.new", 9, None)]);
    route(&hub, &[entry(4, "chat.removed", 9, Some(2))]);
    route(&hub, &[entry(5, "message.new", 9, None)]);
    assert_eq!(heard(&bob), [2, 3, 4]);
}

#[test]
fn a_whisper_moves_nobody_and_yields_to_what_is_in_the_log() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    route(&hub, &[entry(3, "message.new", 9, None)]);
    assert_eq!(heard(&bob), [3]);
    let (everybody, mut pieces) = (hub.hearers(&HashSet::from([id(9)])), Vec::new());
    hub.whisper(&everybody, &Bytes::from_static(b"event: typing\n\n"));
    let found = bob.take(&mut pieces);
    assert!(matches!(found, Some(Found::Pieces { upto, .. }) if upto == id(3)), "{found:?}");
    for _ in 0..10_000 {
        hub.whisper(&everybody, &Bytes::from_static(b"event: typing\n\n"));
    }
    assert!(!bob.has_lagged(), "a flood of whispers costs nobody their place");
    route(&hub, &[entry(4, "message.new", 9, None)]);
    assert_eq!(heard(&bob), [4]);
    assert!(hub.hearers(&HashSet::from([id(8)])).is_empty());
}

#[test]
fn closing_one_tab_leaves_the_other() {
    let hub = hub();
    let (one, other) = (attach(&hub, 2, &[9]), attach(&hub, 2, &[9]));
    route(&hub, &[entry(1, "message.new", 9, None)]);
    hub.detach(id(2), &one);
    route(&hub, &[entry(2, "message.new", 9, None)]);
    assert_eq!((heard(&one), heard(&other)), (vec![1], vec![1, 2]));
    hub.detach(id(2), &other);
    hub.check_invariants();
    assert!(hub.people.is_empty() && hub.rooms.is_empty());
}

#[test]
fn chats_loaded_in_the_past_are_brought_forward() {
    let hub = hub();
    route(&hub, &[entry(1, "chat.added", 9, Some(2))]);
    let bob = attach(&hub, 2, &[]);
    route(&hub, &[entry(2, "message.new", 9, None)]);
    assert_eq!(heard(&bob), [2]);
}

#[test]
fn chats_loaded_in_the_future_wait_for_the_log() {
    let hub = hub();
    let outbox = Arc::new(Outbox::default());
    let loaded = (id(2), Chats::from([id(9)]));
    let early = hub.attach(id(2), &outbox, Some(&loaded));
    assert!(matches!(early, Err(NotYet::Ahead(position)) if position == id(2)));
    // The same answer still serves when the log has gone past it.
    for position in 1..=3 {
        route(&hub, &[entry(position, "chat.added", 8, Some(3))]);
    }
    hub.attach(id(2), &outbox, Some(&loaded)).expect("attached");
    route(&hub, &[entry(4, "message.new", 9, None)]);
    assert_eq!(heard(&outbox), [4]);
}

#[test]
fn a_stream_does_not_slide_into_another_history() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    hub.begin(Epoch::of(2, "00000001", 1), EventId::START);
    hub.check_invariants();
    assert_eq!(bob.take(&mut Vec::new()), Some(Found::Closed(Close::HistoryChanged)));
    let again = hub.attach(id(2), &bob, Some(&(EventId::START, Chats::new())));
    assert!(matches!(again, Err(NotYet::Closed(Close::HistoryChanged))));
}

#[test]
fn a_revoked_session_hears_so_and_ends_and_the_others_go_on() {
    let hub = hub();
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let open = |session| {
        let outbox = Arc::new(Outbox::of(session));
        hub.attach(id(2), &outbox, Some(&(EventId::START, Chats::from([id(9)])))).map(|_| outbox)
    };
    let (gone, stays) = (open(one).expect("attached"), open(other).expect("attached"));
    let data = format!(r#"{{"session_id":"{one}"}}"#);
    let revoked = LogEntry { data, ..entry(1, "session.revoked", 9, Some(2)) };
    route(&hub, &[revoked, entry(2, "message.new", 9, None)]);
    assert_eq!(heard(&gone).first(), Some(&1));
    assert_eq!(gone.take(&mut Vec::new()), Some(Found::Closed(Close::Revoked)));
    assert_eq!(heard(&stays), [1, 2]);
    assert!(matches!(open(one), Err(NotYet::Closed(Close::Revoked))), "looked up before, opened after");
}

#[test]
fn the_fifty_first_stream_closes_the_first() {
    let hub = hub();
    let streams: Vec<_> = (0..=MAX_STREAMS_PER_USER).map(|_| attach(&hub, 2, &[9])).collect();
    let first = streams.first().expect("a stream");
    assert_eq!(first.take(&mut Vec::new()), Some(Found::Closed(Close::TooMany)));
}

#[test]
fn a_stretch_is_cut_where_the_audience_changes() {
    let hub = hub();
    let (bob, carol) = (attach(&hub, 2, &[9]), attach(&hub, 3, &[9, 8]));
    let said = |position, chat| entry(position, "message.new", chat, None);
    let stretch =
        [said(1, 9), said(2, 9), said(3, 8), said(4, 9), entry(5, "chat.removed", 9, Some(2)), said(6, 9), said(7, 9)];
    route(&hub, &stretch);
    assert_eq!((heard(&bob), heard(&carol)), (vec![1, 2, 4, 5], vec![1, 2, 3, 4, 6, 7]));
}

#[test]
fn an_event_comes_once_even_if_it_is_offered_twice() {
    let hub = hub();
    let bob = attach(&hub, 2, &[9]);
    for position in [1, 1, 2, 1, 2] {
        route(&hub, &[entry(position, "message.new", 9, None)]);
    }
    assert_eq!(heard(&bob), [1, 2]);
}
