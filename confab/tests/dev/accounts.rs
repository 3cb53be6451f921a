//! Who can have an account: the sign-up policies, and the commands for accounts.

use crate::process::{Dev, create_readable_folder, dev_command};
use chat_test::{ApiResponse, DEADLINE, Signal, TestDatabase, TestUser, eventually};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

#[tokio::test]
async fn the_operator_decides_who_can_sign_up() {
    let folder = create_readable_folder();
    let client = reqwest::Client::new();
    let sign_up = async |dev: &Dev, name: &str, domain: &str, invite: Option<&str>| {
        let body = json!({
            "username": name, "email": format!("{name}@{domain}"), "password": "long unlikely words", "invite": invite,
        });
        let reply = client.post(format!("{}/api/signup", dev.endpoints.chat)).json(&body).send().await;
        ApiResponse::read(reply.expect("a response")).await
    };
    let start = async |policy: &str| {
        let mut command = dev_command(folder.path());
        command.args(["--sign-up", policy]);
        Dev::run(command).await
    };
    let mut dev = start("example.org").await;
    assert_eq!(
        sign_up(&dev, "erin", "example.com", None).await.expect_problem(422)["errors"][0]["code"],
        "domain_not_allowed"
    );
    sign_up(&dev, "erin", "Example.ORG", None).await.expect(201);
    dev.stop_with(Signal::INT).await;

    let mut dev = start("invite").await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let team = alice.chat_id("team").await;
    let invite = alice.post(&format!("/api/chats/{team}/invites"), json!({ "max_uses": 1 })).await;
    let invite = invite.expect(201).json()["code"].as_str().expect("a code").to_owned();
    assert_eq!(sign_up(&dev, "frank", "example.com", None).await.expect_problem(422)["errors"][0]["code"], "missing");
    assert_eq!(
        sign_up(&dev, "frank", "example.com", Some("not-an-invite")).await.expect_problem(422)["errors"][0]["code"],
        "not_active"
    );
    let frank = sign_up(&dev, "frank", "example.com", Some(&invite)).await.expect(201).json();
    let members = alice.get(&format!("/api/chats/{team}/members")).await.expect(200).json();
    assert!(members["items"].as_array().expect("members").iter().any(|member| member["id"] == frank["user"]["id"]));
    sign_up(&dev, "grace", "example.com", Some(&invite)).await.expect_problem(422);
    dev.stop_with(Signal::INT).await;

    let mut dev = start("closed").await;
    sign_up(&dev, "heidi", "example.com", None).await.expect_problem(403);
    let config = client.get(format!("{}/api/config", dev.endpoints.chat)).send().await.expect("a response");
    let config: Value = config.json().await.expect("json");
    assert_eq!(config["sign_up"]["policy"], "closed");
    dev.stop_with(Signal::INT).await;
}

async fn sign_in(dev: &Dev, email: &str, password: &str) -> ApiResponse {
    let body = json!({ "email": email, "password": password });
    let request = reqwest::Client::new().post(format!("{}/api/signin", dev.endpoints.chat)).json(&body);
    ApiResponse::read(request.send().await.expect("a response")).await
}

async fn get(dev: &Dev, token: &str, path: &str) -> ApiResponse {
    let request = reqwest::Client::new().get(format!("{}{path}", dev.endpoints.chat)).bearer_auth(token);
    ApiResponse::read(request.send().await.expect("a response")).await
}

/// Runs a command of `confab` for an account, and returns its output.
async fn run(database: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
    command.args(arguments).env("DATABASE_URL", database);
    let output = timeout(DEADLINE, command.output()).await.expect("exits by itself").expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn the_first_account_approves_the_others() {
    let folder = create_readable_folder();
    let mut command = dev_command(folder.path());
    command.args(["--sign-up", "approval", "--seed", "none"]);
    let mut dev = Dev::run(command).await;
    let client = reqwest::Client::new();
    let sign_up = async |name: &str| {
        let body =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "long unlikely words" });
        let request = client.post(format!("{}/api/signup", dev.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("a response")).await
    };
    let first = sign_up("first").await.expect(201).json();
    assert_eq!(first["user"]["is_operator"], true);
    let token = first["token"].as_str().expect("a token");
    assert_eq!(sign_up("second").await.expect(202).json(), json!({ "waits_for": "approval" }));
    sign_up("third").await.expect(202);
    let refused = sign_in(&dev, "second@example.org", "long unlikely words").await;
    assert_eq!(refused.expect_problem(403)["code"], "account_pending");
    sign_in(&dev, "second@example.org", "wrong words").await.expect_problem(401);
    let found = get(&dev, token, "/api/users/search?q=second").await.expect(200).json();
    assert_eq!(found["items"], json!([]), "an account that waits is not in the directory");

    let pending = get(&dev, token, "/api/operator/users?state=pending").await.expect(200).json();
    let names: Vec<&Value> = pending["items"].as_array().expect("users").iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["second", "third"]);
    let decide = async |method: reqwest::Method, user: &Value| {
        let url = format!("{}/api/operator/users/{}/approval", dev.endpoints.chat, user["id"]);
        let request = client.request(method, url).bearer_auth(token);
        ApiResponse::read(request.send().await.expect("a response")).await
    };
    decide(reqwest::Method::PUT, &pending["items"][0]).await.expect(204);
    decide(reqwest::Method::DELETE, &pending["items"][1]).await.expect(204);
    assert_eq!(decide(reqwest::Method::DELETE, &pending["items"][0]).await.expect_problem(409)["code"], "not_pending");
    let second = sign_in(&dev, "second@example.org", "long unlikely words").await.expect(200).json();
    assert_eq!(second["user"]["is_operator"], false);
    sign_in(&dev, "third@example.org", "long unlikely words").await.expect_problem(401);
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn commands_reset_a_password_and_appoint_an_operator() {
    let database = TestDatabase::create().await;
    let folder = create_readable_folder();
    let mut command = dev_command(folder.path());
    command.env("DATABASE_URL", &database.url);
    let mut dev = Dev::run(command).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let printed = run(&database.url, &["reset-password", "alice@example.com"]).await;
    let password = printed.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a password");
    eventually("her sessions end", || async { alice.get("/api/me").await.status == 401 }).await;
    sign_in(&dev, "alice@example.com", "confab-demo").await.expect_problem(401);
    let token = sign_in(&dev, "alice@example.com", password).await.expect(200).json()["token"].clone();
    let token = token.as_str().expect("a token");
    get(&dev, token, "/api/operator/audit").await.expect_problem(403);
    run(&database.url, &["make-operator", "alice@example.com"]).await;
    let audit = get(&dev, token, "/api/operator/audit").await.expect(200).json();
    let actions: Vec<&str> =
        audit["items"].as_array().expect("entries").iter().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = ["operator_appointed", "refused", "signed_in", "sign_in_failed", "password_reset", "signed_in"];
    assert_eq!(actions, expected);
    run(&database.url, &["make-operator", "--undo", "alice@example.com"]).await;
    get(&dev, token, "/api/operator/audit").await.expect_problem(403);
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn nobody_can_choose_a_breached_password() {
    let folder = create_readable_folder();
    let list = folder.path().join("breached.txt");
    // The SHA-1 hash of "violet umbrella parade", between two others.
    let hash = "7A026530F0B271D48A108BC091DE342201C27270";
    std::fs::write(&list, format!("{}:5\r\n{hash}:2\r\n{}:1\r\n", "0".repeat(40), "F".repeat(40))).expect("written");
    let mut command = dev_command(&folder.path().join("data"));
    command.arg("--breached-passwords-file").arg(&list);
    let mut dev = Dev::run(command).await;
    let sign_up = async |password: &str| {
        let body = json!({ "username": "erin", "email": "erin@example.org", "password": password });
        let request = reqwest::Client::new().post(format!("{}/api/signup", dev.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("a response")).await
    };
    let refused = sign_up("violet umbrella parade").await.expect_problem(422);
    assert_eq!(refused["errors"][0]["code"], "breached");
    sign_up("violet umbrella parades").await.expect(201);
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn commands_find_the_database_of_a_running_confab_dev() {
    let folder = create_readable_folder();
    let mut dev = Dev::start(folder.path()).await;
    let make_operator = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
        command.args(["make-operator", "alice@example.com", "--data"]).arg(folder.path()).env_remove("DATABASE_URL");
        timeout(DEADLINE, command.output()).await.expect("exits by itself").expect("run")
    };
    let output = make_operator().await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    assert_eq!(alice.auth_response["user"]["is_operator"], true);
    dev.stop_with(Signal::INT).await;
    let output = make_operator().await;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("set DATABASE_URL"));
}
