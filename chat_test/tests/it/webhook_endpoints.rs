//! The endpoints of outgoing webhooks: who can create them, with which URLs, and when they end.

use chat_core::{
    housekeeping::{self, RetentionConfig},
    outbox::clean_up,
    sealing::{self, Sealer},
    webhook_endpoints::{self, DisabledReason},
};
use chat_test::{TestApp, TestUser, WebhookReceiver};
use serde_json::{Value, json};

const URL: &str = "https://receiver.example/hook";

async fn create(user: &TestUser, body: Value) -> Value {
    user.post("/api/webhook-endpoints", body).await.expect(201).json()
}

async fn list(user: &TestUser) -> Vec<Value> {
    user.get("/api/webhook-endpoints").await.expect(200).json()["items"].as_array().expect("endpoints").clone()
}

#[tokio::test]
async fn an_owner_changes_and_deletes_an_endpoint() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let created = create(&alice, json!({ "url": URL, "description": "builds" })).await;
    assert!(created["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    let path = format!("/api/webhook-endpoints/{}", created["id"]);
    let listed = list(&alice).await;
    assert_eq!((listed.len(), &listed[0]["url"], &listed[0]["secret"]), (1, &json!(URL), &Value::Null));
    let patch = json!({ "url": "https://other.example/", "event_types": ["message.new"], "chat_ids": [1, 1, 2] });
    let changed = alice.patch(&path, patch).await.expect(200).json();
    assert_eq!((&changed["url"], &changed["description"]), (&json!("https://other.example/"), &json!("builds")));
    assert_eq!((&changed["event_types"], &changed["chat_ids"]), (&json!(["message.new"]), &json!([1, 2])));
    let all = alice.patch(&path, json!({ "event_types": null, "chat_ids": null })).await.expect(200).json();
    assert_eq!((&all["event_types"], &all["chat_ids"]), (&Value::Null, &Value::Null));
    let off = alice.patch(&path, json!({ "is_enabled": false })).await.expect(200).json();
    assert_eq!(off["disabled_reason"], "owner");
    let on = alice.patch(&path, json!({ "is_enabled": true })).await.expect(200).json();
    assert_eq!((&on["disabled_at"], &on["disabled_reason"]), (&Value::Null, &Value::Null));
    for (method, path) in [("patch", path.clone()), ("delete", path.clone()), ("post", format!("{path}/secret"))] {
        let response = match method {
            "patch" => bob.patch(&path, json!({})).await,
            "delete" => bob.delete(&path).await,
            _ => bob.post(&path, json!({})).await,
        };
        response.expect_problem(404);
    }
    alice.delete(&path).await.expect(204);
    assert!(list(&alice).await.is_empty());
    alice.get(&format!("{path}/deliveries")).await.expect_problem(404);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_log where action like 'endpoint%' order by id")
            .fetch_all(&app.db)
            .await
            .expect("entries");
    assert_eq!(actions, ["endpoint_created", "endpoint_updated", "endpoint_deleted"]);
}

#[tokio::test]
async fn bad_endpoints_are_rejected() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bobs_bot = bob.create_bot("helper").await;
    for (field, body) in [
        ("url", json!({ "url": "" })),
        ("url", json!({ "url": "receiver.example" })),
        ("url", json!({ "url": "http://receiver.example/" })),
        ("url", json!({ "url": "https://user:password@receiver.example/" })),
        ("url", json!({ "url": "https://10.0.0.1/" })),
        ("url", json!({ "url": "https://169.254.169.254/latest/meta-data" })),
        ("url", json!({ "url": "https://[::ffff:10.0.0.1]/" })),
        ("url", json!({ "url": "https://0x0a000001/" })),
        ("url", json!({ "url": "https://database.internal/" })),
        ("url", json!({ "url": format!("https://receiver.example/{}", "x".repeat(2000)) })),
        ("event_types", json!({ "url": URL, "event_types": [] })),
        ("event_types[0]", json!({ "url": URL, "event_types": ["read_state"] })),
        ("chat_ids", json!({ "url": URL, "chat_ids": [] })),
        ("chat_ids", json!({ "url": URL, "chat_ids": (1..=101).collect::<Vec<_>>() })),
        ("description", json!({ "url": URL, "description": "x".repeat(201) })),
        ("bot_id", json!({ "url": URL, "bot_id": bobs_bot.id })),
        ("bot_id", json!({ "url": URL, "bot_id": bob.id })),
        ("secret", json!({ "url": URL, "secret": "whsec_x" })),
    ] {
        let problem = alice.post("/api/webhook-endpoints", body.clone()).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    // No token can create one, not even with all scopes.
    bobs_bot.post("/api/webhook-endpoints", json!({ "url": URL })).await.expect_problem(403);
}

#[tokio::test]
async fn a_person_has_a_limited_number_of_endpoints() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    for number in 0..10 {
        let body = if number % 2 == 0 { json!({ "url": URL }) } else { json!({ "url": URL, "bot_id": bot.id }) };
        create(&alice, body).await;
    }
    let refused = alice.post("/api/webhook-endpoints", json!({ "url": URL })).await.expect_problem(409);
    assert_eq!(refused["code"], "too_many_endpoints");
}

#[tokio::test]
async fn endpoints_are_disabled_when_the_sessions_of_their_owner_end() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    create(&alice, json!({ "url": URL })).await;
    create(&alice, json!({ "url": URL, "bot_id": bot.id })).await;
    let mut stream = alice.listen().await;
    alice.delete("/api/sessions").await.expect(204);
    for _ in 0..2 {
        assert_eq!(stream.next_of("webhook_endpoint.disabled").await.data["reason"], "sessions_ended");
    }
    assert!(list(&alice).await.iter().all(|endpoint| endpoint["disabled_reason"] == "sessions_ended"));
}

#[tokio::test]
async fn deleting_an_account_deletes_its_endpoints() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    create(&erin, json!({ "url": URL })).await;
    let body = json!({ "password": "long unlikely words" });
    let response = erin.request(http::Method::DELETE, "/api/me").json(&body).send().await.expect("an answer");
    assert_eq!(response.status(), 204);
    let count: i64 =
        sqlx::query_scalar("select count(*) from webhook_endpoints").fetch_one(&app.db).await.expect("a count");
    assert_eq!(count, 0);
    clean_up::purge_deleted(&app.db).await.expect("purged");
    let lanes: i64 = sqlx::query_scalar("select count(*) from outbox_lanes").fetch_one(&app.db).await.expect("a count");
    assert_eq!(lanes, 0);
}

#[tokio::test]
async fn a_new_key_seals_all_secrets_again() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create(&alice, json!({ "url": receiver.url })).await;
    let path = format!("/api/webhook-endpoints/{}", endpoint["id"]);
    alice.post(&format!("{path}/secret"), json!({})).await.expect(201);
    // This server knows only the old key.
    let _server = app.start_integration_server();
    let sealed = || async {
        sqlx::query_as::<_, (Vec<u8>, Vec<u8>)>("select secret, previous_secret from webhook_endpoints")
            .fetch_one(&app.db)
            .await
            .expect("secrets")
    };
    let before = sealed().await;
    let file = app.secrets_key_file();
    Sealer::add_key(&file).expect("a new key");
    let sealer = Sealer::open_file(&file).expect("the keys");
    assert_eq!(sealing::reseal_all(&app.db, &sealer).await.expect("sealed again"), 2);
    let after = sealed().await;
    assert!(before.0[1..5] != after.0[1..5] && before.1[1..5] != after.1[1..5], "the id of the key changes");
    alice.post(&format!("{path}/test"), json!({})).await.expect(201);
    assert_eq!(receiver.next().await.signature.split(' ').count(), 2);
}

/// Inserts waiting deliveries of an endpoint.
async fn insert_deliveries(app: &TestApp, endpoint: &Value, count: i32) {
    sqlx::query(
        "insert into outbox (lane_id, event_id, type) select $1, n, 'message.new' from generate_series(1, $2) n",
    )
    .bind(endpoint["id"].as_i64())
    .bind(count)
    .execute(&app.db)
    .await
    .expect("inserted");
}

async fn count_deliveries(app: &TestApp, state: &str) -> i64 {
    sqlx::query_scalar("select count(*) from outbox where state = $1")
        .bind(state)
        .fetch_one(&app.db)
        .await
        .expect("a count")
}

#[tokio::test]
async fn an_endpoint_with_too_many_deliveries_is_found_and_disabled() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let endpoint = create(&alice, json!({ "url": URL })).await;
    insert_deliveries(&app, &endpoint, 20_000).await;
    assert!(clean_up::list_overfull(&app.db).await.expect("a list").is_empty());
    insert_deliveries(&app, &endpoint, 1).await;
    let [(Some(overfull), None)] = clean_up::list_overfull(&app.db).await.expect("a list")[..] else {
        panic!("not one")
    };
    let replay = json!({ "after": alice.get("/api/bootstrap").await.expect(200).json()["cursor"] });
    let path = format!("/api/webhook-endpoints/{}", endpoint["id"]);
    let refused = alice.post(&format!("{path}/replay"), replay).await.expect_problem(409);
    assert_eq!(refused["code"], "too_many_deliveries");
    webhook_endpoints::disable(&app.db, overfull, DisabledReason::Backlog).await.expect("disabled");
    assert_eq!(list(&alice).await[0]["disabled_reason"], "backlog");
    assert_eq!((count_deliveries(&app, "waiting").await, count_deliveries(&app, "dead").await), (0, 20_001));
    // Old entries are deleted, and those of deleted endpoints.
    sqlx::query("update outbox set settled_at = now() - interval '15 days' where id % 2 = 0")
        .execute(&app.db)
        .await
        .expect("updated");
    housekeeping::run(&app.db, RetentionConfig::DEFAULT).await.expect("a run");
    assert!((10_000..=10_001).contains(&count_deliveries(&app, "dead").await));
    alice.delete(&path).await.expect(204);
    while clean_up::purge_deleted(&app.db).await.expect("purged") > 0 {}
    assert_eq!(count_deliveries(&app, "dead").await, 0);
}

#[tokio::test]
async fn changing_and_disabling_an_endpoint_at_once_do_not_block_each_other() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let endpoint = create(&alice, json!({ "url": URL })).await;
    let path = format!("/api/webhook-endpoints/{}", endpoint["id"]);
    let id = endpoint["id"].as_i64().and_then(|id| id.try_into().ok()).expect("an id");
    let changes = async {
        for _ in 0..40 {
            alice.patch(&path, json!({ "is_enabled": true, "description": "again" })).await.expect(200);
        }
    };
    let disables = async {
        for _ in 0..40 {
            webhook_endpoints::disable(&app.db, id, DisabledReason::Gone).await.expect("disabled");
        }
    };
    tokio::join!(changes, disables);
}

#[tokio::test]
async fn many_replays_at_once_do_not_stop_the_server() {
    let app = TestApp::start().await;
    let mut replays = Vec::new();
    for number in 0..12 {
        let user = app.sign_up(&format!("replayer{number}")).await;
        let endpoint = create(&user, json!({ "url": URL })).await;
        let cursor = user.get("/api/bootstrap").await.expect(200).json()["cursor"].clone();
        replays.push(async move {
            let path = format!("/api/webhook-endpoints/{}/replay", endpoint["id"]);
            user.post(&path, json!({ "after": cursor })).await.expect(200);
        });
    }
    futures_util::future::join_all(replays).await;
}

#[tokio::test]
async fn the_endpoint_of_a_suspended_bot_stays_disabled() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    let endpoint = create(&alice, json!({ "url": URL, "bot_id": bot.id })).await;
    chat_core::operators::set_operator(&app.db, alice.id.try_into().expect("an id"), true).await.expect("an operator");
    alice.put(&format!("/api/operator/users/{}/suspension", bot.id), json!({})).await.expect(204);
    assert_eq!(list(&alice).await[0]["disabled_reason"], "sessions_ended");
    let path = format!("/api/webhook-endpoints/{}", endpoint["id"]);
    let refused = alice.patch(&path, json!({ "is_enabled": true })).await.expect_problem(409);
    assert_eq!(refused["code"], "bot_inactive");
}
