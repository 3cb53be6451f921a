//! Two replicas share the log through Redis, and Redis fails in different ways.
//! Delivery stays complete, ordered, equal on both replicas, and limited to members.

use chat_core::redis::Redis;
use chat_test::{EventStream, FaultyProxy, Signal, TestApp, TestRedis, TestRedisCluster, TestUser, eventually};
use redis::cmd;
use std::time::{Duration, Instant};

/// An entry of a Redis stream: its id and its fields.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// Two replicas, and users connected to both.
struct ReplicaPair {
    redis: TestRedis,
    leader: TestApp,
    follower: TestApp,
    alice: TestUser,
    team: i64,
    /// Streams of a member of the team, one per replica.
    bobs: [EventStream; 2],
    /// Streams of a user who is not in the team, one per replica.
    daves: [EventStream; 2],
}

impl ReplicaPair {
    async fn start() -> Self {
        let redis = TestRedis::start().await;
        let leader = TestApp::with_redis(&redis.client()).await;
        wait_until_leader(&leader).await;
        let follower = TestApp::replica_of(&leader).await;
        Self::of(redis, leader, follower).await
    }

    async fn of(redis: TestRedis, leader: TestApp, follower: TestApp) -> Self {
        let [alice, bob, dave] = leader.sign_in(["alice", "bob", "dave"]).await;
        let team = alice.chat_id("team").await;
        let bobs = [bob.listen().await, bob.at(&follower.endpoints).listen().await];
        let daves = [dave.listen().await, dave.at(&follower.endpoints).listen().await];
        let mut replicas = Self { redis, leader, follower, alice, team, bobs, daves };
        // Check that events go through Redis: the follower may have started late.
        let appended = "confab_relay_batches_total{outcome=\"appended\"}";
        let before = replicas.leader.metric(appended).await;
        replicas.assert_delivery_during(3, async |_| {}).await;
        assert!(replicas.leader.metric(appended).await > before, "the leader appends");
        replicas
    }

    /// Alice sends `count` messages while a fault happens. The members receive all
    /// messages at both replicas, in the order of the log, and other users receive none.
    async fn assert_delivery_during(&mut self, count: usize, fault: impl AsyncFnOnce(&Self)) {
        let sending = tokio::spawn({
            let (alice, team) = (self.alice.clone(), self.team);
            async move {
                for n in 0..count {
                    alice.say_in(team, &n.to_string()).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        fault(self).await;
        sending.await.expect("all sent");
        self.alice.say_in(self.team, "marker").await;
        self.alice.say("general", "everybody's marker").await;
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let mut ids = Vec::new();
        for bob in &mut self.bobs {
            let received = bob.read_until("marker").await;
            assert_eq!(received.iter().map(|event| event.text()).collect::<Vec<_>>(), expected);
            ids.push(received.into_iter().map(|event| event.id).collect::<Vec<_>>());
            bob.read_until("everybody's marker").await;
        }
        assert_eq!(ids.first(), ids.last(), "both replicas deliver the same order");
        for dave in &mut self.daves {
            let leaked: Vec<String> =
                dave.read_until("everybody's marker").await.iter().map(|event| event.text().to_owned()).collect();
            assert_eq!(leaked, [""; 0], "a non-member receives events of the chat");
        }
    }

    async fn failovers(&self) -> f64 {
        self.follower.metric("confab_relay_failovers_total").await
    }

    /// Asserts that the follower receives all events through Redis again.
    async fn assert_recovered(&mut self) {
        wait_until_following(&self.follower).await;
        let failovers = self.failovers().await;
        self.assert_delivery_during(10, async |_| {}).await;
        assert_eq!(self.failovers().await, failovers, "no failover after recovery");
    }
}

async fn wait_until_leader(app: &TestApp) {
    eventually("the replica is the leader", async || app.metric("confab_relay_leading").await == 1.0).await;
}

async fn wait_until_following(app: &TestApp) {
    eventually("the replica follows the leader", async || app.metric("confab_relay_following").await == 1.0).await;
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test]
async fn one_replica_reads_the_log_for_all() {
    let mut replicas = ReplicaPair::start().await;
    replicas.assert_delivery_during(50, async |_| {}).await;
    let listening: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen %'",
    )
    .fetch_one(&replicas.leader.db)
    .await
    .expect("counted");
    assert!(listening <= 1, "{listening} listen");
    assert_eq!(replicas.failovers().await, 0.0);
}

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let mut replicas = ReplicaPair::start().await;
    replicas
        .assert_delivery_during(200, async |replicas| {
            pause(200).await;
            replicas.redis.kill().await;
            pause(500).await;
            replicas.redis.launch().await;
        })
        .await;
    assert!(replicas.failovers().await >= 1.0);
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn redis_is_flushed_repeatedly() {
    let mut replicas = ReplicaPair::start().await;
    replicas
        .assert_delivery_during(200, async |replicas| {
            for _ in 0..20 {
                pause(40).await;
                let () = replicas.redis.query(&cmd("FLUSHALL")).await;
            }
        })
        .await;
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn entries_are_deleted_before_they_are_read() {
    let redis = TestRedis::start().await;
    let leader = TestApp::with_redis(&Redis::open(&redis.direct_url()).expect("a URL")).await;
    wait_until_leader(&leader).await;
    let follower = TestApp::replica_with(&leader, leader.database.clone(), Some(redis.client())).await;
    let mut replicas = ReplicaPair::of(redis, leader, follower).await;
    let key = replicas.redis.event_stream_key().await;
    // Redis delivers an entry immediately to a reader that already waits. With slow replies
    // the follower mostly does not wait, so an entry can be deleted before it is read.
    replicas.redis.set_reply_delay(Duration::from_millis(60));
    for round in 0..3 {
        wait_until_following(&replicas.follower).await;
        let failovers = replicas.failovers().await;
        replicas
            .assert_delivery_during(60, async |replicas| {
                for _ in 0..100 {
                    let newest = cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(2).to_owned();
                    let newest: Vec<Entry> = replicas.redis.query(&newest).await;
                    if let [_, (second, _)] = newest.as_slice() {
                        let _: i64 = replicas.redis.query(cmd("XDEL").arg(&key).arg(second)).await;
                    }
                    pause(5).await;
                }
            })
            .await;
        assert!(replicas.failovers().await > failovers, "the follower missed nothing in round {round}");
    }
    replicas.redis.set_reply_delay(Duration::ZERO);
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn redis_is_slow() {
    let mut replicas = ReplicaPair::start().await;
    replicas.redis.set_reply_delay(Duration::from_secs(3));
    let mut late = Duration::ZERO;
    replicas.assert_delivery_during(100, async |_| {}).await;
    for n in 0..3 {
        let sent_at = Instant::now();
        replicas.alice.say_in(replicas.team, &n.to_string()).await;
        for bob in &mut replicas.bobs {
            bob.read_until(&n.to_string()).await;
        }
        late = late.max(sent_at.elapsed());
    }
    assert!(late < Duration::from_secs(2), "{late:?}");
    replicas.redis.set_reply_delay(Duration::ZERO);
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn redis_is_paused() {
    let mut replicas = ReplicaPair::start().await;
    replicas
        .assert_delivery_during(200, async |replicas| {
            replicas.redis.signal(Signal::STOP);
            pause(1_500).await;
            replicas.redis.signal(Signal::CONT);
        })
        .await;
    assert!(replicas.failovers().await >= 1.0);
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn forged_log_batches_are_ignored() {
    let mut replicas = ReplicaPair::start().await;
    let key = replicas.redis.event_stream_key().await;
    let entries: Vec<Entry> = replicas.redis.query(cmd("XRANGE").arg(&key).arg("-").arg("+")).await;
    let (id, fields) = entries.last().expect("an entry");
    let position: u64 = id.split('-').next().expect("a position").parse().expect("a number");
    let (_, genuine) = fields.first().expect("a field");
    let mut forged = genuine.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    let forgeries: [(u64, &str, &[u8]); 5] = [
        (position + 1, "batch", b"nonsense"),
        (position + 2, "other", genuine),
        (position + 3, "batch", &forged),
        // A genuine batch, repeated at another position, has no effect.
        (position + 4, "batch", genuine),
        (1 << 62, "batch", genuine),
    ];
    for (at, field, bytes) in forgeries {
        wait_until_following(&replicas.follower).await;
        replicas
            .assert_delivery_during(60, async |replicas| {
                pause(50).await;
                // The stream may already be past this position.
                let entry = cmd("XADD").arg(&key).arg(format!("{at}-1")).arg(field).arg(bytes).to_owned();
                let _ = replicas.redis.try_query::<String>(&entry).await;
            })
            .await;
    }
    // The last forgery is ahead of every position, so the leader has created a new stream.
    replicas.assert_recovered().await;
    assert!(replicas.failovers().await >= 1.0);
    let top: Vec<Entry> = replicas.redis.query(cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(1)).await;
    assert!(!top.first().expect("an entry").0.starts_with(&(1u64 << 62).to_string()));
}

#[tokio::test]
async fn the_leaders_listening_connection_goes_silent() {
    let redis = TestRedis::start().await;
    let quiet = TestApp::with_redis(&redis.client()).await;
    let proxy = FaultyProxy::to(&quiet.database).await;
    let leader = TestApp::replica_with(&quiet, proxy.database.clone(), Some(redis.client())).await;
    quiet.stop().await;
    wait_until_leader(&leader).await;
    let follower = TestApp::replica_of(&leader).await;
    let mut replicas = ReplicaPair::of(redis, leader, follower).await;
    replicas
        .assert_delivery_during(200, async |_| {
            pause(200).await;
            proxy.cut_listeners();
        })
        .await;
    replicas.assert_recovered().await;
}

#[tokio::test]
async fn a_leader_that_stops_is_replaced() {
    let mut replicas = ReplicaPair::start().await;
    let bob = replicas.leader.sign_in(["bob"]).await.into_iter().next().expect("bob");
    let cursor = replicas.bobs[0].cursor().to_owned();
    let sending = tokio::spawn({
        let (alice, team) = (replicas.alice.at(&replicas.follower.endpoints), replicas.team);
        async move {
            for n in 0..200 {
                alice.say_in(team, &n.to_string()).await;
                pause(5).await;
            }
        }
    });
    pause(200).await;
    replicas.leader.stop().await;
    let mut again = bob.at(&replicas.follower.endpoints).resume(&cursor).await;
    wait_until_leader(&replicas.follower).await;
    sending.await.expect("all sent");
    replicas.alice.at(&replicas.follower.endpoints).say_in(replicas.team, "marker").await;
    let expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for stream in [&mut replicas.bobs[1], &mut again] {
        let received: Vec<String> = stream
            .read_until("marker")
            .await
            .iter()
            .filter(|event| event.kind == "message.new")
            .map(|event| event.text().to_owned())
            .collect();
        assert_eq!(received, expected);
    }
}

#[tokio::test]
async fn replicas_can_share_a_redis_cluster() {
    let redis = TestRedisCluster::start().await;
    let leader = TestApp::with_redis(&redis.client()).await;
    wait_until_leader(&leader).await;
    let follower = TestApp::replica_of(&leader).await;
    wait_until_following(&follower).await;
    let [alice, bob] = leader.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.at(&follower.endpoints).listen().await;
    for n in 0..50 {
        alice.say_in(team, &n.to_string()).await;
    }
    alice.say_in(team, "marker").await;
    let received: Vec<String> = bobs.read_until("marker").await.iter().map(|event| event.text().to_owned()).collect();
    assert_eq!(received, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    let appended = leader.metric("confab_relay_batches_total{outcome=\"appended\"}").await;
    assert!(appended > 0.0 && follower.metric("confab_relay_failovers_total").await == 0.0);
    alice.post(&format!("/api/chats/{team}/typing"), serde_json::json!({})).await.expect(204);
    bobs.next_ephemeral("typing").await;
}
