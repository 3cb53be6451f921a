//! Two replicas share one reading of the log through Redis, and Redis fails in
//! every way it can. What is heard is whole, in order, the same on both, and only
//! where it belongs.

use chat_core::redis::Redis;
use chat_test::{Inbox, Link, Signal, TestApp, TestRedis, TestRedisCluster, TestUser, eventually};
use redis::cmd;
use std::time::{Duration, Instant};

/// An entry of a stream in Redis: its id, and its fields.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// Two replicas, and people at both.
struct World {
    redis: TestRedis,
    leader: TestApp,
    follower: TestApp,
    alice: TestUser,
    team: i64,
    /// Of a member, at each replica.
    bobs: [Inbox; 2],
    /// Of somebody who is not in the team, at each replica.
    daves: [Inbox; 2],
}

impl World {
    async fn start() -> Self {
        let redis = TestRedis::start().await;
        let leader = TestApp::meeting_at(&redis.link()).await;
        leads(&leader).await;
        let follower = TestApp::beside(&leader).await;
        Self::of(redis, leader, follower).await
    }

    async fn of(redis: TestRedis, leader: TestApp, follower: TestApp) -> Self {
        let [alice, bob, dave] = leader.sign_in(["alice", "bob", "dave"]).await;
        let team = alice.chat("team").await;
        let bobs = [bob.listen().await, bob.at(&follower.places).listen().await];
        let daves = [dave.listen().await, dave.at(&follower.places).listen().await];
        let mut world = Self { redis, leader, follower, alice, team, bobs, daves };
        // Until it is heard by way of Redis: the follower may have been late.
        let appended = "confab_relay_pieces_total{outcome=\"appended\"}";
        let before = world.leader.figure(appended).await;
        world.talk(3, async |_| {}).await;
        assert!(world.leader.figure(appended).await > before, "the leader appends");
        world
    }

    /// Alice says so many things while something happens. All of it is heard by
    /// those in the chat, at both replicas, as the log has it, and by nobody else.
    async fn talk(&mut self, count: usize, happening: impl AsyncFnOnce(&Self)) {
        let talking = tokio::spawn({
            let (alice, team) = (self.alice.clone(), self.team);
            async move {
                for n in 0..count {
                    alice.say_in(team, &n.to_string()).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        happening(self).await;
        talking.await.expect("all said");
        self.alice.say_in(self.team, "marker").await;
        self.alice.say("general", "everybody's marker").await;
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        let mut ids = Vec::new();
        for bob in &mut self.bobs {
            let heard = bob.until("marker").await;
            assert_eq!(heard.iter().map(|event| event.text()).collect::<Vec<_>>(), expected);
            ids.push(heard.into_iter().map(|event| event.id).collect::<Vec<_>>());
            bob.until("everybody's marker").await;
        }
        assert_eq!(ids.first(), ids.last(), "both replicas tell the same order");
        for dave in &mut self.daves {
            let leaked: Vec<String> =
                dave.until("everybody's marker").await.iter().map(|event| event.text().to_owned()).collect();
            assert_eq!(leaked, [""; 0], "somebody hears what is not for them");
        }
    }

    async fn doubts(&self) -> f64 {
        self.follower.figure("confab_relay_doubts_total").await
    }

    /// Everything goes through Redis again, whatever happened.
    async fn heals(&mut self) {
        hears(&self.follower).await;
        let doubts = self.doubts().await;
        self.talk(10, async |_| {}).await;
        assert_eq!(self.doubts().await, doubts, "it is whole again");
    }
}

async fn leads(app: &TestApp) {
    eventually("it leads", async || app.figure("confab_relay_leads").await == 1.0).await;
}

async fn hears(app: &TestApp) {
    eventually("it hears the leader", async || app.figure("confab_relay_hears").await == 1.0).await;
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test]
async fn one_replica_reads_the_log_for_all() {
    let mut world = World::start().await;
    world.talk(50, async |_| {}).await;
    let listening: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen %'",
    )
    .fetch_one(&world.leader.db)
    .await
    .expect("counted");
    assert!(listening <= 1, "{listening} listen");
    assert_eq!(world.doubts().await, 0.0);
}

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let mut world = World::start().await;
    world
        .talk(200, async |world| {
            pause(200).await;
            world.redis.kill().await;
            pause(500).await;
            world.redis.begin().await;
        })
        .await;
    assert!(world.doubts().await >= 1.0);
    world.heals().await;
}

#[tokio::test]
async fn everything_in_redis_is_thrown_away_again_and_again() {
    let mut world = World::start().await;
    world
        .talk(200, async |world| {
            for _ in 0..20 {
                pause(40).await;
                let () = world.redis.ask(&cmd("FLUSHALL")).await;
            }
        })
        .await;
    world.heals().await;
}

#[tokio::test]
async fn entries_are_deleted_before_they_are_heard() {
    let redis = TestRedis::start().await;
    let leader = TestApp::meeting_at(&Redis::at(&redis.direct_url()).expect("a URL")).await;
    leads(&leader).await;
    let follower = TestApp::beside_by(&leader, leader.database.clone(), Some(redis.link())).await;
    let mut world = World::of(redis, leader, follower).await;
    let key = world.redis.stream().await;
    // Redis tells those who wait as it appends. On a slow line the follower mostly
    // does not wait, and of several entries that it is yet to ask for one is gone.
    world.redis.answer_after(Duration::from_millis(60));
    for round in 0..3 {
        hears(&world.follower).await;
        let doubts = world.doubts().await;
        world
            .talk(60, async |world| {
                for _ in 0..100 {
                    let newest = cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(2).to_owned();
                    let newest: Vec<Entry> = world.redis.ask(&newest).await;
                    if let [_, (second, _)] = newest.as_slice() {
                        let _: i64 = world.redis.ask(cmd("XDEL").arg(&key).arg(second)).await;
                    }
                    pause(5).await;
                }
            })
            .await;
        assert!(world.doubts().await > doubts, "nothing was missed in round {round}");
    }
    world.redis.answer_after(Duration::ZERO);
    world.heals().await;
}

#[tokio::test]
async fn redis_is_slow() {
    let mut world = World::start().await;
    world.redis.answer_after(Duration::from_secs(3));
    let mut late = Duration::ZERO;
    world.talk(100, async |_| {}).await;
    for n in 0..3 {
        let said = Instant::now();
        world.alice.say_in(world.team, &n.to_string()).await;
        for bob in &mut world.bobs {
            bob.until(&n.to_string()).await;
        }
        late = late.max(said.elapsed());
    }
    assert!(late < Duration::from_secs(2), "{late:?}");
    world.redis.answer_after(Duration::ZERO);
    world.heals().await;
}

#[tokio::test]
async fn redis_holds_its_breath() {
    let mut world = World::start().await;
    world
        .talk(200, async |world| {
            world.redis.signal(Signal::STOP);
            pause(1_500).await;
            world.redis.signal(Signal::CONT);
        })
        .await;
    assert!(world.doubts().await >= 1.0);
    world.heals().await;
}

#[tokio::test]
async fn what_nobody_said_is_not_believed() {
    let mut world = World::start().await;
    let key = world.redis.stream().await;
    let entries: Vec<Entry> = world.redis.ask(cmd("XRANGE").arg(&key).arg("-").arg("+")).await;
    let (id, fields) = entries.last().expect("an entry");
    let position: u64 = id.split('-').next().expect("a position").parse().expect("a number");
    let (_, genuine) = fields.first().expect("a field");
    let mut forged = genuine.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    let forgeries: [(u64, &str, &[u8]); 5] = [
        (position + 1, "piece", b"nonsense"),
        (position + 2, "other", genuine),
        (position + 3, "piece", &forged),
        // Genuine, and told again in another place: it changes nothing.
        (position + 4, "piece", genuine),
        (1 << 62, "piece", genuine),
    ];
    for (at, field, bytes) in forgeries {
        hears(&world.follower).await;
        world
            .talk(60, async |world| {
                pause(50).await;
                // It may be too late for this position already.
                let entry = cmd("XADD").arg(&key).arg(format!("{at}-1")).arg(field).arg(bytes).to_owned();
                let _ = world.redis.try_ask::<String>(&entry).await;
            })
            .await;
    }
    // The last one is ahead of everything: the leader has made a new stream.
    world.heals().await;
    assert!(world.doubts().await >= 1.0);
    let top: Vec<Entry> = world.redis.ask(cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(1)).await;
    assert!(!top.first().expect("an entry").0.starts_with(&(1u64 << 62).to_string()));
}

#[tokio::test]
async fn the_leaders_listening_connection_goes_silent() {
    let redis = TestRedis::start().await;
    let quiet = TestApp::meeting_at(&redis.link()).await;
    let link = Link::to(&quiet.database).await;
    let leader = TestApp::beside_by(&quiet, link.database.clone(), Some(redis.link())).await;
    quiet.stop().await;
    leads(&leader).await;
    let follower = TestApp::beside(&leader).await;
    let mut world = World::of(redis, leader, follower).await;
    world
        .talk(200, async |_| {
            pause(200).await;
            link.cut_listeners();
        })
        .await;
    world.heals().await;
}

#[tokio::test]
async fn a_leader_that_leaves_is_followed_by_another() {
    let mut world = World::start().await;
    let bob = world.leader.sign_in(["bob"]).await.into_iter().next().expect("bob");
    let cursor = world.bobs[0].cursor().to_owned();
    let talking = tokio::spawn({
        let (alice, team) = (world.alice.at(&world.follower.places), world.team);
        async move {
            for n in 0..200 {
                alice.say_in(team, &n.to_string()).await;
                pause(5).await;
            }
        }
    });
    pause(200).await;
    world.leader.stop().await;
    let mut again = bob.at(&world.follower.places).resume(&cursor).await;
    leads(&world.follower).await;
    talking.await.expect("all said");
    world.alice.at(&world.follower.places).say_in(world.team, "marker").await;
    let expected: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for inbox in [&mut world.bobs[1], &mut again] {
        let heard: Vec<String> = inbox
            .until("marker")
            .await
            .iter()
            .filter(|event| event.kind == "message.new")
            .map(|event| event.text().to_owned())
            .collect();
        assert_eq!(heard, expected);
    }
}

#[tokio::test]
async fn replicas_may_meet_in_a_redis_cluster() {
    let redis = TestRedisCluster::start().await;
    let leader = TestApp::meeting_at(&redis.link()).await;
    leads(&leader).await;
    let follower = TestApp::beside(&leader).await;
    hears(&follower).await;
    let [alice, bob] = leader.sign_in(["alice", "bob"]).await;
    let team = alice.chat("team").await;
    let mut bobs = bob.at(&follower.places).listen().await;
    for n in 0..50 {
        alice.say_in(team, &n.to_string()).await;
    }
    alice.say_in(team, "marker").await;
    let heard: Vec<String> = bobs.until("marker").await.iter().map(|event| event.text().to_owned()).collect();
    assert_eq!(heard, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    let appended = leader.figure("confab_relay_pieces_total{outcome=\"appended\"}").await;
    assert!(appended > 0.0 && follower.figure("confab_relay_doubts_total").await == 0.0);
    alice.post(&format!("/api/chats/{team}/typing"), serde_json::json!({})).await.expect(204);
    bobs.next_whisper("typing").await;
}
