//! Web Push: how many devices one process informs, and what a decision costs.

use crate::{environment::Environment, report::Report};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use axum::{Router, http::StatusCode, routing::post};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{
    outgoing::AllowedTargets,
    push::{
        NewSubscription, Preview,
        notifications::{self, DueNotification},
        subscriptions::{self, SubscriptionKeys},
    },
    sealing::Sealer,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

const PART: &str = "push";

/// Each with one device.
const USERS: i32 = 2_000;

/// How many decisions are measured.
const DECISIONS: usize = 500;

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(USERS).await;
    Sealer::create_file(&env.file("secrets.key")).expect("a key");
    let received = Arc::new(AtomicUsize::new(0));
    let url = start_service(Arc::clone(&received)).await;
    subscribe_all(&env, &url).await;
    // One process decides; the others are busy with the rest.
    mention_everyone(&env).await;
    let integrations = env.integration_server();
    let (cpu, begun) = (integrations.cpu_seconds(), Instant::now());
    let all = env.users.len();
    while received.load(Ordering::Relaxed) < all {
        assert!(begun.elapsed() < Duration::from_secs(180), "{} of {all}", received.load(Ordering::Relaxed));
        sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    report.add_row(PART, "devices informed of one message", all as f64 / seconds * 60.0, "/min");
    let cpu_ms = (integrations.cpu_seconds() - cpu) * 1000.0 / all as f64;
    report.add_row(PART, "CPU of the integration server for each push", cpu_ms, "ms");
    drop(integrations);
    mention_everyone(&env).await;
    sqlx::query("update push_notifications set due_at = now(), leased_until = null, message_id = 1")
        .execute(&env.db)
        .await
        .expect("updated");
    let mut due: Vec<DueNotification> = Vec::new();
    while due.len() < DECISIONS {
        due.push(notifications::claim(&env.db).await.expect("a claim").expect("something due"));
    }
    let begun = Instant::now();
    for one in &due {
        notifications::compose(&env.db, one).await.expect("a decision").expect("a notification");
    }
    let decision_ms = begun.elapsed().as_secs_f64() * 1000.0 / DECISIONS as f64;
    report.add_row(PART, "a decision, with its queries", decision_ms, "ms");
}

async fn start_service(received: Arc<AtomicUsize>) -> String {
    let count = move || {
        received.fetch_add(1, Ordering::Relaxed);
        std::future::ready(StatusCode::CREATED)
    };
    let router = Router::new().route("/push", post(count));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/push", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
    url
}

async fn subscribe_all(env: &Environment, url: &str) {
    let key = PrivateKey::generate(&ECDH_P256).expect("a key").compute_public_key().expect("a key");
    for user in &env.users {
        let keys = SubscriptionKeys {
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(&key),
            auth: BASE64_URL_SAFE_NO_PAD.encode([7; 16]),
        };
        let new = NewSubscription { endpoint: url.to_owned(), keys, preview: Preview::Full };
        subscriptions::set(&env.db, &AllowedTargets::loopback(), env.claims(*user), new).await.expect("subscribed");
    }
}

/// A message that is for all users, from a user who has no device.
async fn mention_everyone(env: &Environment) {
    sqlx::query("insert into messages (chat_id, sender_id, content, mentions_everyone) values ($1, 1, 'hello', true)")
        .bind(env.chat)
        .execute(&env.db)
        .await
        .expect("sent");
}
