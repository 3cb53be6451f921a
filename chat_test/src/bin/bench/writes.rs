//! Each kind of change to a message by concurrent REST clients. Each client makes its
//! next change when the previous one is stored.

use crate::{environment::Environment, process::Server, report::Report};
use chat_core::messages::MAX_PINS;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

const WINDOW: Duration = Duration::from_secs(2);

/// Maximum number of clients.
const CLIENTS: usize = 64;

/// Number of messages over which a read marker is moved.
const READABLE_MESSAGES: i32 = 2_000;

/// The method, the path and the body of the n-th change of a client.
type Change = fn(n: i64, target: &Target) -> (&'static str, String, String);

/// The messages that one client changes.
#[derive(Clone)]
struct Target {
    chat: i64,
    /// A message that the client sent.
    message: i64,
    /// A message of the group, to pin.
    pinnable: i64,
    /// The first of many messages, to mark as read.
    first_readable: i64,
}

const KINDS: [(&str, Change); 5] = [
    ("send", |_, target| ("POST", format!("/api/chats/{}/messages", target.chat), r#"{"content":"hello"}"#.into())),
    ("edit", |n, target| {
        ("PATCH", format!("/api/messages/{}", target.message), format!(r#"{{"content":"text {n}"}}"#))
    }),
    ("react and unreact", |n, target| {
        let method = if n % 2 == 0 { "PUT" } else { "DELETE" };
        (method, format!("/api/messages/{}/reactions/%F0%9F%91%8D", target.message), String::new())
    }),
    ("pin and unpin", |n, target| {
        let method = if n % 2 == 0 { "PUT" } else { "DELETE" };
        (method, format!("/api/messages/{}/pin", target.pinnable), String::new())
    }),
    ("mark as read", |n, target| {
        let message = target.first_readable + n.min(i64::from(READABLE_MESSAGES) - 1);
        ("PUT", format!("/api/chats/{}/read", target.chat), format!(r#"{{"message_id":{message}}}"#))
    }),
];

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(CLIENTS as i32).await;
    let server = env.chat_server();
    for clients in [1, 8, CLIENTS] {
        for (name, change) in KINDS {
            // Use a new chat each time, in which no message is read or pinned.
            let targets = create_targets(&env, clients).await;
            let rate = measure(&env, &server, &targets, change).await;
            report.add_row("writes", &format!("{name}, {clients} clients"), rate, "/s");
        }
    }
}

/// Creates a group with one message per client. Clients share messages if there are
/// more clients than pins allowed in a chat.
async fn create_targets(env: &Environment, clients: usize) -> Vec<Target> {
    let users = env.users.get(..clients).expect("enough users");
    let chat: i64 = sqlx::query_scalar("insert into chats (type, name) values ('group', 'writes') returning id")
        .fetch_one(&env.db)
        .await
        .expect("a chat");
    sqlx::query("insert into chat_members (chat_id, user_id) select $1, unnest($2::bigint[])")
        .bind(chat)
        .bind(users)
        .execute(&env.db)
        .await
        .expect("members");
    let messages: Vec<i64> = sqlx::query_scalar(
        "insert into messages (chat_id, sender_id, content) select $1, unnest($2::bigint[]), 'hello' returning id",
    )
    .bind(chat)
    .bind(users)
    .fetch_all(&env.db)
    .await
    .expect("messages");
    let first_readable = messages.iter().max().expect("a message") + 1;
    env.insert_messages_in(chat, "hello", READABLE_MESSAGES).await;
    let own = messages.iter().copied().enumerate();
    own.map(|(n, message)| Target {
        chat,
        message,
        pinnable: messages.get(n % MAX_PINS as usize).copied().expect("a message"),
        first_readable,
    })
    .collect()
}

/// Returns the changes per second of all clients together.
async fn measure(env: &Environment, server: &Server, targets: &[Target], change: Change) -> f64 {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for (user, target) in env.users.iter().zip(targets) {
        let (address, token, target) = (server.address.clone(), env.token(*user), target.clone());
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.set_nodelay(true).expect("a socket");
            let mut answer = vec![0u8; 8192];
            let (begun, mut count) = (Instant::now(), 0);
            while begun.elapsed() < WINDOW {
                let (method, path, body) = change(count, &target);
                let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{kind}\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(request.as_bytes()).await.expect("sent");
                let n = stream.read(&mut answer).await.expect("answered");
                let head = answer.get(..n).unwrap_or_default();
                assert!(head.starts_with(b"HTTP/1.1 20"), "{request}: {}", String::from_utf8_lossy(head));
                count += 1;
            }
            count
        });
    }
    let mut count = 0;
    while let Some(one) = tasks.join_next().await {
        count += one.expect("changed");
    }
    count as f64 / begun.elapsed().as_secs_f64()
}
