//! One attempt to deliver an entry to an endpoint: the request, and what its response means.

use crate::{
    client::{CallError, EndpointResponse, OutgoingClient},
    signature,
};
use chat_core::{
    events::{Cursor, Epoch},
    outbox::{Content, Entry, Outcome, State},
};
use chrono::{DateTime, Utc};
use rand::RngExt;
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::json;
use std::{borrow::Cow, time::Duration};

/// The delays before attempts 3 to 10. The second follows `MIN_PAUSE`; a delivery whose tenth
/// attempt fails is dead.
const RETRY_DELAYS: [Duration; 8] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// The pause of an endpoint after its first failure. It doubles with each further failure.
const MIN_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause of an endpoint.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Maximum time that an endpoint can ask to wait.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Maximum number of characters of a response that the owner sees.
const MAX_SHOWN_CHARS: usize = 500;

/// What an attempt means for the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It accepted the delivery: send the next.
    Continue,
    /// It failed: pause it for so long.
    Pause(Duration),
    /// It wants no more deliveries.
    Gone,
    /// Nothing was sent, because of a limit of this server: try again soon.
    NotSent,
}

/// A signed request.
#[derive(Debug)]
pub(crate) struct Request {
    headers: HeaderMap,
    body: String,
}

impl Request {
    /// Builds the request of an entry. Returns `None` if its event is no longer stored.
    pub(crate) fn new(entry: &Entry, epoch: &Epoch, keys: &[Vec<u8>], now: DateTime<Utc>) -> Option<Self> {
        let (id, at, data) = match &entry.content {
            Content::Event(event) => {
                let mut data = String::with_capacity(event.data.len() + 64);
                event.write_json(epoch, &mut data).ok()?;
                let cursor = Cursor { epoch: epoch.clone(), position: event.position() };
                // The specification allows no dots.
                (format!("evt_{}", cursor.to_string().replace('.', "_")), event.at, Cow::Owned(data))
            }
            Content::Data(data) => {
                let id = format!("msg_{}_{:x}", entry.id, entry.created_at.0.timestamp_micros());
                (id, entry.created_at, Cow::Borrowed(data.as_str()))
            }
            Content::Missing => return None,
        };
        let body = format!(r#"{{"type":{},"timestamp":{},"data":{data}}}"#, json!(entry.kind), json!(at));
        let timestamp = now.timestamp();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signature = signature::sign(keys, &id, timestamp, body.as_bytes());
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).expect("the values are ASCII"));
        }
        Some(Self { headers, body })
    }

    /// Sends the request.
    pub(crate) async fn send(self, client: &OutgoingClient, url: &str) -> Result<EndpointResponse, CallError> {
        client.post(url, self.headers, self.body).await
    }
}

/// Evaluates an attempt. `failures` are those of the endpoint before it, since its last success.
pub(crate) fn evaluate(
    entry: &Entry,
    response: Result<EndpointResponse, CallError>,
    failures: i32,
) -> (Outcome, Effect) {
    let outcome =
        |state, status, error| Outcome { id: entry.id, state, was_sent: true, retry_delay: None, status, error };
    let (status, error, retry_after) = match response {
        Ok(EndpointResponse { status, .. }) if status.is_success() => {
            return (outcome(State::Delivered, Some(status.as_u16()), None), Effect::Continue);
        }
        Ok(EndpointResponse { status, body, .. }) if status == StatusCode::GONE => {
            return (outcome(State::Dead, Some(status.as_u16()), Some(describe(status, &body))), Effect::Gone);
        }
        Ok(EndpointResponse { status, retry_after, body, .. }) => {
            (Some(status.as_u16()), describe(status, &body), retry_after)
        }
        Err(CallError::Busy) => {
            return (Outcome { was_sent: false, ..outcome(State::Waiting, None, None) }, Effect::NotSent);
        }
        Err(CallError::NotAllowed(why)) => (None, format!("the URL is not allowed: {why}"), None),
        Err(CallError::NotConnected(why) | CallError::Failed(why)) => (None, in_one_line(&why), None),
    };
    // The first failure blocks the endpoint, so that the order is kept; a delivery that fails
    // again lets later ones pass.
    let retry_delay = match usize::try_from(entry.attempts) {
        Ok(0) => Some(None),
        Ok(earlier) => RETRY_DELAYS.get(earlier - 1).map(|delay| Some(spread(*delay))),
        Err(_) => None,
    };
    let exponent = u32::try_from(failures.clamp(0, 16)).unwrap_or(0);
    let pause = spread(MIN_PAUSE.saturating_mul(1 << exponent).min(MAX_PAUSE));
    let pause = pause.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
    let state = if retry_delay.is_some() { State::Waiting } else { State::Dead };
    let retry_delay = retry_delay.flatten();
    (Outcome { retry_delay, ..outcome(state, status, Some(error)) }, Effect::Pause(pause))
}

/// Adds up to a tenth, so that deliveries that failed together are not repeated together.
fn spread(delay: Duration) -> Duration {
    delay.mul_f64(rand::rng().random_range(1.0..1.1))
}

/// Describes a response for the owner of the endpoint.
fn describe(status: StatusCode, body: &str) -> String {
    match in_one_line(body).trim() {
        "" => format!("the endpoint answered {status}"),
        body => format!("the endpoint answered {status}: {body}"),
    }
}

/// The beginning of a text without control characters.
fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::Time;

    fn entry(attempts: i16) -> Entry {
        Entry {
            id: "7".parse().expect("an id"),
            lane: "3".parse().expect("an id"),
            kind: "test".into(),
            attempts,
            created_at: Time(DateTime::from_timestamp(1_700_000_000, 0).expect("a time")),
            content: Content::Data("{}".into()),
        }
    }

    fn answer(status: u16, body: &str) -> Result<EndpointResponse, CallError> {
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(EndpointResponse { status, retry_after: None, is_json: true, body: body.into() })
    }

    #[test]
    fn only_2xx_is_a_delivery() {
        for (status, state) in [(200, State::Delivered), (204, State::Delivered), (301, State::Waiting)] {
            assert_eq!(evaluate(&entry(0), answer(status, ""), 0).0.state, state, "{status}");
        }
        let (outcome, effect) = evaluate(&entry(0), answer(410, ""), 0);
        assert_eq!((outcome.state, effect), (State::Dead, Effect::Gone));
        let (outcome, effect) = evaluate(&entry(3), Err(CallError::Busy), 0);
        assert_eq!((outcome.state, outcome.error, effect), (State::Waiting, None, Effect::NotSent));
    }

    #[test]
    fn a_delivery_is_sent_ten_times_over_three_days() {
        let mut total = Duration::ZERO;
        for attempts in 0..9 {
            let (outcome, effect) = evaluate(&entry(attempts), answer(500, "x\r\ny"), i32::from(attempts));
            assert_eq!(outcome.state, State::Waiting, "{attempts}");
            assert_eq!(outcome.error.as_deref(), Some("the endpoint answered 500 Internal Server Error: x  y"));
            assert_eq!(outcome.retry_delay.is_none(), attempts == 0, "only the first failure keeps the order");
            let Effect::Pause(pause) = effect else { panic!("{effect:?}") };
            assert!(pause >= MIN_PAUSE && pause <= MAX_PAUSE.mul_f64(1.1), "{pause:?}");
            total += outcome.retry_delay.unwrap_or(pause);
        }
        assert!((70..90).contains(&(total.as_secs() / 3600)), "{total:?}");
        assert_eq!(evaluate(&entry(9), answer(500, ""), 9).0.state, State::Dead);
    }

    #[test]
    fn an_endpoint_can_ask_for_a_pause() {
        let limited = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Ok(EndpointResponse {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                is_json: false,
                body: String::new(),
            })
        };
        assert_eq!(evaluate(&entry(0), limited(120), 0).1, Effect::Pause(Duration::from_secs(120)));
        assert_eq!(evaluate(&entry(0), limited(u64::MAX), 0).1, Effect::Pause(MAX_RETRY_AFTER));
    }

    #[test]
    fn a_request_has_the_headers_of_the_specification() {
        let epoch = Epoch::of(1, "00000001", 2);
        let now = DateTime::from_timestamp(1_700_000_100, 0).expect("a time");
        let request = Request::new(&entry(0), &epoch, &[b"key".to_vec()], now).expect("a request");
        assert_eq!(request.body, r#"{"type":"test","timestamp":"2023-11-14T22:13:20.000000Z","data":{}}"#);
        let header = |name| request.headers[name].to_str().expect("text").to_owned();
        assert_eq!(
            (header("webhook-id"), header("webhook-timestamp")),
            ("msg_7_60a24181e4000".into(), "1700000100".into())
        );
        assert!(header("webhook-signature").starts_with("v1,"));
        assert!(Request::new(&Entry { content: Content::Missing, ..entry(0) }, &epoch, &[], now).is_none());
    }
}
