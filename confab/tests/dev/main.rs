//! `confab dev` as a user runs it: as a process with a data directory and signals.

mod accounts;
mod database;
mod process;

use chat_test::{EventStream, Signal, Socket, TestUser};
use process::{
    Dev, create_readable_folder, dev_command, dev_command_at, expect_failure, postgres_processes,
    wait_until_no_postgres,
};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::process::Command;

#[tokio::test]
async fn a_killed_confab_leaves_no_process_and_loses_no_message() {
    let folder = create_readable_folder();
    let mut first = Dev::start(folder.path()).await;
    assert!(first.output.iter().any(|line| line == "seeded the demo data"));
    let alice = TestUser::sign_in(&first.endpoints, "alice").await;
    let bob = TestUser::sign_in(&first.endpoints, "bob").await;
    let mut bob_stream = bob.listen().await;
    for n in 0..20 {
        alice.say("team", &n.to_string()).await;
    }
    bob_stream.next().await;
    let cursor = bob_stream.cursor().to_owned();
    first.stop_with(Signal::KILL).await;
    wait_until_no_postgres(folder.path()).await;

    let mut second = Dev::start(folder.path()).await;
    assert!(!second.output.iter().any(|line| line == "seeded the demo data"), "the demo data is seeded once");
    // The key, the history and the log are kept, so the token and the cursor stay valid.
    let missed = bob.at(&second.endpoints).resume(&cursor).await.read_replay().await;
    let received: Vec<&str> = missed.iter().map(|event| event.text()).collect();
    assert_eq!(received, (1..20).map(|n| n.to_string()).collect::<Vec<_>>());
    second.stop_with(Signal::INT).await;
    wait_until_no_postgres(folder.path()).await;
}

/// Copies a directory with owners and modes, as a backup does.
async fn copy_directory(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().await.expect("cp runs");
    assert!(status.success());
}

#[tokio::test]
async fn an_older_copy_of_the_data_resets_the_cursors_of_what_it_lost() {
    let folder = create_readable_folder();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let mut confab = Dev::start(&data).await;
    let alice = TestUser::sign_in(&confab.endpoints, "alice").await;
    let bob = TestUser::sign_in(&confab.endpoints, "bob").await;
    let kept = bob.listen().await.cursor().to_owned();
    confab.stop_with(Signal::INT).await;
    copy_directory(&data, &copy).await;

    let mut confab = Dev::start(&data).await;
    let (alice, bob) = (alice.at(&confab.endpoints), bob.at(&confab.endpoints));
    let mut stream = bob.listen().await;
    for n in 0..3 {
        alice.say("team", &format!("lost {n}")).await;
    }
    stream.read_until("lost 2").await;
    let lost = stream.cursor().to_owned();
    confab.stop_with(Signal::INT).await;
    fs::rename(&data, folder.path().join("newer")).expect("moved away");
    fs::rename(&copy, &data).expect("put back");

    let mut confab = Dev::start(&data).await;
    let (alice, bob) = (alice.at(&confab.endpoints), bob.at(&confab.endpoints));
    for n in 0..9 {
        alice.say("team", &format!("after {n}")).await;
    }
    let mut stream = bob.resume(&lost).await;
    assert_eq!(stream.next().await.data["reason"], "epoch");
    bob.get(&format!("/api/events?after={lost}")).await.expect_problem(410);
    let replay = bob.resume(&kept).await.read_replay().await;
    let received: Vec<&str> = replay.iter().map(|event| event.text()).collect();
    assert_eq!(received, (0..9).map(|n| format!("after {n}")).collect::<Vec<_>>());
    confab.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn an_interrupt_stops_it_in_order_with_streams_open() {
    let folder = create_readable_folder();
    let mut dev = Dev::start(folder.path()).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let mut streams: Vec<EventStream> = Vec::new();
    for _ in 0..10 {
        streams.push(alice.listen().await);
    }
    let started_at = Instant::now();
    dev.stop_with(Signal::INT).await;
    assert!(started_at.elapsed().as_secs() < 10, "took {:?}", started_at.elapsed());
    assert!(dev.process.try_wait().expect("ended").is_some_and(|status| status.success()));
    for stream in &mut streams {
        assert_eq!(stream.try_next().await, None);
    }
    assert!(postgres_processes(folder.path()).is_empty(), "confab waits for its Postgres to stop");
    let line = dev.lines.next_line().await.expect("text");
    assert!(line.is_some(), "the sign-in line was printed");
    let log = folder.path().join("postgres/postgres.log");
    assert!(fs::read_to_string(log).is_ok_and(|log| log.contains("database system is shut down")));
}

#[tokio::test]
async fn the_key_is_for_its_owner_only_and_is_kept() {
    let folder = create_readable_folder();
    let private = folder.path().join("keys/jwt_private.pem");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut dev = Dev::start(folder.path()).await;
        keys.push(fs::read(&private).expect("a key"));
        assert_eq!(fs::metadata(&private).expect("a key").permissions().mode() & 0o777, 0o600);
        dev.stop_with(Signal::TERM).await;
    }
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_second_one_on_the_same_folder_says_who_holds_it() {
    let folder = create_readable_folder();
    let mut first = Dev::start(folder.path()).await;
    let message = expect_failure(dev_command(folder.path())).await;
    assert!(message.contains(&format!("process {}", first.pid())) && message.contains("in use"), "{message}");
    first.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let folder = create_readable_folder();
    let cluster = folder.path().join("postgres/data");
    fs::create_dir_all(&cluster).expect("a directory");
    fs::write(cluster.join("PG_VERSION"), "9\n").expect("written");
    let message = expect_failure(dev_command(folder.path())).await;
    assert!(message.contains("written by Postgres 9"), "{message}");
    assert_eq!(fs::read_dir(&cluster).expect("the directory").count(), 1);
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let folder = create_readable_folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let message = expect_failure(dev_command_at(folder.path(), &address)).await;
    assert!(message.contains("--bind"), "{message}");
}

/// The data directory is in root's home, which the user that runs Postgres cannot access.
#[tokio::test]
async fn a_folder_that_postgres_cannot_reach_works_too() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("permissions set");
    let mut dev = Dev::start(&folder.path().join("data")).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    alice.say("team", "hello").await;
    let moved = dev
        .output
        .iter()
        .find_map(|line| line.split_once("the database is kept in "))
        .map(|(_, path)| PathBuf::from(path));
    dev.stop_with(Signal::INT).await;
    // Only root runs Postgres as another user, and so moves the database.
    if let Some(moved) = moved {
        assert!(moved.join("data/PG_VERSION").exists());
        fs::remove_dir_all(moved).expect("removed");
    }
}

#[tokio::test]
async fn a_copy_by_another_user_and_a_path_that_is_not_text_work() {
    let folder = create_readable_folder();
    let original = folder.path().join("original");
    let mut dev = Dev::start(&original).await;
    TestUser::sign_in(&dev.endpoints, "alice").await.say("team", "copied").await;
    dev.stop_with(Signal::INT).await;
    let copy = folder.path().join(OsStr::from_bytes(b"copy-\xff"));
    let copied = Command::new("cp").arg("-r").args([&original, &copy]).status().await.expect("run");
    assert!(copied.success());
    let mut dev = Dev::start(&copy).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let found = alice.get("/api/search?q=copied").await.expect(200).json();
    assert_eq!(found["items"][0]["content"], "copied");
    // Longer than the pause between two checks that Postgres runs.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    alice.say("team", "still the same Postgres").await;
    let log = fs::read_to_string(copy.join("postgres/postgres.log")).expect("the log");
    assert!(!log.contains("WARNING") && !log.contains("checkpoint"), "{log}");
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn nothing_is_written_while_the_disk_is_almost_full() {
    let folder = create_readable_folder();
    let mut command = dev_command(folder.path());
    command.args(["--min-free-bytes", &u64::MAX.to_string()]);
    let mut dev = Dev::run(command).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let team = alice.chat_id("team").await;
    let path = format!("/api/chats/{team}/messages");
    chat_test::eventually("the free space was read", async || {
        alice.post(&path, serde_json::json!({ "content": "hello" })).await.status == 507
    })
    .await;
    let bearer = format!("Bearer {}", alice.token);
    let mut socket = Socket::open(&dev.endpoints.notify, "", &[("authorization", &bearer)]).await.expect("a socket");
    for command in [
        serde_json::json!({ "type": "message.send", "chat_id": team, "content": "hello" }),
        serde_json::json!({ "type": "chat.create", "name": "new" }),
        serde_json::json!({ "type": "presence.update", "status": "busy" }),
    ] {
        assert_eq!(socket.send_command(command).await["code"], "insufficient_storage");
    }
    let problem = alice.patch("/api/me", serde_json::json!({ "bio": "x" })).await.expect_problem(507);
    assert_eq!(problem["code"], "insufficient_storage");
    let history = alice.get(&path).await.expect(200).json();
    let own = history["items"].as_array().expect("items").iter().find(|message| message["sender_id"] == alice.id);
    alice.delete(&format!("/api/messages/{}", own.expect("a message of alice")["id"])).await.expect(204);
    TestUser::sign_in(&dev.endpoints, "alice").await;
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn a_public_https_url_protects_its_users() {
    let folder = create_readable_folder();
    let mut command = dev_command(folder.path());
    command.args(["--public-url", "https://chat.example", "--public-demo"]);
    let mut dev = Dev::run(command).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", dev.endpoints.chat);
    let body = serde_json::json!({ "email": "alice@example.com", "password": "confab-demo" });
    let signed_in = client.post(url("/api/signin")).header("host", "chat.example").json(&body).send().await;
    let signed_in = signed_in.expect("a response");
    let cookie = signed_in.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.starts_with("__Secure-confab_stream=") && cookie.contains("; Secure"), "{cookie}");
    assert!(signed_in.headers()["strict-transport-security"].to_str().expect("text").starts_with("max-age="));
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let open = async |cookie: &str| {
        let request = client.get(url("/events")).header("host", "chat.example").header("cookie", cookie);
        request.header("origin", "https://chat.example").send().await.expect("a response").status().as_u16()
    };
    assert_eq!(open(&cookie).await, 200);
    assert_eq!(open(&cookie.replace("__Secure-", "")).await, 401);
    let rebound = client.post(url("/api/signin")).header("host", "evil.example").json(&body).send().await;
    assert_eq!(rebound.expect("a response").status(), 421);
    let probe = client.get(url("/readyz")).header("host", "10.0.0.1").send().await.expect("a response");
    assert_eq!(probe.status(), 200, "a load balancer calls by address");
    let document: serde_json::Value =
        client.get(url("/api/openapi.json")).send().await.expect("a response").json().await.expect("json");
    assert_eq!(document["servers"][0]["url"], "https://chat.example");
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn a_frontend_in_web_dir_is_served_with_a_strict_policy() {
    let (folder, web) = (create_readable_folder(), create_readable_folder());
    fs::create_dir(web.path().join("assets")).expect("a directory");
    for (name, text) in [("index.html", "<title>Mine</title>"), ("assets/app-1a2b.js", "talk()")] {
        fs::write(web.path().join(name), text).expect("written");
    }
    let mut command = dev_command(folder.path());
    command.arg("--web-dir").arg(web.path());
    let mut dev = Dev::run(command).await;
    let client = reqwest::Client::new();
    let get = async |path: &str, accept: &str| {
        let url = format!("{}{path}", dev.endpoints.chat);
        let reply = client.get(url).header("accept", accept).send().await.expect("a response");
        let header = |name: &str| reply.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        let (status, policy, cache) =
            (reply.status().as_u16(), header("content-security-policy"), header("cache-control"));
        (status, policy, cache, reply.text().await.expect("text"))
    };
    // Every path of the frontend returns the page, which browsers revalidate.
    for path in ["/", "/chats/1", "/invite/abc", "/debug"] {
        let (status, policy, cache, text) = get(path, "text/html").await;
        assert_eq!((status, cache.as_str(), text.as_str()), (200, "no-cache", "<title>Mine</title>"), "{path}");
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    }
    // Programs that preview links accept anything.
    assert_eq!(get("/invite/abc", "*/*").await.0, 200);
    // A file with its hash in its name never changes.
    let (status, _, cache, text) = get("/assets/app-1a2b.js", "*/*").await;
    assert_eq!((status, text.as_str()), (200, "talk()"));
    assert!(cache.contains("immutable"));
    // An unknown path is 404 for requests that do not accept HTML, and under the servers' paths.
    for (path, accept) in [
        ("/assets/gone.js", "*/*"),
        ("/debug", "*/*"),
        ("/api/gone", "text/html"),
        ("/events/gone", "text/html"),
        ("/ws/gone", "text/html"),
    ] {
        assert_eq!(get(path, accept).await.0, 404, "{path}");
    }
    for path in ["/..%2f..%2fetc%2fpasswd", "//etc/passwd"] {
        assert!(!get(path, "*/*").await.3.contains("root:"), "{path}");
    }
    let posted = client.post(format!("{}/chats/1", dev.endpoints.chat)).send().await.expect("a response");
    assert_eq!(posted.status(), 405);
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn without_a_frontend_the_page_says_how_to_get_one() {
    let (folder, empty) = (create_readable_folder(), create_readable_folder());
    let mut command = dev_command(folder.path());
    command.env("CHAT_WEB_DIR", empty.path());
    let mut dev = Dev::run(command).await;
    let page = reqwest::get(&dev.endpoints.chat).await.expect("a response");
    assert_eq!(page.status(), 200);
    assert!(page.text().await.expect("text").contains("Node 20.19"));
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn the_doctor_says_what_is_here_and_what_is_not() {
    let folder = create_readable_folder();
    let doctor = |bin: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
        command.args(["doctor", "--bind", "127.0.0.1:0", "--data"]).arg(folder.path()).env_remove("DATABASE_URL");
        bin.map(|bin| command.env("CONFAB_PG_BIN", bin));
        command.output()
    };
    let healthy = doctor(None).await.expect("run");
    assert!(healthy.status.success() && String::from_utf8_lossy(&healthy.stdout).contains("Postgres"));
    let unhealthy = doctor(Some("/nonexistent")).await.expect("run");
    assert!(
        !unhealthy.status.success()
            && String::from_utf8_lossy(&unhealthy.stdout).contains("apt-get install postgresql")
    );
}

#[tokio::test]
async fn a_postgres_that_ends_by_itself_is_started_again() {
    let folder = create_readable_folder();
    let mut dev = Dev::start(folder.path()).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let mut stream = alice.listen().await;
    let pid = fs::read_to_string(folder.path().join("postgres/data/postmaster.pid")).expect("running");
    chat_test::signal(pid.lines().next().and_then(|pid| pid.parse().ok()).expect("a pid"), Signal::KILL);
    let body = serde_json::json!({ "content": "back again", "nonce": "n" });
    let team = format!("/api/chats/{}/messages", 3);
    chat_test::eventually("sending works again", || async {
        matches!(alice.post(&team, body.clone()).await.status.as_u16(), 200 | 201)
    })
    .await;
    assert_eq!(stream.next().await.text(), "back again");
    dev.stop_with(Signal::INT).await;
    wait_until_no_postgres(folder.path()).await;
}
