//! The order of the log is the order of commits, so no reader can skip a transaction
//! that is still open.

use chat_test::{DEADLINE, TestApp, eventually};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

const INSERT: &str = "insert into messages (chat_id, sender_id, content) values ($1, $2, $3)";

#[tokio::test]
async fn an_earlier_insert_that_commits_last_is_not_lost() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;

    let mut first = PgConnection::connect(&app.database.url).await.expect("a connection");
    let mut slow = first.begin().await.expect("a transaction");
    sqlx::query(INSERT).bind(team).bind(alice.id).bind("inserted first").execute(&mut *slow).await.expect("inserted");

    let url = app.database.url.clone();
    let (sender, chat) = (alice.id, team);
    let second = tokio::spawn(async move {
        let mut second = PgConnection::connect(&url).await.expect("a connection");
        sqlx::query(INSERT)
            .bind(chat)
            .bind(sender)
            .bind("inserted second")
            .execute(&mut second)
            .await
            .expect("inserted");
    });
    // The second insert either waits for the append lock, or has committed before the
    // first. In that case its event is delivered, and the first must still arrive.
    eventually("the second insert has committed or waits for the lock", || async {
        app.has_a_waiting_writer().await || second.is_finished()
    })
    .await;
    let overtaken = if second.is_finished() { Some(bobs.next().await) } else { None };
    assert_eq!(overtaken, None, "no event overtakes an open transaction");
    slow.commit().await.expect("committed last");
    timeout(DEADLINE, second).await.expect("the second insert continues").expect("inserted");

    let received = [bobs.next().await, bobs.next().await];
    assert_eq!(received.each_ref().map(|event| event.text()), ["inserted first", "inserted second"]);
}

#[tokio::test]
async fn many_writers_that_hold_their_transactions_open_lose_nothing() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let mut writers = Vec::new();
    for writer in 0..8 {
        let (url, sender) = (app.database.url.clone(), alice.id);
        writers.push(tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.expect("a connection");
            for n in 0..20 {
                let mut open = connection.begin().await.expect("a transaction");
                let text = format!("{writer}/{n}");
                sqlx::query(INSERT).bind(team).bind(sender).bind(text).execute(&mut *open).await.expect("inserted");
                // A pause between the insert and the commit.
                let pause = rand::random_range(0.0..0.004);
                sqlx::query("select pg_sleep($1)").bind(pause).execute(&mut *open).await.expect("slept");
                match n % 5 {
                    0 => open.rollback().await.expect("rolled back"),
                    _ => open.commit().await.expect("committed"),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.expect("wrote");
    }
    alice.say_in(team, "marker").await;
    let received = bobs.read_until("marker").await;
    assert_eq!(received.len(), 8 * 16, "all committed messages and no rolled back ones");
    let ids: Vec<i64> = received.iter().filter_map(|event| event.data["message"]["id"].as_i64()).collect();
    let stored: Vec<i64> =
        sqlx::query_scalar("select id from messages where chat_id = $1 and content like '%/%' order by id")
            .bind(team)
            .fetch_all(&app.db)
            .await
            .expect("ids");
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, stored);
}
