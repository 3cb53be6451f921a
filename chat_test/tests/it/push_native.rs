//! Pushes to native apps through FCM, against a stand-in of Google.

use chat_test::{TestApp, TestUser, eventually, google::Google};
use serde_json::{Value, json};

const PATH: &str = "/api/push/native-subscription";

/// A registration token with this name in it.
fn token(name: &str) -> String {
    format!("{name}:APA91b-a-registration-token_of-the-app")
}

async fn register(user: &TestUser, name: &str, more: Value) {
    let mut body = json!({ "token": token(name) });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    user.put(PATH, body).await.expect(200);
}

async fn start() -> (TestApp, Google, [TestUser; 2], i64) {
    let (app, google) = (TestApp::start().await, Google::start().await);
    app.start_native_pushes(&google);
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let direct = alice.post("/api/chats", json!({ "type": "single", "user_id": bob.id })).await.json();
    (app, google, [alice, bob], direct["id"].as_i64().expect("an id"))
}

/// Waits until a user's device is forgotten.
async fn expect_forgotten(user: &TestUser) {
    eventually("the device is forgotten", || async { user.get("/api/push/subscription").await.status == 404 }).await;
}

#[tokio::test]
async fn a_native_app_learns_of_what_is_for_its_user() {
    let (app, mut google, [alice, bob], direct) = start().await;
    register(&bob, "phone", json!({})).await;
    let sent = alice.say_in(direct, "hello Bob").await;
    let push = google.next_push().await["message"].clone();
    assert_eq!(push["token"], token("phone"));
    assert_eq!(push["notification"], json!({ "title": "Alice Moreau", "body": "hello Bob" }));
    let navigate = format!("{}/chats/{direct}/{}", app.endpoints.chat, sent["id"]);
    assert_eq!((&push["data"]["navigate"], &push["data"]["user_id"]), (&json!(navigate), &json!(bob.id.to_string())));
    assert!(push["data"].as_object().expect("data").values().all(Value::is_string), "{push}");
    let tag = format!("chat-{}-{direct}", bob.id);
    assert_eq!((&push["android"]["priority"], &push["android"]["notification"]["tag"]), (&json!("HIGH"), &json!(tag)));
    let badge = &push["apns"]["payload"]["aps"]["badge"];
    assert_eq!(
        (badge, &push["apns"]["headers"]["apns-collapse-id"]),
        (&push["android"]["notification"]["notification_count"], &json!(tag))
    );
    // Nobody reads more than the user wants.
    register(&bob, "phone", json!({ "preview": "none" })).await;
    alice.say_in(direct, "a secret").await;
    let push = google.next_push().await["message"].clone();
    assert_eq!(push["notification"], json!({ "title": "Confab", "body": "New message" }));
    assert!(!push.to_string().contains("secret") && !push.to_string().contains("Alice"), "{push}");
}

#[tokio::test]
async fn a_device_that_is_gone_is_forgotten_and_others_are_tried_again() {
    let (app, mut google, [alice, bob], direct) = start().await;
    for (name, status, code) in [("removed", 404, "UNREGISTERED"), ("invalid", 400, "INVALID_ARGUMENT")] {
        google.answer_pushes(&token(name), status, code);
        register(&bob, name, json!({})).await;
        alice.say_in(direct, name).await;
        google.next_push().await;
        expect_forgotten(&bob).await;
    }
    // A wrong project rejects all devices, which must not be forgotten.
    google.answer_pushes(&token("foreign"), 403, "SENDER_ID_MISMATCH");
    register(&bob, "foreign", json!({})).await;
    alice.say_in(direct, "rejected").await;
    google.next_push().await;
    eventually("the device is paused", || async {
        let sql = "select paused_until > now() + interval '30 minutes' from push_subscriptions where user_id = $1";
        sqlx::query_scalar::<_, Option<bool>>(sql).bind(bob.id).fetch_one(&app.db).await.expect("a device")
            == Some(true)
    })
    .await;
    google.answer_pushes(&token("busy"), 503, "UNAVAILABLE");
    register(&bob, "busy", json!({})).await;
    alice.say_in(direct, "later").await;
    google.next_push().await;
    google.answer_pushes(&token("busy"), 200, "");
    sqlx::query("update push_notifications set due_at = now() where due_at is not null")
        .execute(&app.db)
        .await
        .expect("due");
    sqlx::query("update push_subscriptions set paused_until = null").execute(&app.db).await.expect("not paused");
    assert_eq!(google.next_push().await["message"]["notification"]["body"], "later");
    bob.get("/api/push/subscription").await.expect(200);
    // Another account on the device takes it over.
    let [carol] = app.sign_in(["carol"]).await;
    register(&carol, "busy", json!({})).await;
    bob.get("/api/push/subscription").await.expect_problem(404);
    carol.get("/api/push/subscription").await.expect(200);
    // The device ends with its session.
    carol.post("/api/signout", json!({})).await.expect(204);
    eventually("no device is left", || async {
        let sql = "select count(*) from push_subscriptions p join sessions s on s.id = p.session_id where s.revoked_at is null";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.db).await.expect("a count") == 0
    })
    .await;
}

#[tokio::test]
async fn wrong_registration_tokens_are_refused() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    for bad in
        ["", "short", "https://push.example/a-long-enough-token", "a b c d e f g h i j k l m n o", &"x".repeat(1001)]
    {
        let problem = bob.put(PATH, json!({ "token": bad })).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "token", "{bad}");
    }
    bob.get("/api/push/subscription").await.expect_problem(404);
}
