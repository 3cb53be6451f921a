//! The bridge to WhatsApp, against a stand-in of Meta's Graph API.

use chat_core::{
    bridges::inbox,
    sealing::{self, Sealer},
};
use chat_test::{
    ApiResponse, PNG, TestApp, TestUser, eventually,
    graph::{
        ACCESS_TOKEN, APP_SECRET, BUSINESS_ACCOUNT_ID, GraphApi, GraphPerson, GraphReply, PHONE_NUMBER_ID, SentMessage,
        message_webhook, sign, status_json, status_webhook, webhook,
    },
};
use reqwest::Client;
use serde_json::{Value, json};

/// A bridge of alice, with bob as the other member of its chats.
struct TestBridge {
    app: TestApp,
    graph: GraphApi,
    alice: TestUser,
    bob: TestUser,
    bridge: Value,
    client: Client,
}

fn account() -> Value {
    json!({ "phone_number_id": PHONE_NUMBER_ID, "business_account_id": BUSINESS_ACCOUNT_ID,
            "access_token": ACCESS_TOKEN, "app_secret": APP_SECRET })
}

impl TestBridge {
    async fn start() -> Self {
        let bridge = Self::without_server().await;
        bridge.start_server();
        bridge.wait_until("connected").await;
        bridge
    }

    async fn without_server() -> Self {
        let app = TestApp::start().await;
        let [alice, bob] = app.sign_in(["alice", "bob"]).await;
        let graph = GraphApi::start().await;
        let new = json!({ "name": "Shop", "whatsapp": account(), "member_ids": [bob.id] });
        let bridge = alice.post("/api/bridges", new).await.expect(201).json();
        Self { app, graph, alice, bob, bridge, client: Client::new() }
    }

    fn start_server(&self) {
        self.app.start_integration_server_with(&self.graph.url);
    }

    fn path(&self, more: &str) -> String {
        format!("/api/bridges/{}{more}", self.bridge["id"])
    }

    async fn state(&self) -> Value {
        self.alice.get(&self.path("")).await.expect(200).json()
    }

    async fn wait_until(&self, state: &str) {
        eventually(&format!("the bridge is {state}"), || async { self.state().await["state"] == state }).await;
    }

    /// Sends these bytes as Meta does, with a signature.
    async fn deliver_raw(&self, body: Vec<u8>, signature: Option<&str>) -> ApiResponse {
        let url = format!("{}/in/whatsapp/{}", self.app.endpoints.chat, self.bridge["id"]);
        let mut request = self.client.post(url).header("content-type", "application/json").body(body);
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    async fn deliver(&self, webhook: &Value) {
        let body = webhook.to_string().into_bytes();
        let signature = sign(&body);
        self.deliver_raw(body, Some(&signature)).await.expect(200);
    }

    /// A remote user writes a text, and alice finds it. Returns the chat.
    async fn write(&self, remote_user: &GraphPerson, id: &str, text: &str) -> i64 {
        self.deliver(&message_webhook(remote_user, id, "text", json!({ "body": text }))).await;
        let message = self.find_message(text).await;
        message["chat_id"].as_i64().expect("a chat")
    }

    /// Waits until one of alice's chats ends with a message with this text.
    async fn find_message(&self, text: &str) -> Value {
        let found = std::sync::Mutex::new(Value::Null);
        eventually(&format!("the message {text:?}"), || async {
            let chats = self.alice.get("/api/chats").await.expect(200).json();
            let last = chats["items"].as_array().expect("chats").iter().map(|chat| &chat["last_message"]);
            let message = last.into_iter().find(|message| message["content"] == text).cloned();
            *found.lock().expect("a message") = message.clone().unwrap_or_default();
            message.is_some()
        })
        .await;
        found.into_inner().expect("a message")
    }

    async fn messages(&self, chat: i64) -> Vec<Value> {
        let page = self.alice.get(&format!("/api/chats/{chat}/messages")).await.expect(200).json();
        let mut items = page["items"].as_array().expect("messages").clone();
        items.reverse();
        items
    }

    async fn texts(&self, chat: i64) -> Vec<String> {
        self.messages(chat).await.iter().map(|one| one["content"].as_str().expect("a text").to_owned()).collect()
    }

    async fn chat_bridge(&self, chat: i64) -> Value {
        self.bob.get(&format!("/api/chats/{chat}/bridges")).await.expect(200).json()["items"][0].clone()
    }

    async fn alice_sees(&self, chat: i64) -> Value {
        self.alice.get(&format!("/api/chats/{chat}/bridges")).await.expect(200).json()["items"][0].clone()
    }

    /// Waits until all webhooks that were delivered have been processed.
    async fn drain_inbox(&self) {
        eventually("the inbox is empty", || async {
            let waiting: i64 = sqlx::query_scalar("select count(*) from bridge_inbox where done_at is null")
                .fetch_one(&self.app.db)
                .await
                .expect("a count");
            waiting == 0
        })
        .await;
    }

    /// Makes everything that waits due now, so that a test need not wait for a retry.
    async fn end_pauses(&self) {
        let sql = "update outbox_lanes set due_at = now(), paused_until = null where due_at is not null";
        sqlx::query(sql).execute(&self.app.db).await.expect("updated");
    }
}

fn eve() -> GraphPerson {
    GraphPerson::new("Eve", "491511234567")
}

async fn receipts(user: &TestUser, message: &Value) -> Vec<Value> {
    let page = user.get(&format!("/api/messages/{}/receipts", message["id"])).await.expect(200).json();
    page["items"].as_array().expect("receipts").clone()
}

#[tokio::test]
async fn a_remote_user_and_the_members_talk_both_ways_with_ticks() {
    let mut bridge = TestBridge::start().await;
    assert_eq!(
        bridge.state().await["profile"],
        json!({ "phone_number": "+1 555 010 9999", "name": "Corner Shop", "spaces": [] })
    );
    let mut stream = bridge.bob.listen().await;
    bridge.deliver(&message_webhook(&eve(), "wamid.in1", "text", json!({ "body": "*Hello*, anybody there?" }))).await;
    let chat = bridge.find_message("**Hello**, anybody there?").await["chat_id"].as_i64().expect("a chat");
    let added = stream.next_of("chat.new").await;
    assert_eq!(added.data["chat"]["name"], "Eve");
    let message = stream.next_of("message.new").await.data["message"].clone();
    assert_eq!(message["content"], "**Hello**, anybody there?");
    // The remote user is a user of another network, who cannot be called.
    let ghost = bridge.bob.get(&format!("/api/users/{}", message["sender_id"])).await.expect(200).json();
    assert_eq!((&ghost["kind"], &ghost["network"]), (&json!("ghost"), &json!("whatsapp")));
    assert_eq!(ghost["display_name"], "Eve");
    bridge.bob.post("/api/chats", json!({ "type": "single", "user_id": ghost["id"] })).await.expect_problem(422);

    let answer = bridge.bob.say_in(chat, "Yes, **always**").await;
    let sent = bridge.graph.next_message().await;
    assert_eq!(sent.text(), "*Bob Okafor*: Yes, *always*");
    assert_eq!(sent.body["to"], "491511234567");
    // The states only go up, whatever the order of the webhooks.
    for (status, expected) in [("sent", "sent"), ("read", "read"), ("delivered", "read"), ("sent", "read")] {
        bridge.deliver(&status_webhook(&eve(), &sent, status)).await;
        bridge.drain_inbox().await;
        let state: String = sqlx::query_scalar("select state from bridge_messages where message_id = $1")
            .bind(answer["id"].as_i64())
            .fetch_one(&bridge.app.db)
            .await
            .expect("a state");
        assert_eq!(state, expected, "after {status}");
    }
    let relayed = stream.next_of("message.relayed").await;
    assert_eq!((&relayed.data["message_id"], &relayed.data["state"]), (&answer["id"], &json!("sent")));
    assert_eq!(stream.next_of("message.relayed").await.data["state"], "read");
    // The ticks are those of any other reader.
    let receipts = receipts(&bridge.bob, &answer).await;
    let of_ghost = receipts.iter().find(|receipt| receipt["user_id"] == ghost["id"]).expect("a receipt");
    assert!(of_ghost["read_at"].is_string() && of_ghost["delivered_at"].is_string(), "{of_ghost}");
    // Reading here tells the remote user.
    let read = json!({ "message_id": message["id"] });
    bridge.bob.put(&format!("/api/chats/{chat}/read"), read).await.expect(200);
    eventually("the remote user is told that the message was read", || async {
        bridge
            .graph
            .accepted()
            .iter()
            .any(|sent| sent.body["message_id"] == "wamid.in1" && sent.body["status"] == "read")
    })
    .await;
}

#[tokio::test]
async fn only_signed_webhooks_are_stored() {
    let bridge = TestBridge::without_server().await;
    let body = message_webhook(&eve(), "wamid.in1", "text", json!({ "body": "hi" })).to_string().into_bytes();
    let reformatted =
        serde_json::to_string_pretty(&serde_json::from_slice::<Value>(&body).expect("JSON")).expect("JSON");
    let wrong = sign(b"something else");
    let right = sign(&body);
    for (bytes, signature) in [
        (body.clone(), None),
        (body.clone(), Some(wrong.as_str())),
        (body.clone(), Some("sha256=zz")),
        (body.clone(), Some(&right[7..])),
        (reformatted.into_bytes(), Some(right.as_str())),
        (Vec::new(), Some(right.as_str())),
    ] {
        bridge.deliver_raw(bytes, signature).await.expect_problem(403);
    }
    let stored = || async {
        let sql = "select count(*) from bridge_inbox";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&bridge.app.db).await.expect("a count")
    };
    assert_eq!(stored().await, 0);
    bridge.deliver_raw(body.clone(), Some(&right)).await.expect(200);
    bridge.deliver_raw(body, Some(&right)).await.expect(200);
    assert_eq!(stored().await, 1, "a repeated webhook is the same webhook");
    // The verification of the URL.
    let url = format!("{}/in/whatsapp/{}", bridge.app.endpoints.chat, bridge.bridge["id"]);
    let verify = |mode: &str, token: &Value, challenge: &str| {
        let query =
            [("hub.mode", mode), ("hub.verify_token", token.as_str().unwrap_or("x")), ("hub.challenge", challenge)];
        bridge.client.get(&url).query(&query)
    };
    let token = &bridge.bridge["verify_token"];
    let verified = verify("subscribe", token, "<b>1158201444").send().await.expect("an answer");
    assert_eq!(verified.status(), 200);
    assert!(verified.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    assert_eq!(verified.text().await.expect("text"), "<b>1158201444");
    for (mode, token) in [("subscribe", &json!("wrong")), ("unsubscribe", token)] {
        assert_eq!(verify(mode, token, "1").send().await.expect("an answer").status(), 403);
    }
}

#[tokio::test]
async fn a_message_is_stored_once_however_often_it_arrives() {
    let bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "first").await;
    // The same message in other webhooks, several at once, also with another server.
    bridge.start_server();
    let message = |id: &str, text: &str| message_webhook(&eve(), id, "text", json!({ "body": text }));
    let again = |nth: usize| {
        let mut webhook = message("wamid.in1", "first");
        webhook["entry"][0]["time"] = json!(nth);
        webhook
    };
    let repeated: Vec<Value> = (0..8).map(again).collect();
    let deliveries: Vec<_> = repeated.iter().map(|webhook| bridge.deliver(webhook)).collect();
    futures_util::future::join_all(deliveries).await;
    bridge.deliver(&message("wamid.in2", "second")).await;
    bridge.find_message("second").await;
    bridge.drain_inbox().await;
    assert_eq!(bridge.texts(chat).await, ["first", "second"]);
}

#[tokio::test]
async fn messages_of_one_remote_user_keep_their_order_in_a_busy_inbox() {
    let bridge = TestBridge::without_server().await;
    let remote_users: Vec<GraphPerson> =
        (0..5).map(|nth| GraphPerson::new(&format!("C{nth}"), &format!("4915100000{nth}"))).collect();
    for nth in 0..20 {
        for (of, remote_user) in remote_users.iter().enumerate() {
            let text = json!({ "body": format!("{of}: {nth}") });
            bridge.deliver(&message_webhook(remote_user, &format!("wamid.{of}.{nth}"), "text", text)).await;
        }
    }
    bridge.start_server();
    bridge.start_server();
    for of in 0..remote_users.len() {
        let chat = bridge.find_message(&format!("{of}: 19")).await["chat_id"].as_i64().expect("a chat");
        let expected: Vec<String> = (0..20).map(|nth| format!("{of}: {nth}")).collect();
        assert_eq!(bridge.texts(chat).await, expected);
    }
}

#[tokio::test]
async fn files_are_relayed_both_ways_and_checked() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "look").await;
    let media = bridge.graph.add_file("image/png", PNG);
    // Downloads fail at first.
    bridge.graph.fail_downloads(1);
    let image = json!({ "id": media, "mime_type": "image/png", "caption": "my *cat*" });
    bridge.deliver(&message_webhook(&eve(), "wamid.in2", "image", image)).await;
    let message = bridge.find_message("my **cat**").await;
    assert_eq!(message["files"][0]["mime_type"], "image/png");
    assert_eq!(message["files"][0]["width"], 2);
    let path = message["files"][0]["url"].as_str().expect("a URL").to_owned();
    assert_eq!(bridge.bob.get(&path).await.expect(200).status, 200);
    // A file that is not the announced one is not stored; the message says so.
    let wrong = json!({ "id": media, "mime_type": "image/png", "caption": "fake", "sha256": hex::encode([1; 32]) });
    bridge.deliver(&message_webhook(&eve(), "wamid.in3", "image", wrong)).await;
    // It is tried for ten minutes.
    let sql = "update bridge_inbox set received_at = received_at - interval '11 minutes' where done_at is null";
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    let message = bridge.find_message("fake\n_[image “image.png” was not loaded]_").await;
    assert_eq!(message["files"], json!([]));
    // A member sends a file.
    let form = reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::bytes(PNG).file_name("dog.png"));
    let upload = bridge.bob.request(http::Method::POST, "/api/upload").multipart(form).send().await.expect("an answer");
    let file = ApiResponse::read(upload).await.expect(201).json()[0].clone();
    let body = json!({ "content": "my dog", "files": [file["id"]] });
    bridge.bob.post(&format!("/api/chats/{chat}/messages"), body).await.expect(201);
    let sent = bridge.graph.next_message().await;
    assert_eq!((sent.body["type"].as_str(), sent.text()), (Some("image"), "*Bob Okafor*: my dog"));
    let stored = bridge.graph.file(sent.body["image"]["id"].as_str().expect("an id")).expect("a file");
    assert_eq!((stored.filename.as_str(), stored.mime_type.as_str()), ("dog.png", "image/png"));
    assert!(!stored.bytes.is_empty());
}

#[tokio::test]
async fn reactions_replies_edits_and_deletions_are_relayed() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let hello = bridge.messages(chat).await[0].clone();
    // A reply and a reaction here.
    let reply = json!({ "content": "hi", "reply_to": hello["id"] });
    let answer = bridge.bob.post(&format!("/api/chats/{chat}/messages"), reply).await.expect(201).json();
    let sent = bridge.graph.next_message().await;
    assert_eq!(sent.body["context"]["message_id"], "wamid.in1");
    bridge.bob.put(&format!("/api/messages/{}/reactions/🎉", hello["id"]), json!({})).await.expect(200);
    let reaction = loop {
        let sent = bridge.graph.next().await;
        if sent.body["type"] == "reaction" {
            break sent;
        }
    };
    assert_eq!(reaction.body["reaction"], json!({ "message_id": "wamid.in1", "emoji": "🎉" }));
    // An edit is a new message there.
    let edit = json!({ "content": "hi **there**" });
    bridge.bob.patch(&format!("/api/messages/{}", answer["id"]), edit).await.expect(200);
    let edited = bridge.graph.next_message().await;
    assert_eq!(
        (edited.text(), &edited.body["context"]["message_id"]),
        ("*Bob Okafor*: ✏️ hi *there*", &json!(sent.id))
    );

    // The remote user replies, reacts twice, edits and deletes.
    let mut reply = message_webhook(&eve(), "wamid.in2", "text", json!({ "body": "fine" }));
    reply["entry"][0]["changes"][0]["value"]["messages"][0]["context"] = json!({ "id": sent.id });
    bridge.deliver(&reply).await;
    assert_eq!(bridge.find_message("fine").await["reply_to"], answer["id"]);
    for emoji in ["👍", "❤️"] {
        let of = json!({ "message_id": sent.id, "emoji": emoji });
        bridge.deliver(&message_webhook(&eve(), &format!("wamid.r{emoji}"), "reaction", of)).await;
    }
    let reactions = || async {
        let message = bridge.alice.get(&format!("/api/messages/{}", answer["id"])).await.expect(200).json();
        let reactions = message["reactions"].as_array().expect("reactions").clone();
        reactions.iter().map(|one| one["emoji"].as_str().expect("an emoji").to_owned()).collect::<Vec<_>>()
    };
    bridge.drain_inbox().await;
    assert_eq!(reactions().await, ["❤️"], "a remote user has one reaction");
    bridge.deliver(&message_webhook(&eve(), "wamid.r3", "reaction", json!({ "message_id": sent.id }))).await;
    let new =
        json!({ "original_message_id": "wamid.in2", "message": { "type": "text", "text": { "body": "better" } } });
    bridge.deliver(&message_webhook(&eve(), "wamid.e", "edit", new)).await;
    bridge.find_message("better").await;
    assert!(reactions().await.is_empty());
    let gone = json!({ "original_message_id": "wamid.in2" });
    bridge.deliver(&message_webhook(&eve(), "wamid.d", "revoke", gone)).await;
    bridge.drain_inbox().await;
    assert!(bridge.messages(chat).await.last().expect("a message")["deleted_at"].is_string());
}

#[tokio::test]
async fn a_refused_message_says_why_and_a_template_opens_the_conversation() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    assert!(bridge.chat_bridge(chat).await["window_until"].is_string());
    bridge.graph.reply_next([GraphReply::Error(400, 131_047)]);
    let mut stream = bridge.bob.listen().await;
    let refused = bridge.bob.say_in(chat, "too late").await;
    let relayed = stream.next_of("message.relayed").await;
    assert_eq!((&relayed.data["message_id"], &relayed.data["state"]), (&refused["id"], &json!("failed")));
    assert!(relayed.data["error"].as_str().expect("a reason").contains("131047"), "{relayed:?}");
    let shown = bridge.chat_bridge(chat).await;
    assert_eq!(shown["failed"][0]["message_id"], refused["id"]);

    let names: Vec<&str> =
        shown["templates"].as_array().expect("templates").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["order_ready", "hello_world"], "those that need an image are not offered");

    let templates = format!("/api/chats/{chat}/templates");
    let template = |parameters: Value| json!({ "bridge_id": bridge.bridge["id"], "name": "order_ready", "language": "en_US", "parameters": parameters });
    bridge.bob.post(&templates, template(json!(["Eve"]))).await.expect_problem(422);
    bridge.bob.post(&templates, template(json!(["Eve", "two\nlines"]))).await.expect_problem(422);
    let sent = bridge.bob.post(&templates, template(json!(["Eve", "7"]))).await.expect(201).json();
    assert_eq!(sent["content"], "Hello Eve, your order 7 is ready.");
    let relayed = bridge.graph.next_message().await;
    assert_eq!(relayed.body["template"]["name"], "order_ready");
    assert_eq!(relayed.body["template"]["components"][0]["parameters"][1], json!({ "type": "text", "text": "7" }));

    // The owner finds what was given up, and sends it again.
    let failures = bridge.alice.get(&bridge.path("/failures")).await.expect(200).json();
    let failure = &failures["items"][0];
    assert_eq!(failure["message_id"], refused["id"]);
    bridge.bob.get(&bridge.path("/failures")).await.expect_problem(404);
    bridge.alice.post(&bridge.path(&format!("/failures/{}/retry", failure["id"])), json!({})).await.expect(204);
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: too late");
    eventually("nothing is failed", || async { bridge.chat_bridge(chat).await["failed"] == json!([]) }).await;
}

#[tokio::test]
async fn an_error_of_the_account_stops_the_bridge_once_and_loses_nothing() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let other = bridge.write(&GraphPerson::new("Zoe", "491519999999"), "wamid.in2", "me too").await;
    let mut stream = bridge.alice.listen().await;
    bridge.graph.reply_next([GraphReply::Error(401, 190), GraphReply::Error(401, 190)]);
    for text in ["one", "two"] {
        bridge.bob.say_in(chat, text).await;
        bridge.bob.say_in(other, text).await;
    }
    let told = stream.next_of("bridge.updated").await;
    assert_eq!((&told.data["state"], &told.data["bridge_id"]), (&json!("stopped"), &bridge.bridge["id"]));
    assert!(told.data["detail"].as_str().expect("a reason").contains("190"));
    let secrets = json!({ "whatsapp": { "access_token": ACCESS_TOKEN } });
    bridge.alice.patch(&bridge.path(""), secrets).await.expect(200);
    bridge.wait_until("connected").await;
    bridge.end_pauses().await;
    let mut texts: Vec<String> = Vec::new();
    while texts.len() < 4 {
        texts.push(bridge.graph.next_message().await.text().to_owned());
    }
    texts.sort();
    assert_eq!(texts, ["*Bob Okafor*: one", "*Bob Okafor*: one", "*Bob Okafor*: two", "*Bob Okafor*: two"]);
    // It said so once.
    let mut states = Vec::new();
    bridge.bob.say_in(chat, "fence").await;
    loop {
        let event = stream.next().await;
        if event.kind == "bridge.updated" {
            states.push(event.data["state"].as_str().expect("a state").to_owned());
        }
        if event.data["message"]["content"] == "fence" {
            break;
        }
    }
    assert_eq!(states, ["connecting", "connected"]);
}

#[tokio::test]
async fn an_attempt_whose_outcome_is_unknown_is_settled_by_its_status() {
    for reply in [GraphReply::AcceptAndCut, GraphReply::AcceptAndFail] {
        let mut bridge = TestBridge::start().await;
        let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
        bridge.graph.reply_next([reply]);
        bridge.bob.say_in(chat, "once").await;
        bridge.bob.say_in(chat, "after").await;
        let sent = bridge.graph.next_message().await;
        assert_eq!(sent.text(), "*Bob Okafor*: once");
        bridge.deliver(&status_webhook(&eve(), &sent, "delivered")).await;
        bridge.drain_inbox().await;
        bridge.end_pauses().await;
        assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: after", "it is not sent twice");
    }
}

#[tokio::test]
async fn an_attempt_without_a_status_is_repeated_later() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    bridge.graph.reply_next([GraphReply::AcceptAndCut]);
    bridge.bob.say_in(chat, "maybe").await;
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: maybe");
    eventually("the attempt is recorded as unsure", || async {
        let sql = "select exists (select from outbox where error like '%incomplete%')";
        sqlx::query_scalar(sql).fetch_one(&bridge.app.db).await.expect("a row")
    })
    .await;
    // A minute passes without a status.
    let sql = "update bridge_messages set at = at - interval '61 s' where state = 'sending'";
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    bridge.end_pauses().await;
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: maybe");
}

#[tokio::test]
async fn the_order_survives_errors_that_pass() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    bridge.graph.reply_next([GraphReply::Error(429, 130_429), GraphReply::Error(500, 131_000)]);
    for text in ["one", "two", "three"] {
        bridge.bob.say_in(chat, text).await;
    }
    let mut texts = Vec::new();
    while texts.len() < 3 {
        bridge.end_pauses().await;
        while let Some(sent) = next_soon(&mut bridge.graph).await {
            texts.push(sent.text().to_owned());
        }
    }
    assert_eq!(texts, ["*Bob Okafor*: one", "*Bob Okafor*: two", "*Bob Okafor*: three"]);
}

/// Returns the next message if it arrives within a moment.
async fn next_soon(graph: &mut GraphApi) -> Option<SentMessage> {
    tokio::time::timeout(std::time::Duration::from_millis(200), graph.next_message()).await.ok()
}

#[tokio::test]
async fn two_bridges_in_one_chat_do_not_loop() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "from eve").await;
    // A second bridge of bob, to a remote user of his, in the same chat.
    bridge
        .alice
        .patch(&format!("/api/chats/{chat}/members/{}", bridge.bob.id), json!({ "role": "admin" }))
        .await
        .expect(200);
    let new = json!({ "name": "Second", "whatsapp": account() });
    let second = bridge.bob.post("/api/bridges", new).await.expect(201).json();
    let remote_user = json!({ "phone": "+4915170000000", "name": "Max", "chat_id": chat });
    let path = format!("/api/bridges/{}/chats", second["id"]);
    let connected = bridge.bob.post(&path, remote_user.clone()).await.expect(201).json();
    assert_eq!(connected["chat_id"], json!(chat));
    bridge.bob.post(&path, remote_user).await.expect_problem(409);
    // A remote user is not told what another remote user wrote; both are told what a member writes.
    bridge.write(&eve(), "wamid.in2", "again from eve").await;
    bridge.bob.say_in(chat, "from bob").await;
    let mut to = [bridge.graph.next_message().await, bridge.graph.next_message().await]
        .map(|sent| (sent.body["to"].as_str().expect("a number").to_owned(), sent.text().to_owned()));
    to.sort();
    let text = "*Bob Okafor*: from bob".to_owned();
    assert_eq!(to, [("491511234567".into(), text.clone()), ("4915170000000".into(), text)]);
    bridge.alice.say_in(chat, "fence").await;
    for _ in 0..2 {
        assert_eq!(bridge.graph.next_message().await.text(), "*Alice Moreau*: fence");
    }
    assert!(next_soon(&mut bridge.graph).await.is_none(), "nothing else was sent");
}

#[tokio::test]
async fn programs_that_answer_each_other_are_stopped() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let mut stream = bridge.alice.listen().await;
    for _ in 0..6 {
        bridge.bob.say_in(chat, "I am not here.").await;
    }
    stream.next_of("bridge.updated").await;
    let shown = bridge.chat_bridge(chat).await;
    assert_eq!(shown["paused_reason"], "repeated_message");
    for _ in 0..4 {
        assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: I am not here.");
    }
    assert!(next_soon(&mut bridge.graph).await.is_none());
    let path = bridge.path(&format!("/chats/{}", shown["id"]));
    bridge.bob.patch(&path, json!({ "is_paused": false })).await.expect_problem(404);
    assert_eq!((&shown["is_own"], &bridge.alice_sees(chat).await["is_own"]), (&json!(false), &json!(true)));
    // The owner knows better: what was sent before does not count any more.
    bridge.alice.patch(&path, json!({ "is_paused": false })).await.expect(200);
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: I am not here.");
}

#[tokio::test]
async fn messages_of_bots_are_relayed_only_if_the_owner_wants_it() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let bot = bridge.alice.create_bot("helper").await;
    bridge.alice.post(&format!("/api/chats/{chat}/members"), json!({ "user_id": bot.id })).await.expect(201);
    bot.say_in(chat, "beep").await;
    bridge.bob.say_in(chat, "fence").await;
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: fence");
    bridge.alice.patch(&bridge.path(""), json!({ "relays_bots": true, "shows_names": false })).await.expect(200);
    bot.say_in(chat, "boop").await;
    assert_eq!(bridge.graph.next_message().await.text(), "boop");
}

#[tokio::test]
async fn what_the_business_writes_on_its_phone_appears_and_is_not_sent_back() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let echo = json!({ "id": "wamid.echo", "from": "15550109999", "to": eve().phone, "timestamp": "1700000000",
                       "type": "text", "text": { "body": "typed on the phone" } });
    bridge.deliver(&webhook(json!({ "message_echoes": [echo] }))).await;
    let message = bridge.find_message("typed on the phone").await;
    assert_eq!((&message["sender_id"], &message["chat_id"]), (&json!(bridge.alice.id), &json!(chat)));
    bridge.bob.say_in(chat, "fence").await;
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: fence");
}

#[tokio::test]
async fn a_remote_user_that_changes_the_number_keeps_the_chat() {
    let mut bridge = TestBridge::start().await;
    let remote_user = json!({ "phone": "+491511234567", "name": "Eve" });
    let created = bridge.alice.post(&bridge.path("/chats"), remote_user).await.expect(201).json();
    let chat = created["chat_id"].as_i64().expect("a chat");
    // The first message tells the key of the remote user, and her name.
    let named = GraphPerson { name: "Eve Miller".into(), ..eve() };
    assert_eq!(bridge.write(&named, "wamid.in1", "it is me").await, chat);
    let ghost = bridge.alice.get(&format!("/api/users/{}", created["ghost_id"])).await.expect(200).json();
    assert_eq!(ghost["display_name"], "Eve Miller");
    let moved = json!({ "type": "user_changed_number", "wa_id": "491700000000", "user_id": "DE.491700000000", "body": "moved" });
    bridge.deliver(&message_webhook(&named, "wamid.in2", "system", moved)).await;
    let new = GraphPerson::new("Eve Miller", "491700000000");
    assert_eq!(bridge.write(&new, "wamid.in3", "new number").await, chat);
    bridge.alice.say_in(chat, "noted").await;
    assert_eq!(bridge.graph.next_message().await.body["to"], "491700000000");
}

#[tokio::test]
async fn a_bridge_ends_with_its_owner_and_leaves_no_personal_data() {
    let bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let ghost = bridge.messages(chat).await[0]["sender_id"].clone();
    bridge.bob.delete(&bridge.path("")).await.expect_problem(404);
    bridge.alice.delete(&bridge.path("")).await.expect(204);
    while chat_core::bridges::ghosts::erase_orphans(&bridge.app.db).await.expect("erased") > 0 {}
    while chat_core::outbox::clean_up::purge_deleted(&bridge.app.db).await.expect("purged") > 0 {}
    let user = bridge.bob.get(&format!("/api/users/{ghost}")).await.expect(200).json();
    assert!(user["deleted_at"].is_string() && !user.to_string().contains("Eve") && !user.to_string().contains("49151"));
    assert_eq!(bridge.texts(chat).await, ["hello"], "the messages stay");
    let members = bridge.bob.get(&format!("/api/chats/{chat}/members")).await.expect(200).json();
    assert_eq!(members["items"].as_array().expect("members").len(), 2);
    for table in ["bridges", "bridge_chats", "bridge_messages", "bridge_inbox", "outbox"] {
        let sql = format!("select count(*) from {table}");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&bridge.app.db).await.expect("a count");
        assert_eq!(count, 0, "{table}");
    }
    bridge.deliver_raw(Vec::new(), Some("sha256=00")).await.expect_problem(404);
}

#[tokio::test]
async fn a_member_who_removes_the_remote_user_ends_the_connection() {
    let bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let ghost = bridge.messages(chat).await[0]["sender_id"].clone();
    bridge.alice.delete(&format!("/api/chats/{chat}/members/{ghost}")).await.expect(204);
    assert_eq!(bridge.bob.get(&format!("/api/chats/{chat}/bridges")).await.expect(200).json()["items"], json!([]));
    // The remote user writes again: a new chat.
    assert_ne!(bridge.write(&eve(), "wamid.in2", "again").await, chat);
}

#[tokio::test]
async fn bad_webhooks_are_kept_and_do_not_stop_the_others() {
    let bridge = TestBridge::start().await;
    let no_content = webhook(json!({ "messages": [{ "id": "wamid.x", "from": "not a number", "type": "text" }] }));
    for bad in [json!([]), json!({ "entry": 7 }), json!("text"), no_content] {
        bridge.deliver(&bad).await;
    }
    let body = b"{ not JSON".to_vec();
    let signature = sign(&body);
    bridge.deliver_raw(body, Some(&signature)).await.expect(200);
    let mut long = message_webhook(&eve(), "wamid.long", "text", json!({ "body": "x".repeat(100_000) }));
    long["entry"][0]["changes"][0]["value"]["statuses"] = json!([status_json(&eve(), &unknown_message(), "read")]);
    bridge.deliver(&long).await;
    let chat = bridge.write(&eve(), "wamid.in1", "still works").await;
    bridge.drain_inbox().await;
    assert_eq!(bridge.state().await["failed_webhooks"], 1, "the one that is no JSON");
    assert!(bridge.texts(chat).await[0].ends_with("x\n_[the rest was cut]_"), "the one that is too long");
}

/// A message that Confab did not send.
fn unknown_message() -> SentMessage {
    SentMessage { id: "wamid.other".into(), body: json!({}) }
}

#[tokio::test]
async fn wrong_properties_of_a_bridge_are_rejected() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let with = |name: &str, value: Value| {
        let mut account = account();
        account[name] = value;
        json!({ "name": "Shop", "whatsapp": account })
    };
    for bad in [
        json!({}),
        json!({ "name": "", "whatsapp": account() }),
        with("phone_number_id", json!("../1")),
        with("access_token", json!("two words")),
        with("app_secret", json!("")),
        json!({ "name": "x", "whatsapp": account(), "member_ids": vec![1; 21] }),
    ] {
        alice.post("/api/bridges", bad).await.expect_problem(422);
    }
    let created = alice.post("/api/bridges", json!({ "name": "Shop", "whatsapp": account() })).await.expect(201);
    assert!(!created.json().to_string().contains(ACCESS_TOKEN) && !created.json().to_string().contains(APP_SECRET));
    let again = alice.post("/api/bridges", json!({ "name": "Shop", "whatsapp": account() })).await.expect_problem(409);
    assert_eq!(again["code"], "bridge_exists");
    let id = &created.json()["id"];
    for path in
        [format!("/api/bridges/{id}"), format!("/api/bridges/{id}/chats"), format!("/api/bridges/{id}/failures")]
    {
        bob.get(&path).await.expect_problem(404);
    }
    let phone = |phone: &str| json!({ "phone": phone });
    alice.post(&format!("/api/bridges/{id}/chats"), phone("12")).await.expect_problem(422);
    bob.post(&format!("/api/bridges/{id}/chats"), phone("+4915112345")).await.expect_problem(404);
    let team = alice.chat_id("team").await;
    let [dave] = app.sign_in(["dave"]).await;
    let of_dave = dave.post("/api/bridges", json!({ "name": "Mine", "whatsapp": account() })).await.expect(201).json();
    let connect = json!({ "phone": "+4915112345", "chat_id": team });
    let refused = dave.post(&format!("/api/bridges/{}/chats", of_dave["id"]), connect).await;
    assert!([403, 404].contains(&refused.status.as_u16()), "{}", refused.status);
}

#[tokio::test]
async fn no_webhook_is_forgotten_that_arrives_when_a_batch_ends() {
    let bridge = TestBridge::without_server().await;
    let db = &bridge.app.db;
    bridge.deliver(&message_webhook(&eve(), "wamid.in1", "text", json!({ "body": "one" }))).await;
    let lease = inbox::claim(db).await.expect("a claim").expect("a lease");
    let batch = inbox::load_waiting(db, &lease).await.expect("a batch");
    // Another webhook is being stored, and has the row of the bridge, when the batch ends.
    let mut storing = db.begin().await.expect("a transaction");
    for sql in [
        "select from bridges for no key update",
        "insert into bridge_inbox (bridge_id, hash, body) select id, '2', '{}' from bridges",
        "update bridges set inbox_due_at = now()",
    ] {
        sqlx::query(sql).execute(&mut *storing).await.expect("stored");
    }
    let results: Vec<_> = batch.iter().map(|webhook| (webhook.id, inbox::WebhookOutcome::Done(None))).collect();
    let pool = db.clone();
    let finishing = tokio::spawn(async move { inbox::finish(&pool, lease, &batch, &results).await });
    let waits = "select exists (select from pg_stat_activity
                                where datname = current_database() and wait_event_type = 'Lock')";
    eventually("the end of the batch waits", || async {
        sqlx::query_scalar(waits).fetch_one(db).await.expect("a row")
    })
    .await;
    storing.commit().await.expect("committed");
    finishing.await.expect("no panic").expect("finished");
    let next = inbox::claim(db).await.expect("a claim").expect("the inbox is due again");
    assert_eq!(inbox::load_waiting(db, &next).await.expect("a batch").len(), 1);
}

#[tokio::test]
async fn a_file_that_waits_delays_nobody_else() {
    let bridge = TestBridge::start().await;
    bridge.graph.fail_downloads(usize::MAX);
    let image = json!({ "id": bridge.graph.add_file("image/png", PNG) });
    bridge.deliver(&message_webhook(&eve(), "wamid.in1", "image", image)).await;
    // Its next attempt is far away.
    let postpone = "update bridges b set inbox_due_at = now() + interval '1 hour'
                    where inbox_leased_until is null and exists (select from bridge_inbox where attempts > 0)";
    eventually("an attempt has failed", || async {
        sqlx::query(postpone).execute(&bridge.app.db).await.expect("updated").rows_affected() > 0
    })
    .await;
    bridge.write(&GraphPerson::new("Zoe", "491519999999"), "wamid.in2", "hello").await;
}

#[tokio::test]
async fn a_phone_number_that_changes_hands_shows_nobody_the_messages_of_others() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "private").await;
    // The network gave the number to Mallory.
    let mallory = GraphPerson { user_id: "DE.other".into(), name: "Mallory".into(), ..eve() };
    let other = bridge.write(&mallory, "wamid.in2", "hi").await;
    assert_ne!(other, chat);
    bridge.bob.say_in(other, "for mallory").await;
    assert_eq!(bridge.graph.next_message().await.body["to"], eve().phone);
    // Eve is known by her key only.
    bridge.bob.say_in(chat, "for eve").await;
    let sent = bridge.graph.next_message().await;
    assert_eq!((&sent.body["recipient"], sent.body.get("to")), (&json!(eve().user_id), None));
    // A message that names only the number does not change who has which key.
    let echo = json!({ "id": "wamid.e", "from": "15550109999", "to": eve().phone, "type": "text", "text": { "body": "typed" } });
    bridge.deliver(&webhook(json!({ "message_echoes": [echo] }))).await;
    assert_eq!(bridge.find_message("typed").await["chat_id"], json!(other));
    assert_eq!(bridge.write(&mallory, "wamid.in3", "again").await, other);
}

#[tokio::test]
async fn only_members_of_the_chat_see_a_ghost() {
    let bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let ghost = bridge.messages(chat).await[0]["sender_id"].clone();
    let [dave] = bridge.app.sign_in(["dave"]).await;
    let search =
        |user: TestUser| async move { user.get("/api/users/search?q=Eve").await.expect(200).json()["items"].clone() };
    assert_eq!(search(dave.clone()).await, json!([]));
    assert_eq!(search(bridge.bob.clone()).await.as_array().map(Vec::len), Some(1));
    dave.get(&format!("/api/users/{ghost}")).await.expect_problem(404);
    assert_eq!(dave.get(&format!("/api/users?ids={ghost}")).await.expect(200).json()["items"], json!([]));
    let profile = bridge.bob.get(&format!("/api/users/{ghost}")).await.expect(200).json();
    assert!(!profile.to_string().contains("49151"), "{profile}");
    assert_eq!(bridge.chat_bridge(chat).await["phone"], eve().phone);
}

#[tokio::test]
async fn a_file_waits_until_the_account_works_again() {
    let bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let sql = "update bridges set state = 'stopped'";
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    let wrong = json!({ "whatsapp": { "access_token": "expired" } });
    bridge.alice.patch(&bridge.path(""), wrong).await.expect(200);
    bridge.wait_until("stopped").await;
    let image = json!({ "id": bridge.graph.add_file("image/png", PNG), "caption": "invoice" });
    bridge.deliver(&message_webhook(&eve(), "wamid.in2", "image", image)).await;
    let waits = "select attempts >= 2 from bridge_inbox where done_at is null";
    eventually("the file was tried twice", || async {
        sqlx::query_scalar::<_, bool>(waits).fetch_optional(&bridge.app.db).await.expect("a row") == Some(true)
    })
    .await;
    assert_eq!(bridge.texts(chat).await, ["hello"]);
    let right = json!({ "whatsapp": { "access_token": ACCESS_TOKEN } });
    bridge.alice.patch(&bridge.path(""), right).await.expect(200);
    assert_eq!(bridge.find_message("invoice").await["files"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_status_can_refuse_a_message_that_was_accepted() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    let said = bridge.bob.say_in(chat, "no luck").await;
    let sent = bridge.graph.next_message().await;
    let mut failed = status_webhook(&eve(), &sent, "failed");
    failed["entry"][0]["changes"][0]["value"]["statuses"][0]["errors"] =
        json!([{ "code": 131_026, "title": "Undeliverable" }]);
    bridge.deliver(&failed).await;
    bridge.drain_inbox().await;
    let failures = bridge.alice.get(&bridge.path("/failures")).await.expect(200).json();
    assert_eq!(
        (&failures["items"][0]["message_id"], &failures["items"][0]["error"]),
        (&said["id"], &json!("Undeliverable (131026)"))
    );
    let retry = bridge.path(&format!("/failures/{}/retry", failures["items"][0]["id"]));
    bridge.alice.post(&retry, json!({})).await.expect(204);
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: no luck");
}

#[tokio::test]
async fn what_is_written_while_a_bridge_is_disabled_is_not_sent() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    bridge.alice.patch(&bridge.path(""), json!({ "is_enabled": false })).await.expect(200);
    bridge.bob.say_in(chat, "not sent").await;
    let templates = format!("/api/chats/{chat}/templates");
    let template = json!({ "bridge_id": bridge.bridge["id"], "name": "hello_world", "language": "en_US" });
    assert_eq!(bridge.bob.post(&templates, template).await.expect_problem(409)["code"], "bridge_disabled");
    let connect = json!({ "phone": "+49 151 999 88 77" });
    bridge.alice.post(&bridge.path("/chats"), connect).await.expect_problem(409);
    let body = message_webhook(&eve(), "wamid.in2", "text", json!({ "body": "later" })).to_string().into_bytes();
    let signature = sign(&body);
    bridge.deliver_raw(body, Some(&signature)).await.expect_problem(503);
    bridge.alice.patch(&bridge.path(""), json!({ "is_enabled": true })).await.expect(200);
    bridge.wait_until("connected").await;
    bridge.bob.say_in(chat, "sent").await;
    assert_eq!(bridge.graph.next_message().await.text(), "*Bob Okafor*: sent");
}

#[tokio::test]
async fn a_member_who_cannot_be_added_keeps_nobody_else_out() {
    let bridge = TestBridge::start().await;
    let [carol] = bridge.app.sign_in(["carol"]).await;
    let members = json!({ "member_ids": [bridge.bob.id, 999_999, carol.id] });
    bridge.alice.patch(&bridge.path(""), members).await.expect(200);
    let chat = bridge.write(&eve(), "wamid.in1", "hello").await;
    carol.get(&format!("/api/chats/{chat}")).await.expect(200);
    bridge.bob.get(&format!("/api/chats/{chat}")).await.expect(200);
}

#[tokio::test]
async fn secrets_are_sealed_again_and_connections_are_recorded() {
    let bridge = TestBridge::start().await;
    let file = bridge.app.secrets_key_file();
    Sealer::add_key(&file).expect("another key");
    let sealer = Sealer::open_file(&file).expect("the keys");
    assert_eq!(sealing::reseal_all(&bridge.app.db, &sealer).await.expect("sealed again"), 1);
    assert_eq!(bridge.state().await["verify_token"], bridge.bridge["verify_token"]);
    let chat = bridge.write(&eve(), "wamid.in1", "still signed with the app secret").await;
    assert!(chat > 0);
    let max = bridge.alice.post(&bridge.path("/chats"), json!({ "phone": "+4915170000000" })).await.expect(201).json();
    bridge.alice.delete(&bridge.path(&format!("/chats/{}", max["id"]))).await.expect(204);
    let activity = bridge.alice.get("/api/me/activity").await.expect(200).json();
    let actions: Vec<_> =
        activity["items"].as_array().expect("items").iter().map(|one| one["action"].clone()).collect();
    assert_eq!(actions[..3], [json!("bridge_disconnected"), json!("bridge_connected"), json!("bridge_created")]);
}
