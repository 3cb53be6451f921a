//! Sending messages and reading the history.

use chat_test::{TestApp, eventually};
use serde_json::{Value, json};

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().expect("items").iter().filter_map(|message| message["id"].as_i64()).collect()
}

#[tokio::test]
async fn concurrent_sends_with_one_nonce_store_one_message() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = format!("/api/chats/{}/messages", alice.chat_id("team").await);
    let mut bobs = bob.listen().await;
    let send = |text: &str| alice.post(&team, json!({ "content": text, "nonce": "n-1" }));
    let (a, b, c) = tokio::join!(send("first"), send("second"), send("third"));
    let replies = [a, b, c];
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    assert!(replies.iter().all(|reply| reply.json() == replies[0].json()), "one message for all three");

    // A nonce belongs to its sender: the same nonce of another user is independent.
    bob.post(&team, json!({ "content": "mine", "nonce": "n-1" })).await.expect(201);
    assert_eq!(bobs.next().await.data["message"], replies[0].json());
    assert_eq!(bobs.next().await.text(), "mine", "the event came once");
}

#[tokio::test]
async fn history_can_be_paged_in_every_direction() {
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

    // By time: around the first message at or after it.
    let sql =
        "update messages set created_at = '2026-01-01'::timestamptz + (id - $1) * interval '1 day' where chat_id = $2";
    sqlx::query(sql).bind(all[0]).bind(chat_id).execute(&app.db).await.expect("dated");
    assert_eq!(ids(&read("at=2026-01-06&limit=5".into()).await), newest_first(3..8));
    assert_eq!(ids(&read("at=2026-01-05T00:00:01Z&limit=5".into()).await), newest_first(3..8));
    assert_eq!(ids(&read("at=2020-01-01&limit=5".into()).await), newest_first(0..3));
    assert_eq!(ids(&read("at=2030-01-01&limit=5".into()).await), newest_first(5..10));
}

#[tokio::test]
async fn a_reply_stays_in_its_chat() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let (team, ops) = (alice.say("team", "in team").await, alice.say("ops", "in ops").await);
    let path = format!("/api/chats/{}/messages", team["chat_id"]);
    let send = |reply_to: &Value| alice.post(&path, json!({ "content": "re", "reply_to": reply_to }));
    assert_eq!(send(&team["id"]).await.expect(201).json()["reply_to"], team["id"]);
    let problem = send(&ops["id"]).await.expect_problem(422);
    assert_eq!(problem["errors"][0]["field"], "reply_to");
    send(&json!(999_999)).await.expect_problem(422);
}

#[tokio::test]
async fn a_non_member_can_neither_read_nor_write() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    let message = alice.say("ops", "not for dave").await;
    let ops = format!("/api/chats/{}", message["chat_id"]);
    for reply in [
        dave.get(&ops).await,
        dave.get(&format!("{ops}/messages")).await,
        dave.get(&format!("{ops}/members")).await,
        dave.post(&format!("{ops}/messages"), json!({ "content": "hi" })).await,
        dave.put(&format!("{ops}/read"), json!({ "message_id": message["id"] })).await,
        dave.post(&format!("{ops}/members"), json!({ "user_id": dave.id })).await,
        dave.get("/api/chats/999999").await,
    ] {
        assert_eq!(reply.expect_problem(404)["detail"], "chat not found, or not visible to you");
    }
}

/// Messages sent at the same time share transactions. Each has its own outcome.
#[tokio::test]
async fn each_message_of_a_mixed_batch_has_its_own_outcome() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let (team, ops) = (alice.chat_id("team").await, alice.say("ops", "elsewhere").await);
    alice
        .post(&format!("/api/chats/{team}/messages"), json!({ "content": "first", "nonce": "used" }))
        .await
        .expect(201);
    let mut bobs = bob.listen().await;
    let bodies = [
        (&alice, json!({ "content": "good 1" }), 201),
        (&dave, json!({ "content": "a stranger's" }), 404),
        (&alice, json!({ "content": "again", "nonce": "used" }), 200),
        (&alice, json!({ "content": "re", "reply_to": ops["id"] }), 422),
        (&bob, json!({ "content": "theirs", "files": [999_999] }), 422),
        (&alice, json!({ "content": "twin", "nonce": "twin" }), 0),
        (&alice, json!({ "content": "twin", "nonce": "twin" }), 0),
        (&bob, json!({ "content": "good 2" }), 201),
    ];
    // Hold the append lock so that all of them wait for one transaction.
    let mut holder = app.db.begin().await.expect("a transaction");
    sqlx::query("select append_lock()").execute(&mut *holder).await.expect("the lock");
    let path = format!("/api/chats/{team}/messages");
    let sends: Vec<_> = bodies
        .iter()
        .map(|(who, body, _)| {
            let (who, body, path) = ((*who).clone(), body.clone(), path.clone());
            tokio::spawn(async move { who.post(&path, body).await })
        })
        .collect();
    eventually("the writer waits its turn", || app.has_a_waiting_writer()).await;
    holder.commit().await.expect("released");
    let mut replies = Vec::new();
    for send in sends {
        replies.push(send.await.expect("answered"));
    }
    for ((_, body, expected), reply) in bodies.iter().zip(&replies).filter(|((.., expected), _)| *expected != 0) {
        assert_eq!(reply.status, *expected, "{body}: {}", String::from_utf8_lossy(&reply.bytes));
    }
    let twins = [replies[5].status.as_u16(), replies[6].status.as_u16()];
    assert!(twins == [200, 201] || twins == [201, 200], "{twins:?}");
    assert_eq!(replies[5].json(), replies[6].json());
    alice.say_in(team, "marker").await;
    let mut received: Vec<String> =
        bobs.read_until("marker").await.iter().map(|event| event.text().to_owned()).collect();
    received.sort();
    assert_eq!(received, ["good 1", "good 2", "twin"]);
}

/// A row that violates a constraint fails alone.
#[tokio::test]
async fn a_row_that_the_database_rejects_fails_alone() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    sqlx::query("alter table messages add constraint no_tantrums check (content <> 'tantrum')")
        .execute(&app.db)
        .await
        .expect("a rule");
    let mut holder = app.db.begin().await.expect("a transaction");
    sqlx::query("select append_lock()").execute(&mut *holder).await.expect("the lock");
    let path = format!("/api/chats/{team}/messages");
    let sends: Vec<_> = ["calm 1", "tantrum", "calm 2", "calm 3"]
        .into_iter()
        .map(|text| {
            let (alice, path) = (alice.clone(), path.clone());
            tokio::spawn(async move { alice.post(&path, json!({ "content": text })).await.status.as_u16() })
        })
        .collect();
    eventually("the writer waits its turn", || app.has_a_waiting_writer()).await;
    holder.commit().await.expect("released");
    let mut statuses = Vec::new();
    for send in sends {
        statuses.push(send.await.expect("answered"));
    }
    assert_eq!(statuses, [201, 500, 201, 201]);
}
