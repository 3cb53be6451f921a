//! A client of the event stream. The harness has its own SSE parser, so that the
//! servers' encoding is checked by a second implementation of the standard.

use crate::{ApiResponse, DEADLINE};
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::RequestBuilder;
use serde_json::Value;
use std::collections::VecDeque;
use tokio::time::{Instant, timeout_at};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The `id:` field, if the event had one.
    pub id: Option<String>,
    /// The `event:` field.
    pub kind: String,
    /// The `data:` field, as JSON.
    pub data: Value,
}

impl Event {
    /// Returns the content of the event's message, or an empty text if it has none.
    pub fn text(&self) -> &str {
        self.data["message"]["content"].as_str().unwrap_or_default()
    }

    /// Returns whether the event is ephemeral: never logged, never replayed.
    pub fn is_ephemeral(&self) -> bool {
        matches!(self.kind.as_str(), "typing" | "presence")
    }

    /// Parses an event from the wire and checks it against the published schema.
    pub fn parse(id: Option<String>, data: &str) -> Self {
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data}"));
        if let (Some(id_in_data), Some(id)) = (data["id"].as_str(), &id) {
            assert_eq!(id_in_data, id, "the `id:` field and the id in the data are equal");
        }
        serde_json::from_value::<chat_core::catalogue::Event>(data.clone())
            .unwrap_or_else(|error| panic!("does not match the schema: {error} in {data}"));
        let kind = data["type"].as_str().expect("a type").to_owned();
        Self { id, kind, data }
    }
}

/// An open stream.
pub struct EventStream {
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    reader: SseReader,
    /// Logged events that were read while waiting for an ephemeral one, and the reverse.
    queued_events: VecDeque<Event>,
    queued_ephemeral: VecDeque<Event>,
    /// The `ready` event that opened the stream.
    pub ready: Event,
    /// The last event id received, as a browser would send it back.
    pub last_id: Option<String>,
}

impl EventStream {
    /// Opens a stream and reads its `ready` event.
    pub async fn open(request: RequestBuilder) -> Self {
        Self::try_open(request).await.expect("the stream goes on")
    }

    /// Like [`Self::open`], but returns `None` if the server sends only `retry:` and ends.
    pub async fn try_open(request: RequestBuilder) -> Option<Self> {
        let response = request.send().await.expect("an answer");
        if response.status() != 200 {
            let reply = ApiResponse::read(response).await;
            panic!("the stream was rejected: {} {}", reply.status, String::from_utf8_lossy(&reply.bytes));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store, no-transform");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let nothing = Event { id: None, kind: String::new(), data: Value::Null };
        let bytes = response.bytes_stream().boxed();
        let mut stream = Self {
            bytes,
            reader: SseReader::default(),
            queued_events: VecDeque::new(),
            queued_ephemeral: VecDeque::new(),
            ready: nothing,
            last_id: None,
        };
        stream.ready = stream.try_next().await?;
        assert_eq!(stream.ready.kind, "ready", "a stream opens with ready");
        Some(stream)
    }

    /// Returns the next logged event.
    pub async fn next(&mut self) -> Event {
        self.try_next().await.expect("the stream goes on")
    }

    /// Returns the next logged event, or `None` when the stream ends.
    pub async fn try_next(&mut self) -> Option<Event> {
        if let Some(event) = self.queued_events.pop_front() {
            return Some(event);
        }
        loop {
            let event = self.read().await?;
            if !event.is_ephemeral() {
                return Some(event);
            }
            self.queued_ephemeral.push_back(event);
        }
    }

    /// Returns the next ephemeral event of one type: `typing` or `presence`.
    pub async fn next_ephemeral(&mut self, kind: &str) -> Event {
        loop {
            let event = match self.queued_ephemeral.pop_front() {
                Some(event) => event,
                None => self.read().await.expect("the stream goes on"),
            };
            match event.is_ephemeral() {
                true if event.kind == kind => return event,
                true => {}
                false => self.queued_events.push_back(event),
            }
        }
    }

    /// Removes and returns the ephemeral events read so far.
    pub fn drain_ephemeral(&mut self) -> Vec<Event> {
        self.queued_ephemeral.drain(..).collect()
    }

    async fn read(&mut self) -> Option<Event> {
        // The deadline is for the event, not for the next bytes: pings never stop.
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(event) = self.reader.pop() {
                if event.id.is_some() {
                    self.last_id.clone_from(&event.id);
                }
                return Some(event);
            }
            let chunk = timeout_at(deadline, self.bytes.next()).await.expect("an event within the deadline");
            self.reader.push(&chunk?.ok()?);
        }
    }

    /// Returns the next event of one type and skips the others.
    pub async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Returns the events up to `caught_up`, on a stream that resumed.
    pub async fn read_replay(&mut self) -> Vec<Event> {
        let mut replay = Vec::new();
        loop {
            match self.next().await {
                event if event.kind == "caught_up" => return replay,
                event => replay.push(event),
            }
        }
    }

    /// Returns the events before the message `marker`. The marker is a fence: a test
    /// sends it in a chat that this user is in.
    pub async fn read_until(&mut self, marker: &str) -> Vec<Event> {
        let mut received = Vec::new();
        loop {
            match self.next().await {
                event if event.text() == marker => return received,
                event => received.push(event),
            }
        }
    }

    /// Reads until the next comment.
    pub async fn next_comment(&mut self) {
        let before = self.reader.comments;
        while self.reader.comments == before {
            let chunk = self.bytes.next().await.expect("the stream goes on").expect("bytes");
            self.reader.push(&chunk);
        }
    }

    /// The last reconnection time received, in milliseconds.
    pub fn retry_ms(&self) -> Option<u64> {
        self.reader.retry
    }

    /// The last event id received, which resumes the stream.
    pub fn cursor(&self) -> &str {
        self.last_id.as_deref().expect("an id was received")
    }
}

/// A reader of Server-Sent Events, written from the standard.
#[derive(Debug, Default)]
pub struct SseReader {
    line: Vec<u8>,
    after_cr: bool,
    id: Option<String>,
    kind: String,
    data: Option<String>,
    ready: VecDeque<Event>,
    /// The last reconnection time received, in milliseconds.
    pub retry: Option<u64>,
    /// Number of comments received.
    pub comments: usize,
}

impl SseReader {
    /// Parses more bytes. They may end anywhere, even inside a line.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_lf_of_crlf = *byte == b'\n' && self.after_cr;
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' if is_lf_of_crlf => {}
                b'\n' | b'\r' => self.end_line(),
                other => self.line.push(*other),
            }
        }
    }

    /// Returns the next complete event.
    pub fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("a stream is UTF-8");
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "id" => self.id = Some(value.to_owned()),
            "event" => self.kind = value.to_owned(),
            "retry" => self.retry = value.parse().ok(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            other => panic!("unknown field: {other}"),
        }
    }

    fn dispatch(&mut self) {
        let (id, kind) = (self.id.take(), std::mem::take(&mut self.kind));
        let Some(data) = self.data.take() else { return };
        let event = Event::parse(id, &data);
        assert_eq!(event.kind, kind, "the `event:` field and the type in the data are equal");
        self.ready.push_back(event);
    }
}
