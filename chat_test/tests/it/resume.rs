//! Resuming after a disconnect: the client receives exactly the missed events, in order,
//! or a `reset` if they cannot be replayed.

use chat_test::{Event, EventStream, TestApp, TestUser};
use serde_json::json;

fn texts(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.text()).collect()
}

#[tokio::test]
async fn resuming_at_any_point_replays_the_missed_events() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let mut cursors = vec![bobs.cursor().to_owned()];
    let contents: Vec<String> = (0..8).map(|n| format!("message {n}")).collect();
    for text in &contents {
        alice.say_in(team, text).await;
        bobs.next().await;
        cursors.push(bobs.cursor().to_owned());
    }
    for (received, cursor) in cursors.iter().enumerate() {
        let mut resumed = bob.resume(cursor).await;
        let replay = resumed.read_replay().await;
        assert_eq!(texts(&replay), contents[received..], "after {received} messages");
        assert_eq!(resumed.cursor(), cursors[8], "caught_up has the cursor of the stream");
    }
}

#[tokio::test]
async fn the_header_the_query_and_the_ready_cursor_all_resume() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let fresh = bob.listen().await;
    let cursor = fresh.cursor().to_owned();
    assert_eq!(fresh.ready.data["cursor"], cursor.as_str());
    assert_eq!(fresh.ready.data["user_id"], bob.id);
    assert_eq!(fresh.ready.data["resumed"], false);
    drop(fresh);
    alice.say("team", "missed").await;

    let by_query = bob.stream_request(None).query(&[("last_event_id", &cursor)]);
    let missed = EventStream::open(by_query).await.read_replay().await;
    assert_eq!(texts(&missed), ["missed"]);

    // A browser that reconnects sends its own last id and the old query.
    let newest = bob.listen().await.cursor().to_owned();
    let both = bob.stream_request(Some(&newest)).query(&[("last_event_id", &cursor)]);
    assert!(EventStream::open(both).await.read_replay().await.is_empty(), "the header takes precedence");
}

/// Adds Dave to the team and removes him while messages are sent. Returns the events
/// that Dave must receive.
async fn join_and_leave_repeatedly(alice: &TestUser, dave: &TestUser) -> Vec<(String, String)> {
    let team = alice.chat_id("team").await;
    let members = format!("/api/chats/{team}/members");
    alice.say_in(team, "before").await;
    alice.post(&members, json!({ "user_id": dave.id })).await.expect(201);
    alice.say_in(team, "inside").await;
    alice.delete(&format!("{members}/{}", dave.id)).await.expect(204);
    alice.say_in(team, "outside").await;
    alice.post(&members, json!({ "user_id": dave.id })).await.expect(201);
    alice.say_in(team, "inside again").await;
    let expected = [
        ("chat.added", ""),
        ("inbox.added", ""),
        ("message.new", ""),
        ("message.new", "inside"),
        ("chat.removed", ""),
        ("chat.added", ""),
        ("inbox.added", ""),
        ("message.new", ""),
        ("message.new", "inside again"),
    ];
    expected.map(|(kind, text)| (kind.to_owned(), text.to_owned())).to_vec()
}

fn kinds_and_texts(events: &[Event]) -> Vec<(String, String)> {
    events.iter().map(|event| (event.kind.clone(), event.text().to_owned())).collect()
}

/// Inserts more messages than a replica keeps in memory, in one statement.
async fn fill_log(app: &TestApp, chat: i64, sender: i64) {
    sqlx::query(
        "insert into messages (chat_id, sender_id, content) select $1, $2, 'n' || n from generate_series(1, 40000) n",
    )
    .bind(chat)
    .bind(sender)
    .execute(&app.db)
    .await
    .expect("a long log");
}

#[tokio::test]
async fn messages_outside_a_membership_are_not_replayed() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    let cursor = dave.listen().await.cursor().to_owned();
    let expected = join_and_leave_repeatedly(&alice, &dave).await;
    assert_eq!(kinds_and_texts(&dave.resume(&cursor).await.read_replay().await), expected, "from memory");

    let second = TestApp::replica_of(&app).await;
    let missed = dave.at(&second.endpoints).resume(&cursor).await.read_replay().await;
    assert_eq!(kinds_and_texts(&missed), expected, "from the memory of a replica that started later");

    fill_log(&app, alice.chat_id("ops").await, alice.id).await;
    alice.say("general", "marker").await;
    dave.listen().await;
    let mut expected = expected;
    expected.push(("message.new".into(), "marker".into()));
    let missed = dave.resume(&cursor).await.read_replay().await;
    assert_eq!(kinds_and_texts(&missed), expected, "from the log");
}

#[tokio::test]
async fn events_too_old_for_memory_are_replayed_from_the_log() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let cursor = bob.listen().await.cursor().to_owned();
    alice.say_in(team, "old one").await;
    alice.say_in(team, "old two").await;
    fill_log(&app, alice.chat_id("ops").await, alice.id).await;
    alice.say_in(team, "new").await;
    let missed = bob.resume(&cursor).await.read_replay().await;
    let expected = ["old one".to_owned(), "old two".to_owned()]
        .into_iter()
        .chain((1..=40_000).map(|n| format!("n{n}")))
        .chain(["new".to_owned()])
        .collect::<Vec<_>>();
    assert_eq!(texts(&missed), expected);
}

#[tokio::test]
async fn a_cursor_of_another_epoch_gets_a_reset_then_live_events() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let cursor = bob.listen().await.cursor().to_owned();
    let (_, position) = cursor.split_once('-').expect("a cursor");
    let future = format!("{}{}", cursor.trim_end_matches(char::is_numeric), 9_007_199_254_740_991i64);
    // Only the server makes cursors, and it gives each one a tag.
    let untagged = format!("{}-{position}", &cursor[..10]);
    for (from, reason) in [(format!("0123456789-{position}"), "epoch"), (future, "future"), (untagged, "epoch")] {
        let mut stream = bob.resume(&from).await;
        assert_eq!(stream.ready.id, None, "the client's cursor does not move before the reset");
        assert_eq!(stream.ready.data["resumed"], false);
        let reset = stream.next().await;
        assert_eq!((reset.kind.as_str(), reset.data["reason"].as_str()), ("reset", Some(reason)));
        assert!(reset.id.is_some());
        alice.say("team", reason).await;
        assert_eq!(stream.next().await.text(), reason);
    }
}

#[tokio::test]
async fn a_cursor_from_before_retention_gets_a_reset() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let cursor = bob.listen().await.cursor().to_owned();
    alice.say("team", "dropped from the log").await;
    alice.say("team", "kept").await;
    sqlx::query("delete from events where id < (select max(id) from events)")
        .execute(&app.db)
        .await
        .expect("retention");
    // A replica that starts now has only the events that the log still holds.
    let second = TestApp::replica_of(&app).await;
    let mut stream = bob.at(&second.endpoints).resume(&cursor).await;
    assert_eq!(stream.next().await.data["reason"], "retention");
}

#[tokio::test]
async fn a_reader_that_falls_behind_catches_up_and_loses_nothing() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    // An event that is not in the log does not change the reader's position.
    alice.say_in(team, "before").await;
    assert_eq!(bobs.next().await.text(), "before");
    alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
    bobs.next_ephemeral("typing").await;
    // More unread data than the capacity of the socket buffers and the send queue.
    const COUNT: i64 = 6_000;
    sqlx::query("insert into messages (chat_id, sender_id, content) select $1, $2, n || repeat('x', 4000) from generate_series(1, $3) n")
        .bind(team)
        .bind(alice.id)
        .bind(COUNT)
        .execute(&app.db)
        .await
        .expect("a burst");
    alice.say_in(team, "marker").await;
    let received = bobs.read_until("marker").await;
    let numbers: Vec<i64> =
        received.iter().map(|event| event.text().trim_end_matches('x').parse().expect("a number")).collect();
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    assert!(app.metric("confab_slow_consumers_total").await >= 1.0, "the reader was never a slow consumer");
}
