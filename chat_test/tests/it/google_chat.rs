//! The bridge to Google Chat, against a stand-in of Google.

use chat_test::{
    ApiResponse, PNG, TestApp, TestUser, eventually,
    google::{
        Approved, CHAT_ACCOUNT, DIRECT_SPACE, Google, GooglePerson, GoogleReply, PROJECT_NUMBER, SERVICE_ACCOUNT,
        SPACE, app_event, claims,
    },
};
use integration_server::IntegrationServer;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A bridge of alice, with bob as the other member of its chats.
pub(crate) struct TestBridge {
    pub(crate) app: TestApp,
    pub(crate) google: Google,
    pub(crate) alice: TestUser,
    pub(crate) bob: TestUser,
    pub(crate) bridge: Value,
    pub(crate) client: Client,
}

pub(crate) fn account(google: &Google) -> Value {
    json!({ "project_number": PROJECT_NUMBER, "service_account_key": google.key_file() })
}

pub(crate) fn eve() -> GooglePerson {
    GooglePerson::new("Eve")
}

pub(crate) fn frank() -> GooglePerson {
    GooglePerson::new("Frank")
}

impl TestBridge {
    pub(crate) async fn start() -> Self {
        let bridge = Self::without_server().await;
        bridge.start_server();
        bridge.wait_until("connected").await;
        bridge
    }

    pub(crate) async fn without_server() -> Self {
        let app = TestApp::start().await;
        let [alice, bob] = app.sign_in(["alice", "bob"]).await;
        let google = Google::start().await;
        let new = json!({ "name": "Office", "google_chat": account(&google), "member_ids": [bob.id] });
        let bridge = alice.post("/api/bridges", new).await.expect(201).json();
        Self { app, google, alice, bob, bridge, client: Client::new() }
    }

    pub(crate) fn start_server(&self) -> (IntegrationServer, CancellationToken) {
        self.app.start_integration_server_with(&self.google.url)
    }

    pub(crate) fn path(&self, more: &str) -> String {
        format!("/api/bridges/{}{more}", self.bridge["id"])
    }

    pub(crate) fn webhook_path(&self) -> &str {
        self.bridge["webhook_path"].as_str().expect("a path")
    }

    pub(crate) async fn state(&self) -> Value {
        self.alice.get(&self.path("")).await.expect(200).json()
    }

    pub(crate) async fn wait_until(&self, state: &str) {
        eventually(&format!("the bridge is {state}"), || async { self.state().await["state"] == state }).await;
    }

    /// Sends an event with this token.
    pub(crate) async fn deliver_with(&self, token: Option<&str>, event: &Value) -> ApiResponse {
        let url = format!("{}{}", self.app.endpoints.chat, self.webhook_path());
        let mut request = self.client.post(url).json(event);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    pub(crate) async fn deliver(&self, event: &Value) {
        self.deliver_with(Some(&self.google.project_token()), event).await.expect(200);
    }

    /// Eve adds the app to the space. Returns the chat.
    pub(crate) async fn connect(&self) -> i64 {
        self.deliver(&app_event("ADDED_TO_SPACE", SPACE, &Value::Null, &eve())).await;
        self.find_chat("Plans").await
    }

    pub(crate) async fn find_chat(&self, name: &str) -> i64 {
        let found = std::sync::Mutex::new(None);
        eventually(&format!("the chat {name:?}"), || async {
            let chats = self.alice.get("/api/chats").await.expect(200).json();
            let chat = chats["items"].as_array().expect("chats").iter().find(|chat| chat["name"] == name).cloned();
            *found.lock().expect("a chat") = chat.as_ref().and_then(|chat| chat["id"].as_i64());
            chat.is_some()
        })
        .await;
        found.into_inner().expect("a chat").expect("a chat")
    }

    /// The messages of users, oldest first.
    pub(crate) async fn messages(&self, chat: i64) -> Vec<Value> {
        let page = self.alice.get(&format!("/api/chats/{chat}/messages?limit=100")).await.expect(200).json();
        let items = page["items"].as_array().expect("messages").iter().rev();
        items.filter(|message| message["kind"] == "user").cloned().collect()
    }

    pub(crate) async fn texts(&self, chat: i64) -> Vec<String> {
        let messages = self.messages(chat).await;
        let shown = messages.iter().filter(|one| one["deleted_at"].is_null());
        shown.map(|one| one["content"].as_str().expect("a text").to_owned()).collect()
    }

    /// Waits until a chat has these texts.
    pub(crate) async fn wait_for_texts(&self, chat: i64, expected: &[&str]) {
        eventually(&format!("the texts {expected:?}"), || async { self.texts(chat).await == expected }).await;
    }

    pub(crate) async fn chat_bridge(&self, chat: i64) -> Value {
        self.bob.get(&format!("/api/chats/{chat}/bridges")).await.expect(200).json()["items"][0].clone()
    }

    /// Waits until the bridge has this access to the events of a chat.
    pub(crate) async fn wait_for_access(&self, chat: i64, access: &str) {
        eventually(&format!("the access to events is {access}"), || async {
            self.chat_bridge(chat).await["event_access"] == access
        })
        .await;
    }

    /// Makes all spaces due now, so that a test need not wait for the next read.
    pub(crate) async fn read_now(&self) {
        let sql = "update bridge_chats set events_due_at = now() where events_due_at is not null";
        sqlx::query(sql).execute(&self.app.db).await.expect("updated");
        sqlx::query("select pg_notify('bridge_spaces', '')").execute(&self.app.db).await.expect("notified");
    }

    pub(crate) async fn end_pauses(&self) {
        let sql = "update outbox_lanes set due_at = now(), paused_until = null where due_at is not null";
        sqlx::query(sql).execute(&self.app.db).await.expect("updated");
    }

    pub(crate) async fn user(&self, id: &Value) -> Value {
        self.bob.get(&format!("/api/users/{id}")).await.expect(200).json()
    }
}

#[tokio::test]
async fn the_people_of_a_space_and_the_members_talk_both_ways() {
    let mut bridge = TestBridge::start().await;
    let profile = bridge.state().await["profile"].clone();
    assert_eq!(profile["name"], SERVICE_ACCOUNT);
    assert_eq!(profile["spaces"][0], json!({ "name": SPACE, "title": "Plans", "is_direct": false }));
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    let mut stream = bridge.bob.listen().await;

    // Two people write; each is a user of their own.
    bridge.google.write(SPACE, &eve(), "*Hello*, <https://a.example|look>");
    bridge.google.write(SPACE, &frank(), "me too");
    bridge.read_now().await;
    let (first, second) = (stream.next_of("message.new").await, stream.next_of("message.new").await);
    let (first, second) = (&first.data["message"], &second.data["message"]);
    assert_eq!(first["content"], "**Hello**, [look](https://a.example)");
    let (eve, frank) = (bridge.user(&first["sender_id"]).await, bridge.user(&second["sender_id"]).await);
    assert_eq!((&eve["display_name"], &frank["display_name"]), (&json!("Eve"), &json!("Frank")));
    assert_eq!((&eve["kind"], &eve["network"]), (&json!("ghost"), &json!("google_chat")));

    // An answer goes there once, and its state is told.
    let answer = bridge.bob.say_in(chat, "Yes, **always** [here](https://b.example)").await;
    let sent = bridge.google.next().await;
    assert_eq!((sent.kind, sent.text()), ("create", "*Bob Okafor*: Yes, *always* <https://b.example|here>"));
    let relayed = stream.next_of("message.relayed").await;
    assert_eq!((&relayed.data["message_id"], &relayed.data["state"]), (&answer["id"], &json!("sent")));
    assert_eq!(relayed.data["network"], "google_chat");

    // A reply goes to the thread of the message.
    let reply = json!({ "content": "welcome", "reply_to": second["id"] });
    bridge.bob.post(&format!("/api/chats/{chat}/messages"), reply).await.expect(201);
    let replied = bridge.google.next().await;
    let of_frank = &bridge.google.messages(SPACE)[1];
    assert_eq!(replied.message["thread"], of_frank["thread"]);
    // One in the thread there replies here to the message that began it.
    let thread = json!({ "text": "thanks", "thread": sent.message["thread"], "threadReply": true });
    bridge.google.write_with(SPACE, &GooglePerson::new("Eve"), thread);
    bridge.read_now().await;
    let thanks = loop {
        let message = stream.next_of("message.new").await.data["message"].clone();
        if message["content"] == "thanks" {
            break message;
        }
    };
    assert_eq!(thanks["reply_to"], answer["id"]);

    // Changes and deletions of members.
    let path = format!("/api/messages/{}", answer["id"]);
    bridge.bob.patch(&path, json!({ "content": "No" })).await.expect(200);
    let edited = bridge.google.next().await;
    assert_eq!((edited.kind, edited.text()), ("update", "*Bob Okafor*: No"));
    assert_eq!(edited.message["name"], sent.message["name"]);
    bridge.bob.delete(&path).await.expect(204);
    let deleted = bridge.google.next().await;
    assert_eq!((deleted.kind, &deleted.message["name"]), ("delete", &sent.message["name"]));

    // What the app wrote is in the list of events too, and does not come back.
    bridge.read_now().await;
    bridge.google.write(SPACE, &GooglePerson::new("Eve"), "the end");
    bridge.read_now().await;
    let expected = ["**Hello**, [look](https://a.example)", "me too", "welcome", "thanks", "the end"];
    bridge.wait_for_texts(chat, &expected).await;
    assert_eq!(bridge.google.too_fast(), 0, "one write in a second");
}

#[tokio::test]
async fn changes_deletions_and_reactions_of_people_are_relayed() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    let first = bridge.google.write(SPACE, &eve(), "first");
    let second = bridge.google.write(SPACE, &eve(), "second");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["first", "second"]).await;
    bridge.google.edit(&first, "first, again");
    bridge.google.delete(&second);
    bridge.google.react(&first, &frank(), "🎉", true);
    bridge.google.react(&first, &eve(), "👍", true);
    bridge.google.react(&first, &eve(), "👍", false);
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["first, again"]).await;
    let reactions = || async { bridge.messages(chat).await[0]["reactions"].clone() };
    eventually("the reaction of Frank", || async { reactions().await[0]["emoji"] == "🎉" }).await;
    // A read repeats what was read shortly before; nothing happens twice.
    let edits = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from message_edits")
            .fetch_one(&bridge.app.db)
            .await
            .expect("a count")
    };
    let before = edits().await;
    let marker = bridge.google.write(SPACE, &frank(), "marker");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["first, again", "marker"]).await;
    assert_eq!((before, edits().await), (1, 1));
    assert_eq!(reactions().await.as_array().expect("reactions").len(), 1);
    // Reactions of members have no way there, and cause no failure.
    let id = bridge.messages(chat).await[0]["id"].clone();
    bridge.bob.put(&format!("/api/messages/{id}/reactions/🎉"), json!({})).await.expect(200);
    bridge.bob.say_in(chat, "fence").await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: fence");
    bridge.google.delete(&marker);
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["first, again", "fence"]).await;
    let failures = bridge.alice.get(&bridge.path("/failures")).await.expect(200).json();
    assert_eq!(failures["items"], json!([]));
    assert_eq!(bridge.state().await["failed_webhooks"], 0);
}

#[tokio::test]
async fn each_form_of_a_token_is_verified() {
    let bridge = TestBridge::start().await;
    let endpoint = format!("{}{}", bridge.app.endpoints.chat, bridge.webhook_path());
    let add_on = format!("service-{PROJECT_NUMBER}@gcp-sa-gsuiteaddons.iam.gserviceaccount.com");
    let google = "https://accounts.google.com";
    let with = |issuer: &str, audience: &str, more: Value| {
        let mut claims = claims(issuer, audience);
        for (field, value) in more.as_object().expect("fields") {
            claims[field] = value.clone();
        }
        claims
    };
    let verified = |email: &str| json!({ "email": email, "email_verified": true });
    let event = |nth: usize| json!({ "type": "OTHER", "nth": nth, "space": { "name": SPACE } });
    // The keys are fetched when the bridge is checked.
    eventually("the keys", || async {
        let sql = "select count(*) = 3 from google_keys where keys is not null";
        sqlx::query_scalar::<_, bool>(sql).fetch_one(&bridge.app.db).await.expect("a count")
    })
    .await;
    let accepted = [
        claims(CHAT_ACCOUNT, PROJECT_NUMBER),
        with(google, &endpoint, verified(CHAT_ACCOUNT)),
        with("accounts.google.com", &endpoint, verified(&add_on)),
        with(google, &endpoint, verified(SERVICE_ACCOUNT)),
        with(&add_on, &endpoint, json!({})),
    ];
    for (nth, claims) in accepted.iter().enumerate() {
        let answer = bridge.deliver_with(Some(&bridge.google.sign(claims)), &event(nth)).await;
        assert_eq!(answer.expect(200).json(), json!({}), "{claims}");
    }
    // In the body of an event of an add-on.
    let token = bridge.google.sign(&accepted[4]);
    let body = json!({ "authorizationEventObject": { "systemIdToken": token }, "chat": {} });
    bridge.deliver_with(None, &body).await.expect(200);

    let stored = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from bridge_inbox")
            .fetch_one(&bridge.app.db)
            .await
            .expect("a count")
    };
    let before = stored().await;
    let refused = [
        claims(CHAT_ACCOUNT, "999999999999"),
        claims(CHAT_ACCOUNT, &endpoint),
        claims("chat@evil.example", PROJECT_NUMBER),
        with(google, &endpoint, json!({})),
        with(google, &endpoint, verified("mallory@evil.iam.gserviceaccount.com")),
        with(google, &endpoint, json!({ "email": CHAT_ACCOUNT, "email_verified": false })),
        with(google, &endpoint, json!({ "email": CHAT_ACCOUNT })),
        with(google, "https://evil.example/in/google-chat/1", verified(CHAT_ACCOUNT)),
        with(google, PROJECT_NUMBER, verified(CHAT_ACCOUNT)),
        with(&add_on.replace(PROJECT_NUMBER, "999999999999"), &endpoint, json!({})),
        with(CHAT_ACCOUNT, PROJECT_NUMBER, json!({ "exp": 1_700_000_000 })),
        json!({ "iss": CHAT_ACCOUNT, "aud": PROJECT_NUMBER }),
    ];
    for claims in &refused {
        bridge.deliver_with(Some(&bridge.google.sign(claims)), &event(99)).await.expect_problem(401);
    }
    let good = bridge.google.project_token();
    let (signed, signature) = good.rsplit_once('.').expect("a signature");
    let key = jsonwebtoken::EncodingKey::from_secret(b"x");
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("google-1".into());
    let symmetric = jsonwebtoken::encode(&header, &accepted[0], &key).expect("a token");
    let swapped: String = signature.chars().rev().collect();
    for token in ["", "x", "a.b.c", &symmetric, &format!("{signed}."), &format!("{signed}.{swapped}")] {
        bridge.deliver_with(Some(token), &event(98)).await.expect_problem(401);
    }
    bridge.deliver_with(None, &event(97)).await.expect_problem(401);
    assert_eq!(stored().await, before);
    // A key that is new at Google is fetched when a token names it.
    bridge.google.rotate_keys();
    bridge.deliver_with(Some(&bridge.google.project_token()), &event(96)).await.expect(200);
}

#[tokio::test]
async fn what_happened_while_the_server_was_down_is_repaired_in_order() {
    let bridge = TestBridge::without_server().await;
    let (server, stop) = bridge.start_server();
    bridge.wait_until("connected").await;
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    bridge.google.write(SPACE, &eve(), "before");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["before"]).await;
    stop.cancel();
    server.stopped().await;
    // More than a page, with a message that is changed and one that is gone again.
    let mut expected = vec!["before".to_owned()];
    for nth in 0..120 {
        let person = if nth % 2 == 0 { eve() } else { frank() };
        bridge.google.write(SPACE, &person, &format!("message {nth}"));
        expected.push(format!("message {nth}"));
    }
    let changed = bridge.google.write(SPACE, &eve(), "draft");
    bridge.google.edit(&changed, "final");
    let gone = bridge.google.write(SPACE, &eve(), "oops");
    bridge.google.delete(&gone);
    bridge.google.react(&changed, &frank(), "🎉", true);
    expected.push("final".into());
    // The first read fails.
    bridge.google.set_list_down(true);
    bridge.start_server();
    bridge.start_server();
    bridge.read_now().await;
    eventually("a read failed", || async { bridge.google.failed_lists() > 0 }).await;
    bridge.google.set_list_down(false);
    sqlx::query("update bridge_chats set events_paused_until = null").execute(&bridge.app.db).await.expect("updated");
    let count = |expected: usize| {
        let bridge = &bridge;
        async move {
            let sql = "select count(*) from messages where chat_id = $1 and deleted_at is null";
            let count: i64 = sqlx::query_scalar(sql).bind(chat).fetch_one(&bridge.app.db).await.expect("a count");
            bridge.read_now().await;
            usize::try_from(count).expect("a count") == expected
        }
    };
    eventually("all messages", || count(expected.len())).await;
    let sql = "select content from messages where chat_id = $1 and deleted_at is null order by id";
    let texts: Vec<String> = sqlx::query_scalar(sql).bind(chat).fetch_all(&bridge.app.db).await.expect("texts");
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn without_approval_only_mentions_are_relayed() {
    let bridge = TestBridge::start().await;
    bridge.google.approve(Approved::Nothing);
    // A person writes directly to the app.
    let message = bridge.google.write(DIRECT_SPACE, &eve(), "anybody there?");
    let event = app_event("MESSAGE", DIRECT_SPACE, &message, &eve());
    bridge.deliver(&event).await;
    let chat = bridge.find_chat("Eve").await;
    bridge.wait_for_texts(chat, &["anybody there?"]).await;
    bridge.wait_for_access(chat, "mentions").await;
    // The same event again, several at once.
    let again: Vec<Value> = (0..8)
        .map(|nth| {
            let mut event = event.clone();
            event["nth"] = json!(nth);
            event
        })
        .collect();
    futures_util::future::join_all(again.iter().map(|event| bridge.deliver(event))).await;
    let next = bridge.google.write(DIRECT_SPACE, &eve(), "hello?");
    bridge.deliver(&app_event("MESSAGE", DIRECT_SPACE, &next, &eve())).await;
    bridge.wait_for_texts(chat, &["anybody there?", "hello?"]).await;
    let ghost = bridge.messages(chat).await[0]["sender_id"].clone();
    assert_eq!(bridge.user(&ghost).await["display_name"], "Eve");
    // An administrator approves more: what was missed comes, and nothing twice.
    bridge.google.write(DIRECT_SPACE, &eve(), "unheard");
    bridge.google.approve(Approved::Messages);
    bridge.read_now().await;
    bridge.wait_for_access(chat, "messages").await;
    bridge.wait_for_texts(chat, &["anybody there?", "hello?", "unheard"]).await;
}

#[tokio::test]
async fn a_message_is_created_once_although_the_answer_is_lost() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.google.reply_next([
        GoogleReply::AcceptAndCut,
        GoogleReply::Error(500, "INTERNAL"),
        GoogleReply::AcceptAndFail,
        GoogleReply::Error(429, "RATE_LIMIT_EXCEEDED"),
    ]);
    for text in ["one", "two", "three"] {
        bridge.bob.say_in(chat, text).await;
    }
    let mut texts = Vec::new();
    while texts.len() < 3 {
        bridge.end_pauses().await;
        let next = tokio::time::timeout(std::time::Duration::from_secs(2), bridge.google.next()).await;
        if let Ok(write) = next {
            texts.push(write.text().to_owned());
        }
    }
    assert_eq!(texts, ["*Bob Okafor*: one", "*Bob Okafor*: two", "*Bob Okafor*: three"]);
    eventually("all are settled", || async {
        bridge.end_pauses().await;
        let sql = "select count(*) from bridge_messages where not is_incoming and state = 'sent'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&bridge.app.db).await.expect("a count") == 3
    })
    .await;
    assert_eq!(bridge.google.app_texts(SPACE), texts, "and nothing twice");
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_a_refused_account_stops_once() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.google.revoke_tokens();
    bridge.bob.say_in(chat, "one").await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: one");
    let mut stream = bridge.alice.listen().await;
    bridge.google.refuse_account(true);
    bridge.bob.say_in(chat, "two").await;
    bridge.wait_until("stopped").await;
    let updated = stream.next_of("bridge.updated").await;
    assert_eq!(updated.data["state"], "stopped");
    assert!(updated.data["detail"].as_str().expect("a reason").contains("the account was deleted"), "{updated:?}");
    bridge.google.refuse_account(false);
    let key = json!({ "google_chat": { "service_account_key": bridge.google.key_file() } });
    bridge.alice.patch(&bridge.path(""), key).await.expect(200);
    bridge.wait_until("connected").await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: two");
    assert_eq!(stream.next_of("bridge.updated").await.data["state"], "connecting");
}

#[tokio::test]
async fn messages_wait_while_the_app_is_not_in_the_space() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.deliver(&app_event("REMOVED_FROM_SPACE", SPACE, &Value::Null, &eve())).await;
    eventually("the chat is paused", || async { bridge.chat_bridge(chat).await["paused_reason"] == "removed" }).await;
    bridge.bob.say_in(chat, "still here").await;
    bridge.deliver(&app_event("ADDED_TO_SPACE", SPACE, &Value::Null, &eve())).await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: still here");
    assert_eq!(bridge.chat_bridge(chat).await["paused_reason"], Value::Null);
    // The owner paused it: being added again does not end that.
    let of_chat = bridge.path(&format!("/chats/{}", bridge.chat_bridge(chat).await["id"]));
    bridge.alice.patch(&of_chat, json!({ "is_paused": true })).await.expect(200);
    bridge.deliver(&app_event("ADDED_TO_SPACE", SPACE, &json!(1), &eve())).await;
    let marker = bridge.google.write(SPACE, &eve(), "marker");
    bridge.deliver(&app_event("MESSAGE", SPACE, &marker, &eve())).await;
    bridge.wait_for_texts(chat, &["still here", "marker"]).await;
    assert_eq!(bridge.chat_bridge(chat).await["paused_reason"], "owner");
    bridge.alice.patch(&of_chat, json!({ "is_paused": false })).await.expect(200);
    // Google says so only when something is sent.
    bridge.google.reply_next([GoogleReply::Error(403, "PERMISSION_DENIED")]);
    bridge.bob.say_in(chat, "and now?").await;
    eventually("the chat is paused", || async { bridge.chat_bridge(chat).await["paused_reason"] == "removed" }).await;
    bridge.alice.patch(&of_chat, json!({ "is_paused": false })).await.expect(200);
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: and now?");
}

#[tokio::test]
async fn files_are_loaded_and_sent_as_links_to_one_file() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    // A person sends a file; the first download fails.
    let attachment = bridge.google.add_file("cat.png", PNG);
    let drive = json!({ "contentName": "plan.pdf", "source": "DRIVE_FILE", "driveDataRef": { "driveFileId": "1a-B" } });
    bridge.google.fail_downloads(1);
    bridge.google.write_with(SPACE, &eve(), json!({ "text": "my cat", "attachment": [attachment, drive] }));
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["my cat\n📎 [plan.pdf](https://drive.google.com/open?id=1a-B)"]).await;
    let message = bridge.messages(chat).await[0].clone();
    assert_eq!((&message["files"][0]["filename"], &message["files"][0]["width"]), (&json!("cat.png"), &json!(2)));

    // A member sends a file.
    let form =
        reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::bytes(PNG).file_name("d>o|g.png"));
    let upload = bridge.bob.request(http::Method::POST, "/api/upload").multipart(form).send().await.expect("an answer");
    let file = ApiResponse::read(upload).await.expect(201).json()[0].clone();
    let body = json!({ "content": "my dog", "files": [file["id"]] });
    let sent_here = bridge.bob.post(&format!("/api/chats/{chat}/messages"), body).await.expect(201).json();
    let sent = bridge.google.next().await;
    let text = sent.text();
    let link = text.strip_prefix("*Bob Okafor*: my dog\n📎 <").and_then(|rest| rest.strip_suffix("|dog.png>"));
    let link = link.unwrap_or_else(|| panic!("{text}"));
    let status = |url: String| async move { reqwest::get(url).await.expect("an answer").status() };
    let opened = reqwest::get(link).await.expect("an answer");
    assert_eq!(
        (opened.status(), &opened.headers()["content-type"]),
        (StatusCode::OK, &"image/png".parse().expect("a value"))
    );
    assert!(!opened.bytes().await.expect("bytes").is_empty());
    // It is a link to this file only.
    let (path, token) = link.split_once("?token=").expect("a token");
    assert_eq!(status(format!("{path}?token={}", &token[1..])).await, StatusCode::FORBIDDEN);
    assert_eq!(status(format!("{path}?token=")).await, StatusCode::FORBIDDEN);
    assert_eq!(status(path.to_owned()).await, StatusCode::UNPROCESSABLE_ENTITY);
    let other = format!(
        "/api/files/{}/",
        message["files"][0]["url"].as_str().expect("a URL").rsplit('/').next().expect("an id")
    );
    let of_other = path.replace(&format!("/api/files/{}/", file["id"]), &other);
    assert_eq!(status(format!("{of_other}?token={token}")).await, StatusCode::FORBIDDEN);
    // With the message, the file is gone.
    bridge.bob.delete(&format!("/api/messages/{}", sent_here["id"])).await.expect(204);
    assert_eq!(status(link.to_owned()).await, StatusCode::NOT_FOUND);
    // Also if another message has it.
    let group = json!({ "type": "group", "name": "Private", "members": [] });
    let group = bridge.bob.post("/api/chats", group).await.expect(201).json();
    let body = json!({ "content": "again", "files": [file["id"]] });
    bridge.bob.post(&format!("/api/chats/{}/messages", group["id"]), body).await.expect(201);
    assert_eq!(status(link.to_owned()).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_long_message_is_several_and_its_edit_changes_them() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    let long = |letter: &str, words: usize| format!("{letter} ").repeat(words).trim().to_owned();
    let message = bridge.bob.say_in(chat, &long("a", 6_000)).await;
    let (first, second) = (bridge.google.next().await, bridge.google.next().await);
    assert!(first.text().len() <= 8_000 && second.text().ends_with(" a"), "{}", second.text().len());
    let path = format!("/api/messages/{}", message["id"]);
    bridge.bob.patch(&path, json!({ "content": "short" })).await.expect(200);
    let (edited, removed) = (bridge.google.next().await, bridge.google.next().await);
    assert_eq!((edited.text(), removed.kind), ("*Bob Okafor*: short", "delete"));
    assert_eq!(removed.message["name"], second.message["name"]);
    bridge.bob.patch(&path, json!({ "content": long("b", 6_000) })).await.expect(200);
    let writes = [bridge.google.next().await, bridge.google.next().await];
    assert_eq!(writes.each_ref().map(|write| write.kind), ["update", "create"]);
    assert_eq!(bridge.google.too_fast(), 0);
    // Nobody in the space can be called from here.
    bridge.bob.say_in(chat, "<users/all> wake up").await;
    let called = loop {
        let write = bridge.google.next().await;
        if write.text().contains("wake up") {
            break write;
        }
    };
    assert!(!called.text().contains("<users/"), "{}", called.text());
}

#[tokio::test]
async fn a_space_with_very_many_people_stays_a_chat() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    for nth in 0..203 {
        bridge.google.write(SPACE, &GooglePerson::new(&format!("Person {nth}")), &format!("I am {nth}"));
    }
    bridge.read_now().await;
    eventually("all messages", || async {
        let sql = "select count(*) from messages where chat_id = $1";
        sqlx::query_scalar::<_, i64>(sql).bind(chat).fetch_one(&bridge.app.db).await.expect("a count") == 203
    })
    .await;
    let last = bridge.messages(chat).await.last().expect("a message").clone();
    assert_eq!((&last["content"], &last["author"]["name"]), (&json!("I am 202"), &json!("Person 202")));
    assert_eq!(bridge.user(&last["sender_id"]).await["display_name"], "Plans");
    let members: i64 = sqlx::query_scalar("select count(*) from chat_members where chat_id = $1")
        .bind(chat)
        .fetch_one(&bridge.app.db)
        .await
        .expect("a count");
    assert_eq!(members, 2 + 1 + 200);
    // With the bridge, all ghosts go.
    bridge.alice.delete(&bridge.path("")).await.expect(204);
    while chat_core::bridges::ghosts::erase_orphans(&bridge.app.db).await.expect("erased") > 0 {}
    let ghosts: i64 = sqlx::query_scalar("select count(*) from users where kind = 'ghost' and deleted_at is null")
        .fetch_one(&bridge.app.db)
        .await
        .expect("a count");
    assert_eq!(ghosts, 0);
}

#[tokio::test]
async fn a_space_is_connected_to_a_chat_that_exists() {
    let mut bridge = TestBridge::start().await;
    let chats = bridge.path("/chats");
    let group = bridge.alice.post("/api/chats", json!({ "type": "group", "name": "Team", "members": [bridge.bob.id] }));
    let chat = group.await.expect(201).json()["id"].as_i64().expect("an id");
    for bad in [
        json!({ "space": "spaces/unknown", "chat_id": chat }),
        json!({ "space": "spaces/../x", "chat_id": chat }),
        json!({ "phone": "+49 151 1234567", "chat_id": chat }),
        json!({ "space": SPACE, "phone": "+49 151 1234567" }),
        json!({ "chat_id": chat }),
    ] {
        bridge.alice.post(&chats, bad).await.expect_problem(422);
    }
    bridge.bob.post(&chats, json!({ "space": SPACE, "chat_id": chat })).await.expect_problem(404);
    let connected = bridge.alice.post(&chats, json!({ "space": SPACE, "chat_id": chat })).await.expect(201).json();
    assert_eq!((&connected["remote_key"], &connected["is_space"]), (&json!(SPACE), &json!(true)));
    bridge.alice.post(&chats, json!({ "space": SPACE })).await.expect_problem(409);
    // No webhook is needed: the server reads.
    bridge.google.write(SPACE, &eve(), "hello team");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["hello team"]).await;
    bridge.bob.say_in(chat, "hello").await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: hello");
    // Who is removed comes back as soon as they write, unless they are banned; without the ghost of the space nothing is relayed.
    let ghost = bridge.messages(chat).await[0]["sender_id"].clone();
    bridge.alice.delete(&format!("/api/chats/{chat}/members/{ghost}")).await.expect(204);
    bridge.google.write(SPACE, &eve(), "me again");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["hello team", "hello", "me again"]).await;
    assert_eq!(bridge.messages(chat).await[2]["sender_id"], ghost, "as the same user");
    bridge.alice.put(&format!("/api/chats/{chat}/bans/{ghost}"), json!({})).await.expect(204);
    bridge.google.write(SPACE, &eve(), "let me in");
    bridge.google.write(SPACE, &frank(), "hi");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["hello team", "hello", "me again", "hi"]).await;
    let of_space = bridge.chat_bridge(chat).await["ghost_id"].clone();
    bridge.alice.delete(&format!("/api/chats/{chat}/members/{of_space}")).await.expect(204);
    eventually("the space is disconnected", || async { bridge.chat_bridge(chat).await == Value::Null }).await;
}

#[tokio::test]
async fn bad_accounts_are_refused_and_secrets_stay_secret() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let google = Google::start().await;
    let key = google.key_file();
    let create = |account: Value| alice.post("/api/bridges", json!({ "name": "Office", "google_chat": account }));
    let key_with = |field: &str, value: &str| {
        let mut key: Value = serde_json::from_str(&key).expect("JSON");
        key[field] = json!(value);
        key.to_string()
    };
    for (field, account) in [
        ("project_number", json!({ "project_number": "corner-shop", "service_account_key": key })),
        ("service_account_key", json!({ "project_number": PROJECT_NUMBER, "service_account_key": "{}" })),
        (
            "service_account_key",
            json!({ "project_number": PROJECT_NUMBER, "service_account_key": key_with("private_key", "x") }),
        ),
        (
            "service_account_key",
            json!({ "project_number": PROJECT_NUMBER, "service_account_key": key_with("client_email", "a b") }),
        ),
        ("service_account_key", json!({ "project_number": PROJECT_NUMBER, "service_account_key": "x".repeat(9_000) })),
    ] {
        let problem = create(account).await.expect_problem(422);
        assert!(problem.to_string().contains(field), "{problem}");
    }
    alice.post("/api/bridges", json!({ "name": "None" })).await.expect_problem(422);
    let both = json!({ "name": "Both", "google_chat": account(&google), "whatsapp": { "phone_number_id": "1",
                       "business_account_id": "2", "access_token": "x", "app_secret": "y" } });
    alice.post("/api/bridges", both).await.expect_problem(422);
    let bridge = create(account(&google)).await.expect(201).json();
    assert_eq!(bridge["settings"]["google_chat"]["service_account"], SERVICE_ACCOUNT);
    assert!(!bridge.to_string().contains("PRIVATE KEY"));
    create(account(&google)).await.expect_problem(409);
    let wrong_network = json!({ "whatsapp": { "access_token": "x" } });
    alice.patch(&format!("/api/bridges/{}", bridge["id"]), wrong_network).await.expect_problem(422);
    // The key of another account is refused: two bridges of one app would relay each message twice.
    let other = key_with("client_email", "other@corner-shop.iam.gserviceaccount.com");
    let path = format!("/api/bridges/{}", bridge["id"]);
    alice.patch(&path, json!({ "google_chat": { "service_account_key": other } })).await.expect_problem(422);
    let number = json!({ "google_chat": { "project_number": "210987654321" } });
    let changed = alice.patch(&path, number).await.expect(200).json();
    assert_eq!(changed["settings"]["google_chat"]["project_number"], "210987654321");
    // Its webhook is not one of WhatsApp.
    let path = format!("/in/whatsapp/{}", bridge["id"]);
    let request = reqwest::Client::new().post(format!("{}{path}", app.endpoints.chat)).body("{}");
    ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(404);
    let verify = alice.get(&format!("{path}?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1")).await;
    verify.expect_problem(404);
}
