//! Settings of notifications: levels, mutes and times of quiet, as the user's devices see them. What they do is
//! tested with pushes (`push_rules.rs`).

use chat_core::{notification_settings, time::now};
use chat_test::{ApiResponse, TestApp};
use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};

const SETTINGS: &str = "/api/notification-settings";

#[tokio::test]
async fn muting_a_chat_is_sent_to_the_users_own_devices_only() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let team = alice.chat_id("team").await;
    let mut streams = (bob.listen().await, alice.listen().await);
    for _ in 0..2 {
        bob.put(&format!("/api/chats/{team}/mute"), json!({})).await.expect(204);
    }
    dave.put(&format!("/api/chats/{team}/mute"), json!({})).await.expect_problem(404);
    let event = streams.0.next().await;
    assert_eq!((event.kind.as_str(), &event.data["is_muted"]), ("chat.muted", &json!(true)));
    let row = |list: Value| {
        list["items"].as_array().expect("rows").iter().find(|row| row["id"] == team).cloned().expect("the team")
    };
    assert_eq!(row(bob.get("/api/chats").await.json())["is_muted"], true);
    bob.delete(&format!("/api/chats/{team}/mute")).await.expect(204);
    assert_eq!(row(bob.get("/api/chats").await.json())["is_muted"], false);
    alice.say("general", "marker").await;
    assert_eq!(streams.0.read_until("marker").await.len(), 1);
    assert!(streams.1.read_until("marker").await.is_empty());
}

#[tokio::test]
async fn a_mute_with_an_end_ends_and_tells_the_devices() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let team = bob.chat_id("team").await;
    let mute = format!("/api/chats/{team}/mute");
    let chat = || async { bob.get(&format!("/api/chats/{team}")).await.expect(200).json() };
    let until = in_hours(1);
    bob.put(&format!("{mute}?until={until}"), json!({})).await.expect(204);
    let muted = chat().await;
    assert_eq!((&muted["is_muted"], &muted["muted_until"]), (&json!(true), &json!(until)));
    // For good, and for a while again.
    bob.put(&mute, json!({})).await.expect(204);
    assert_eq!(chat().await["muted_until"], Value::Null);
    bob.put(&format!("{mute}?until={until}"), json!({})).await.expect(204);
    assert_eq!(notification_settings::end_mutes(&app.db).await.expect("a run"), 0);
    let sql = "update chat_members set muted_until = now() - interval '1 second' where muted_until is not null";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
    let mut stream = bob.listen().await;
    assert_eq!(notification_settings::end_mutes(&app.db).await.expect("a run"), 1);
    let event = stream.next_of("chat.muted").await;
    assert_eq!((&event.data["is_muted"], &event.data["muted_until"]), (&json!(false), &Value::Null));
    bob.put(&format!("{mute}?end={until}"), json!({})).await.expect_problem(422);
    // The previous version of the server knows no end.
    bob.put(&format!("{mute}?until={until}"), json!({})).await.expect(204);
    for is_muted in [false, true] {
        let sql = "update chat_members set is_muted = $1 where user_id = $2 and chat_id = $3";
        sqlx::query(sql).bind(is_muted).bind(bob.id).bind(team).execute(&app.db).await.expect("updated");
        assert_eq!(chat().await["muted_until"], Value::Null);
    }
    for bad in [in_hours(-1), in_hours(24 * 367), "tomorrow".into(), "-5000-01-01T00:00:00Z".into()] {
        let problem = bob.put(&format!("{mute}?until={bad}"), json!({})).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "until", "{problem}");
    }
}

#[tokio::test]
async fn the_level_of_a_chat_is_the_members_own() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let team = alice.chat_id("team").await;
    let (path, chat) = (format!("/api/chats/{team}/notification-level"), format!("/api/chats/{team}"));
    let mut streams = (bob.listen().await, alice.listen().await);
    for (level, times) in [(json!("mentions"), 2), (json!("none"), 1), (Value::Null, 1)] {
        for _ in 0..times {
            bob.put(&path, json!({ "notification_level": level })).await.expect(204);
        }
        let event = streams.0.next().await;
        assert_eq!(event.kind, "chat.notification_level");
        assert_eq!(event.data["notification_level"], level);
        assert_eq!(bob.get(&chat).await.json()["notification_level"], level);
        assert_eq!(alice.get(&chat).await.json()["notification_level"], Value::Null);
    }
    alice.say("general", "marker").await;
    assert!(streams.1.read_until("marker").await.is_empty());
    dave.put(&path, json!({ "notification_level": "all" })).await.expect_problem(404);
    for bad in [json!({}), json!({ "notification_level": "some" }), json!({ "notification_level": "all", "x": 1 })] {
        bob.put(&path, bad).await.expect_problem(422);
    }
}

#[tokio::test]
async fn settings_change_field_by_field_on_all_devices_of_the_user() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut streams = (bob.listen().await, alice.listen().await);
    let defaults = json!({
        "direct_level": "all", "group_level": "all", "channel_level": "mentions", "keywords": [], "dnd_until": null,
        "quiet_hours": null, "email_digest": true,
    });
    assert_eq!(bob.get(SETTINGS).await.expect(200).json(), defaults);
    assert_eq!(bob.patch(SETTINGS, json!({})).await.expect(200).json(), defaults);
    let night = json!({ "from": "22:30", "until": "07:00", "time_zone": "America/Sao_Paulo" });
    let mut expected = defaults.clone();
    for (field, value) in [
        ("group_level", json!("mentions")),
        ("channel_level", json!("all")),
        ("direct_level", json!("none")),
        ("keywords", json!(["deploy", "code review", "\u{4f1a}\u{8bae}"])),
        ("dnd_until", json!(in_hours(8))),
        ("quiet_hours", night),
        ("email_digest", json!(false)),
        ("dnd_until", Value::Null),
        ("quiet_hours", Value::Null),
    ] {
        expected[field] = value.clone();
        for _ in 0..2 {
            assert_eq!(bob.patch(SETTINGS, json!({ field: value })).await.expect(200).json(), expected);
        }
        let event = streams.0.next().await;
        assert_eq!((event.kind.as_str(), &event.data["settings"]), ("notification_settings.updated", &expected));
    }
    assert_eq!(bob.get("/api/bootstrap").await.json()["notification_settings"], expected);
    assert_eq!(alice.get("/api/bootstrap").await.json()["notification_settings"], defaults);
    alice.say("general", "marker").await;
    assert!(streams.1.read_until("marker").await.is_empty());
}

#[tokio::test]
async fn bad_settings_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let before = bob.get(SETTINGS).await.json();
    let hours = |from: &str, until: &str, zone: &str| json!({ "quiet_hours": { "from": from, "until": until, "time_zone": zone }, "keywords": ["kept"] });
    for (field, bad) in [
        ("direct_level", json!({ "direct_level": "loud" })),
        ("keywords", json!({ "keywords": vec!["word"; 21] })),
        ("keywords", json!({ "keywords": ["x".repeat(51)] })),
        ("keywords", json!({ "keywords": ["?!"] })),
        ("keywords", json!({ "keywords": [""] })),
        ("dnd_until", json!({ "dnd_until": in_hours(-1) })),
        ("dnd_until", json!({ "dnd_until": "-4714-01-01T00:00:00Z" })),
        ("quiet_hours", hours(" 2:00", "07:00", "Europe/Berlin")),
        ("dnd_until", json!({ "dnd_until": in_hours(24 * 367) })),
        ("quiet_hours", hours("24:00", "07:00", "Europe/Berlin")),
        ("quiet_hours", hours("7:00", "08:00", "Europe/Berlin")),
        ("quiet_hours", hours("07:00", "07:00", "Europe/Berlin")),
        ("quiet_hours", hours("22:00", "07:00", "Europe/Atlantis")),
        ("quiet_hours", hours("22:00", "07:00", "")),
        ("quiet_hours", json!({ "quiet_hours": { "from": "22:00" } })),
        ("volume", json!({ "volume": 11 })),
    ] {
        let problem = bob.patch(SETTINGS, bad).await.expect_problem(422);
        let name = problem["errors"][0]["field"].as_str().expect("a field").to_owned();
        assert!(name.starts_with(field), "{field}: {problem}");
    }
    assert_eq!(bob.get(SETTINGS).await.json(), before);
    let token = bob.with_api_token(json!({ "name": "t", "scopes": ["chats:write"] })).await;
    token.patch(SETTINGS, json!({ "direct_level": "none" })).await.expect_problem(403);
}

#[tokio::test]
async fn settings_are_exported_and_end_with_the_account() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    bob.patch(SETTINGS, json!({ "keywords": ["my project"] })).await.expect(200);
    let export = String::from_utf8(bob.get("/api/me/export").await.expect(200).bytes).expect("text");
    assert!(export.lines().any(|line| line.contains("notification_settings") && line.contains("my project")));
    let request = bob.request(Method::DELETE, "/api/me").json(&json!({ "password": "confab-demo" }));
    ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
    let left: i64 = sqlx::query_scalar("select count(*) from notification_settings where user_id = $1")
        .bind(bob.id)
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}

/// An instant so many hours from now, as the server writes it.
fn in_hours(hours: i64) -> String {
    (now() + TimeDelta::hours(hours)).format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
