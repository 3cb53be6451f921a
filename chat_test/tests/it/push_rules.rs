//! Which messages notify whom: what the settings of a user do to pushes, and to the notifications of open pages.

use crate::push::Fixture;
use chat_core::time::now;
use chat_test::eventually;
use chrono::TimeDelta;
use serde_json::{Value, json};

const SETTINGS: &str = "/api/notification-settings";

impl Fixture {
    async fn set(&self, patch: Value) {
        self.bob.patch(SETTINGS, patch).await.expect(200);
    }

    async fn set_level(&self, chat: i64, level: Value) {
        let path = format!("/api/chats/{chat}/notification-level");
        self.bob.put(&path, json!({ "notification_level": level })).await.expect(204);
    }

    /// What an open page of Bob shows of a message and those after it.
    async fn notification(&self, message: &Value) -> Value {
        let path = format!("/api/chats/{}/notification?since={}", message["chat_id"], message["id"]);
        self.bob.get(&path).await.expect(200).json()["notification"].clone()
    }

    /// Nobody hears of a message: no page, and no device when all that waits is due.
    async fn expect_silence(&mut self, message: &Value) {
        assert_eq!(self.notification(message).await, Value::Null, "{message}");
        self.make_due().await;
        self.wait_until_nothing_waits().await;
        assert!(self.service.drain().is_empty(), "{message}");
    }

    /// A page and a device hear of a message.
    async fn expect_notification(&mut self, message: &Value, is_urgent: bool) {
        let shown = self.notification(message).await;
        assert_eq!((&shown["message_id"], &shown["is_urgent"]), (&message["id"], &json!(is_urgent)), "{message}");
        self.make_due().await;
        let text = self.expect(message).await;
        let pushed = &text["notification"];
        assert_eq!((&pushed["title"], &pushed["body"]), (&shown["title"], &shown["body"]));
        assert_eq!(pushed["silent"], !is_urgent);
    }
}

#[tokio::test]
async fn the_level_of_a_chat_decides_which_messages_notify() {
    let mut fixture = Fixture::start().await;
    let alice = fixture.alice.clone();
    let (general, team, direct) = (alice.chat_id("general").await, alice.chat_id("team").await, fixture.direct);
    fixture.set_level(general, json!("all")).await;
    fixture.set_level(team, json!("mentions")).await;
    fixture.set_level(direct, json!("none")).await;
    for (chat, text, urgency) in [
        (general, "a plain message of a channel", Some(false)),
        (general, "@bob", Some(true)),
        (team, "a plain message of a group", None),
        (team, "@everyone", Some(true)),
        (direct, "a direct message", None),
        (direct, "@bob, a direct mention", None),
    ] {
        let message = alice.say_in(chat, text).await;
        match urgency {
            Some(is_urgent) => fixture.expect_notification(&message, is_urgent).await,
            None => fixture.expect_silence(&message).await,
        }
    }
    // A chat without a level of its own has that of its type.
    for chat in [general, team, direct] {
        fixture.set_level(chat, Value::Null).await;
    }
    fixture.set(json!({ "direct_level": "mentions", "group_level": "none", "channel_level": "all" })).await;
    for (chat, text, urgency) in [
        (general, "one more plain message", Some(false)),
        (team, "@bob, in a group", None),
        (direct, "again a direct message", None),
        (direct, "@bob", Some(true)),
    ] {
        let message = alice.say_in(chat, text).await;
        match urgency {
            Some(is_urgent) => fixture.expect_notification(&message, is_urgent).await,
            None => fixture.expect_silence(&message).await,
        }
    }
}

#[tokio::test]
async fn a_keyword_notifies_as_a_mention_does() {
    let mut fixture = Fixture::start().await;
    let (alice, bob) = (fixture.alice.clone(), fixture.bob.clone());
    let general = alice.chat_id("general").await;
    fixture.set(json!({ "keywords": ["deploy", "Code Review", "会议", "C++"] })).await;
    for (text, notifies) in [
        ("We DEPLOY, now!", true),
        ("the deployment is over", false),
        ("a code  review, please", true),
        ("code for review", false),
        ("今天的会议取消了", true),
        ("今天不会", false),
        ("written in C++", true),
        ("written in C", false),
        ("**dépl**oy", true),
    ] {
        let message = alice.say_in(general, text).await;
        match notifies {
            true => fixture.expect_notification(&message, true).await,
            false => fixture.expect_silence(&message).await,
        }
    }
    // In a group, which notifies of everything, a keyword makes the difference between silent and loud.
    let team = alice.chat_id("team").await;
    let message = alice.say_in(team, "deploy the team").await;
    fixture.expect_notification(&message, true).await;
    // One's own words notify nobody, nor those of others if the level is none.
    let own = bob.say_in(general, "deploy").await;
    fixture.expect_silence(&own).await;
    fixture.set_level(general, json!("none")).await;
    let message = alice.say_in(general, "deploy").await;
    fixture.expect_silence(&message).await;
}

#[tokio::test]
async fn plain_messages_hide_neither_a_keyword_nor_a_mention() {
    let mut fixture = Fixture::start().await;
    let alice = fixture.alice.clone();
    let general = alice.chat_id("general").await;
    fixture.set(json!({ "keywords": ["deploy"] })).await;
    fixture.hold().await;
    for first in ["deploy", "@bob"] {
        let message = alice.say_in(general, first).await;
        for n in 0..60 {
            alice.say_in(general, &format!("for nobody {n}")).await;
        }
        assert_eq!(fixture.notification(&message).await["message_id"], message["id"]);
        fixture.release().await;
        fixture.expect(&message).await;
        fixture.wait_until_nothing_waits().await;
        fixture.hold().await;
    }
}

#[tokio::test]
async fn in_times_of_quiet_nothing_notifies() {
    let mut fixture = Fixture::start().await;
    let alice = fixture.alice.clone();
    let direct = fixture.direct;
    // An hour around now, and one that is over, in a zone far from UTC.
    let zone = chrono::FixedOffset::east_opt(9 * 3600).expect("an offset");
    let hours = |from: i64, until: i64| {
        let time = |minutes| (now() + TimeDelta::minutes(minutes)).with_timezone(&zone).format("%H:%M").to_string();
        json!({ "quiet_hours": { "from": time(from), "until": time(until), "time_zone": "Asia/Tokyo" } })
    };
    let in_an_hour = (now() + TimeDelta::hours(1)).to_rfc3339();
    for (quiet, loud) in [
        (json!({ "dnd_until": in_an_hour }), json!({ "dnd_until": null })),
        (hours(-30, 30), hours(-90, -30)),
        (hours(-30, 30), json!({ "quiet_hours": null })),
    ] {
        fixture.set(quiet).await;
        let message = alice.say_in(direct, "too late, @bob").await;
        fixture.expect_silence(&message).await;
        fixture.set(loud).await;
        let message = alice.say_in(direct, "in time").await;
        fixture.expect_notification(&message, true).await;
        let read = json!({ "message_id": message["id"] });
        fixture.bob.put(&format!("/api/chats/{direct}/read"), read).await.expect(200);
    }
    // What begins while a push waits stops it too.
    fixture.hold().await;
    alice.say_in(direct, "just before").await;
    eventually("the push waits", || async { fixture.waiting().await == 1 }).await;
    fixture.set(json!({ "dnd_until": in_an_hour })).await;
    fixture.release().await;
    fixture.wait_until_nothing_waits().await;
    assert!(fixture.service.drain().is_empty());
    fixture.set(json!({ "dnd_until": null })).await;
}

#[tokio::test]
async fn a_busy_user_and_a_muted_chat_are_not_disturbed() {
    let mut fixture = Fixture::start().await;
    let (alice, bob, direct) = (fixture.alice.clone(), fixture.bob.clone(), fixture.direct);
    bob.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    let message = alice.say_in(direct, "@bob, are you there?").await;
    fixture.expect_silence(&message).await;
    bob.put("/api/presence", json!({ "status": "online" })).await.expect(200);
    let mute = format!("/api/chats/{direct}/mute");
    let until = (now() + TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ");
    bob.put(&format!("{mute}?until={until}"), json!({})).await.expect(204);
    let message = alice.say_in(direct, "@bob, in a muted chat").await;
    fixture.expect_silence(&message).await;
    // The mute ends by itself, before any job has run.
    let sql = "update chat_members set muted_until = now() - interval '1 second' where muted_until is not null";
    sqlx::query(sql).execute(&fixture.app.db).await.expect("updated");
    let message = alice.say_in(direct, "and after it").await;
    fixture.expect_notification(&message, true).await;
}

#[tokio::test]
async fn only_members_ask_for_the_notification_of_a_chat() {
    let fixture = Fixture::start().await;
    let [dave] = fixture.app.sign_in(["dave"]).await;
    let team = fixture.alice.chat_id("team").await;
    let message = fixture.alice.say_in(team, "for the team").await;
    let path = format!("/api/chats/{team}/notification");
    dave.get(&format!("{path}?since={}", message["id"])).await.expect_problem(404);
    fixture.bob.get(&path).await.expect_problem(422);
    let other_chat = format!("/api/chats/{}/notification?since={}", fixture.direct, message["id"]);
    assert_eq!(fixture.bob.get(&other_chat).await.expect(200).json()["notification"], Value::Null);
}
