//! A first screen and the events after it make the same state as a fresh first
//! screen.

use chat_test::{TestApp, TestUser};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

async fn bootstrap(user: &TestUser) -> Value {
    user.get("/api/bootstrap").await.expect(200).json()
}

/// Every event after a cursor, read page by page.
async fn events_after(user: &TestUser, cursor: &str, limit: usize) -> (Vec<Value>, String) {
    let (mut events, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = user.get(&format!("/api/events?after={cursor}&limit={limit}")).await.expect(200).json();
        let new = page["events"].as_array().expect("events").clone();
        let next = page["cursor"].as_str().expect("a cursor").to_owned();
        if next == cursor && new.is_empty() {
            return (events, cursor);
        }
        events.extend(new);
        cursor = next;
    }
}

/// What a client knows: its chats by id.
struct State {
    me: i64,
    user: Value,
    chats: Map<String, Value>,
}

impl State {
    fn of(bootstrap: &Value) -> Self {
        let rows = bootstrap["chats"].as_array().expect("chats").iter();
        let chats = rows.map(|row| (row["id"].to_string(), row.clone())).collect();
        let user = bootstrap["user"].clone();
        Self { me: user["id"].as_i64().expect("an id"), user, chats }
    }

    /// The reducer that a client would have.
    fn apply(&mut self, event: &Value) {
        let kind = event["type"].as_str().expect("a type");
        let id = event["chat_id"].to_string();
        match kind {
            "chat.new" | "chat.added" => {
                // A client asks for the rest of a chat that is new to it.
                self.chats.insert(id, event["chat"].clone());
            }
            "chat.removed" | "chat.deleted" => {
                self.chats.remove(&id);
            }
            "user.updated" if event["user"]["id"] == self.me => {
                self.user["display_name"] = event["user"]["display_name"].clone();
            }
            "user.updated" => {}
            _ => {
                let me = self.me;
                let chat = self.chats.get_mut(&id).unwrap_or_else(|| panic!("{event} of a chat that nobody knows"));
                Self::apply_in(chat, me, kind, event);
            }
        }
    }

    fn apply_in(chat: &mut Value, me: i64, kind: &str, event: &Value) {
        let add = |value: &Value, by: i64| value.as_i64().map_or(Value::Null, |n| json!(n + by));
        match kind {
            "chat.updated" => {
                for field in ["name", "description", "updated_at"] {
                    chat[field] = event["chat"][field].clone();
                }
            }
            "member.joined" => chat["member_count"] = add(&chat["member_count"], 1),
            "member.left" => chat["member_count"] = add(&chat["member_count"], -1),
            "member.updated" if event["user_id"] == me => chat["role"] = event["role"].clone(),
            "message.new" => {
                chat["last_message"] = event["message"].clone();
                if event["message"]["sender_id"] != me {
                    chat["unread_count"] = add(&chat["unread_count"], 1);
                }
            }
            "message.read" if event["user_id"] == me => {
                let newest = &chat["last_message"]["id"];
                assert!(newest.is_null() || newest == &event["message_id"], "this test reads to the end");
                chat["unread_count"] = json!(0);
                chat["last_read_message_id"] = event["message_id"].clone();
            }
            "member.updated" | "message.read" | "message.delivered" => {}
            other => panic!("an event that the reducer does not know: {other}"),
        }
    }

    /// Compares with a fresh state, as far as events tell.
    fn assert_is(&self, fresh: &Self, what: &str) {
        assert_eq!(self.user, fresh.user, "{what}");
        let ids = |state: &Self| state.chats.keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ids(self), ids(fresh), "{what}");
        for (id, chat) in &self.chats {
            for (field, value) in chat.as_object().expect("a chat") {
                if !value.is_null() {
                    assert_eq!(value, &fresh.chats[id][field], "{what}: {field} of chat {id}");
                }
            }
        }
    }
}

/// Something that somebody may do, or be refused: both are fine here.
async fn do_something(random: &mut StdRng, people: &[TestUser], chats: &mut Vec<i64>) {
    let who = people.choose(random).expect("somebody");
    let whom = people.choose(random).expect("somebody").id;
    let chat = format!("/api/chats/{}", chats.choose(random).expect("a chat"));
    let n: u32 = random.random();
    let reply = match random.random_range(0..12) {
        0..4 => who.post(&format!("{chat}/messages"), json!({ "content": format!("said {n}") })).await,
        4 => {
            let newest = who.get(&format!("{chat}/messages?limit=1")).await.json();
            who.put(&format!("{chat}/read"), json!({ "message_id": newest["items"][0]["id"] })).await
        }
        5 => who.post(&format!("{chat}/members"), json!({ "user_id": whom })).await,
        6 => who.delete(&format!("{chat}/members/{whom}")).await,
        7 => who.post(&format!("{chat}/leave"), json!({})).await,
        8 => who.patch(&chat, json!({ "name": format!("name {n}") })).await,
        9 => who.patch(&format!("{chat}/members/{whom}"), json!({ "role": "admin" })).await,
        10 => who.patch("/api/me", json!({ "display_name": format!("Name {n}") })).await,
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
async fn a_first_screen_brought_forward_by_events_equals_a_fresh_one() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let people = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let mut chats: Vec<i64> = (1..=4).collect();
    let mut states = Vec::new();
    for person in &people {
        let start = bootstrap(person).await;
        states.push((State::of(&start), start["cursor"].as_str().expect("a cursor").to_owned()));
    }
    for round in 0..20 {
        for _ in 0..12 {
            do_something(&mut random, &people, &mut chats).await;
        }
        for (person, (state, cursor)) in people.iter().zip(&mut states) {
            let (events, next) = events_after(person, cursor, random.random_range(1..20)).await;
            events.iter().for_each(|event| state.apply(event));
            *cursor = next;
            let fresh = bootstrap(person).await;
            assert_eq!(fresh["cursor"], cursor.as_str());
            state.assert_is(&State::of(&fresh), &format!("seed {seed}, round {round}, {}", person.name));
        }
    }
}

#[tokio::test]
async fn the_log_read_as_pages_says_what_the_stream_says() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let start = bobs.cursor().to_owned();
    for n in 0..7 {
        alice.say("team", &n.to_string()).await;
    }
    alice.patch("/api/me", json!({ "display_name": "A" })).await.expect(200);
    alice.say("general", "marker").await;
    let streamed: Vec<Value> = bobs.until("marker").await.into_iter().map(|event| event.data).collect();
    let (mut paged, cursor) = events_after(&bob, &start, 2).await;
    assert_eq!(cursor, bobs.cursor());
    assert_eq!(paged.pop().map(|event| event["message"]["content"].clone()), Some(json!("marker")));
    assert_eq!(paged, streamed);
}

#[tokio::test]
async fn a_page_that_cannot_be_told_is_410_with_the_code_reset() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let cursor = bootstrap(&bob).await["cursor"].as_str().expect("a cursor").to_owned();
    let (epoch, _) = cursor.split_once('-').expect("a cursor");
    for (after, reason) in [("0123456789-1".to_owned(), "epoch"), (format!("{epoch}-9007199254740991"), "future")] {
        let problem = bob.get(&format!("/api/events?after={after}")).await.refused(410);
        assert_eq!(problem["code"], "reset");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(reason)));
    }
    sqlx::query("delete from events where id < 10").execute(&app.db).await.expect("retention");
    bob.get(&format!("/api/events?after={epoch}-3")).await.refused(410);
    bob.get(&format!("/api/events?after={epoch}-9")).await.expect(200);
    for garbage in ["", "x", "7", "0123456789-x"] {
        bob.get(&format!("/api/events?after={garbage}")).await.refused(422);
    }
    bob.get("/api/events").await.refused(422);
}
