//! A stand-in for the push service of a browser vendor, and for browsers that subscribe there.

use crate::DEADLINE;
use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey},
    hkdf,
};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

/// A push that the service got.
#[derive(Debug)]
pub struct ReceivedPush {
    /// The device that it is for.
    pub device: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The encrypted text.
    pub body: Bytes,
}

impl ReceivedPush {
    /// Returns a header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

type Answers = Arc<Mutex<HashMap<String, (u16, Option<u32>)>>>;

/// The service.
pub struct PushService {
    url: String,
    received: mpsc::Receiver<ReceivedPush>,
    answers: Answers,
}

#[derive(Clone)]
struct Shared {
    sender: mpsc::Sender<ReceivedPush>,
    answers: Answers,
}

impl PushService {
    /// Starts the service.
    pub async fn start() -> Self {
        let (sender, received) = mpsc::channel(10_000);
        let answers = Answers::default();
        let router = Router::new()
            .route("/push/{device}", post(receive))
            .with_state(Shared { sender, answers: Arc::clone(&answers) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received, answers }
    }

    /// The origin, for which tokens are.
    pub fn origin(&self) -> &str {
        &self.url
    }

    /// Answers all further pushes to a device with a status, and how long to wait in seconds.
    pub fn answer(&self, device: &str, status: u16, retry_after: Option<u32>) {
        self.answers.lock().expect("no panic").insert(device.to_owned(), (status, retry_after));
    }

    /// Returns the next push.
    pub async fn next(&mut self) -> ReceivedPush {
        timeout(DEADLINE, self.received.recv()).await.expect("a push in time").expect("the service runs")
    }

    /// Returns the pushes that have come and were not looked at.
    pub fn drain(&mut self) -> Vec<ReceivedPush> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

async fn receive(
    State(shared): State<Shared>,
    Path(device): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = shared.answers.lock().expect("no panic").get(&device).copied();
    // A full channel means that the test has seen enough.
    let _ = shared.sender.try_send(ReceivedPush { device, headers, body });
    match answer {
        Some((status, retry_after)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let headers: HeaderMap = retry_after
                .map(|seconds| ("retry-after".parse().expect("a name"), seconds.into()))
                .into_iter()
                .collect();
            (status, headers).into_response()
        }
        None => StatusCode::CREATED.into_response(),
    }
}

/// A browser that has subscribed.
pub struct TestBrowser {
    key: PrivateKey,
    auth: [u8; 16],
    subscription: Value,
}

impl TestBrowser {
    /// Subscribes at a service as a device.
    pub fn subscribe(service: &PushService, device: &str) -> Self {
        let key = PrivateKey::generate(&ECDH_P256).expect("a key");
        let auth = *uuid::Uuid::new_v4().as_bytes();
        let public_key = key.compute_public_key().expect("a key");
        let subscription = json!({
            "endpoint": format!("{}/push/{device}", service.url),
            "keys": { "p256dh": BASE64_URL_SAFE_NO_PAD.encode(public_key), "auth": BASE64_URL_SAFE_NO_PAD.encode(auth) },
        });
        Self { key, auth, subscription }
    }

    /// The subscription, as a page sends it.
    pub fn subscription(&self) -> Value {
        self.subscription.clone()
    }

    /// Decrypts a push (RFC 8291).
    pub fn read(&self, push: &ReceivedPush) -> Value {
        assert_eq!(push.header("content-encoding"), "aes128gcm");
        let (salt, rest) = push.body.split_at(16);
        assert_eq!(rest[..4], 4096u32.to_be_bytes());
        let (sender, sealed) = rest[5..].split_at(usize::from(rest[4]));
        let own = self.key.compute_public_key().expect("a key");
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        let secret = agreement::agree(&self.key, peer, (), |shared| {
            Ok(derive(&self.auth, shared, &[b"WebPush: info\0", own.as_ref(), sender], 32))
        })
        .expect("a secret");
        let key = derive(salt, &secret, &[b"Content-Encoding: aes128gcm\0"], 16);
        let nonce = derive(salt, &secret, &[b"Content-Encoding: nonce\0"], 12);
        let mut sealed = sealed.to_vec();
        let text = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key"))
            .open_in_place(Nonce::try_assume_unique_for_key(&nonce).expect("a nonce"), Aad::empty(), &mut sealed)
            .expect("a push for this browser");
        let (last, text) = text.split_last().expect("a delimiter");
        assert_eq!(*last, 2);
        serde_json::from_slice(text).expect("JSON")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]], length: usize) -> Vec<u8> {
    let mut key = vec![0; length];
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    secret.expand(info, Length(length)).expect("a length").fill(&mut key).expect("a key");
    key
}
