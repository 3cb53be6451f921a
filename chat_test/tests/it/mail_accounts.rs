//! Accounts by mail: lost passwords, verified addresses, other addresses, and notices. The mail goes through a real
//! SMTP server.

use chat_core::{
    mail::{
        contents::{self, ComposeOutcome},
        queue::{self, Outcome},
    },
    operators,
};
use chat_test::{ApiResponse, MailServer, ReceivedMail, TestApp, TestUser};
use serde_json::{Value, json};

const NEW_PASSWORD: &str = "other quite unlikely words";

async fn post(app: &TestApp, path: &str, body: Value) -> ApiResponse {
    post_in(app, "en", path, body).await
}

async fn post_in(app: &TestApp, language: &str, path: &str, body: Value) -> ApiResponse {
    let request = reqwest::Client::new().post(format!("{}{path}", app.endpoints.chat));
    let request = request.header("accept-language", language).json(&body);
    ApiResponse::read(request.send().await.expect("an answer")).await
}

/// Makes the address of a user a verified one.
async fn verify(app: &TestApp, user: &TestUser) {
    let sql = "update users set email_verified_at = now() where id = $1";
    sqlx::query(sql).bind(user.id).execute(&app.db).await.expect("verified");
}

async fn start() -> (TestApp, MailServer) {
    start_with(TestApp::start().await).await
}

async fn start_with(app: TestApp) -> (TestApp, MailServer) {
    let mail = MailServer::start().await;
    app.start_mailer(mail.url());
    (app, mail)
}

/// Requests a link for a lost password, and returns the mail.
async fn request_reset(app: &TestApp, mail: &mut MailServer, email: &str) -> ReceivedMail {
    post(app, "/api/password-resets", json!({ "email": email })).await.expect(202);
    mail.expect(&email.to_lowercase(), "Choose a new password").await
}

async fn reset(app: &TestApp, token: &str, password: &str) -> ApiResponse {
    post(app, "/api/password-resets/confirmation", json!({ "token": token, "new_password": password })).await
}

async fn sign_up(app: &TestApp, name: &str, email: &str) -> Value {
    let body = json!({ "username": name, "email": email, "password": "long unlikely words" });
    post(app, "/api/signup", body).await.expect(202).json()
}

async fn confirm_sign_up(app: &TestApp, token: &str, more: Value) -> ApiResponse {
    let mut body = json!({ "token": token, "password": NEW_PASSWORD });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    post(app, "/api/signup/confirmation", body).await
}

async fn try_sign_in(app: &TestApp, email: &str, password: &str) -> ApiResponse {
    post(app, "/api/signin", json!({ "email": email, "password": password })).await
}

#[tokio::test]
async fn a_link_replaces_a_lost_password_once_and_ends_all_sessions() {
    let (app, mut mail) = start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    let mut stream = alice.listen().await;
    post(&app, "/api/password-resets", json!({ "email": "Alice@Example.com" })).await.expect(202);
    // The mail goes to the address of the account, however the request wrote it.
    let received = mail.expect("alice@example.com", "Choose a new password").await;
    let token = received.token("/reset-password");
    assert!(received.url("/reset-password").starts_with(&app.endpoints.chat), "{}", received.text());
    // A bad password does not use the link up.
    let weak = reset(&app, token, "alice@example.com").await.expect_problem(422);
    assert_eq!(weak["errors"][0]["field"], "password", "{weak}");
    alice.get("/api/me").await.expect(200);
    reset(&app, token, NEW_PASSWORD).await.expect(204);
    assert_eq!(reset(&app, token, "third quite unlikely words").await.expect_problem(409)["code"], "link_invalid");
    // All devices and tokens are signed out.
    while stream.next().await.kind != "session.revoked" {}
    try_sign_in(&app, "alice@example.com", "confab-demo").await.expect_problem(401);
    for ended in [&alice, &bot] {
        chat_test::eventually("the session has ended", || async { ended.get("/api/me").await.status == 401 }).await;
    }
    mail.expect("alice@example.com", "Your password has changed").await;
    let signed_in = try_sign_in(&app, "alice@example.com", NEW_PASSWORD).await.expect(200).json();
    assert_eq!(signed_in["user"]["is_email_verified"], true);
    let (action, detail): (String, Option<i64>) =
        sqlx::query_as("select action, actor_id from audit_log where user_id = $1 and action = 'password_reset'")
            .bind(alice.id)
            .fetch_one(&app.db)
            .await
            .expect("an entry");
    assert_eq!((action.as_str(), detail), ("password_reset", None), "nobody had signed in");
}

#[tokio::test]
async fn only_the_newest_state_of_an_account_can_be_reset() {
    let (app, mut mail) = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    // A second link ends with the first use of either.
    let (first, second) = (
        request_reset(&app, &mut mail, "alice@example.com").await,
        request_reset(&app, &mut mail, "alice@example.com").await,
    );
    reset(&app, second.token("/reset-password"), NEW_PASSWORD).await.expect(204);
    reset(&app, first.token("/reset-password"), NEW_PASSWORD).await.expect_problem(409);
    // A link ends when its user changes the password.
    verify(&app, &bob).await;
    let link = request_reset(&app, &mut mail, "bob@example.com").await;
    let change = json!({ "current_password": "confab-demo", "new_password": NEW_PASSWORD });
    bob.put("/api/me/password", change).await.expect(204);
    mail.expect("bob@example.com", "Your password has changed").await;
    reset(&app, link.token("/reset-password"), "third quite unlikely words").await.expect_problem(409);
    // A link expires.
    let link = request_reset(&app, &mut mail, "carol@example.com").await;
    sqlx::query("update mail_links set expires_at = now()").execute(&app.db).await.expect("expired");
    reset(&app, link.token("/reset-password"), NEW_PASSWORD).await.expect_problem(409);
    // Neither is a token of something else a link.
    for wrong in ["x".repeat(43), alice.auth_response["refresh_token"].as_str().expect("a token").to_owned()] {
        reset(&app, &wrong, NEW_PASSWORD).await.expect_problem(409);
    }
    reset(&app, "short", NEW_PASSWORD).await.expect_problem(422);
}

#[tokio::test]
async fn responses_do_not_tell_which_addresses_have_accounts() {
    let (app, mut mail) = start_with(TestApp::with_verification().await).await;
    let comparable = |response: &ApiResponse| {
        let mut headers = response.headers.clone();
        for varying in ["x-request-id", "date"] {
            headers.remove(varying);
        }
        (response.status, headers, response.bytes.clone())
    };
    let mut seen = Vec::new();
    for email in ["alice@example.com", "nobody@example.com"] {
        let reset = post(&app, "/api/password-resets", json!({ "email": email })).await;
        let body = json!({ "username": email.split('@').next().expect("a name").to_owned() + "2", "email": email });
        let sign_up = post(&app, "/api/signup", body).await;
        assert_eq!((reset.status.as_u16(), sign_up.status.as_u16()), (202, 202));
        seen.push((comparable(&reset), comparable(&sign_up)));
    }
    assert_eq!(seen[0], seen[1]);
    // Their owners learn it by mail.
    let existing = mail.expect("alice@example.com", "You already have an account").await;
    assert!(!existing.text().contains("token="), "{}", existing.text());
    mail.expect("nobody@example.com", "Finish your sign-up").await;
    assert_eq!(mail.unexpected("nobody@example.com", "Choose a new password"), 0);
}

#[tokio::test]
async fn a_verified_sign_up_creates_the_account_with_the_link() {
    let (app, mut mail) = start_with(TestApp::with_verification().await).await;
    let config = reqwest::get(format!("{}/api/config", app.endpoints.chat)).await.expect("an answer");
    let config = ApiResponse::read(config).await.json();
    assert_eq!((&config["mail"], &config["sign_up"]["verification"]), (&json!(true), &json!(true)));
    let [alice] = app.sign_in(["alice"]).await;
    assert_eq!(sign_up(&app, "erin", "erin@example.org").await, json!({ "waits_for": "verification" }));
    let received = mail.expect("erin@example.org", "Finish your sign-up").await;
    assert!(received.url("/finish-sign-up").contains("&username=erin"), "{}", received.text());
    // There is no account yet: nobody finds it, and nobody signs in.
    assert_eq!(alice.get("/api/users/search?q=erin").await.json()["items"], json!([]));
    try_sign_in(&app, "erin@example.org", "long unlikely words").await.expect_problem(401);
    let token = received.token("/finish-sign-up");
    confirm_sign_up(&app, token, json!({ "password": "erin" })).await.expect_problem(422);
    let erin = confirm_sign_up(&app, token, json!({})).await.expect(201).json();
    let expected = (&json!("erin"), &json!("erin@example.org"), &json!(true));
    let user = &erin["user"];
    assert_eq!((&user["username"], &user["email"], &user["is_email_verified"]), expected);
    confirm_sign_up(&app, token, json!({ "username": "erin2" })).await.expect_problem(409);
    // The password is the one that was chosen with the link.
    try_sign_in(&app, "erin@example.org", "long unlikely words").await.expect_problem(401);
    try_sign_in(&app, "erin@example.org", NEW_PASSWORD).await.expect(200);
}

#[tokio::test]
async fn nobody_can_keep_an_address_from_its_owner() {
    let (app, mut mail) = start_with(TestApp::with_verification().await).await;
    // An attacker signs up with the address of the victim, and the victim after that.
    sign_up(&app, "attacker", "victim@example.org").await;
    sign_up(&app, "victim", "victim@example.org").await;
    let first = mail.expect("victim@example.org", "Finish your sign-up").await;
    let second = mail.expect("victim@example.org", "Finish your sign-up").await;
    // Whoever reads the mail chooses the password, also with the link that the attacker caused.
    let by_attacker = if first.text().contains("attacker") { &first } else { &second };
    let token = by_attacker.token("/finish-sign-up");
    let victim = confirm_sign_up(&app, token, json!({ "username": "victim" })).await.expect(201).json();
    assert_eq!(victim["user"]["username"], "victim");
    let other = if by_attacker.text() == first.text() { &second } else { &first };
    confirm_sign_up(&app, other.token("/finish-sign-up"), json!({})).await.expect_problem(409);
    // An account from before the server verified addresses: its owner gets it by the link for lost passwords.
    let squatter = app.sign_in(["dave"]).await;
    let link = request_reset(&app, &mut mail, "dave@example.com").await;
    reset(&app, link.token("/reset-password"), NEW_PASSWORD).await.expect(204);
    chat_test::eventually("the session has ended", || async { squatter[0].get("/api/me").await.status == 401 }).await;
}

#[tokio::test]
async fn a_username_that_is_taken_meanwhile_can_be_replaced() {
    let (app, mut mail) = start_with(TestApp::with_verification().await).await;
    let taken = json!({ "username": "Alice", "email": "erin@example.org" });
    assert_eq!(post(&app, "/api/signup", taken).await.expect_problem(409)["code"], "username_taken");
    sign_up(&app, "erin", "erin@example.org").await;
    sign_up(&app, "erin", "other@example.org").await;
    let (one, two) =
        (mail.expect("erin@example.org", "Finish").await, mail.expect("other@example.org", "Finish").await);
    confirm_sign_up(&app, one.token("/finish-sign-up"), json!({})).await.expect(201);
    let token = two.token("/finish-sign-up");
    assert_eq!(confirm_sign_up(&app, token, json!({})).await.expect_problem(409)["code"], "username_taken");
    confirm_sign_up(&app, token, json!({ "username": "erin2" })).await.expect(201);
}

#[tokio::test]
async fn another_address_counts_once_its_mail_was_read() {
    let (app, mut mail) = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    verify(&app, &alice).await;
    let change = |email: &str, password: &str| json!({ "email": email, "current_password": password });
    alice.put("/api/me/email", change("new@example.org", "wrong password")).await.expect_problem(403);
    alice.put("/api/me/email", change("new@example.org", "confab-demo")).await.expect(202);
    let received = mail.expect("new@example.org", "Confirm your email address").await;
    try_sign_in(&app, "new@example.org", "confab-demo").await.expect_problem(401);
    let confirm = |token: String| post(&app, "/api/me/email/confirmation", json!({ "token": token }));
    confirm(received.token("/confirm-email").to_owned()).await.expect(204);
    confirm(received.token("/confirm-email").to_owned()).await.expect_problem(409);
    let me = alice.get("/api/me").await.json();
    assert_eq!((&me["email"], &me["is_email_verified"]), (&json!("new@example.org"), &json!(true)));
    try_sign_in(&app, "alice@example.com", "confab-demo").await.expect_problem(401);
    mail.expect("alice@example.com", "Your email address has changed").await;
    // The address of another account is not given, and only its owner learns that it was wanted.
    alice.put("/api/me/email", change("bob@example.com", "confab-demo")).await.expect(202);
    let existing = mail.expect("bob@example.com", "You already have an account").await;
    assert!(!existing.text().contains("token="), "{}", existing.text());
    // A link ends with a change of the password: whoever caused it may have been somebody else.
    bob.put("/api/me/email", change("evil@example.org", "confab-demo")).await.expect(202);
    let received = mail.expect("evil@example.org", "Confirm your email address").await;
    let password = json!({ "current_password": "confab-demo", "new_password": NEW_PASSWORD });
    bob.put("/api/me/password", password).await.expect(204);
    confirm(received.token("/confirm-email").to_owned()).await.expect_problem(409);
}

#[tokio::test]
async fn a_sign_in_on_a_new_device_is_told_and_on_a_known_one_is_not() {
    let (app, mut mail) = start().await;
    sqlx::query("update users set email_verified_at = now()").execute(&app.db).await.expect("verified");
    let sign_in = |cookie: String| {
        let body = json!({ "email": "alice@example.com", "password": "confab-demo" });
        let request = reqwest::Client::new().post(format!("{}/api/signin", app.endpoints.chat)).json(&body);
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0 see evil.example";
        request.header("cookie", cookie).header("user-agent", agent).header("accept-language", "de-DE").send()
    };
    let first = ApiResponse::read(sign_in(String::new()).await.expect("an answer")).await.expect(200);
    let received = mail.expect("alice@example.com", "Neue Anmeldung").await;
    assert!(received.text().contains("Firefox, Linux") && received.text().contains("127.0.0.1"), "{}", received.text());
    assert!(!received.text().contains("evil"), "{}", received.text());
    let cookies = first.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let device = cookies.filter_map(|value| value.split(';').next()).find(|pair| pair.starts_with("confab_device="));
    sign_in(device.expect("a device").to_owned()).await.expect("an answer");
    // Mail to an account is in the language of its last sign-in, whoever caused it.
    post_in(&app, "en", "/api/password-resets", json!({ "email": "alice@example.com" })).await.expect(202);
    mail.expect("alice@example.com", "Wähle ein neues Passwort").await;
    assert_eq!(mail.unexpected("alice@example.com", "Neue Anmeldung"), 0);
    TestUser::sign_in(&app.endpoints, "alice").await;
    mail.expect("alice@example.com", "New sign-in").await;
}

#[tokio::test]
async fn an_unverified_address_gets_no_notices() {
    let (app, mut mail) = start().await;
    let alice = TestUser::sign_in(&app.endpoints, "alice").await;
    let change = json!({ "current_password": "confab-demo", "new_password": NEW_PASSWORD });
    alice.put("/api/me/password", change).await.expect(204);
    // A fence.
    request_reset(&app, &mut mail, "alice@example.com").await;
    assert_eq!(mail.unexpected("alice@example.com", ""), 0);
}

#[tokio::test]
async fn a_lost_password_is_told_to_the_account_and_not_to_an_address_that_looks_alike() {
    let (app, mut mail) = start().await;
    // Its lower case is the address of alice.
    let alike = "al\u{130}ce@example.com";
    post(&app, "/api/password-resets", json!({ "email": alike })).await.expect(202);
    let received = mail.expect("alice@example.com", "Choose a new password").await;
    reset(&app, received.token("/reset-password"), NEW_PASSWORD).await.expect(204);
    let signed_in = try_sign_in(&app, "alice@example.com", NEW_PASSWORD).await.expect(200).json();
    assert_eq!(signed_in["user"]["email"], "alice@example.com");
    // Nobody can choose such an address.
    for email in [alike, "alice@example.com\u{ff0e}", "alice@[127.0.0.1]", "<alice@example.org>"] {
        let body = json!({ "username": "erin", "email": email, "password": "long unlikely words" });
        let problem = post(&app, "/api/signup", body).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "email", "{problem}");
    }
}

#[tokio::test]
async fn a_revoked_mail_is_not_sent_by_the_attempt_under_way() {
    let (app, mut mail) = (TestApp::start().await, MailServer::start().await);
    let [bob] = app.sign_in(["bob"]).await;
    let change = json!({ "email": "intruder@example.org", "current_password": "confab-demo" });
    bob.put("/api/me/email", change).await.expect(202);
    // The mail is being sent while the owner changes the password.
    let due = queue::claim(&app.db).await.expect("a claim").expect("a mail");
    let password = json!({ "current_password": "confab-demo", "new_password": NEW_PASSWORD });
    bob.put("/api/me/password", password).await.expect(204);
    let composed = contents::compose(&app.db, &due).await.expect("an outcome");
    assert!(matches!(composed, ComposeOutcome::Drop), "{composed:?}");
    queue::finish(&app.db, &due, Outcome::Failed("busy".into())).await.expect("no effect");
    app.start_mailer(mail.url());
    // A fence.
    request_reset(&app, &mut mail, "bob@example.com").await;
    assert_eq!(mail.unexpected("intruder@example.org", ""), 0);
    let links: i64 = sqlx::query_scalar(
        "select count(*) from mail_links l join mails m on m.id = l.mail_id where m.kind = 'email_change'",
    )
    .fetch_one(&app.db)
    .await
    .expect("a count");
    assert_eq!(links, 0);
}

#[tokio::test]
async fn a_sign_up_with_an_invite_leaves_the_choice_to_the_reader() {
    let (app, mut mail) = start_with(TestApp::with_verification().await).await;
    let [alice] = app.sign_in(["alice"]).await;
    let group =
        alice.post("/api/chats", json!({ "type": "group", "name": "den" })).await.expect(201).json()["id"].clone();
    let invite = alice.post(&format!("/api/chats/{group}/invites"), json!({})).await.expect(201).json()["code"].clone();
    let body = json!({ "username": "erin", "email": "erin@example.org", "invite": invite });
    post(&app, "/api/signup", body).await.expect(202);
    let received = mail.expect("erin@example.org", "Finish your sign-up").await;
    let code = invite.as_str().expect("a code");
    assert!(received.url("/finish-sign-up").ends_with(&format!("&invite={code}")), "{}", received.text());
    let erin = confirm_sign_up(&app, received.token("/finish-sign-up"), json!({})).await.expect(201).json();
    let members = alice.get(&format!("/api/chats/{group}/members")).await.expect(200).json();
    assert_eq!(members["items"].as_array().map(Vec::len), Some(1), "{members}");
    let erin = alice.with_token(erin["token"].as_str().expect("a token"));
    erin.post(&format!("/api/invites/{code}"), json!({})).await.expect(201);
}

#[tokio::test]
async fn an_approved_account_is_told() {
    let (app, mut mail) = start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let erin = app.sign_up("erin").await;
    operators::set_operator(&app.db, alice.id.try_into().expect("an id"), true).await.expect("an operator");
    sqlx::query("update users set state = 'pending' where id = $1")
        .bind(erin.id)
        .execute(&app.db)
        .await
        .expect("pending");
    alice.put(&format!("/api/operator/users/{}/approval", erin.id), json!({})).await.expect(204);
    mail.expect("erin@example.org", "Your account was approved").await;
}

#[tokio::test]
async fn without_mail_nothing_promises_any() {
    let app = TestApp::without_mail().await;
    let [alice] = app.sign_in(["alice"]).await;
    let config = alice.get("/api/config").await.json();
    assert_eq!((&config["mail"], &config["sign_up"]["verification"]), (&json!(false), &json!(false)));
    let reset = post(&app, "/api/password-resets", json!({ "email": "alice@example.com" })).await;
    assert_eq!(reset.expect_problem(409)["code"], "mail_off");
    let change = json!({ "email": "new@example.org", "current_password": "confab-demo" });
    assert_eq!(alice.put("/api/me/email", change).await.expect_problem(409)["code"], "mail_off");
    let general = alice.chat_id("general").await;
    let invitation = json!({ "email": "erin@example.org" });
    let sent = alice.post(&format!("/api/chats/{general}/invitations"), invitation).await;
    assert_eq!(sent.expect_problem(409)["code"], "mail_off");
    // A sign-up still needs a password.
    let body = json!({ "username": "erin", "email": "erin@example.org" });
    assert_eq!(post(&app, "/api/signup", body).await.expect_problem(422)["errors"][0]["field"], "password");
    let count: i64 = sqlx::query_scalar("select count(*) from mails").fetch_one(&app.db).await.expect("a count");
    assert_eq!(count, 0);
}
