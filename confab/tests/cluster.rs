//! Several nodes over one database and one Redis, as processes: killed, held, and
//! replaced one by one. The conversation goes on whole.

use chat_core::auth::{Signer, keys, sessions};
use chat_test::{
    Balancer, DEADLINE, Inbox, Places, Signal, TestDatabase, TestRedis, TestUser, eventually, figure, signal,
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    time::timeout,
};

/// Another leads after 1.6 seconds at most; on a machine with other work, after
/// this.
const REPLACED: Duration = Duration::from_secs(5);

/// What the nodes have in common.
struct Ground {
    database: TestDatabase,
    redis: TestRedis,
    folder: TempDir,
    key: PathBuf,
}

impl Ground {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("private.pem");
        keys::generate(&key, &folder.path().join("public.pem")).expect("a key");
        Self { database: TestDatabase::create().await, redis: TestRedis::start().await, folder, key }
    }

    async fn node(&self) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        self.node_at(address).await
    }

    async fn node_at(&self, address: SocketAddr) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
        command
            .args(["serve", "--rate-limits", "off", "--bind", &address.to_string()])
            .args(["--database-url", &self.database.url, "--redis-url", &self.redis.url()])
            .arg("--jwt-private-key-file")
            .arg(&self.key)
            .arg("--data")
            .arg(self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let process = command.spawn().expect("started");
        let url = format!("http://{address}");
        eventually("the node is ready", async || {
            reqwest::get(format!("{url}/readyz")).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        Node { process, address, places: Places { chat: url.clone(), notify: url } }
    }
}

struct Node {
    process: Child,
    address: SocketAddr,
    places: Places,
}

impl Node {
    fn signal(&self, what: Signal) {
        signal(self.process.id().expect("it runs"), what);
    }

    async fn leads(&self) -> Duration {
        let since = Instant::now();
        eventually("it leads", async || figure(&self.places.notify, "confab_relay_leads").await == 1.0).await;
        since.elapsed()
    }

    /// Asks it to stop; answers how long it took.
    async fn stop(&mut self) -> Duration {
        let since = Instant::now();
        self.signal(Signal::TERM);
        let status = timeout(DEADLINE, self.process.wait()).await.expect("ended within the deadline").expect("ended");
        assert!(status.success(), "{status}");
        since.elapsed()
    }
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Says numbered things until told to stop; answers how many.
fn talk(alice: &TestUser, team: i64) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (alice, is_over) = (alice.clone(), Arc::clone(&stop));
    let talking = tokio::spawn(async move {
        let mut said = 0;
        while !is_over.load(Ordering::Relaxed) {
            alice.say_in(team, &said.to_string()).await;
            said += 1;
            pause(5).await;
        }
        alice.say_in(team, "marker").await;
        said
    });
    (stop, talking)
}

/// What was said, up to the marker, across as many streams as it takes.
async fn whole<F: Future<Output = Inbox>>(mut inbox: Inbox, again: impl Fn(String) -> F) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        match inbox.try_next().await {
            Some(event) if event.text() == "marker" => return heard,
            Some(event) if event.kind == "message.new" => heard.push(event.text().to_owned()),
            Some(event) => assert_ne!(event.kind, "reset"),
            None => inbox = again(inbox.cursor().to_owned()).await,
        }
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_killed_leader_is_replaced_within_two_seconds_and_nothing_is_lost() {
    let ground = Ground::new().await;
    let mut leader = ground.node().await;
    leader.leads().await;
    let follower = ground.node().await;
    let alice = TestUser::sign_in(&follower.places, "alice").await;
    let bob = TestUser::sign_in(&follower.places, "bob").await;
    let team = alice.chat("team").await;
    let inboxes = [bob.listen().await, bob.at(&leader.places).listen().await];
    let (stop, talking) = talk(&alice, team);
    pause(500).await;
    leader.process.kill().await.expect("killed");
    let took = follower.leads().await;
    assert!(took < REPLACED, "{took:?}");
    pause(500).await;
    stop.store(true, Ordering::Relaxed);
    let said = talking.await.expect("all said");
    for inbox in inboxes {
        let heard = whole(inbox, async |cursor: String| bob.resume(&cursor).await).await;
        assert_eq!(heard, numbers(said));
    }
}

#[tokio::test]
async fn a_leader_that_was_held_comes_back_beside_the_new_one_and_disturbs_nothing() {
    let ground = Ground::new().await;
    let held = ground.node().await;
    held.leads().await;
    let other = ground.node().await;
    let alice = TestUser::sign_in(&other.places, "alice").await;
    let bob = TestUser::sign_in(&other.places, "bob").await;
    let team = alice.chat("team").await;
    let inboxes = [bob.listen().await, bob.at(&held.places).listen().await];
    let (stop, talking) = talk(&alice, team);
    pause(500).await;
    held.signal(Signal::STOP);
    let took = other.leads().await;
    assert!(took < REPLACED, "{took:?}");
    pause(3_000).await;
    held.signal(Signal::CONT);
    pause(2_000).await;
    stop.store(true, Ordering::Relaxed);
    let said = talking.await.expect("all said");
    for inbox in inboxes {
        let heard = whole(inbox, async |cursor: String| bob.at(&held.places).resume(&cursor).await).await;
        assert_eq!(heard, numbers(said));
    }
    assert_eq!(figure(&other.places.notify, "confab_relay_leads").await, 1.0, "it goes on leading");
}

#[tokio::test]
async fn a_thousand_streams_of_a_killed_replica_resume_on_the_other_whole() {
    const PEOPLE: i64 = 40;
    const STREAMS_EACH: usize = 25;
    let ground = Ground::new().await;
    let stays = ground.node().await;
    stays.leads().await;
    let mut dies = ground.node().await;
    let alice = TestUser::sign_in(&stays.places, "alice").await;
    let team = alice.chat("team").await;
    let db = ground.database.pool(4);
    let people: Vec<i64> = sqlx::query_scalar(
        "with many as (
             insert into users (username, display_name, email, password_hash)
             select 'person' || n, 'Person', 'person' || n || '@example.com', repeat('x', 97)
             from generate_series(1, $2) n
             returning id
         )
         insert into chat_members (chat_id, user_id) select $1, id from many returning user_id",
    )
    .bind(team)
    .bind(PEOPLE)
    .fetch_all(&db)
    .await
    .expect("people");
    let signer = Signer::read(&ground.key).expect("the key");
    let client = reqwest::Client::new();
    let mut readers = Vec::new();
    for person in people {
        let person = person.try_into().expect("an id");
        let token = sessions::open(&db, &signer, person, "").await.expect("a session").tokens.token;
        for _ in 0..STREAMS_EACH {
            let ask = {
                let (client, token) = (client.clone(), token.clone());
                move |server: &str, cursor: Option<&str>| {
                    let request = client.get(format!("{server}/events")).bearer_auth(&token);
                    match cursor {
                        Some(cursor) => request.header("last-event-id", cursor),
                        None => request,
                    }
                }
            };
            let inbox = Inbox::open(ask(&dies.places.notify, None)).await;
            let server = stays.places.notify.clone();
            let again = move |cursor: String| Inbox::open(ask(&server, Some(&cursor)));
            readers.push(tokio::spawn(whole(inbox, again)));
        }
    }
    assert_eq!(readers.len(), 1_000);
    let (stop, talking) = talk(&alice, team);
    pause(500).await;
    dies.process.kill().await.expect("killed");
    pause(1_000).await;
    stop.store(true, Ordering::Relaxed);
    let expected = numbers(talking.await.expect("all said"));
    for reader in readers {
        assert_eq!(reader.await.expect("whole"), expected);
    }
}

#[tokio::test]
async fn nodes_replaced_one_by_one_behind_a_balancer_lose_nothing_and_fail_nobody() {
    let ground = Ground::new().await;
    let mut nodes = [ground.node().await, ground.node().await];
    let balancer = Balancer::before(nodes.iter().map(|node| node.address).collect()).await;
    let places = Places { chat: balancer.url.clone(), notify: balancer.url.clone() };
    let alice = TestUser::sign_in(&places, "alice").await;
    let bob = TestUser::sign_in(&places, "bob").await;
    let team = alice.chat("team").await;
    let inbox = bob.listen().await;
    // `say_in` wants a 201 each time: no refusal, no broken connection.
    let (stop, talking) = talk(&alice, team);
    // Others come and go on connections of their own all the while.
    let asking: Vec<_> = (0..12)
        .map(|_| {
            let (stop, url, token) = (Arc::clone(&stop), balancer.url.clone(), alice.token.clone());
            tokio::spawn(async move {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    let request = reqwest::Client::new().get(format!("{url}/api/me")).bearer_auth(&token);
                    assert_eq!(request.send().await.expect("an answer").status(), 200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    let listening = tokio::spawn(whole(inbox, move |cursor| {
        let bob = bob.clone();
        async move {
            // As a browser does. Who comes to one that is about to go is told to
            // come again.
            loop {
                pause(300).await;
                if let Some(inbox) = Inbox::try_open(bob.stream(Some(&cursor))).await {
                    return inbox;
                }
            }
        }
    }));
    for node in &mut nodes {
        pause(1_000).await;
        let took = node.stop().await;
        assert!(took < Duration::from_secs(10), "{took:?}");
        *node = ground.node_at(node.address).await;
    }
    pause(1_000).await;
    stop.store(true, Ordering::Relaxed);
    let said = talking.await.expect("each was answered");
    for asking in asking {
        assert!(asking.await.expect("each was answered") > 50);
    }
    assert_eq!(listening.await.expect("whole"), numbers(said));
}

#[tokio::test]
async fn a_node_that_stops_says_so_and_serves_those_who_still_come() {
    let ground = Ground::new().await;
    let mut node = ground.node().await;
    let alice = TestUser::sign_in(&node.places, "alice").await;
    let ask = async |path: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", node.places.chat)).bearer_auth(&alice.token);
        request.send().await
    };
    node.signal(Signal::TERM);
    eventually("it says so", async || ask("/readyz").await.expect("an answer").status() == 503).await;
    let answer = ask("/api/me").await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers()["connection"].as_bytes()), (200, b"close".as_slice()));
    timeout(DEADLINE, node.process.wait()).await.expect("ended within the deadline").expect("ended");
}
