//! Several nodes on one database and one Redis, as processes that are killed, paused and
//! replaced one by one. No message may be lost.

use chat_core::{
    audit::{Action, Client},
    auth::{Signer, keys, sessions},
};
use chat_test::{
    Balancer, DEADLINE, Endpoints, EventStream, Signal, TestDatabase, TestRedis, TestUser, eventually, metric, signal,
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

/// Time limit of a failover, which takes at most 1.6 seconds on an idle machine.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// The resources that the nodes share.
struct TestCluster {
    database: TestDatabase,
    redis: TestRedis,
    folder: TempDir,
    key: PathBuf,
}

impl TestCluster {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let key = folder.path().join("private.pem");
        keys::generate(&key, &folder.path().join("public.pem")).expect("a key");
        Self { database: TestDatabase::create().await, redis: TestRedis::start().await, folder, key }
    }

    async fn start_node(&self) -> Node {
        self.start_node_at(free_address().await).await
    }

    async fn start_node_at(&self, address: SocketAddr) -> Node {
        let metrics = free_address().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
        command
            .args(["serve", "--rate-limits", "off", "--allow-volatile-database", "--bind", &address.to_string()])
            .args(["--metrics-bind", &metrics.to_string()])
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
        let metrics = format!("http://{metrics}");
        Node { process, address, metrics, endpoints: Endpoints { chat: url.clone(), notify: url } }
    }
}

struct Node {
    process: Child,
    address: SocketAddr,
    /// The URL of the server of metrics.
    metrics: String,
    endpoints: Endpoints,
}

/// An address on which nothing listens.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("its address")
}

impl Node {
    fn signal(&self, what: Signal) {
        signal(self.process.id().expect("the node runs"), what);
    }

    async fn wait_until_leader(&self) -> Duration {
        let started_at = Instant::now();
        eventually("the node leads", async || metric(&self.metrics, "confab_relay_leading").await == 1.0).await;
        started_at.elapsed()
    }

    /// Stops the node and returns how long that took.
    async fn stop(&mut self) -> Duration {
        let started_at = Instant::now();
        self.signal(Signal::TERM);
        let status = timeout(DEADLINE, self.process.wait()).await.expect("exits within the deadline").expect("waited");
        assert!(status.success(), "{status}");
        started_at.elapsed()
    }
}

async fn sleep_ms(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

/// Sends numbered messages until `stop` is set. The task returns how many were sent.
fn send_numbered(alice: &TestUser, team: i64) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (alice, stop_flag) = (alice.clone(), Arc::clone(&stop));
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while !stop_flag.load(Ordering::Relaxed) {
            alice.say_in(team, &sent.to_string()).await;
            sent += 1;
            sleep_ms(5).await;
        }
        alice.say_in(team, "marker").await;
        sent
    });
    (stop, sending)
}

/// Collects the messages up to the marker. Reconnects as often as needed.
async fn collect_until_marker<F: Future<Output = EventStream>>(
    mut stream: EventStream,
    reconnect: impl Fn(String) -> F,
) -> Vec<String> {
    let mut received = Vec::new();
    loop {
        match stream.try_next().await {
            Some(event) if event.text() == "marker" => return received,
            Some(event) if event.kind == "message.new" => received.push(event.text().to_owned()),
            Some(event) => assert_ne!(event.kind, "reset"),
            None => stream = reconnect(stream.cursor().to_owned()).await,
        }
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn a_killed_leader_is_replaced_soon_and_nothing_is_lost() {
    let cluster = TestCluster::new().await;
    let mut leader = cluster.start_node().await;
    leader.wait_until_leader().await;
    let follower = cluster.start_node().await;
    let alice = TestUser::sign_in(&follower.endpoints, "alice").await;
    let bob = TestUser::sign_in(&follower.endpoints, "bob").await;
    let team = alice.chat_id("team").await;
    let streams = [bob.listen().await, bob.at(&leader.endpoints).listen().await];
    let (stop, sending) = send_numbered(&alice, team);
    sleep_ms(500).await;
    leader.process.kill().await.expect("killed");
    let took = follower.wait_until_leader().await;
    assert!(took < FAILOVER_TIMEOUT, "{took:?}");
    sleep_ms(500).await;
    stop.store(true, Ordering::Relaxed);
    let sent = sending.await.expect("all sent");
    for stream in streams {
        let received = collect_until_marker(stream, async |cursor: String| bob.resume(&cursor).await).await;
        assert_eq!(received, numbers(sent));
    }
}

#[tokio::test]
async fn a_leader_that_was_paused_comes_back_and_disturbs_nothing() {
    let cluster = TestCluster::new().await;
    let paused = cluster.start_node().await;
    paused.wait_until_leader().await;
    let other = cluster.start_node().await;
    let alice = TestUser::sign_in(&other.endpoints, "alice").await;
    let bob = TestUser::sign_in(&other.endpoints, "bob").await;
    let team = alice.chat_id("team").await;
    let streams = [bob.listen().await, bob.at(&paused.endpoints).listen().await];
    let (stop, sending) = send_numbered(&alice, team);
    sleep_ms(500).await;
    paused.signal(Signal::STOP);
    let took = other.wait_until_leader().await;
    assert!(took < FAILOVER_TIMEOUT, "{took:?}");
    sleep_ms(3_000).await;
    paused.signal(Signal::CONT);
    sleep_ms(2_000).await;
    stop.store(true, Ordering::Relaxed);
    let sent = sending.await.expect("all sent");
    for stream in streams {
        let received =
            collect_until_marker(stream, async |cursor: String| bob.at(&paused.endpoints).resume(&cursor).await).await;
        assert_eq!(received, numbers(sent));
    }
    assert_eq!(metric(&other.metrics, "confab_relay_leading").await, 1.0, "the other node still leads");
}

#[tokio::test]
async fn a_thousand_streams_of_a_killed_replica_resume_on_the_other() {
    const USERS: i64 = 40;
    const STREAMS_EACH: usize = 25;
    let cluster = TestCluster::new().await;
    let survivor = cluster.start_node().await;
    survivor.wait_until_leader().await;
    let mut victim = cluster.start_node().await;
    let alice = TestUser::sign_in(&survivor.endpoints, "alice").await;
    let team = alice.chat_id("team").await;
    let db = cluster.database.pool(4);
    let user_ids: Vec<i64> = sqlx::query_scalar(
        "with many as (
             insert into users (username, display_name, email, password_hash)
             select 'user' || n, 'User', 'user' || n || '@example.com', repeat('x', 97)
             from generate_series(1, $2) n
             returning id
         )
         insert into chat_members (chat_id, user_id) select $1, id from many returning user_id",
    )
    .bind(team)
    .bind(USERS)
    .fetch_all(&db)
    .await
    .expect("users inserted");
    let signer = Signer::read(&cluster.key).expect("the key");
    let client = reqwest::Client::new();
    let mut readers = Vec::new();
    for user_id in user_ids {
        let user_id = user_id.try_into().expect("an id");
        let token = sessions::open(&db, &signer, user_id, Action::SignedIn, &Client::default())
            .await
            .expect("a session")
            .tokens
            .token;
        for _ in 0..STREAMS_EACH {
            let request_stream = {
                let (client, token) = (client.clone(), token.clone());
                move |server: &str, cursor: Option<&str>| {
                    let request = client.get(format!("{server}/events")).bearer_auth(&token);
                    match cursor {
                        Some(cursor) => request.header("last-event-id", cursor),
                        None => request,
                    }
                }
            };
            let stream = EventStream::open(request_stream(&victim.endpoints.notify, None)).await;
            let server = survivor.endpoints.notify.clone();
            let reconnect = move |cursor: String| EventStream::open(request_stream(&server, Some(&cursor)));
            readers.push(tokio::spawn(collect_until_marker(stream, reconnect)));
        }
    }
    assert_eq!(readers.len(), 1_000);
    let (stop, sending) = send_numbered(&alice, team);
    sleep_ms(500).await;
    victim.process.kill().await.expect("killed");
    sleep_ms(1_000).await;
    stop.store(true, Ordering::Relaxed);
    let expected = numbers(sending.await.expect("all sent"));
    for reader in readers {
        assert_eq!(reader.await.expect("all received"), expected);
    }
}

#[tokio::test]
async fn a_rolling_restart_behind_a_balancer_loses_nothing() {
    let cluster = TestCluster::new().await;
    let mut nodes = [cluster.start_node().await, cluster.start_node().await];
    let balancer = Balancer::start(nodes.iter().map(|node| node.address).collect()).await;
    let endpoints = Endpoints { chat: balancer.url.clone(), notify: balancer.url.clone() };
    let alice = TestUser::sign_in(&endpoints, "alice").await;
    let bob = TestUser::sign_in(&endpoints, "bob").await;
    let team = alice.chat_id("team").await;
    let stream = bob.listen().await;
    // `say_in` requires a 201 for each message: no error status, no broken connection.
    let (stop, sending) = send_numbered(&alice, team);
    // Other clients open a new connection for each request meanwhile.
    let requesting: Vec<_> = (0..12)
        .map(|_| {
            let (stop, url, token) = (Arc::clone(&stop), balancer.url.clone(), alice.token.clone());
            // A client without a pool: it connects for each request.
            let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
            tokio::spawn(async move {
                let mut requests = 0;
                while !stop.load(Ordering::Relaxed) {
                    let request = client.get(format!("{url}/api/me")).bearer_auth(&token);
                    assert_eq!(request.send().await.expect("a response").status(), 200);
                    requests += 1;
                }
                requests
            })
        })
        .collect();
    let receiving = tokio::spawn(collect_until_marker(stream, move |cursor| {
        let bob = bob.clone();
        async move {
            // Reconnect as a browser does: a node that is shutting down asks the
            // client to reconnect.
            loop {
                sleep_ms(300).await;
                if let Some(stream) = EventStream::try_open(bob.stream_request(Some(&cursor))).await {
                    return stream;
                }
            }
        }
    }));
    for node in &mut nodes {
        sleep_ms(1_000).await;
        let took = node.stop().await;
        assert!(took < Duration::from_secs(10), "{took:?}");
        *node = cluster.start_node_at(node.address).await;
    }
    sleep_ms(1_000).await;
    stop.store(true, Ordering::Relaxed);
    let sent = sending.await.expect("every message got a response");
    for requester in requesting {
        assert!(requester.await.expect("every request got a response") > 50);
    }
    assert_eq!(receiving.await.expect("all received"), numbers(sent));
}

#[tokio::test]
async fn a_node_that_stops_is_not_ready_and_serves_late_requests() {
    let cluster = TestCluster::new().await;
    let mut node = cluster.start_node().await;
    let alice = TestUser::sign_in(&node.endpoints, "alice").await;
    let get = async |path: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", node.endpoints.chat)).bearer_auth(&alice.token);
        request.send().await
    };
    node.signal(Signal::TERM);
    eventually("the node is not ready", async || get("/readyz").await.expect("a response").status() == 503).await;
    let answer = get("/api/me").await.expect("a response");
    assert_eq!((answer.status().as_u16(), answer.headers()["connection"].as_bytes()), (200, b"close".as_slice()));
    timeout(DEADLINE, node.process.wait()).await.expect("exits within the deadline").expect("waited");
}
