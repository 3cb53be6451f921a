//! Cursors of a history that the database no longer holds, although its epoch is the
//! same: an older copy was put back, and the log has grown past the cursor since.

use chat_core::events::Cursor;
use chat_test::{TestApp, TestUser};

async fn read_cursor(user: &TestUser) -> String {
    let state = user.get("/api/bootstrap").await.expect(200).json();
    state["cursor"].as_str().expect("a cursor").to_owned()
}

/// Undoes everything after a cursor, as a restored copy does: the log continues with the
/// same ids.
async fn roll_back(app: &TestApp, to: &str) {
    let position = to.parse::<Cursor>().expect("a cursor").position.id;
    let mut transaction = app.db.begin().await.expect("a transaction");
    for sql in [
        "delete from messages where id > (select coalesce(max(message_id), 0) from events where id <= $1)",
        "delete from events where id > $1",
        "select setval('events_id_seq', $1)",
    ] {
        sqlx::query(sql).bind(position).execute(&mut *transaction).await.expect(sql);
    }
    transaction.commit().await.expect("committed");
}

/// Asserts that a cursor gets a reset from every source of events.
async fn expect_reset(user: &TestUser, cursor: &str) {
    let problem = user.get(&format!("/api/events?after={cursor}")).await.expect_problem(410);
    assert_eq!(problem["code"], "reset");
    let mut stream = user.resume(cursor).await;
    assert_eq!(stream.ready.data["resumed"], false);
    assert_eq!(stream.next_of("reset").await.data["reason"], "epoch");
}

#[tokio::test]
async fn a_cursor_from_before_a_rollback_gets_a_reset_however_far_the_log_has_grown() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let kept = read_cursor(&bob).await;
    let mut live = bob.listen().await;
    for n in 0..3 {
        alice.say("team", &format!("lost {n}")).await;
    }
    live.read_until("lost 2").await;
    let lost = live.cursor().to_owned();
    // The servers run meanwhile, and the log never ends before the cursor when they look.
    roll_back(&app, &kept).await;
    for n in 0..9 {
        alice.say("team", &format!("after {n}")).await;
    }
    assert!(live.try_next().await.is_none(), "a stream of the old history ends");
    expect_reset(&bob, &lost).await;
    // A replica that starts now has never seen the old history.
    let replica = TestApp::replica_of(&app).await;
    for bob in [bob.clone(), bob.at(&replica.endpoints)] {
        expect_reset(&bob, &lost).await;
        let mut stream = bob.resume(&kept).await;
        let texts: Vec<_> = stream.read_replay().await.iter().map(|event| event.text().to_owned()).collect();
        assert_eq!(texts, (0..9).map(|n| format!("after {n}")).collect::<Vec<_>>());
    }
}
