//! Outgoing webhooks: what the feed costs the senders of messages, how long a webhook takes,
//! and whether endpoints that hang delay the others.

use crate::{environment::Environment, report::Report, sends::measure_rest};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use chat_core::{
    Time,
    audit::Client,
    outgoing::AllowedTargets,
    sealing::Sealer,
    time::now,
    webhook_endpoints::{self, EventType, NewEndpoint},
};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

const PART: &str = "webhooks";
const SENDERS: usize = 64;
const ROUNDS: usize = 4;
const ENDPOINTS: i32 = 1_000;
const HANGING: usize = 100;

/// Latencies from the commit to the receiver, in microseconds.
type Latencies = Arc<Mutex<Histogram<u64>>>;

pub(crate) async fn run(report: &mut Report) {
    measure_cost(report).await;
    measure_latency(report).await;
    measure_isolation(report).await;
}

/// The feed reads every event, but no endpoint receives one.
async fn measure_cost(report: &mut Report) {
    let env = Environment::create(64).await;
    let sealer = Sealer::create_file(&env.file("secrets.key")).expect("a key");
    let (url, _) = start_receiver().await;
    // The other user of the demo data is not in the chat.
    create_endpoint(&env, &sealer, 1, format!("{url}/ok")).await;
    let server = env.chat_server();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The rate changes with the machine and with the number of messages, so each order occurs equally often.
    for _ in 0..ROUNDS {
        without.push(measure_rest(&env, &server, SENDERS).await.0);
        let integrations = env.integration_server();
        sleep(Duration::from_secs(1)).await;
        for _ in 0..2 {
            with.push(measure_rest(&env, &server, SENDERS).await.0);
        }
        drop(integrations);
        without.push(measure_rest(&env, &server, SENDERS).await.0);
    }
    report.add_comparison(PART, &format!("sends, {SENDERS} senders"), "the feed", &without, &with);
    let integrations = env.integration_server();
    sleep(Duration::from_secs(2)).await;
    let (cpu, begun) = (integrations.cpu_seconds(), Instant::now());
    send_at(&env, 1_000, Duration::from_secs(8)).await;
    let share = (integrations.cpu_seconds() - cpu) / begun.elapsed().as_secs_f64() * 100.0;
    report.add_row(PART, "CPU of the integration server at 1,000 messages/s, of one core", share, "%");
}

async fn measure_latency(report: &mut Report) {
    let env = Environment::create(64).await;
    let sealer = Sealer::create_file(&env.file("secrets.key")).expect("a key");
    let (url, latencies) = start_receiver().await;
    create_endpoint(&env, &sealer, first_user(&env), format!("{url}/ok")).await;
    let integrations = env.integration_server();
    sleep(Duration::from_secs(2)).await;
    send_at(&env, 200, Duration::from_secs(8)).await;
    wait_for(&latencies, 1_600).await;
    add_quantiles(report, "commit → receiver at 200 events/s", &latencies);
    drop(integrations);
}

async fn measure_isolation(report: &mut Report) {
    let env = Environment::create(ENDPOINTS).await;
    let sealer = Sealer::create_file(&env.file("secrets.key")).expect("a key");
    let (url, latencies) = start_receiver().await;
    for (index, user) in env.users.iter().enumerate() {
        let path = if index < HANGING { "hang" } else { "ok" };
        create_endpoint(&env, &sealer, *user, format!("{url}/{path}")).await;
    }
    let integrations = env.integration_server();
    sleep(Duration::from_secs(2)).await;
    let others = u64::from(ENDPOINTS.unsigned_abs()) - HANGING as u64;
    for count in 1..=10 {
        env.insert_messages(1).await;
        sleep(Duration::from_secs(2)).await;
        wait_for(&latencies, others * count).await;
    }
    let what = format!("commit → receiver, {ENDPOINTS} endpoints of which {HANGING} hang");
    add_quantiles(report, &what, &latencies);
    drop(integrations);
}

fn first_user(env: &Environment) -> i64 {
    *env.users.first().expect("a user")
}

async fn create_endpoint(env: &Environment, sealer: &Sealer, user: i64, url: String) {
    let new = NewEndpoint {
        url,
        description: None,
        event_types: EventType::parse("message.new").map(|kind| vec![kind]),
        chat_ids: None,
        bot_id: None,
    };
    webhook_endpoints::create(&env.db, sealer, &AllowedTargets::loopback(), env.claims(user), &Client::default(), new)
        .await
        .expect("an endpoint");
}

/// Inserts messages at an even rate, in a transaction every 10 ms.
async fn send_at(env: &Environment, per_second: i32, time: Duration) {
    let mut ticks = interval(Duration::from_millis(10));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    while begun.elapsed() < time {
        ticks.tick().await;
        env.insert_messages(per_second / 100).await;
    }
}

/// Waits until so many webhooks have arrived.
async fn wait_for(latencies: &Latencies, count: u64) {
    let begun = Instant::now();
    while latencies.lock().expect("the latencies").len() < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "webhooks are missing");
        sleep(Duration::from_millis(10)).await;
    }
}

fn add_quantiles(report: &mut Report, what: &str, latencies: &Latencies) {
    let latencies = latencies.lock().expect("the latencies");
    for (name, quantile) in [("p50", 0.50), ("p99", 0.99)] {
        let ms = latencies.value_at_quantile(quantile) as f64 / 1000.0;
        report.add_row(PART, &format!("{what}, {name}"), ms, "ms");
    }
}

/// Starts a receiver: `/ok` answers, `/hang` does not. Returns its URL and the latencies.
async fn start_receiver() -> (String, Latencies) {
    let latencies: Latencies = Arc::new(Mutex::new(Histogram::new(3).expect("a histogram")));
    let router = Router::new()
        .route("/ok", post(receive))
        .route("/hang", post(std::future::pending::<StatusCode>))
        .with_state(Arc::clone(&latencies));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
    (url, latencies)
}

async fn receive(State(latencies): State<Latencies>, body: Bytes) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let at: Time = serde_json::from_value(body["timestamp"].clone()).expect("a time");
    let delay = (now() - at.0).num_microseconds().unwrap_or(0).max(1).unsigned_abs();
    latencies.lock().expect("the latencies").record(delay).expect("it grows");
    StatusCode::NO_CONTENT
}
