//! Builds all frames that are sent to clients. An event is encoded once and shared by
//! all connections that receive it.

use bytes::{BufMut, Bytes, BytesMut};
use chat_core::{
    MessageId, UserId,
    ephemeral::{EphemeralEvent, Presence, Typing},
    events::{Audience, Cursor, Epoch, LogEntry, Position, redaction},
};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use std::{fmt::Write, ops::Range};
use uuid::Uuid;

/// How often an idle connection sends a heartbeat, in milliseconds.
pub(crate) const HEARTBEAT_MS: u64 = 15_000;

/// A comment that keeps an idle connection open.
pub(crate) const PING: Bytes = Bytes::from_static(b": ping\n\n");

/// An event ready to be sent: the fields that routing needs, and the bytes.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) position: Position,
    pub(crate) audience: Audience,
    /// The session whose connections the event closes.
    pub(crate) revoked_session: Option<Uuid>,
    /// The message whose content the event contains.
    pub(crate) message_id: Option<MessageId>,
    pub(crate) sse: Bytes,
}

impl Event {
    /// Removes the content of the message.
    pub(crate) fn redact(&mut self) {
        let Ok(frame) = std::str::from_utf8(&self.sse) else { return };
        let Some((head, data)) = frame.split_once("data: ") else { return };
        if let Some(data) = redaction::redact(data.trim_end()) {
            self.sse = format!("{head}data: {data}\n\n").into();
        }
        self.message_id = None;
    }
}

/// Encodes log entries into one buffer that all of their events share, so that
/// adjacent events for the same audience can be sent as one slice. The log holds the
/// finished JSON objects; type and id are inserted at the front of each.
pub(crate) fn encode(epoch: &Epoch, entries: &[LogEntry]) -> (Bytes, Vec<Event>) {
    let size = entries.iter().map(|entry| entry.data.len() + OVERHEAD_BYTES).sum();
    let mut buffer = BytesMut::with_capacity(size);
    let mut ends = Vec::with_capacity(entries.len());
    for entry in entries {
        // Writing to a growable buffer cannot fail.
        buffer.put_slice(b"id: ");
        let _ = entry.write_cursor(epoch, &mut buffer);
        let _ = write!(buffer, "\nevent: {}\ndata: ", entry.kind);
        let _ = entry.write_json(epoch, &mut buffer);
        buffer.put_slice(b"\n\n");
        ends.push(buffer.len());
    }
    let buffer = buffer.freeze();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let events = entries.iter().zip(starts.zip(ends.iter().copied())).map(|(entry, (start, end))| Event {
        position: entry.position(),
        audience: Audience::of(entry),
        revoked_session: parse_revoked_session(entry),
        message_id: redaction::message_of(entry),
        sse: buffer.slice(start..end),
    });
    (buffer.clone(), events.collect())
}

/// Returns the JSON objects in a slice of one or more frames. A frame that is not an
/// event contains no object.
pub(crate) fn json_objects(frames: &Bytes) -> impl Iterator<Item = Bytes> {
    const DATA_PREFIX: &[u8] = b"data: ";
    // A frame consists of lines, and its data is one of them.
    frames.split(|byte| *byte == b'\n').filter_map(|line| Some(frames.slice_ref(line.strip_prefix(DATA_PREFIX)?)))
}

/// Returns the session that an event revokes, read from its data.
fn parse_revoked_session(entry: &LogEntry) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct SessionRevoked {
        session_id: Uuid,
    }
    if entry.kind != "session.revoked" {
        return None;
    }
    serde_json::from_str::<SessionRevoked>(&entry.data).ok().map(|revoked| revoked.session_id)
}

/// The approximate size of a frame without its data, in bytes.
const OVERHEAD_BYTES: usize = 128;

/// Builds the first event of a connection. It has an id only if no event was missed:
/// a client that resumes keeps its own cursor until it has caught up.
pub(crate) fn ready(cursor: &Cursor, resumed: bool, with_id: bool, user_id: UserId) -> Bytes {
    let data = json!({
        "type": "ready", "cursor": cursor, "resumed": resumed, "heartbeat_ms": HEARTBEAT_MS, "user_id": user_id,
    });
    control("ready", with_id.then_some(cursor), &data)
}

/// Tells the client that all missed events have been sent and that the connection is
/// now live.
pub(crate) fn caught_up(cursor: &Cursor) -> Bytes {
    control("caught_up", Some(cursor), &json!({ "type": "caught_up", "cursor": cursor }))
}

/// Tells the client that its missed events are unavailable, and that it must start over
/// from a fresh state.
pub(crate) fn reset(reason: &str, cursor: &Cursor) -> Bytes {
    control("reset", Some(cursor), &json!({ "type": "reset", "reason": reason, "cursor": cursor }))
}

/// Encodes a typing indicator. It has no id, because it is not in the log and a client does
/// not resume from it.
pub(crate) fn typing(typing: Typing) -> Bytes {
    control("typing", None, &json!(EphemeralEvent::Typing(typing)))
}

/// Encodes a presence, which has no id either.
pub(crate) fn presence(presence: Presence) -> Bytes {
    control("presence", None, &json!(EphemeralEvent::Presence(presence)))
}

/// Tells the client how long to wait before it reconnects: a random time within the
/// range, to spread the reconnects of many clients that are disconnected at the same
/// moment. It is the last line of a stream, without the empty line that ends a block: clients
/// apply it at once, and some report a block without data as an event of its own.
pub(crate) fn retry(milliseconds: Range<u64>) -> Bytes {
    with_retry(milliseconds, &Bytes::new())
}

/// Adds the time to wait before a reconnect to an event.
pub(crate) fn with_retry(milliseconds: Range<u64>, frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(format!("retry: {}\n", rand::rng().random_range(milliseconds)).as_bytes());
    bytes.extend_from_slice(frame);
    bytes.freeze()
}

fn control(kind: &str, id: Option<&Cursor>, data: &serde_json::Value) -> Bytes {
    let id = id.map(|cursor| format!("id: {cursor}\n")).unwrap_or_default();
    format!("{id}event: {kind}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::{Time, time};

    fn entry(id: u64, data: &str) -> LogEntry {
        let user_id = "1".parse().ok();
        LogEntry {
            id: id.to_string().parse().expect("id"),
            kind: "message.new".into(),
            chat_id: None,
            user_id,
            chat_ids: Vec::new(),
            message_id: None,
            at: Time(time::now()),
            data: data.into(),
        }
    }

    fn encode_to_string(data: &str) -> String {
        let (buffer, _) = encode(&Epoch::of(1, "00000001", 1), &[entry(7, data)]);
        String::from_utf8(buffer.to_vec()).expect("text")
    }

    #[test]
    fn the_events_of_a_batch_are_contiguous() {
        let (buffer, events) =
            encode(&Epoch::of(1, "00000001", 1), &[entry(7, "{}"), entry(8, r#"{"a":1}"#), entry(9, "{}")]);
        let concatenated: Vec<u8> = events.iter().flat_map(|event| event.sse.to_vec()).collect();
        assert_eq!(buffer, concatenated);
        assert!(events.iter().all(|event| event.sse.ends_with(b"\n\n")));
    }

    #[test]
    fn the_type_and_the_id_are_put_in_front_of_the_data() {
        let text = encode_to_string(r#"{"chat_id":3}"#);
        let lines: Vec<&str> = text.split('\n').collect();
        let [id, event, data, "", ""] = lines.as_slice() else { panic!("five lines: {text}") };
        let cursor = id.strip_prefix("id: ").expect("an id");
        assert_eq!(*event, "event: message.new");
        assert_eq!(*data, format!(r#"data: {{"type":"message.new","id":"{cursor}","chat_id":3}}"#));
    }

    #[test]
    fn json_objects_are_the_data_of_the_frames() {
        let (buffer, _) = encode(&Epoch::of(1, "00000001", 1), &[entry(7, r#"{"a":"data: b"}"#), entry(8, "{}")]);
        let objects: Vec<serde_json::Value> =
            json_objects(&buffer).map(|object| serde_json::from_slice(&object).expect("JSON")).collect();
        let [first, second] = objects.as_slice() else { panic!("two: {objects:?}") };
        assert_eq!(first["a"], "data: b");
        assert!(second["id"].as_str().expect("an id").ends_with("-8"));
        assert_eq!(super::json_objects(&PING).chain(super::json_objects(&retry(1..2))).count(), 0);
    }

    #[test]
    fn an_empty_object_stays_json() {
        let text = encode_to_string("{}");
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        assert!(serde_json::from_str::<serde_json::Value>(data).is_ok(), "{data}");
    }
}
