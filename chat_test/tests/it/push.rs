//! Web Push: a device whose pages are closed learns of what its user has not read, and of nothing else.

use chat_core::housekeeping::RetentionConfig;
use chat_test::{PushService, ReceivedPush, TestApp, TestBrowser, TestUser, eventually};
use integration_server::IntegrationServer;
use serde_json::{Value, json};

/// A chat server, an integration server, a push service, and Bob with a browser there.
pub(super) struct Fixture {
    pub(super) app: TestApp,
    pub(super) service: PushService,
    pub(super) alice: TestUser,
    pub(super) bob: TestUser,
    pub(super) browser: TestBrowser,
    pub(super) direct: i64,
    _integration: IntegrationServer,
}

impl Fixture {
    pub(super) async fn start() -> Self {
        let app = TestApp::start().await;
        let [alice, bob] = app.sign_in(["alice", "bob"]).await;
        let (integration, _) = app.start_integration_server();
        let service = PushService::start().await;
        let browser = subscribe(&service, &bob, "laptop", json!({})).await;
        let direct = alice.chat_id("direct").await;
        Self { app, service, alice, bob, browser, direct, _integration: integration }
    }

    pub(super) async fn next(&mut self) -> (ReceivedPush, Value) {
        let push = self.service.next().await;
        let text = self.browser.read(&push);
        (push, text)
    }

    /// The next push is about this message: nothing else was pushed before.
    pub(super) async fn expect(&mut self, message: &Value) -> Value {
        let (_, text) = self.next().await;
        assert_eq!(text["notification"]["data"]["message_id"], message["id"], "{text}");
        text
    }

    /// Waits until the feed has read the log, and makes all that it found due now.
    pub(super) async fn make_due(&self) {
        eventually("the feed has read the log", || async {
            let sql = "select split_part(cursor, '-', 2)::bigint = (select max(id) from events)
                       from feeds where name = 'push'";
            sqlx::query_scalar(sql).fetch_one(&self.app.db).await.expect("a feed")
        })
        .await;
        for sql in [
            "update push_subscriptions set paused_until = null",
            "update push_notifications set due_at = now() where due_at is not null",
        ] {
            sqlx::query(sql).execute(&self.app.db).await.expect("updated");
        }
    }

    /// Lets nothing be sent.
    pub(super) async fn hold(&self) {
        let sql = "update push_subscriptions set paused_until = 'infinity'";
        sqlx::query(sql).execute(&self.app.db).await.expect("updated");
    }

    /// Sends what has waited since [`Self::hold`].
    pub(super) async fn release(&self) {
        sqlx::query("update push_subscriptions set paused_until = null").execute(&self.app.db).await.expect("updated");
        self.make_due().await;
    }

    /// How many notifications wait or are being sent.
    pub(super) async fn waiting(&self) -> i64 {
        let sql = "select count(*) from push_notifications where due_at is not null or leased_until is not null";
        sqlx::query_scalar(sql).fetch_one(&self.app.db).await.expect("a count")
    }

    pub(super) async fn waiting_for_lease(&self) -> i64 {
        let sql = "select count(*) from push_notifications where leased_until is not null";
        sqlx::query_scalar(sql).fetch_one(&self.app.db).await.expect("a count")
    }

    pub(super) async fn wait_until_nothing_waits(&self) {
        eventually("nothing waits", || async { self.waiting().await == 0 }).await;
    }

    pub(super) async fn badge(&self) -> i64 {
        let chats = self.bob.get("/api/bootstrap").await.expect(200).json()["chats"].clone();
        let unread = |chat: &&Value| chat["unread_count"].as_i64() > Some(0) && chat["is_muted"] == false;
        chats.as_array().expect("chats").iter().filter(unread).count().try_into().expect("a count")
    }
}

async fn subscribe(service: &PushService, user: &TestUser, device: &str, more: Value) -> TestBrowser {
    let browser = TestBrowser::subscribe(service, device);
    let mut body = browser.subscription();
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    user.put("/api/push/subscription", body).await.expect(200);
    browser
}

#[tokio::test]
async fn a_closed_device_learns_of_what_is_for_its_user() {
    let mut fixture = Fixture::start().await;
    let message = fixture.alice.say_in(fixture.direct, "hello **Bob**").await;
    let (push, text) = fixture.next().await;
    let url = format!("{}/chats/{}/{}", fixture.app.endpoints.chat, fixture.direct, message["id"]);
    assert_eq!(text["web_push"], 8030);
    assert_eq!(text["notification"]["title"], "Alice Moreau");
    assert_eq!(
        (&text["notification"]["body"], &text["notification"]["navigate"]),
        (&json!("hello **Bob**"), &json!(url))
    );
    assert_eq!(text["notification"]["tag"], format!("chat-{}-{}", fixture.bob.id, fixture.direct));
    assert_eq!(text["app_badge"], fixture.badge().await);
    assert_eq!((push.header("ttl"), push.header("urgency"), push.header("topic").len()), ("86400", "high", 32));
    let key = fixture.bob.get("/api/push/key").await.expect(200).json();
    let authorization = push.header("authorization");
    assert!(
        authorization.starts_with("vapid t=") && authorization.ends_with(key["public_key"].as_str().expect("a key"))
    );
    // A channel notifies of mentions and of replies only, a group of everything but one's own messages.
    let general = fixture.alice.chat_id("general").await;
    let team = fixture.alice.chat_id("team").await;
    let own = fixture.bob.say_in(general, "mine").await;
    fixture.bob.say_in(team, "mine too").await;
    fixture.alice.say_in(general, "for nobody").await;
    let mention = fixture.alice.say_in(general, "look, @bob").await;
    let text = fixture.expect(&mention).await;
    assert_eq!(text["notification"]["title"], "Alice Moreau · general");
    let reply = json!({ "content": "yes", "reply_to": own["id"] });
    let reply = fixture.alice.post(&format!("/api/chats/{general}/messages"), reply).await.expect(201).json();
    fixture.expect(&reply).await;
    let message = fixture.alice.say_in(team, "in the group").await;
    let text = fixture.expect(&message).await;
    assert_eq!(text["notification"]["silent"], true, "a group does not ring");
    assert_eq!(text["app_badge"], fixture.badge().await);
}

#[tokio::test]
async fn what_was_read_deleted_muted_or_blocked_is_not_pushed() {
    let mut fixture = Fixture::start().await;
    let (direct, alice, bob) = (fixture.direct, fixture.alice.clone(), fixture.bob.clone());
    // Bob is connected, so there is time to read.
    let stream = bob.listen().await;
    eventually("bob is online", || async {
        bob.get(&format!("/api/presence/{}", bob.id)).await.json()["status"] == "online"
    })
    .await;
    let read = alice.say_in(direct, "read in time").await;
    bob.put(&format!("/api/chats/{direct}/read"), json!({ "message_id": read["id"] })).await.expect(200);
    fixture.make_due().await;
    fixture.wait_until_nothing_waits().await;
    let deleted = alice.say_in(direct, "taken back").await;
    alice.delete(&format!("/api/messages/{}", deleted["id"])).await.expect(204);
    fixture.make_due().await;
    fixture.wait_until_nothing_waits().await;
    alice.say_in(direct, "muted").await;
    bob.put(&format!("/api/chats/{direct}/mute"), json!({})).await.expect(204);
    fixture.make_due().await;
    fixture.wait_until_nothing_waits().await;
    bob.delete(&format!("/api/chats/{direct}/mute")).await.expect(204);
    let general = alice.chat_id("general").await;
    alice.say_in(general, "@bob, before the block").await;
    bob.put(&format!("/api/users/{}/block", alice.id), json!({})).await.expect(204);
    fixture.make_due().await;
    fixture.wait_until_nothing_waits().await;
    bob.delete(&format!("/api/users/{}/block", alice.id)).await.expect(204);
    let fence = alice.say_in(direct, "fence").await;
    fixture.make_due().await;
    fixture.expect(&fence).await;
    drop(stream);
}

#[tokio::test]
async fn many_messages_of_a_chat_are_one_push() {
    let mut fixture = Fixture::start().await;
    let team = fixture.alice.chat_id("team").await;
    fixture.hold().await;
    let mut last = Value::Null;
    for n in 0..1_000 {
        last = fixture.alice.say_in(team, &format!("message {n}")).await;
    }
    fixture.release().await;
    let text = fixture.expect(&last).await;
    assert_eq!(text["notification"]["body"], "message 999");
    fixture.wait_until_nothing_waits().await;
    assert!(fixture.service.drain().is_empty());
}

#[tokio::test]
async fn a_message_that_a_push_showed_is_not_pushed_again_by_a_late_feed() {
    let mut fixture = Fixture::start().await;
    let db = fixture.app.db.clone();
    let direct = fixture.direct;
    fixture.hold().await;
    fixture.alice.say_in(direct, "first").await;
    eventually("the first message waits", || async { fixture.waiting().await == 1 }).await;
    // The feed stops before it reads the second message, which the push shows all the same.
    let begin = "begin; set local idle_in_transaction_session_timeout = 0";
    let mut lock = db.begin_with(begin).await.expect("a transaction");
    let cursor = "select cursor from feeds where name = 'push'";
    let before: String = sqlx::query_scalar("select cursor from feeds where name = 'push' for update")
        .fetch_one(&mut *lock)
        .await
        .expect("a lock");
    let second = fixture.alice.say_in(direct, "second").await;
    for sql in [
        "update push_notifications set due_at = now() where due_at is not null",
        "update push_subscriptions set paused_until = null",
    ] {
        sqlx::query(sql).execute(&db).await.expect("due");
    }
    fixture.expect(&second).await;
    eventually("nothing waits", || async { fixture.waiting().await == 0 }).await;
    lock.rollback().await.expect("the end");
    eventually("the feed has read on", || async {
        sqlx::query_scalar::<_, String>(cursor).fetch_one(&db).await.expect("a cursor") != before
    })
    .await;
    fixture.make_due().await;
    fixture.wait_until_nothing_waits().await;
    assert!(fixture.service.drain().is_empty());
}

#[tokio::test]
async fn messages_of_several_chats_at_once_are_pushed() {
    let mut fixture = Fixture::start().await;
    let (team, direct, alice) = (fixture.alice.chat_id("team").await, fixture.direct, fixture.alice.clone());
    // The feed reads both in one batch.
    let mut lock = fixture.app.db.begin().await.expect("a transaction");
    sqlx::query("select from feeds where name = 'push' for update").execute(&mut *lock).await.expect("locked");
    let messages = [alice.say_in(team, "in the group").await, alice.say_in(direct, "for bob").await];
    lock.rollback().await.expect("released");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_, text) = fixture.next().await;
        seen.push(text["notification"]["data"]["message_id"].clone());
    }
    assert!(messages.iter().all(|message| seen.contains(&message["id"])), "{seen:?}");
}

#[tokio::test]
async fn a_mention_is_not_hidden_by_what_follows() {
    let mut fixture = Fixture::start().await;
    let (alice, general) = (fixture.alice.clone(), fixture.alice.chat_id("general").await);
    fixture.hold().await;
    let mention = alice.say_in(general, "@bob, look").await;
    for n in 0..60 {
        alice.say_in(general, &format!("for nobody {n}")).await;
    }
    fixture.release().await;
    fixture.expect(&mention).await;
    // And does not wait for the next turn of a chat that was just pushed.
    let team = alice.chat_id("team").await;
    let first = alice.say_in(team, "first").await;
    fixture.expect(&first).await;
    fixture.wait_until_nothing_waits().await;
    alice.say_in(team, "second").await;
    let urgent = alice.say_in(team, "third, @bob").await;
    fixture.expect(&urgent).await;
}

#[tokio::test]
async fn a_device_decides_how_much_is_shown_and_when_it_ends() {
    let mut fixture = Fixture::start().await;
    let (direct, alice) = (fixture.direct, fixture.alice.clone());
    let bob = fixture.bob.clone();
    assert_eq!(bob.get("/api/push/subscription").await.expect(200).json()["preview"], "full");
    for (preview, title, body) in [("sender", "Alice Moreau", "New message"), ("none", "Confab", "New message")] {
        fixture.browser = subscribe(&fixture.service, &bob, "laptop", json!({ "preview": preview })).await;
        let message = alice.say_in(direct, "a secret").await;
        let text = fixture.expect(&message).await;
        assert_eq!((&text["notification"]["title"], &text["notification"]["body"]), (&json!(title), &json!(body)));
        assert!(!text.to_string().contains("secret"));
    }
    // Another device of Bob gets pushes too, until its session ends.
    let [phone] = fixture.app.sign_in(["bob"]).await;
    let browser = subscribe(&fixture.service, &phone, "phone", json!({})).await;
    alice.say_in(direct, "for both").await;
    let mut devices = [fixture.service.next().await.device, fixture.service.next().await.device];
    devices.sort();
    assert_eq!(devices, ["laptop", "phone"]);
    bob.delete("/api/sessions").await.expect(204);
    alice.say_in(direct, "for the laptop").await;
    assert_eq!(fixture.service.next().await.device, "laptop");
    fixture.wait_until_nothing_waits().await;
    drop(browser);
    bob.delete("/api/push/subscription").await.expect(204);
    bob.get("/api/push/subscription").await.expect_problem(404);
    alice.say_in(direct, "for nobody").await;
    fixture.make_due().await;
    fixture.browser = subscribe(&fixture.service, &bob, "tablet", json!({})).await;
    let message = alice.say_in(direct, "for the tablet").await;
    fixture.expect(&message).await;
}

#[tokio::test]
async fn a_push_survives_the_failures_of_its_service() {
    let mut fixture = Fixture::start().await;
    let (direct, alice) = (fixture.direct, fixture.alice.clone());
    for status in [500, 503, 429, 403] {
        // A pause without bounds is not obeyed.
        fixture.service.answer("laptop", status, Some(u32::MAX));
        let message = alice.say_in(direct, &format!("despite {status}")).await;
        fixture.expect(&message).await;
        fixture.service.answer("laptop", 201, None);
        let longest =
            "select bool_and(due_at < now() + interval '2 hours') from push_notifications where due_at is not null";
        eventually("the pause has bounds", || async {
            sqlx::query_scalar::<_, Option<bool>>(longest).fetch_one(&fixture.app.db).await.expect("a row")
                == Some(true)
                && fixture.waiting_for_lease().await == 0
        })
        .await;
        fixture.make_due().await;
        fixture.expect(&message).await;
        fixture.wait_until_nothing_waits().await;
    }
    // What the service refuses for good is not repeated.
    fixture.service.answer("laptop", 413, None);
    let refused = alice.say_in(direct, "too large").await;
    fixture.expect(&refused).await;
    fixture.wait_until_nothing_waits().await;
    assert!(fixture.service.drain().is_empty());
    fixture.service.answer("laptop", 201, None);
    // A device that is gone is forgotten, and no other feels it.
    for status in [404, 410] {
        let browser = subscribe(&fixture.service, &fixture.bob, "gone", json!({})).await;
        fixture.service.answer("gone", status, None);
        alice.say_in(direct, "nobody there").await;
        assert_eq!(fixture.service.next().await.device, "gone");
        eventually("the device is forgotten", || async {
            fixture.bob.get("/api/push/subscription").await.status == 404
        })
        .await;
        drop(browser);
    }
}

#[tokio::test]
async fn a_message_that_comes_during_an_attempt_is_pushed() {
    let mut fixture = Fixture::start().await;
    let (direct, alice) = (fixture.direct, fixture.alice.clone());
    let first = alice.say_in(direct, "first").await;
    fixture.expect(&first).await;
    fixture.wait_until_nothing_waits().await;
    // As if an attempt were under way when the second message comes.
    sqlx::query("update push_notifications set due_at = now(), leased_until = now() + interval '1 hour'")
        .execute(&fixture.app.db)
        .await
        .expect("updated");
    let second = alice.say_in(direct, "second").await;
    eventually("the feed has read it", || async {
        let sql = "select version from push_notifications";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&fixture.app.db).await.expect("a version") == 2
    })
    .await;
    // The process dies: another one takes over when the lease ends.
    sqlx::query("update push_notifications set leased_until = now()").execute(&fixture.app.db).await.expect("updated");
    fixture.expect(&second).await;
}

#[tokio::test]
async fn a_browser_replaces_its_subscription_without_a_token() {
    let mut fixture = Fixture::start().await;
    let old = fixture.browser.subscription();
    let other = TestBrowser::subscribe(&fixture.service, "renewed");
    let new = other.subscription();
    let renewal = |endpoint: &Value, auth: &Value| json!({ "endpoint": endpoint, "auth": auth, "new_endpoint": new["endpoint"], "new_keys": new["keys"] });
    let path = format!("{}/api/push/subscription/renewal", fixture.app.endpoints.chat);
    let renew = |body: Value| {
        let path = path.clone();
        async move { reqwest::Client::new().post(path).json(&body).send().await.expect("an answer").status() }
    };
    // The push service knows the endpoint, but not the secret.
    assert_eq!(renew(renewal(&old["endpoint"], &new["keys"]["auth"])).await, 404);
    assert_eq!(renew(renewal(&json!("https://push.example/x"), &old["keys"]["auth"])).await, 404);
    let mut private = renewal(&old["endpoint"], &old["keys"]["auth"]);
    private["new_endpoint"] = json!("http://10.0.0.1/push");
    assert_eq!(renew(private).await, 422);
    let message = fixture.alice.say_in(fixture.direct, "to the old one").await;
    fixture.expect(&message).await;
    assert_eq!(renew(renewal(&old["endpoint"], &old["keys"]["auth"])).await, 204);
    assert_eq!(renew(renewal(&old["endpoint"], &old["keys"]["auth"])).await, 404);
    let message = fixture.alice.say_in(fixture.direct, "to the new one").await;
    let push = fixture.service.next().await;
    assert_eq!(push.device, "renewed");
    assert_eq!(other.read(&push)["notification"]["data"]["message_id"], message["id"]);
}

#[tokio::test]
async fn bad_subscriptions_are_refused() {
    let fixture = Fixture::start().await;
    fixture.bob.get("/api/push/key").await.expect(200);
    let good = TestBrowser::subscribe(&fixture.service, "x").subscription();
    let with = |field: &str, value: &str| {
        let mut bad = good.clone();
        *bad.pointer_mut(field).expect("a field") = json!(value);
        bad
    };
    for (field, bad) in [
        ("endpoint", with("/endpoint", "http://10.0.0.1/push")),
        ("endpoint", with("/endpoint", "http://push.example/x")),
        ("endpoint", with("/endpoint", "no url")),
        ("keys.p256dh", with("/keys/p256dh", "AAAA")),
        ("keys.p256dh", with("/keys/p256dh", "!")),
        ("keys.auth", with("/keys/auth", "AAAA")),
        ("preview", {
            let mut bad = good.clone();
            bad["preview"] = json!("all");
            bad
        }),
    ] {
        let problem = fixture.bob.put("/api/push/subscription", bad).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], field);
    }
    let token = fixture.bob.with_api_token(json!({ "name": "t", "scopes": ["messages:read"] })).await;
    token.put("/api/push/subscription", good).await.expect_problem(403);
    // The private key is sealed, and stays when housekeeping runs.
    chat_core::housekeeping::run(&fixture.app.db, RetentionConfig::DEFAULT).await.expect("a run");
    let keys: i64 = sqlx::query_scalar("select count(*) from push_keys where octet_length(private_key) > 32")
        .fetch_one(&fixture.app.db)
        .await
        .expect("a count");
    assert_eq!(keys, 1);
}
