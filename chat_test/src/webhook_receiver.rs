//! A server that receives outgoing webhooks, and misbehaves on command.

use crate::DEADLINE;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::timeout};

/// Maximum number of requests that a test has not looked at yet.
const MAX_RECEIVED: usize = 100_000;

/// How the receiver answers a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status.
    Status(u16),
    /// With this status and a header.
    WithHeader(u16, HeaderName, String),
    /// Never.
    Hang,
}

/// A request that the receiver got.
#[derive(Debug, Clone)]
pub struct ReceivedWebhook {
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`.
    pub timestamp: String,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body as it arrived.
    pub raw: Bytes,
    /// The body.
    pub body: Value,
    /// When it arrived.
    pub at: Instant,
}

impl ReceivedWebhook {
    /// Returns the type of the event.
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    /// Returns the text of the message of the event.
    pub fn text(&self) -> &str {
        self.body["data"]["message"]["content"].as_str().expect("a text")
    }
}

#[derive(Debug)]
struct Shared {
    received: mpsc::Sender<ReceivedWebhook>,
    replies: Mutex<VecDeque<Reply>>,
    usual: Mutex<Reply>,
}

/// A receiver on a port of its own.
#[derive(Debug)]
pub struct WebhookReceiver {
    /// Its URL.
    pub url: String,
    shared: Arc<Shared>,
    received: mpsc::Receiver<ReceivedWebhook>,
    server: JoinHandle<()>,
}

impl WebhookReceiver {
    /// Starts a receiver that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (sender, received) = mpsc::channel(MAX_RECEIVED);
        let usual = Mutex::new(Reply::Status(204));
        let shared = Arc::new(Shared { received: sender, replies: Mutex::default(), usual });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { url, shared, received, server }
    }

    /// Answers the next requests with these replies, then as usual.
    pub fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.replies.lock().expect("the replies").extend(replies);
    }

    /// Answers all other requests with this reply.
    pub fn reply_usually(&self, reply: Reply) {
        *self.shared.usual.lock().expect("the reply") = reply;
    }

    /// Returns the next request.
    pub async fn next(&mut self) -> ReceivedWebhook {
        timeout(DEADLINE, self.received.recv()).await.expect("a webhook in time").expect("a webhook")
    }

    /// Returns the next request if it has already arrived.
    pub fn try_next(&mut self) -> Option<ReceivedWebhook> {
        self.received.try_recv().ok()
    }

    /// Waits for a message with this text, and returns the texts of all messages up to it.
    pub async fn texts_until(&mut self, last: &str) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.last().is_none_or(|text| text != last) {
            let webhook = self.next().await;
            if webhook.kind() == "message.new" {
                texts.push(webhook.text().to_owned());
            }
        }
        texts
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, raw: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let webhook = ReceivedWebhook {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: serde_json::from_slice(&raw).expect("JSON"),
        raw,
        at: Instant::now(),
    };
    let next = shared.replies.lock().expect("the replies").pop_front();
    let reply = next.unwrap_or_else(|| shared.usual.lock().expect("the reply").clone());
    // Nobody reads what arrives after the test.
    let _ = shared.received.try_send(webhook);
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match reply {
        Reply::Status(code) => status(code).into_response(),
        Reply::WithHeader(code, name, value) => {
            let value = HeaderValue::try_from(value).expect("a value");
            (status(code), [(name, value)], [(header::CONTENT_TYPE, "text/plain")], "try later").into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}
