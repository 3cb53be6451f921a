//! What must not hurt a bridge to Google Chat: others who pretend, people who write too much, and Google
//! when it misbehaves.

use crate::google_chat::{TestBridge, account, eve, frank};
use chat_core::time::now;
use chat_test::{
    PNG, TestApp, eventually,
    google::{
        Approved, CHAT_ACCOUNT, DIRECT_SPACE, Google, GooglePerson, GoogleReply, PROJECT_NUMBER, SPACE, app_event,
        claims,
    },
};
use chrono::TimeDelta;
use serde_json::{Value, json};

#[tokio::test]
async fn only_the_private_key_proves_an_account() {
    let bridge = TestBridge::start().await;
    bridge.connect().await;
    // Carol claims the account of alice, with a private key of her own.
    let [carol] = bridge.app.sign_in(["carol"]).await;
    let other = Google::start().await;
    let key = |google: &Google| serde_json::from_str::<Value>(&google.key_file()).expect("JSON");
    let mut stolen = key(&bridge.google);
    stolen["private_key"] = key(&other)["private_key"].clone();
    let account = json!({ "project_number": PROJECT_NUMBER, "service_account_key": stolen.to_string() });
    let created =
        carol.post("/api/bridges", json!({ "name": "Mine", "google_chat": account })).await.expect(201).json();
    eventually("the bridge of carol is stopped", || async {
        carol.get(&format!("/api/bridges/{}", created["id"])).await.expect(200).json()["state"] == "stopped"
    })
    .await;
}

#[tokio::test]
async fn nobody_reaches_a_webhook_without_its_secret() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    let removed = app_event("REMOVED_FROM_SPACE", SPACE, &Value::Null, &eve());
    let path = bridge.webhook_path();
    let (start, secret) = path.rsplit_once('/').expect("a secret");
    let wrong = format!("{start}/{}", secret.chars().rev().collect::<String>());
    let url = format!("{}{wrong}", bridge.app.endpoints.chat);
    // A real token of Google for this URL: somebody has entered it in an app of their own.
    let mut foreign = claims("https://accounts.google.com", &format!("{}{wrong}", bridge.app.endpoints.chat));
    (foreign["email"], foreign["email_verified"]) = (json!(CHAT_ACCOUNT), json!(true));
    for token in [bridge.google.project_token(), bridge.google.sign(&foreign)] {
        let answer = bridge.client.post(&url).bearer_auth(token).json(&removed).send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
        let text = answer.text().await.expect("text");
        assert!(!text.contains(secret) && !text.contains(wrong.rsplit('/').next().expect("a part")), "{text}");
    }
    // A space in which the app is not is not connected, whoever says so.
    let mut unknown = app_event("ADDED_TO_SPACE", "spaces/EVIL", &Value::Null, &eve());
    unknown["space"]["displayName"] = json!("Payroll");
    bridge.deliver(&unknown).await;
    eventually("the event is processed", || async {
        let sql = "select count(*) from bridge_inbox where done_at is null";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&bridge.app.db).await.expect("a count") == 0
    })
    .await;
    let chats = bridge.alice.get("/api/chats").await.expect(200).json().to_string();
    assert!(!chats.contains("Payroll"));
    assert_eq!(bridge.chat_bridge(chat).await["paused_reason"], Value::Null);
}

#[tokio::test]
async fn long_texts_and_many_events_do_not_stop_a_space() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    // A page of these is longer than what is read of a response.
    let long = "x ".repeat(15_900);
    let fields = json!({ "text": long, "formattedText": long, "argumentText": long });
    for _ in 0..60 {
        bridge.google.write_with(SPACE, &eve(), fields.clone());
    }
    bridge.google.write(SPACE, &frank(), "after the long ones");
    let arrived = |text: &'static str| {
        let bridge = &bridge;
        async move {
            // A read costs much here: the next one begins when the last one is finished and stored.
            let sql = "select not exists (select from bridge_chats where events_leased_until is not null)
                          and not exists (select from bridge_inbox where done_at is null)";
            if sqlx::query_scalar(sql).fetch_one(&bridge.app.db).await.expect("a row") {
                bridge.read_now().await;
            }
            let sql = "select count(*) from messages where chat_id = $1 and content = $2";
            let query = sqlx::query_scalar::<_, i64>(sql).bind(chat).bind(text);
            query.fetch_one(&bridge.app.db).await.expect("a count") == 1
        }
    };
    eventually("what follows the long ones", || arrived("after the long ones")).await;
    // More than one read brings, in less time than reads overlap.
    let marker = bridge.google.write(SPACE, &frank(), "marker");
    for _ in 0..1_200 {
        // An emoji of the organization, which has no counterpart here.
        bridge.google.react(&marker, &eve(), "", true);
    }
    bridge.google.write(SPACE, &frank(), "after the many");
    // A read repeats the last half minute, so the rest comes when the first of them are older.
    let wait_until = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    while !arrived("after the many").await {
        assert!(tokio::time::Instant::now() < wait_until, "never came: what follows the many");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    // A clock that is wrong.
    bridge.google.write_at(SPACE, &frank(), "from the future", now() + TimeDelta::days(365));
    bridge.google.write(SPACE, &frank(), "from now");
    eventually("what follows the future", || arrived("from now")).await;
}

#[tokio::test]
async fn a_silent_space_is_not_read_from_its_last_event_again() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    // As if it had been silent since then.
    let sql = "update bridge_chats set events_start_at = now() - interval '20 days',
                   events_read_until = now() - interval '20 days'";
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    bridge.read_now().await;
    eventually("the position is that of the read", || async {
        let sql = "select events_read_until > now() - interval '2 minutes' from bridge_chats";
        sqlx::query_scalar::<_, bool>(sql).fetch_one(&bridge.app.db).await.expect("a row")
    })
    .await;
}

#[tokio::test]
async fn a_read_that_brings_nothing_loses_nothing() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    // The list of events fails, and then may not be read, for longer than reads overlap.
    bridge.google.write_at(SPACE, &eve(), "ten minutes ago", now() - TimeDelta::minutes(10));
    let sql = "update bridge_chats set events_start_at = now() - interval '20 minutes',
                   events_read_until = now() - interval '20 minutes'";
    bridge.google.set_list_down(true);
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    let failed = bridge.google.failed_lists();
    bridge.read_now().await;
    eventually("a read failed and ended", || async {
        let sql = "select events_leased_until is null and events_paused_until is not null from bridge_chats";
        let has_ended: bool = sqlx::query_scalar(sql).fetch_one(&bridge.app.db).await.expect("a row");
        has_ended && bridge.google.failed_lists() > failed
    })
    .await;
    bridge.google.approve(Approved::Nothing);
    bridge.google.set_list_down(false);
    let sql = "update bridge_chats set events_paused_until = null";
    sqlx::query(sql).execute(&bridge.app.db).await.expect("updated");
    bridge.read_now().await;
    bridge.wait_for_access(chat, "mentions").await;
    bridge.google.approve(Approved::Everything);
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["ten minutes ago"]).await;
}

#[tokio::test]
async fn one_space_with_a_broken_file_delays_no_other() {
    let bridge = TestBridge::start().await;
    bridge.connect().await;
    let hello = bridge.google.write(DIRECT_SPACE, &frank(), "hello");
    bridge.deliver(&app_event("MESSAGE", DIRECT_SPACE, &hello, &frank())).await;
    let direct = bridge.find_chat("Frank").await;
    bridge.wait_for_texts(direct, &["hello"]).await;
    let files = [
        bridge.google.add_file("one.png", PNG),
        bridge.google.add_file("two.png", PNG),
        bridge.google.add_broken_file("slow.bin"),
    ];
    bridge.google.write_with(SPACE, &eve(), json!({ "text": "files", "attachment": files }));
    for nth in 0..60 {
        bridge.google.write(SPACE, &eve(), &format!("behind it {nth}"));
    }
    bridge.google.write(DIRECT_SPACE, &frank(), "beside it");
    bridge.read_now().await;
    bridge.wait_for_texts(direct, &["hello", "beside it"]).await;
    eventually("the message with the file waits", || async {
        let sql = "select count(*) from bridge_inbox where retry_at > now()";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&bridge.app.db).await.expect("a count") > 0
    })
    .await;
    bridge.google.write(DIRECT_SPACE, &frank(), "urgent");
    bridge.read_now().await;
    bridge.wait_for_texts(direct, &["hello", "beside it", "urgent"]).await;
    // The other files of the message are not stored again with each attempt.
    let files: i64 = sqlx::query_scalar("select count(*) from files where filename like '%.png'")
        .fetch_one(&bridge.app.db)
        .await
        .expect("a count");
    assert_eq!(files, 0);
}

#[tokio::test]
async fn a_message_whose_text_grows_too_long_is_cut() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    let text = "<users/7> ".repeat(3_000);
    let person =
        json!({ "userMention": { "user": { "name": "users/7", "displayName": "A name of thirty letters or so." } } });
    let fields = json!({ "text": text, "formattedText": text, "annotations": [person] });
    bridge.google.write_with(SPACE, &eve(), fields);
    bridge.google.write(SPACE, &eve(), "after");
    bridge.read_now().await;
    eventually("both messages", || async { bridge.texts(chat).await.len() == 2 }).await;
    let texts = bridge.texts(chat).await;
    assert!(texts[0].starts_with("@A name of thirty") && texts[0].ends_with("_[the rest was cut]_"));
    assert_eq!(texts[1], "after");
}

#[tokio::test]
async fn a_message_that_is_deleted_before_its_answer_comes_is_deleted_there() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.google.reply_next([GoogleReply::AcceptAndFail]);
    let message = bridge.bob.say_in(chat, "my password").await;
    bridge.google.next().await;
    bridge.bob.delete(&format!("/api/messages/{}", message["id"])).await.expect(204);
    eventually("the message is deleted there", || async {
        bridge.end_pauses().await;
        bridge.google.app_texts(SPACE).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_message_that_somebody_deleted_there_meanwhile_stops_nothing() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    // There is a message with this id, and it is gone.
    bridge.google.reply_next([GoogleReply::Error(409, "ALREADY_EXISTS")]);
    let lost = bridge.bob.say_in(chat, "one").await;
    bridge.bob.say_in(chat, "two").await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: two");
    let shown = bridge.chat_bridge(chat).await;
    assert_eq!((&shown["paused_reason"], &shown["failed"][0]["message_id"]), (&Value::Null, &lost["id"]));
}

#[tokio::test]
async fn a_change_waits_while_the_app_is_not_in_the_space() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    bridge.wait_for_access(chat, "everything").await;
    let message = bridge.bob.say_in(chat, "first").await;
    bridge.google.next().await;
    bridge.google.refuse_changes(true);
    bridge.bob.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": "second" })).await.expect(200);
    eventually("the chat is paused", || async { bridge.chat_bridge(chat).await["paused_reason"] == "removed" }).await;
    // Meanwhile the app may not read, and reads everything again once it is added.
    bridge.google.approve(Approved::Nothing);
    bridge.read_now().await;
    bridge.wait_for_access(chat, "mentions").await;
    bridge.google.refuse_changes(false);
    bridge.google.approve(Approved::Everything);
    bridge.google.write(SPACE, &eve(), "unannounced");
    bridge.deliver(&app_event("ADDED_TO_SPACE", SPACE, &Value::Null, &eve())).await;
    assert_eq!(bridge.google.next().await.text(), "*Bob Okafor*: second");
    bridge.wait_for_texts(chat, &["second", "unannounced"]).await;
}

#[tokio::test]
async fn what_waited_does_not_look_like_a_loop() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    // Several people agree, and somebody repeats a text four times.
    for person in [&bridge.bob, &bridge.alice, &bridge.bob, &bridge.alice, &bridge.bob, &bridge.bob] {
        person.say_in(chat, "+1").await;
    }
    for _ in 0..6 {
        assert!(bridge.google.next().await.text().ends_with(": +1"));
    }
    assert_eq!(bridge.chat_bridge(chat).await["paused_reason"], Value::Null);
    for _ in 0..5 {
        bridge.bob.say_in(chat, "+1").await;
    }
    eventually("the chat is paused", || async {
        bridge.chat_bridge(chat).await["paused_reason"] == "repeated_message"
    })
    .await;
}

#[tokio::test]
async fn keys_are_fetched_only_for_accounts_that_google_accepts() {
    let app = TestApp::start().await;
    let [carol] = app.sign_in(["carol"]).await;
    let google = Google::start().await;
    app.start_integration_server_with(&google.url);
    let wrong = google.key_file().replace("confab-bridge@", "nobody@");
    let refused = json!({ "project_number": "700000000000", "service_account_key": wrong });
    let create = |account: Value| carol.post("/api/bridges", json!({ "name": "x", "google_chat": account }));
    let bridge = create(refused).await.expect(201).json();
    eventually("the bridge is stopped", || async {
        carol.get(&format!("/api/bridges/{}", bridge["id"])).await.expect(200).json()["state"] == "stopped"
    })
    .await;
    let issuers = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from google_keys").fetch_one(&app.db).await.expect("a count")
    };
    assert_eq!(issuers().await, 0);
    create(account(&google)).await.expect(201);
    eventually("the issuers are known", || async { issuers().await == 3 }).await;
    sqlx::query("update google_keys set needed_until = now()").execute(&app.db).await.expect("updated");
    chat_core::bridges::google_keys::delete_unneeded(&app.db).await.expect("deleted");
    assert_eq!(issuers().await, 0);
}

#[tokio::test]
async fn a_direct_message_that_was_connected_by_hand_gets_the_name_of_the_person() {
    let bridge = TestBridge::start().await;
    let connected =
        bridge.alice.post(&bridge.path("/chats"), json!({ "space": DIRECT_SPACE })).await.expect(201).json();
    let chat = connected["chat_id"].as_i64().expect("an id");
    assert_eq!(bridge.user(&connected["ghost_id"]).await["display_name"], "Google Chat user");
    bridge.google.write(DIRECT_SPACE, &GooglePerson::new("Grace"), "hello");
    bridge.read_now().await;
    bridge.wait_for_texts(chat, &["hello"]).await;
    assert_eq!(bridge.user(&connected["ghost_id"]).await["display_name"], "Grace");
}

#[tokio::test]
async fn an_edit_whose_new_part_is_refused_at_first_arrives_whole() {
    let mut bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    let message = bridge.bob.say_in(chat, "short").await;
    bridge.google.next().await;
    bridge.google.reply_next([GoogleReply::Error(503, "UNAVAILABLE"), GoogleReply::AcceptAndFail]);
    let long = "b ".repeat(6_000);
    bridge.bob.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": long })).await.expect(200);
    eventually("both parts are there", || async {
        bridge.end_pauses().await;
        let texts = bridge.google.app_texts(SPACE);
        texts.len() == 2 && texts.iter().map(String::len).sum::<usize>() > 11_000
    })
    .await;
    eventually("both parts are settled", || async {
        bridge.end_pauses().await;
        let sql = "select count(*) from bridge_messages where not is_incoming and state = 'sent'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&bridge.app.db).await.expect("a count") == 2
    })
    .await;
    assert_eq!(bridge.google.app_texts(SPACE).len(), 2);
}

#[tokio::test]
async fn an_owner_who_leaves_a_chat_with_many_ghosts_does_not_delete_it() {
    let bridge = TestBridge::start().await;
    let chat = bridge.connect().await;
    for nth in 0..45 {
        bridge.google.write(SPACE, &GooglePerson::new(&format!("Person {nth}")), &format!("I am {nth}"));
    }
    bridge.read_now().await;
    eventually("all messages", || async { bridge.messages(chat).await.len() == 45 }).await;
    // Bob goes; Zoe, who came after all ghosts, stays.
    bridge.bob.delete(&format!("/api/chats/{chat}/members/{}", bridge.bob.id)).await.expect(204);
    let account = json!({ "username": "zoe", "email": "zoe@example.com", "password": "a long password of zoe" });
    let url = format!("{}/api/signup", bridge.app.endpoints.chat);
    let zoe = bridge.client.post(url).json(&account).send().await.expect("an answer");
    let zoe: Value = chat_test::ApiResponse::read(zoe).await.expect(201).json();
    let added = json!({ "user_id": zoe["user"]["id"] });
    bridge.alice.post(&format!("/api/chats/{chat}/members"), added).await.expect(201);
    let left = bridge.alice.delete(&format!("/api/chats/{chat}/members/{}", bridge.alice.id)).await;
    assert_eq!(left.expect_problem(409)["code"], "last_owner");
}
