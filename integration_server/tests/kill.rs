//! The program is killed again and again while it sends: nothing is lost.

use chat_test::{
    PushService, TestApp, TestBrowser, WebhookReceiver, eventually,
    google::{Google, GooglePerson, PROJECT_NUMBER, SPACE},
    graph::{ACCESS_TOKEN, APP_SECRET, BUSINESS_ACCOUNT_ID, GraphApi, PHONE_NUMBER_ID},
};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// The URL of a network that nobody calls.
const NO_NETWORK: &str = "http://127.0.0.1:1";

/// How often the program is killed.
const KILLS: usize = 200;

/// How long it runs each time: long enough to begin to send, and mostly too short to settle.
const LIFETIMES_MS: [u64; 5] = [60, 90, 130, 70, 200];

fn start(app: &TestApp, network_url: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_integration_server"))
        .env("GRAPH_URL", network_url)
        .env("GOOGLE_CHAT_URL", network_url)
        .env("GOOGLE_TOKEN_URL", format!("{network_url}/token"))
        .env("GOOGLE_KEYS_URL", network_url)
        .env("CHAT_DATA_DIR", app.files.parent().expect("the data directory"))
        .env("DATABASE_URL", &app.database.url)
        .env("SECRETS_KEY_FILE", app.secrets_key_file())
        .env("OUTGOING_ALLOW", "127.0.0.0/8")
        .env("INTEGRATION_BIND", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program")
}

/// The leases and pauses of a killed process end late, so the test ends them.
async fn end_leases(app: &TestApp) {
    for sql in [
        "update outbox_lanes set leased_until = now() - interval '1 s' where leased_until is not null",
        "update bridges set inbox_leased_until = now() - interval '1 s' where inbox_leased_until is not null",
        "update bridge_chats set events_leased_until = now() - interval '1 s' where events_leased_until is not null",
        "update bridge_chats set events_due_at = now() where events_due_at is not null",
        "update push_subscriptions set paused_until = null",
        "update push_notifications set leased_until = now() - interval '1 s' where leased_until is not null",
        // More messages are written in a minute than a chat may have.
        "update bridge_chats set paused_reason = null, resumed_at = clock_timestamp()",
    ] {
        sqlx::query(sql).execute(&app.db).await.expect("updated");
    }
    end_pauses(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_program_is_killed_200_times() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = json!({ "url": receiver.url, "event_types": ["message.new"] });
    bob.post("/api/webhook-endpoints", endpoint).await.expect(201);
    let team = alice.chat_id("team").await;
    let mut sent = Vec::new();
    for round in 0..KILLS {
        let mut program = start(&app, NO_NETWORK);
        let kill_at = Instant::now() + Duration::from_millis(LIFETIMES_MS[round % LIFETIMES_MS.len()]);
        let text = format!("message {round}");
        alice.say_in(team, &text).await;
        sent.push(text);
        tokio::time::sleep_until(kill_at).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
        end_leases(&app).await;
    }
    let mut program = start(&app, NO_NETWORK);
    let (mut texts, mut ids, mut repeated) = (Vec::new(), HashSet::new(), 0);
    while texts.len() < sent.len() {
        let webhook = receiver.next().await;
        match ids.insert(webhook.id.clone()) {
            true => texts.push(webhook.text().to_owned()),
            // Sent before a kill and again after it: the receiver knows the id.
            false => repeated += 1,
        }
    }
    assert_eq!(texts, sent, "in order, each once for a receiver that remembers the ids");
    println!("{repeated} repeated deliveries after {KILLS} kills");
    program.kill().expect("killed");
    program.wait().expect("it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_push_is_lost_when_the_program_is_killed_200_times() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut service = PushService::start().await;
    // A group with ten members, each with a device.
    let (mut members, mut devices) = (Vec::new(), HashMap::new());
    for n in 0..10 {
        let member = app.sign_up(&format!("member{n}")).await;
        let browser = TestBrowser::subscribe(&service, &n.to_string());
        member.put("/api/push/subscription", browser.subscription()).await.expect(200);
        members.push(member.id);
        devices.insert(n.to_string(), browser);
    }
    let group = json!({ "type": "group", "name": "watch", "members": members });
    let group = alice.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    let mut last = 0;
    for round in 0..KILLS {
        let mut program = start(&app, NO_NETWORK);
        let kill_at = Instant::now() + Duration::from_millis(2 * LIFETIMES_MS[round % LIFETIMES_MS.len()]);
        last = alice.say_in(group, &format!("message {round}")).await["id"].as_i64().expect("an id");
        sqlx::query("update push_notifications set due_at = now() where due_at is not null")
            .execute(&app.db)
            .await
            .expect("updated");
        tokio::time::sleep_until(kill_at).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
        end_leases(&app).await;
    }
    let mut program = start(&app, NO_NETWORK);
    // Each device has been told of the last message, and of nothing twice but what a kill cut off.
    let (mut informed, mut told, mut repeated) = (HashSet::new(), HashSet::new(), 0);
    while informed.len() < devices.len() {
        let push = service.next().await;
        let text = devices[&push.device].read(&push);
        assert!(text["notification"]["tag"].as_str().is_some_and(|tag| tag.ends_with(&format!("-{group}"))));
        let message = text["notification"]["data"]["message_id"].as_i64().expect("an id");
        if !told.insert((push.device.clone(), message)) {
            repeated += 1;
        }
        if message == last {
            informed.insert(push.device);
        }
        sqlx::query("update push_notifications set due_at = now() where due_at is not null")
            .execute(&app.db)
            .await
            .expect("updated");
    }
    println!("{} pushes, {repeated} repeated after {KILLS} kills", told.len());
    program.kill().expect("killed");
    program.wait().expect("it ended");
}

/// Messages with this text get no status, as if the network had lost them.
const SILENT: &str = "silent";

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_loses_nothing_when_the_program_is_killed_200_times() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let graph = GraphApi::start().await;
    graph.report_nothing_of(SILENT);
    let account = json!({ "phone_number_id": PHONE_NUMBER_ID, "business_account_id": BUSINESS_ACCOUNT_ID,
                          "access_token": ACCESS_TOKEN, "app_secret": APP_SECRET });
    let bridge = alice.post("/api/bridges", json!({ "name": "Shop", "whatsapp": account })).await.expect(201).json();
    // Eve writes, so that there is a chat and statuses are reported to this webhook.
    let mut program = start(&app, &graph.url);
    let webhook = format!("{}/in/whatsapp/{}", app.endpoints.chat, bridge["id"]);
    let said = json!({ "webhook": webhook, "text": "hello" });
    reqwest::Client::new().post(format!("{}/person/say", graph.url)).json(&said).send().await.expect("an answer");
    eventually("the chat exists", || async { !connected_chats(&app).await.is_empty() }).await;
    let chat = connected_chats(&app).await[0];
    program.kill().expect("killed");
    program.wait().expect("it ended");

    let mut sent = Vec::new();
    for round in 0..KILLS {
        end_leases(&app).await;
        let mut program = start(&app, &graph.url);
        let kill_at = Instant::now() + Duration::from_millis(2 * LIFETIMES_MS[round % LIFETIMES_MS.len()]);
        let text = if round % 3 == 0 { format!("message {round} {SILENT}") } else { format!("message {round}") };
        alice.say_in(chat, &text).await;
        sent.push(format!("*Alice Moreau*: {text}"));
        tokio::time::sleep_until(kill_at).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
    }
    let texts = || {
        let accepted = graph.accepted();
        accepted.iter().map(|one| one.text().to_owned()).filter(|text| !text.is_empty()).collect::<Vec<_>>()
    };
    eventually("everything was sent", || async {
        end_leases(&app).await;
        // Each process sends as many at once as one remote user may get.
        let mut program = start(&app, &graph.url);
        // Every status that will come has come after a second; then the minute passes.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let waiting = "select exists (select from bridge_inbox where done_at is null)";
        let is_waiting: bool = sqlx::query_scalar(waiting).fetch_one(&app.db).await.expect("a row");
        program.kill().expect("killed");
        program.wait().expect("it ended");
        if !is_waiting {
            let age = "update bridge_messages set at = at - interval '61 s'
                       where state = 'sending' and at < now() - interval '1 s'";
            sqlx::query(age).execute(&app.db).await.expect("updated");
        }
        texts().contains(sent.last().expect("a message"))
    })
    .await;
    let texts = texts();
    let (mut once, mut repeated) = (Vec::new(), 0);
    for text in &texts {
        if once.contains(text) {
            repeated += 1;
            assert!(text.contains(SILENT), "{text:?} was sent twice although its status came");
        } else {
            once.push(text.clone());
        }
    }
    assert_eq!(once, sent, "in order, and nothing is lost");
    println!("{repeated} repeated messages after {KILLS} kills, all without a status");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_gets_each_message_once_after_200_kills() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let google = Google::start().await;
    // Each process counts its own writes, so together they write faster than Google allows.
    google.allow_fast_writes();
    let account = json!({ "project_number": PROJECT_NUMBER, "service_account_key": google.key_file() });
    let new = json!({ "name": "Office", "google_chat": account });
    let bridge = alice.post("/api/bridges", new).await.expect(201).json();
    let mut program = start(&app, &google.url);
    let path = format!("/api/bridges/{}", bridge["id"]);
    eventually("the bridge is connected", || async {
        alice.get(&path).await.expect(200).json()["state"] == "connected"
    })
    .await;
    let connected = alice.post(&format!("{path}/chats"), json!({ "space": SPACE })).await.expect(201).json();
    let chat = connected["chat_id"].as_i64().expect("an id");
    program.kill().expect("killed");
    program.wait().expect("it ended");

    let (mut sent, mut written) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        end_leases(&app).await;
        let mut program = start(&app, &google.url);
        let kill_at = Instant::now() + Duration::from_millis(2 * LIFETIMES_MS[round % LIFETIMES_MS.len()]);
        // A process sends one message at once, so not each round has one.
        if round % 3 == 0 {
            let text = format!("message {round}");
            alice.say_in(chat, &text).await;
            sent.push(format!("*Alice Moreau*: {text}"));
        }
        let text = format!("from Eve {round}");
        google.write(SPACE, &GooglePerson::new("Eve"), &text);
        written.push(text);
        tokio::time::sleep_until(kill_at).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
    }
    let arrived = || async {
        let sql = "select content from messages where chat_id = $1 and content like 'from Eve%' order by id";
        sqlx::query_scalar::<_, String>(sql).bind(chat).fetch_all(&app.db).await.expect("texts")
    };
    eventually("everything was relayed", || async {
        end_leases(&app).await;
        // A process sends one message in a second, and reads all events.
        let mut program = start(&app, &google.url);
        tokio::time::sleep(Duration::from_millis(700)).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
        let is_sent = google.app_texts(SPACE).last() == sent.last();
        is_sent && arrived().await.len() >= written.len()
    })
    .await;
    assert_eq!(google.app_texts(SPACE), sent, "in order, each once");
    assert_eq!(arrived().await, written, "in order, each once");
}

async fn end_pauses(app: &TestApp) {
    let sql = "update outbox_lanes set due_at = now(), paused_until = null where due_at is not null";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
}

async fn connected_chats(app: &TestApp) -> Vec<i64> {
    sqlx::query_scalar("select chat_id from bridge_chats").fetch_all(&app.db).await.expect("chats")
}
