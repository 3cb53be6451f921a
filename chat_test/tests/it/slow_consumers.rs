//! Readers that pause, read very slowly, or reconnect all at once. They lose no event and
//! do not delay other readers.

use chat_test::{EventStream, TestApp, TestUser, eventually};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinSet,
    time::{Instant, sleep},
};

/// Inserts the messages `from` to `to`, numbered and 4 kB each, in one statement.
async fn burst(app: &TestApp, chat: i64, sender: &TestUser, from: i64, to: i64) {
    sqlx::query(
        "insert into messages (chat_id, sender_id, content)
         select $1, $2, n || repeat('x', 4000) from generate_series($3, $4) n",
    )
    .bind(chat)
    .bind(sender.id)
    .bind(from)
    .bind(to)
    .execute(&app.db)
    .await
    .expect("a burst");
}

async fn numbers_until_the_marker(stream: &mut EventStream) -> Vec<i64> {
    let received = stream.read_until("marker").await;
    received.iter().map(|event| event.text().trim_end_matches('x').parse().expect("a number")).collect()
}

#[tokio::test]
async fn slow_consumers_catch_up_from_the_log_and_lose_nothing() {
    const ROUNDS: i64 = 12;
    const EACH: i64 = 250;
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut readers = JoinSet::new();
    for mut stream in join_all((0..12).map(|_| bob.listen())).await {
        readers.spawn(async move {
            let mut numbers = Vec::new();
            loop {
                // Pause reading at random, so that the socket buffers fill.
                if rand::random_bool(0.003) {
                    sleep(Duration::from_millis(rand::random_range(100..1_500))).await;
                }
                match stream.next().await.text() {
                    "marker" => return numbers,
                    text => numbers.push(text.trim_end_matches('x').parse::<i64>().expect("a number")),
                }
            }
        });
    }
    for round in 0..ROUNDS {
        burst(&app, team, &alice, round * EACH + 1, (round + 1) * EACH).await;
    }
    alice.say_in(team, "marker").await;
    while let Some(reader) = readers.join_next().await {
        assert_eq!(reader.expect("read"), (1..=ROUNDS * EACH).collect::<Vec<_>>());
    }
    assert!(app.metric("confab_slow_consumers_total").await >= 1.0, "no reader was a slow consumer");
}

/// Reading one byte per second is too slow. The server closes the stream as slow, the
/// stream uses little memory until then, and other readers are not delayed.
#[tokio::test]
async fn a_one_byte_per_second_reader_is_closed_and_delays_nobody() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let team = alice.chat_id("team").await;
    let mut healthy = carol.listen().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small window");
    let address = app.endpoints.notify.strip_prefix("http://").expect("a URL").parse().expect("an address");
    let mut slow = socket.connect(address).await.expect("connected");
    let head = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", bob.token);
    slow.write_all(head.as_bytes()).await.expect("asked");
    let dribbling = tokio::spawn(async move {
        let mut byte = [0u8; 1];
        while slow.read(&mut byte).await.is_ok_and(|n| n > 0) {
            sleep(Duration::from_secs(1)).await;
        }
    });
    eventually("both streams are live", || async { app.metric("confab_connections").await == 2.0 }).await;
    burst(&app, team, &alice, 1, 3_000).await;
    let begun = Instant::now();
    alice.say_in(team, "marker").await;
    assert_eq!(numbers_until_the_marker(&mut healthy).await, (1..=3_000).collect::<Vec<_>>());
    assert!(begun.elapsed() < Duration::from_secs(8), "the healthy reader waited {:?}", begun.elapsed());
    assert!(app.metric("confab_send_queue_bytes").await <= 1024.0 * 1024.0);
    eventually("the slow connection is closed", || async {
        app.metric("confab_connections_closed_total{reason=\"slow_consumer\"}").await == 1.0
    })
    .await;
    dribbling.abort();
}

/// All users reconnect at once after they missed a message. The database is read a few
/// times, not once per user.
#[tokio::test]
async fn a_reconnect_storm_causes_few_database_reads() {
    const STREAMS: usize = 400;
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let users: Vec<i64> = sqlx::query_scalar(
        "insert into users (username, display_name, email, password_hash)
         select 'p' || n, 'P ' || n, 'p' || n || '@example.com', '' from generate_series(1, $1) n returning id",
    )
    .bind(STREAMS as i64)
    .fetch_all(&app.db)
    .await
    .expect("users");
    sqlx::query("insert into chat_members (chat_id, user_id) select $1, unnest($2::bigint[])")
        .bind(team)
        .bind(&users)
        .execute(&app.db)
        .await
        .expect("members");
    let mut bobs = bob.listen().await;
    alice.say_in(team, "before").await;
    bobs.read_until("before").await;
    let cursor = bobs.cursor().to_owned();
    alice.say_in(team, "missed").await;
    bobs.next().await;
    let mut requests = Vec::new();
    for user in &users {
        requests.push(app.stream_request_for(*user).await.header("last-event-id", &cursor));
    }
    let reads = app.metric("confab_membership_loads_total").await;
    let streams = join_all(requests.into_iter().map(EventStream::open)).await;
    for mut stream in streams {
        let missed = stream.read_replay().await;
        assert_eq!(missed.iter().map(|event| event.text()).collect::<Vec<_>>(), ["missed"]);
    }
    let reads = app.metric("confab_membership_loads_total").await - reads;
    assert!((1.0..=40.0).contains(&reads), "{reads} reads for {STREAMS} streams");
    assert_eq!(app.metric("confab_catch_ups_total{source=\"log\"}").await, 0.0);
}
