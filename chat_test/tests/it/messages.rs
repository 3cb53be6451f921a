//! Sending and reading back.

use chat_test::TestApp;
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().expect("items").iter().filter_map(|message| message["id"].as_i64()).collect()
}

#[tokio::test]
async fn the_same_nonce_finds_the_first_message_even_when_sent_at_once() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = format!("/api/chats/{}/messages", alice.chat("team").await);
    let mut bobs = bob.listen().await;
    let send = |text: &str| alice.post(&team, json!({ "content": text, "nonce": "n-1" }));
    let (a, b, c) = tokio::join!(send("first"), send("second"), send("third"));
    let replies = [a, b, c];
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()), "one message for all three");

    // A nonce is the sender's own: another's is another's.
    bob.post(&team, json!({ "content": "mine", "nonce": "n-1" })).await.expect(201);
    assert_eq!(bobs.next().await.data["message"], replies[0].json());
    assert_eq!(bobs.next().await.text(), "mine", "the event came once");
}

#[tokio::test]
async fn history_is_read_in_every_direction() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let chat = alice.post("/api/chats", json!({ "type": "group", "name": "history" })).await.expect(201).json();
    let chat_id = chat["id"].as_i64().expect("an id");
    let mut all = Vec::new();
    for n in 0..10 {
        all.push(alice.say_in(chat_id, &format!("{n}")).await["id"].as_i64().expect("an id"));
    }
    let read = |query: String| {
        let alice = alice.clone();
        async move { alice.get(&format!("/api/chats/{chat_id}/messages?{query}")).await.expect(200).json() }
    };
    let newest_first = |range: std::ops::Range<usize>| all[range].iter().rev().copied().collect::<Vec<_>>();

    let newest = read("limit=4".into()).await;
    assert_eq!(ids(&newest), newest_first(6..10));
    let older = read(newest["next"].as_str().expect("a next page").into()).await;
    assert_eq!(ids(&older), newest_first(2..6));
    let oldest = read(older["next"].as_str().expect("a next page").into()).await;
    assert_eq!((ids(&oldest), &oldest["next"]), (newest_first(0..2), &Value::Null));

    let after = read(format!("after={}&limit=3", all[4])).await;
    assert_eq!(ids(&after), newest_first(5..8), "the closest newer ones, newest first");
    let further = read(after["next"].as_str().expect("a next page").into()).await;
    assert_eq!((ids(&further), &further["next"]), (newest_first(8..10), &Value::Null));

    assert_eq!(ids(&read(format!("around={}&limit=5", all[5])).await), newest_first(3..8));
    assert_eq!(ids(&read(format!("around={}&limit=5", all[9])).await), newest_first(5..10));
    assert_eq!(ids(&read(format!("around={}&limit=5", all[0])).await), newest_first(0..3));
    assert_eq!(ids(&read(format!("before={}", all[0])).await), Vec::<i64>::new());
}

#[tokio::test]
async fn a_reply_stays_in_its_chat() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let (team, ops) = (alice.say("team", "in team").await, alice.say("ops", "in ops").await);
    let path = format!("/api/chats/{}/messages", team["chat_id"]);
    let send = |reply_to: &Value| alice.post(&path, json!({ "content": "re", "reply_to": reply_to }));
    assert_eq!(send(&team["id"]).await.expect(201).json()["reply_to"], team["id"]);
    let problem = send(&ops["id"]).await.refused(422);
    assert_eq!(problem["errors"][0]["field"], "reply_to");
    send(&json!(999_999)).await.refused(422);
}

#[tokio::test]
async fn a_stranger_neither_reads_nor_writes() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    let said = alice.say("ops", "not for dave").await;
    let ops = format!("/api/chats/{}", said["chat_id"]);
    for reply in [
        dave.get(&ops).await,
        dave.get(&format!("{ops}/messages")).await,
        dave.get(&format!("{ops}/members")).await,
        dave.post(&format!("{ops}/messages"), json!({ "content": "hi" })).await,
        dave.put(&format!("{ops}/read"), json!({ "message_id": said["id"] })).await,
        dave.post(&format!("{ops}/members"), json!({ "user_id": dave.id })).await,
        dave.get("/api/chats/999999").await,
    ] {
        assert_eq!(reply.refused(404)["detail"], "there is no such chat, or you cannot see it");
    }
}
