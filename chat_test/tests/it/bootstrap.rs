//! A bootstrap plus the events after it gives the same state as a fresh bootstrap.

use chat_core::{push::notifications::count_unread_chats, time::now};
use chat_test::{TestApp, TestUser};
use chrono::TimeDelta;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

async fn bootstrap(user: &TestUser) -> Value {
    user.get("/api/bootstrap").await.expect(200).json()
}

/// Returns every event after a cursor, read page by page.
async fn events_after(user: &TestUser, cursor: &str, limit: usize) -> (Vec<Value>, String) {
    let (mut events, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = user.get(&format!("/api/events?after={cursor}&limit={limit}")).await.expect(200).json();
        events.extend(page["events"].as_array().expect("events").iter().cloned());
        cursor = page["cursor"].as_str().expect("a cursor").to_owned();
        if page["more"] == false {
            return (events, cursor);
        }
    }
}

/// The state of a client: its user, and its chats by id.
struct State {
    me: i64,
    user: Value,
    notification_settings: Value,
    last_seen_inbox_item_id: Value,
    saved_message_ids: BTreeSet<i64>,
    chats: Map<String, Value>,
}

impl State {
    fn of(bootstrap: &Value) -> Self {
        let rows = bootstrap["chats"].as_array().expect("chats").iter();
        let chats = rows.map(|row| (row["id"].to_string(), row.clone())).collect();
        let user = bootstrap["user"].clone();
        let notification_settings = bootstrap["notification_settings"].clone();
        let last_seen_inbox_item_id = bootstrap["last_seen_inbox_item_id"].clone();
        let saved = bootstrap["saved_message_ids"].as_array().expect("ids").iter();
        Self {
            me: user["id"].as_i64().expect("an id"),
            user,
            notification_settings,
            last_seen_inbox_item_id,
            saved_message_ids: saved.map(|id| id.as_i64().expect("an id")).collect(),
            chats,
        }
    }

    /// Applies an event as a client's reducer does.
    fn apply(&mut self, event: &Value) {
        let kind = event["type"].as_str().expect("a type");
        let id = event["chat_id"].to_string();
        match kind {
            "chat.new" | "chat.added" => {
                // A client fetches the last message of a chat that it does not know yet.
                let mut chat = event["chat"].clone();
                chat["last_read_message_id"] = event["last_read_message_id"].clone();
                (chat["unread_count"], chat["mention_count"], chat["inbox_count"]) = (json!(0), json!(0), json!(0));
                chat["joined_after_message_id"] = json!(event["last_read_message_id"].as_i64().unwrap_or(0));
                self.chats.insert(id, chat);
            }
            "chat.removed" | "chat.deleted" => {
                self.chats.remove(&id);
            }
            "user.updated" if event["user"]["id"] == self.me => {
                self.user["display_name"] = event["user"]["display_name"].clone();
            }
            "user.updated" => {}
            "inbox.seen" => {
                self.last_seen_inbox_item_id = event["last_seen_item_id"].clone();
                for (id, chat) in &mut self.chats {
                    let counts = event["chats"].as_array().expect("counts");
                    let count = counts.iter().find(|count| &count["chat_id"].to_string() == id);
                    chat["inbox_count"] = count.map_or(json!(0), |count| count["inbox_count"].clone());
                }
            }
            "message.saved" => {
                self.saved_message_ids.insert(event["message_id"].as_i64().expect("an id"));
            }
            "message.unsaved" => {
                self.saved_message_ids.remove(&event["message_id"].as_i64().expect("an id"));
            }
            "notification_settings.updated" => self.notification_settings = event["settings"].clone(),
            _ => {
                let (me, seen) = (self.me, self.last_seen_inbox_item_id.as_i64());
                let chat = self.chats.get_mut(&id).unwrap_or_else(|| panic!("{event} of an unknown chat"));
                match kind {
                    "inbox.added" => Self::apply_item(chat, me, seen, &event["item"], 1),
                    "inbox.removed" => Self::apply_item(chat, me, seen, &event["item"], -1),
                    _ => Self::apply_in(chat, me, kind, event),
                }
            }
        }
    }

    /// An item counts if it is unseen, another user's, and not about a message before the user joined.
    fn apply_item(chat: &mut Value, me: i64, seen: Option<i64>, item: &Value, by: i64) {
        let is_visible = item["actor_id"] != me
            && (item["is_for_everyone"] == false
                || item["message_id"].as_i64() > chat["joined_after_message_id"].as_i64());
        if is_visible && item["id"].as_i64() > seen {
            chat["inbox_count"] = json!(chat["inbox_count"].as_i64().expect("a count") + by);
        }
    }

    fn apply_in(chat: &mut Value, me: i64, kind: &str, event: &Value) {
        let add = |value: &mut Value, by: i64| *value = value.as_i64().map_or(Value::Null, |n| json!(n + by));
        let mentions_me = |users: &Value, everyone: &Value| {
            everyone == true || users.as_array().is_some_and(|users| users.contains(&json!(me)))
        };
        // A message counts as unread if it is after the read marker, by another user, and no system message.
        let counts = |chat: &Value, id: &Value, of: &Value| {
            of["sender_id"] != me && of["kind"] != "system" && id.as_i64() > chat["last_read_message_id"].as_i64()
        };
        let message = &event["message"];
        let about = [&event["message_id"], &message["id"]].into_iter().find(|id| !id.is_null());
        let is_last = about.is_some_and(|id| id == &chat["last_message"]["id"]);
        match kind {
            "chat.updated" => {
                for field in ["name", "description", "topic", "updated_at"] {
                    chat[field] = event["chat"][field].clone();
                }
            }
            "member.joined" => add(&mut chat["member_count"], 1),
            "member.left" => add(&mut chat["member_count"], -1),
            "member.updated" if event["user_id"] == me => {
                for field in ["role", "permissions"] {
                    chat[field] = event[field].clone();
                }
            }
            "chat.muted" => {
                for field in ["is_muted", "muted_until"] {
                    chat[field] = event[field].clone();
                }
            }
            "chat.notification_level" => chat["notification_level"] = event["notification_level"].clone(),
            "message.new" => {
                chat["last_message"] = message.clone();
                if message["sender_id"] != me && message["kind"] != "system" {
                    add(&mut chat["unread_count"], 1);
                    let is_mention = mentions_me(&message["mentions"], &message["mentions_everyone"]);
                    add(&mut chat["mention_count"], i64::from(is_mention));
                }
            }
            "message.updated" => {
                if counts(chat, &message["id"], message) {
                    let before = mentions_me(&event["mentions_before"], &event["mentions_everyone_before"]);
                    let now = mentions_me(&message["mentions"], &message["mentions_everyone"]);
                    add(&mut chat["mention_count"], i64::from(now) - i64::from(before));
                }
                if is_last {
                    let reactions = chat["last_message"]["reactions"].take();
                    chat["last_message"] = message.clone();
                    chat["last_message"]["reactions"] = reactions;
                }
            }
            "message.deleted" => {
                if counts(chat, &event["message_id"], event) {
                    add(&mut chat["unread_count"], -1);
                    let was_mention = mentions_me(&event["mentions_before"], &event["mentions_everyone_before"]);
                    add(&mut chat["mention_count"], -i64::from(was_mention));
                }
                if is_last {
                    let gone = json!({
                        "content": "", "files": [], "mentions": [], "mentions_everyone": false, "reactions": [],
                        "pinned": false, "change": null, "deleted_at": event["deleted_at"],
                    });
                    for (field, value) in gone.as_object().expect("fields") {
                        chat["last_message"][field] = value.clone();
                    }
                }
            }
            "reaction.added" | "reaction.removed" if is_last => {
                let reactions = chat["last_message"]["reactions"].as_array_mut().expect("reactions");
                let by: i64 = if kind == "reaction.added" { 1 } else { -1 };
                if !reactions.iter().any(|reaction| reaction["emoji"] == event["emoji"]) {
                    reactions.push(json!({ "emoji": event["emoji"], "count": 0, "me": false }));
                }
                for reaction in reactions.iter_mut().filter(|reaction| reaction["emoji"] == event["emoji"]) {
                    add(&mut reaction["count"], by);
                    if event["user_id"] == me {
                        reaction["me"] = json!(by > 0);
                    }
                }
                reactions.retain(|reaction| reaction["count"] != 0);
            }
            "message.pinned" | "message.unpinned" if is_last => {
                chat["last_message"]["pinned"] = json!(kind == "message.pinned");
            }
            "read_state" => {
                for field in ["last_read_message_id", "unread_count", "mention_count"] {
                    chat[field] = event[field].clone();
                }
            }
            "member.updated" | "message.read" | "message.delivered" | "reaction.added" | "reaction.removed"
            | "message.pinned" | "message.unpinned" => {}
            other => panic!("unknown event type: {other}"),
        }
    }

    /// Sorts the reactions, because their order depends on who removed one.
    fn sorted(chat: &Value) -> Value {
        let mut chat = chat.clone();
        if let Some(Value::Array(reactions)) = chat.pointer_mut("/last_message/reactions") {
            reactions.sort_by_key(|reaction| reaction["emoji"].to_string());
        }
        chat
    }

    /// Asserts equality with a fresh state, except for fields that events do not contain.
    fn assert_matches(&self, fresh: &Self, what: &str) {
        assert_eq!(self.user, fresh.user, "{what}");
        assert_eq!(self.notification_settings, fresh.notification_settings, "{what}");
        assert_eq!(self.last_seen_inbox_item_id, fresh.last_seen_inbox_item_id, "{what}");
        assert_eq!(self.saved_message_ids, fresh.saved_message_ids, "{what}");
        let ids = |state: &Self| state.chats.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(ids(self), ids(fresh), "{what}");
        for (id, chat) in &self.chats {
            let (chat, fresh) = (Self::sorted(chat), Self::sorted(&fresh.chats[id]));
            for (field, value) in chat.as_object().expect("a chat") {
                if !value.is_null() {
                    assert_eq!(value, &fresh[field], "{what}: {field} of chat {id}");
                }
            }
        }
    }
}

/// Sends a random request of a random user. It may succeed or be rejected.
async fn perform_random_action(random: &mut StdRng, users: &[TestUser], chats: &mut Vec<i64>) {
    let who = users.choose(random).expect("somebody");
    let whom = users.choose(random).expect("somebody").id;
    let chat = format!("/api/chats/{}", chats.choose(random).expect("a chat"));
    let n: u32 = random.random();
    let mention = ["", "@alice", "@bob and @carol", "@everyone", "@dave"].choose(random).expect("a name");
    let text = json!({ "content": format!("{mention} said {n}") });
    let newest = who.get(&format!("{chat}/messages?limit=5")).await.json();
    let some = newest["items"].as_array().and_then(|items| items.choose(random)).map_or(json!(1), |m| m["id"].clone());
    let message = format!("/api/messages/{some}");
    let level = ["all", "mentions", "none"].choose(random).expect("a level");
    let tomorrow = (now() + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ");
    let emoji = ["👍", "🎉", "❤️"].choose(random).expect("an emoji");
    let reply = match random.random_range(0..23) {
        0 if n.is_multiple_of(2) => {
            let reply = json!({ "content": format!("{mention} answered {n}"), "reply_to": some });
            who.post(&format!("{chat}/messages"), reply).await
        }
        0..4 => who.post(&format!("{chat}/messages"), text).await,
        4 => who.put(&format!("{chat}/read"), json!({ "message_id": some })).await,
        5 => who.post(&format!("{chat}/members"), json!({ "user_id": whom })).await,
        6 => who.delete(&format!("{chat}/members/{whom}")).await,
        7 => who.post(&format!("{chat}/leave"), json!({})).await,
        8 => who.patch(&chat, json!({ "name": format!("name {n}"), "topic": format!("topic {n}") })).await,
        9 => who.patch(&format!("{chat}/members/{whom}"), json!({ "role": "admin" })).await,
        10 => who.patch("/api/me", json!({ "display_name": format!("Name {n}") })).await,
        11..13 => who.patch(&message, text).await,
        13 => who.delete(&message).await,
        14..16 => who.put(&format!("{message}/reactions/{emoji}"), json!({})).await,
        16 => who.delete(&format!("{message}/reactions/{emoji}")).await,
        17 => who.put(&format!("{message}/pin"), json!({})).await,
        18 if n.is_multiple_of(2) => who.put(&format!("{chat}/mute"), json!({})).await,
        18 => who.delete(&format!("{message}/pin")).await,
        19 if n.is_multiple_of(2) => who.put(&format!("{chat}/mute?until={tomorrow}"), json!({})).await,
        19 => who.put(&format!("{chat}/notification-level"), json!({ "notification_level": level })).await,
        20 if n.is_multiple_of(2) => {
            let items = who.get("/api/inbox?limit=5").await.json()["items"].clone();
            let item =
                items.as_array().and_then(|items| items.choose(random)).map_or(json!(1), |item| item["id"].clone());
            who.put("/api/inbox/seen", json!({ "last_seen_item_id": item })).await
        }
        20 => who.patch("/api/notification-settings", json!({ "channel_level": level, "keywords": [mention] })).await,
        21 if n.is_multiple_of(3) => who.delete(&format!("{message}/saved")).await,
        21 => who.put(&format!("{message}/saved"), json!({})).await,
        _ if n.is_multiple_of(3) => who.delete(&chat).await,
        _ => {
            let reply = who.post("/api/chats", json!({ "type": "group", "name": "g", "members": [whom] })).await;
            chats.push(reply.json()["id"].as_i64().expect("an id"));
            reply
        }
    };
    assert!(!reply.status.is_server_error(), "{}", String::from_utf8_lossy(&reply.bytes));
}

#[tokio::test]
async fn bootstrap_plus_events_equals_a_fresh_bootstrap() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let users = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let mut chats: Vec<i64> = (1..=4).collect();
    let mut states = Vec::new();
    for user in &users {
        let start = bootstrap(user).await;
        states.push((State::of(&start), start["cursor"].as_str().expect("a cursor").to_owned()));
    }
    for round in 0..20 {
        for _ in 0..20 {
            perform_random_action(&mut random, &users, &mut chats).await;
        }
        for (user, (state, cursor)) in users.iter().zip(&mut states) {
            let (events, next) = events_after(user, cursor, random.random_range(1..20)).await;
            events.iter().for_each(|event| state.apply(event));
            *cursor = next;
            let fresh = bootstrap(user).await;
            assert_eq!(fresh["cursor"], cursor.as_str());
            let what = format!("seed {seed}, round {round}, {}", user.name);
            state.assert_matches(&State::of(&fresh), &what);
            let badge = count_unread_chats(&app.db, user.id.try_into().expect("an id")).await.expect("a badge");
            let chats = fresh["chats"].as_array().expect("chats").iter();
            let unread = chats.filter(|chat| chat["unread_count"] != 0 && chat["is_muted"] == false);
            assert_eq!(badge, unread.count() as i64, "{what}: the badge of pushes");
        }
    }
}

#[tokio::test]
async fn paged_events_equal_the_events_of_the_stream() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let start = bobs.cursor().to_owned();
    for n in 0..7 {
        alice.say("team", &n.to_string()).await;
    }
    alice.patch("/api/me", json!({ "display_name": "A" })).await.expect(200);
    alice.say("general", "marker").await;
    let streamed: Vec<Value> = bobs.read_until("marker").await.into_iter().map(|event| event.data).collect();
    let (mut paged, cursor) = events_after(&bob, &start, 2).await;
    assert_eq!(cursor, bobs.cursor());
    assert_eq!(paged.pop().map(|event| event["message"]["content"].clone()), Some(json!("marker")));
    assert_eq!(paged, streamed);
}

#[tokio::test]
async fn an_unusable_cursor_returns_410_with_the_code_reset() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let cursor = bootstrap(&bob).await["cursor"].as_str().expect("a cursor").to_owned();
    let (epoch, _) = cursor.split_once('-').expect("a cursor");
    for (after, reason) in [("0123456789-1".to_owned(), "epoch"), (format!("{epoch}-9007199254740991"), "future")] {
        let problem = bob.get(&format!("/api/events?after={after}")).await.expect_problem(410);
        assert_eq!(problem["code"], "reset");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(reason)));
    }
    bob.get(&format!("/api/events?after={epoch}-3")).await.expect_problem(410);
    bob.get(&format!("/api/events?after={cursor}")).await.expect(200);
    sqlx::query("insert into events (user_id, type, data) values (1, 'x', '{}')")
        .execute(&app.db)
        .await
        .expect("an event");
    sqlx::query("delete from events where id < (select max(id) from events)")
        .execute(&app.db)
        .await
        .expect("retention");
    bob.get(&format!("/api/events?after={cursor}")).await.expect_problem(410);
    for garbage in ["", "x", "7", "0123456789-x"] {
        bob.get(&format!("/api/events?after={garbage}")).await.expect_problem(422);
    }
    bob.get("/api/events").await.expect_problem(422);
}

#[tokio::test]
async fn pages_without_visible_events_do_not_end_the_log() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let new = json!({ "type": "public_channel", "name": "before bob" });
    let channel = alice.post("/api/chats", new).await.expect(201).json()["id"].as_i64().expect("an id");
    let cursor = bootstrap(&bob).await["cursor"].as_str().expect("a cursor").to_owned();
    for n in 0..7 {
        alice.say_in(channel, &format!("not for bob {n}")).await;
    }
    bob.post(&format!("/api/chats/{channel}/join"), json!({})).await.expect(201);
    alice.say_in(channel, "for bob").await;
    let (events, _) = events_after(&bob, &cursor, 2).await;
    let contents: Vec<_> = events.iter().filter_map(|event| event["message"]["content"].as_str()).collect();
    assert_eq!(contents, ["", "for bob"], "bob's joining is a system message");
}
