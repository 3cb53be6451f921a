//! The message writer compared with a model, with a full queue, and with a paused
//! database.

use chat_core::{
    Error, MessageId,
    messages::{NewMessage, SendOutcome, Writer},
    metrics,
};
use chat_test::{Signal, TestApp, TestDatabase, create_demo_database, process_tree, signal};
use embedded_postgres::{Binaries, Cluster, ClusterLocation};
use futures_util::{FutureExt, future::join_all};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};
use tokio::task::JoinSet;

/// The outcome of a send, as returned to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Written,
    /// The message already exists: the send with this number wrote it.
    DuplicateOf(usize),
    NotFound,
    Invalid(String),
}

/// A model of the writer: its rules in their simplest form.
#[derive(Default)]
struct Model {
    members: HashSet<(i64, i64)>,
    messages_of: HashMap<i64, Vec<MessageId>>,
    files_of: HashMap<i64, Vec<i64>>,
    nonces: HashMap<(i64, i64, String), usize>,
}

impl Model {
    fn send(&mut self, nth: usize, new: &NewMessage) -> Outcome {
        let (chat, sender) = (new.chat_id.get(), new.sender_id.get());
        if !self.members.contains(&(chat, sender)) {
            return Outcome::NotFound;
        }
        if new.reply_to.is_some_and(|id| !self.messages_of.get(&chat).is_some_and(|known| known.contains(&id))) {
            return Outcome::Invalid("reply_to".into());
        }
        let own = self.files_of.get(&sender);
        if new.files.iter().any(|file| !own.is_some_and(|own| own.contains(&file.get()))) {
            return Outcome::Invalid("files".into());
        }
        let Some(nonce) = &new.nonce else { return Outcome::Written };
        match self.nonces.entry((sender, chat, nonce.as_str().to_owned())) {
            Entry::Occupied(first) => Outcome::DuplicateOf(*first.get()),
            Entry::Vacant(place) => {
                place.insert(nth);
                Outcome::Written
            }
        }
    }
}

fn id<T: TryFrom<i64, Error: std::fmt::Debug>>(number: i64) -> T {
    number.try_into().expect("an id")
}

fn message(chat: i64, sender: i64, text: &str) -> NewMessage {
    NewMessage {
        chat_id: id(chat),
        sender_id: id(sender),
        content: text.to_owned().try_into().expect("text"),
        files: Vec::new(),
        reply_to: None,
        nonce: None,
        has_mentions: true,
        extra: None,
    }
}

/// Sends that are batched in any mixture have the outcomes of sends one by one.
#[tokio::test]
async fn mixed_batches_have_the_outcomes_of_the_model() {
    let app = TestApp::start().await;
    let users = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let mut model = Model::default();
    let members: Vec<(i64, i64)> =
        sqlx::query_as("select chat_id, user_id from chat_members").fetch_all(&app.db).await.expect("members");
    model.members.extend(&members);
    let mut chats: Vec<i64> = members.iter().map(|member| member.0).collect();
    chats.sort_unstable();
    chats.dedup();
    let known: Vec<(i64, i64)> =
        sqlx::query_as("select chat_id, id from messages").fetch_all(&app.db).await.expect("messages");
    for (chat, message) in &known {
        model.messages_of.entry(*chat).or_default().push(id(*message));
    }
    let files: Vec<(i64, i64)> = sqlx::query_as(
        "insert into files (uploader_id, blob_key, filename, mime_type, size)
         select u, 'key ' || u || n, 'a.txt', 'text/plain', 1
         from unnest($1::bigint[]) u, generate_series(1, 3) n returning uploader_id, id",
    )
    .bind(users.iter().map(|user| user.id).collect::<Vec<_>>())
    .fetch_all(&app.db)
    .await
    .expect("files");
    for (uploader, file) in &files {
        model.files_of.entry(*uploader).or_default().push(*file);
    }

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let writer = Writer::start(app.database.pool(2));
    let mut ids: HashMap<usize, MessageId> = HashMap::new();
    let mut nth = 0;
    for _ in 0..40 {
        let size = random.random_range(1..80);
        let batch: Vec<NewMessage> = (0..size)
            .map(|_| {
                let pick = |random: &mut SmallRng, from: &[i64]| from[random.random_range(0..from.len())];
                let sender = users[random.random_range(0..users.len())].id;
                let mut new = message(pick(&mut random, &chats), sender, "a line");
                if random.random_bool(0.3) {
                    let nonce = random.random_range(0..20u32).to_string();
                    new.nonce = Some(nonce.try_into().expect("a nonce"));
                }
                if random.random_bool(0.3) {
                    new.reply_to = Some(id(known[random.random_range(0..known.len())].1));
                }
                if random.random_bool(0.3) {
                    let count = random.random_range(1..3);
                    new.files = (0..count).map(|_| id(files[random.random_range(0..files.len())].1)).collect();
                }
                new
            })
            .collect();
        let expected: Vec<Outcome> = batch.iter().zip(nth..).map(|(new, nth)| model.send(nth, new)).collect();
        let mut sends: Vec<_> = batch.iter().map(|new| Box::pin(writer.send(new.clone()))).collect();
        for send in &mut sends {
            assert!(send.now_or_never().is_none(), "polled in this order, hence queued in this order");
        }
        let results = join_all(sends).await;
        for ((new, expected), result) in batch.iter().zip(expected).zip(results) {
            let outcome = match result {
                Ok(SendOutcome { message, is_new: true }) => {
                    assert_eq!(message.files.len(), new.files.len(), "seed {seed}");
                    ids.insert(nth, message.id);
                    Outcome::Written
                }
                Ok(SendOutcome { message, is_new: false }) => {
                    let first = ids.iter().find(|(_, id)| **id == message.id).expect("a message we sent");
                    Outcome::DuplicateOf(*first.0)
                }
                Err(Error::NotFound(_)) => Outcome::NotFound,
                Err(Error::Invalid(errors)) => Outcome::Invalid(errors[0].field.clone()),
                Err(other) => panic!("seed {seed}: {other:?}"),
            };
            assert_eq!(outcome, expected, "seed {seed}, send {nth}: {new:?}");
            nth += 1;
        }
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from messages where content = 'a line'")
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(usize::try_from(stored).expect("a number"), ids.len());
    let order: Vec<MessageId> = (0..nth).filter_map(|nth| ids.get(&nth).copied()).collect();
    assert!(order.is_sorted(), "messages are written in the order of their sends");
}

/// Returns the value of one metric of a registry.
fn read(registry: &prometheus_client::registry::Registry, name: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_default().parse().unwrap_or_else(|_| panic!("{name} in {text}"))
}

/// A hundred thousand sends while Postgres is paused for five seconds. A limited number
/// of sends wait, the rest are rejected as retryable, and no stored message is lost.
#[tokio::test]
async fn sends_while_postgres_is_paused_are_bounded_and_not_lost() {
    const SENDS: usize = 100_000;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open");
    let binaries = Binaries::find().expect("Postgres");
    let home = ClusterLocation::for_data_dir(folder.path()).expect("a home");
    let cluster = Cluster::start_durable(&binaries, &home).await.expect("started");
    create_demo_database(&cluster, "confab").await;
    let database = TestDatabase { url: cluster.url("confab") };
    let db = database.pool(2);
    let (chat, sender): (i64, i64) =
        sqlx::query_as("select chat_id, user_id from chat_members order by 1, 2").fetch_one(&db).await.expect("one");
    let writer = Writer::start(database.pool(2));
    let mut registry = metrics::new_registry();
    writer.register(&mut registry);
    writer.send(message(chat, sender, "warm")).await.expect("sent");

    let pid = std::fs::read_to_string(folder.path().join("postgres/data/postmaster.pid")).expect("running");
    let processes = process_tree(pid.lines().next().and_then(|pid| pid.parse().ok()).expect("a pid"));
    processes.iter().for_each(|pid| signal(*pid, Signal::STOP));
    let mut sends = JoinSet::new();
    for n in 0..SENDS {
        let (writer, mut new) = (writer.clone(), message(chat, sender, "in the crowd"));
        new.nonce = Some(n.to_string().try_into().expect("a nonce"));
        sends.spawn(async move { (n, writer.send(new).await) });
    }
    let (mut acknowledged, mut rejected) = (Vec::new(), 0);
    let mut sort = |(n, outcome): (usize, Result<SendOutcome, Error>)| match outcome {
        Ok(sent) => acknowledged.push((n, sent.message.id.get())),
        Err(Error::Unavailable(_)) => rejected += 1,
        Err(other) => panic!("{other:?}"),
    };
    let pause = tokio::time::sleep(Duration::from_secs(5));
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => break,
            Some(outcome) = sends.join_next() => sort(outcome.expect("a send")),
        }
    }
    let (waiting, queued) = (sends.len() as u64, read(&registry, "confab_writer_queue_messages"));
    assert!(
        (1..=256).contains(&(waiting - queued)),
        "{waiting} wait, {queued} of them in the queue, the rest in a batch"
    );
    assert!((1..=8_192).contains(&queued), "{queued}");
    assert!(read(&registry, "confab_writer_queue_bytes") <= 32 << 20);
    processes.iter().for_each(|pid| signal(*pid, Signal::CONT));
    while let Some(outcome) = sends.join_next().await {
        sort(outcome.expect("a send"));
    }
    assert_eq!(acknowledged.len() + rejected, SENDS);
    assert_eq!(read(&registry, "confab_writer_rejected_total"), rejected as u64, "rejected only at the queue");
    let stored: Vec<(String, i64)> =
        sqlx::query_as("select nonce, id from messages where content = 'in the crowd' order by id")
            .fetch_all(&db)
            .await
            .expect("what is stored");
    let mut stored: Vec<(usize, i64)> = stored.iter().map(|(nonce, id)| (nonce.parse().expect("ours"), *id)).collect();
    stored.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(stored, acknowledged);
    cluster.stop();
}
