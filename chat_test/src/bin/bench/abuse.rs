//! What an uninvolved user feels while one ordinary account, within its rate limits, sends
//! the most expensive requests that it can. Each row stands beside the same run without an
//! attack.

use crate::{environment::Environment, process::Server, report::Report};
use bytes::Bytes;
use fixtures::scale::{self, Scale};
use hdrhistogram::Histogram;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval, sleep},
};

/// The world in which the attacks run.
const WORLD: Scale = Scale { users: 2_000, chats: 1_000, messages: 300_000 };

/// How long each attack runs.
const WINDOW: Duration = Duration::from_secs(8);

/// The uninvolved user sends this many messages per second...
const SENDS_PER_SECOND: u64 = 20;

/// ...and reads their profile this often per second.
const READS_PER_SECOND: u64 = 10;

/// Number of chats that the attacker is in at first; the limit is 1,000.
const ATTACKER_CHATS: i32 = 500;

/// Number of messages in the chat that the attacker deletes.
const DELETED_MESSAGES: i32 = 100_000;

/// How the attacker and the uninvolved user reach the server.
struct Context {
    address: String,
    client: Client,
    /// The attacker's token.
    attacker: String,
    /// The uninvolved user's token and chat.
    uninvolved: String,
    chat: i64,
    /// Messages of the attacker, to edit.
    messages: Vec<i64>,
    /// A large chat that the attacker owns.
    large_chat: i64,
    /// Other users, to create groups with.
    others: Vec<i64>,
}

impl Context {
    /// Sends a request of the attacker. Waits a moment after a rejection by a rate limit, as
    /// an attacker does who wants the most.
    async fn attack(&self, method: Method, path: &str, body: Option<Value>) {
        let request = self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(&self.attacker);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        match request.send().await {
            Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS => {
                sleep(Duration::from_millis(100)).await
            }
            Ok(response) => drop(response.bytes().await),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One request of an attack. Each task of the attack repeats it.
type Attack = fn(Arc<Context>, u64) -> futures_util::future::BoxFuture<'static, ()>;

/// The attacks: what, how many tasks at once, and the request.
const ATTACKS: [(&str, usize, Attack); 9] = [
    ("nothing", 0, |_, _| Box::pin(async {})),
    ("searches for a common word with has=file", 16, |context, _| {
        Box::pin(async move { context.attack(Method::GET, "/api/search?q=w1&has=file&limit=100", None).await })
    }),
    ("edits of 64 KiB of random text", 4, |context, n| {
        Box::pin(async move {
            let text: String = (0..1_700).map(|_| format!("{} ", uuid::Uuid::new_v4())).collect();
            let message = context.messages.get(n as usize % context.messages.len()).copied().unwrap_or(1);
            context.attack(Method::PATCH, &format!("/api/messages/{message}"), Some(json!({ "content": text }))).await;
        })
    }),
    ("renames of a user in 500 chats", 4, |context, n| {
        Box::pin(async move {
            context.attack(Method::PATCH, "/api/me", Some(json!({ "display_name": format!("Name {n}") }))).await;
        })
    }),
    ("groups of 100 members", 4, |context, n| {
        Box::pin(async move {
            let body = json!({ "type": "group", "name": format!("g {n}"), "members": context.others });
            context.attack(Method::POST, "/api/chats", Some(body)).await;
        })
    }),
    ("bootstraps of a user in 500 chats", 16, |context, _| {
        Box::pin(async move { context.attack(Method::GET, "/api/bootstrap", None).await })
    }),
    ("forms whose part header never ends", 16, |context, _| Box::pin(async move { send_endless_form(&context).await })),
    ("pipelined requests whose responses nobody reads", 40, |context, _| {
        Box::pin(async move { send_unread_requests(&context).await })
    }),
    ("the deletion of a chat with 100,000 messages", 1, |context, n| {
        Box::pin(async move {
            match n {
                0 => context.attack(Method::DELETE, &format!("/api/chats/{}", context.large_chat), None).await,
                _ => sleep(Duration::from_millis(100)).await,
            }
        })
    }),
];

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(120).await;
    scale::seed(&env.db, WORLD).await.expect("a seeded database");
    let server = env.limited_chat_server();
    let context = Arc::new(prepare(&env, &server).await);
    // Without an attack first, to fill the caches.
    measure(&context, 0, ATTACKS[0].2).await;
    let mut baseline_p99 = 0.0;
    for (what, tasks, attack) in ATTACKS {
        let memory_before = server.resident_bytes();
        let (latencies, errors) = measure(&context, tasks, attack).await;
        let p99 = latencies.value_at_quantile(0.99) as f64 / 1_000.0;
        report.add_row(
            "abuse",
            &format!("{what}: others, p50"),
            latencies.value_at_quantile(0.5) as f64 / 1_000.0,
            "ms",
        );
        report.add_row("abuse", &format!("{what}: others, p99"), p99, "ms");
        report.add_row("abuse", &format!("{what}: failed requests of others"), errors as f64, "");
        report.add_row(
            "abuse",
            &format!("{what}: memory growth"),
            (server.resident_bytes() - memory_before) / f64::from(1 << 20),
            "MiB",
        );
        if tasks == 0 {
            baseline_p99 = p99;
        } else {
            report.add_row("abuse", &format!("{what}: others, p99 / without an attack"), p99 / baseline_p99, "×");
        }
    }
}

async fn prepare(env: &Environment, server: &Server) -> Context {
    let [attacker, uninvolved] = [0, 1].map(|n| *env.users.get(n).expect("two users"));
    let others = env.users.get(2..101).expect("enough users").to_vec();
    sqlx::query(
        "with made as (insert into chats (type, name) select 'group', 'g' || n from generate_series(1, $2) n returning id)
         insert into chat_members (chat_id, user_id) select id, $1 from made",
    )
    .bind(attacker)
    .bind(ATTACKER_CHATS)
    .execute(&env.db)
    .await
    .expect("chats");
    let chat = env.create_chat_with_first(2).await;
    let messages: Vec<i64> = sqlx::query_scalar(
        "insert into messages (chat_id, sender_id, content) select $1, $2, 'text' from generate_series(1, 64) returning id",
    )
    .bind(chat)
    .bind(attacker)
    .fetch_all(&env.db)
    .await
    .expect("messages");
    let large_chat = env.create_chat_with_first(1).await;
    sqlx::query("update chat_members set role = 'owner' where chat_id = $1")
        .bind(large_chat)
        .execute(&env.db)
        .await
        .expect("an owner");
    for _ in 0..10 {
        env.insert_messages_in(large_chat, "a message of a usual length, as people write it", DELETED_MESSAGES / 10)
            .await;
    }
    let own_chat: i64 = sqlx::query_scalar(
        "with chat as (insert into chats (type, name) values ('group', 'quiet') returning id),
         member as (insert into chat_members (chat_id, user_id) select id, $1 from chat)
         select id from chat",
    )
    .bind(uninvolved)
    .fetch_one(&env.db)
    .await
    .expect("a chat");
    Context {
        address: server.address.clone(),
        client: Client::builder().pool_max_idle_per_host(64).build().expect("a client"),
        attacker: env.token(attacker),
        uninvolved: env.token(uninvolved),
        chat: own_chat,
        messages,
        large_chat,
        others,
    }
}

/// Runs an attack, and returns the latencies of the uninvolved user in microseconds and the
/// number of their requests that failed.
async fn measure(context: &Arc<Context>, tasks: usize, attack: Attack) -> (Histogram<u64>, usize) {
    let mut attackers = JoinSet::new();
    for task in 0..tasks {
        let context = Arc::clone(context);
        attackers.spawn(async move {
            for n in (task as u64..).step_by(tasks.max(1)) {
                attack(Arc::clone(&context), n).await;
            }
        });
    }
    let (mut latencies, mut failed) = (Histogram::new(3).expect("a histogram"), 0);
    let mut requests = JoinSet::new();
    let begun = Instant::now();
    let mut sends = interval(Duration::from_millis(1_000 / SENDS_PER_SECOND));
    let mut reads = interval(Duration::from_millis(1_000 / READS_PER_SECOND));
    while begun.elapsed() < WINDOW {
        let request = tokio::select! {
            _ = sends.tick() => {
                let url = format!("http://{}/api/chats/{}/messages", context.address, context.chat);
                context.client.post(url).json(&json!({ "content": "an ordinary message" }))
            }
            _ = reads.tick() => context.client.get(format!("http://{}/api/me", context.address)),
        };
        let request = request.bearer_auth(&context.uninvolved);
        requests.spawn(async move {
            let begun = Instant::now();
            let is_ok = request.send().await.is_ok_and(|response| response.status().is_success());
            (begun.elapsed(), is_ok)
        });
    }
    while let Some(outcome) = requests.join_next().await {
        let (latency, is_ok) = outcome.expect("no panic");
        latencies.record(latency.as_micros() as u64).expect("recorded");
        failed += usize::from(!is_ok);
    }
    attackers.shutdown().await;
    (latencies, failed)
}

/// Sends 40 MB of a part header.
async fn send_endless_form(context: &Context) {
    const HEAD: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nX-Long: ";
    static FILLER: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    let chunks = (0..640).map(|n| Ok::<_, std::io::Error>(Bytes::from_static(if n == 0 { HEAD } else { &FILLER })));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = context.client.post(format!("http://{}/api/upload", context.address)).bearer_auth(&context.attacker);
    let _ = request.header("content-type", "multipart/form-data; boundary=b").body(body).send().await;
    sleep(Duration::from_millis(50)).await;
}

async fn send_unread_requests(context: &Context) {
    let Ok(mut stream) = TcpStream::connect(&context.address).await else { return };
    let request = "GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let _ = stream.write_all(request.repeat(40).as_bytes()).await;
    sleep(WINDOW).await;
}
