//! Mail itself: how it is sent, how much of it, invitations and digests. It goes through a real SMTP server.

use chat_core::mail::digests;
use chat_test::{ApiResponse, MailServer, TestApp, TestUser, eventually};
use reqwest::Client;
use serde_json::{Value, json};

async fn start() -> (TestApp, MailServer) {
    let (app, mail) = (TestApp::start().await, MailServer::start().await);
    app.start_mailer(mail.url());
    (app, mail)
}

async fn request_reset(app: &TestApp, email: &str) {
    let request = Client::new().post(format!("{}/api/password-resets", app.endpoints.chat));
    let sent = request.json(&json!({ "email": email })).send().await.expect("an answer");
    assert_eq!(sent.status(), 202);
}

/// Creates a user whose address is verified.
async fn sign_up_verified(app: &TestApp, name: &str) -> TestUser {
    let user = app.sign_up(name).await;
    verify(app, &user).await;
    user
}

async fn verify(app: &TestApp, user: &TestUser) {
    let sql = "update users set email_verified_at = now() where id = $1";
    sqlx::query(sql).bind(user.id).execute(&app.db).await.expect("verified");
}

async fn set_address(app: &TestApp, user: &TestUser, address: &str) {
    let sql = "update users set email = $2 where id = $1";
    sqlx::query(sql).bind(user.id).bind(address).execute(&app.db).await.expect("an address");
}

/// Makes all mail due that waits for another attempt.
async fn make_due(app: &TestApp) {
    sqlx::query("update mails set due_at = now() where due_at is not null").execute(&app.db).await.expect("due");
}

/// How often the mail to an address was tried, and whether it still waits.
async fn attempts(app: &TestApp, address: &str) -> (i32, bool, Option<String>) {
    let sql = "select attempts, due_at is not null and leased_until is null, error from mails where address = $1 and kind = 'password_reset'";
    sqlx::query_as(sql).bind(address).fetch_one(&app.db).await.expect("a mail")
}

#[tokio::test]
async fn a_mail_is_plain_and_html_and_loads_nothing() {
    let (app, mut mail) = start().await;
    request_reset(&app, "alice@example.com").await;
    let received = mail.expect("alice@example.com", "Choose a new password").await;
    assert_eq!(received.header("from"), "Confab <confab@chat.example>");
    assert_eq!(received.header("auto-submitted"), "auto-generated");
    assert!(received.header("message-id").ends_with("@chat.example>"), "{}", received.header("message-id"));
    let url = received.url("/reset-password");
    assert!(received.html().contains(&format!("href=\"{url}\"")), "{}", received.html());
    for loading in ["<img", "src=", "<link", "<script", "url(", "@import"] {
        assert!(!received.html().contains(loading), "{loading} in {}", received.html());
    }
}

#[tokio::test]
async fn a_mail_server_that_fails_gets_the_mail_again() {
    let (app, mut mail) = start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    set_address(&app, &bob, "lost@example.com").await;
    request_reset(&app, "lost@example.com").await;
    // A mail whose fate is unknown comes twice, as one and the same.
    let first = mail.expect("lost@example.com", "Choose a new password").await;
    eventually("the attempt failed", || async { attempts(&app, "lost@example.com").await.2.is_some() }).await;
    make_due(&app).await;
    let second = mail.expect("lost@example.com", "Choose a new password").await;
    assert_eq!(first.header("message-id"), second.header("message-id"));
    for (user, address) in [(&alice, "busy@example.com"), (&carol, "refused@example.com")] {
        set_address(&app, user, address).await;
        request_reset(&app, address).await;
    }
    // What is refused for good is given up.
    eventually("the mail is given up", || async {
        let (attempts, is_waiting, error) = attempts(&app, "refused@example.com").await;
        attempts == 1 && !is_waiting && error.is_some_and(|error| error.contains("no such user"))
    })
    .await;
    // What is refused for now is tried again, until it is taken.
    for tried in 1..=2 {
        eventually("an attempt failed", || async {
            let (attempts, is_waiting, error) = attempts(&app, "busy@example.com").await;
            attempts >= tried && is_waiting && error.is_some_and(|error| error.contains("try again later"))
        })
        .await;
        make_due(&app).await;
    }
    let received = mail.expect("busy@example.com", "Choose a new password").await;
    // Each attempt has a link of its own, so that the database need not know it.
    let body = json!({ "token": received.token("/reset-password"), "new_password": "other quite unlikely words" });
    let confirmation = format!("{}/api/password-resets/confirmation", app.endpoints.chat);
    let reset = Client::new().post(confirmation).json(&body).send().await.expect("an answer");
    assert_eq!(reset.status(), 204);
}

#[tokio::test]
async fn mail_waits_for_the_mail_server_and_its_credentials() {
    let app = TestApp::start().await;
    let mut mail = MailServer::with_credentials("confab:secret").await;
    let wrong = mail.url().replace("secret", "wrong");
    let (mailer, stop) = app.start_mailer(&wrong);
    request_reset(&app, "alice@example.com").await;
    // A wrong password is the fault of the server, not of the mail.
    eventually("an attempt failed", || async {
        let (_, is_waiting, error) = attempts(&app, "alice@example.com").await;
        is_waiting && error.is_some()
    })
    .await;
    stop.cancel();
    mailer.stopped().await;
    make_due(&app).await;
    app.start_mailer(mail.url());
    assert_eq!(mail.expect("alice@example.com", "Choose").await.user(), Some("confab"));
}

#[tokio::test]
async fn a_mail_whose_process_was_killed_is_sent_by_another() {
    let app = TestApp::start().await;
    request_reset(&app, "alice@example.com").await;
    let claimed = chat_core::mail::queue::claim(&app.db).await.expect("a claim").expect("a mail");
    let mut mail = MailServer::start().await;
    app.start_mailer(mail.url());
    // A fence: the claimed mail stays with its process for as long as the lease lasts.
    request_reset(&app, "bob@example.com").await;
    mail.expect("bob@example.com", "Choose").await;
    assert_eq!(mail.unexpected("alice@example.com", "Choose"), 0);
    sqlx::query("update mails set leased_until = now() where id = $1")
        .bind(claimed.id)
        .execute(&app.db)
        .await
        .expect("ended");
    mail.expect("alice@example.com", "Choose").await;
}

#[tokio::test]
async fn strangers_cannot_flood_an_address() {
    let (app, mut mail) = start().await;
    for _ in 0..10 {
        request_reset(&app, "alice@example.com").await;
        request_reset(&app, "ALICE@example.com").await;
    }
    let count = || async {
        let sql = "select count(*) from mails where lower(address) = 'alice@example.com'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.db).await.expect("a count")
    };
    assert_eq!(count().await, 3, "of one kind in an hour");
    // What others cause does not displace notices.
    let [alice] = app.sign_in(["alice"]).await;
    verify(&app, &alice).await;
    TestUser::sign_in(&app.endpoints, "alice").await;
    mail.expect("alice@example.com", "New sign-in").await;
}

#[tokio::test]
async fn others_cannot_use_up_what_an_owner_needs() {
    let app = TestApp::start().await;
    let count = |kind: &'static str| {
        let sql = "select count(*) from mails where lower(address) = 'alice@example.com' and kind = $1";
        sqlx::query_scalar::<_, i64>(sql).bind(kind).fetch_one(&app.db)
    };
    let change = json!({ "email": "alice@example.com", "current_password": "long unlikely words" });
    for name in ["erin", "frank", "grace", "heidi", "ivan", "judy"] {
        let user = app.sign_up(name).await;
        for _ in 0..3 {
            user.put("/api/me/email", change.clone()).await.expect(202);
        }
        // The mails of a deleted account still count.
        let deletion = user.request(reqwest::Method::DELETE, "/api/me");
        let deleted = deletion.json(&json!({ "password": "long unlikely words" })).send().await.expect("an answer");
        assert_eq!(deleted.status(), 204);
        sqlx::query("update mails set created_at = created_at - interval '2 hours'")
            .execute(&app.db)
            .await
            .expect("the past");
    }
    assert_eq!(count("email_change").await.expect("a count"), 10, "of one kind in a day");
    request_reset(&app, "alice@example.com").await;
    assert_eq!(count("password_reset").await.expect("a count"), 1);
    let texts: i64 = sqlx::query_scalar("select count(*) from mails where user_id is not null and data <> '{}'")
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(texts, 0);
}

#[tokio::test]
async fn one_address_of_a_client_causes_a_bounded_number_of_mails() {
    let app = TestApp::with_rate_limits("mail=3/h").await;
    let request = |number: u32| {
        let body = json!({ "email": format!("{number}@example.org") });
        Client::new().post(format!("{}/api/password-resets", app.endpoints.chat)).json(&body).send()
    };
    for number in 0..3 {
        assert_eq!(request(number).await.expect("an answer").status(), 202);
    }
    ApiResponse::read(request(3).await.expect("an answer")).await.expect_problem(429);
}

#[tokio::test]
async fn an_invitation_lets_its_reader_join_and_can_be_declined_for_good() {
    let (app, mut mail) = start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let group = json!({ "type": "group", "name": "Win at https://evil.example/prize" });
    let group = alice.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    let invite = |user: &TestUser| {
        let user = user.clone();
        async move { user.post(&format!("/api/chats/{group}/invitations"), json!({ "email": "guest@example.org" })).await }
    };
    invite(&alice).await.expect_problem(403);
    verify(&app, &alice).await;
    invite(&app.sign_up("stranger").await).await.expect_problem(404);
    invite(&alice).await.expect(202);
    let received = mail.expect("guest@example.org", "invites you").await;
    // Names that others chose are no links.
    assert!(
        !received.text().contains("evil.example") && received.text().contains("evil. example"),
        "{}",
        received.text()
    );
    let code = received.url("/invite/").rsplit('/').next().expect("a code").to_owned();
    let guest = app.sign_up("guest").await;
    guest.post(&format!("/api/invites/{code}"), json!({})).await.expect(201);
    app.sign_up("second").await.post(&format!("/api/invites/{code}"), json!({})).await.expect_problem(404);
    // One click in a mail program (RFC 8058).
    assert_eq!(received.header("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    let url = received.header("list-unsubscribe").trim_matches(['<', '>']).to_owned();
    for _ in 0..2 {
        let click = Client::new().post(&url).header("content-type", "application/x-www-form-urlencoded");
        let click = click.body("List-Unsubscribe=One-Click").send().await.expect("an answer");
        assert_eq!(click.status(), 204);
    }
    // Opening the link changes nothing, and leads to a page that asks.
    let opened =
        Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client").get(&url).send().await;
    let location = opened.expect("an answer").headers()["location"].to_str().expect("a path").to_owned();
    let is_of_invitations = location.starts_with("/unsubscribe#token=") && location.ends_with("&of=invitations");
    assert!(is_of_invitations, "{location}");
    invite(&alice).await.expect(202);
    alice.post(&format!("/api/chats/{group}/invitations"), json!({ "email": "other@example.org" })).await.expect(202);
    mail.expect("other@example.org", "invites you").await;
    assert_eq!(mail.unexpected("guest@example.org", "invites you"), 0);
}

#[tokio::test]
async fn an_invitation_that_is_no_longer_wanted_is_not_sent() {
    let (app, mut mail) = (TestApp::start().await, MailServer::start().await);
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    for user in [&alice, &bob] {
        verify(&app, user).await;
    }
    let group = json!({ "type": "group", "name": "g", "members": [bob.id] });
    let group = alice.post("/api/chats", group).await.expect(201).json()["id"].clone();
    let invitations = format!("/api/chats/{group}/invitations");
    carol.put(&format!("/api/users/{}/block", alice.id), json!({})).await.expect(204);
    // To a user who has blocked the inviter, to a member, and by somebody who leaves.
    for (user, email) in [(&alice, "carol@example.com"), (&alice, "bob@example.com"), (&bob, "guest@example.org")] {
        user.post(&invitations, json!({ "email": email })).await.expect(202);
    }
    bob.post(&format!("/api/chats/{group}/leave"), json!({})).await.expect(204);
    alice.post(&invitations, json!({ "email": "wanted@example.org" })).await.expect(202);
    app.start_mailer(mail.url());
    mail.expect("wanted@example.org", "invites you").await;
    for address in ["carol@example.com", "guest@example.org"] {
        assert_eq!(mail.unexpected(address, "invites you"), 0, "{address}");
    }
    // Beyond the limit of an address, no invite is left behind. That of a member who left is gone too.
    for _ in 0..6 {
        alice.post(&invitations, json!({ "email": "other@example.org" })).await.expect(202);
    }
    let invites = alice.get(&format!("/api/chats/{group}/invites")).await.expect(200).json();
    assert_eq!(invites["items"].as_array().map(Vec::len), Some(6), "{invites}");
}

#[tokio::test]
async fn a_user_sends_a_bounded_number_of_invitations() {
    let app = TestApp::start().await;
    let erin = sign_up_verified(&app, "erin").await;
    let group = erin.post("/api/chats", json!({ "type": "group", "name": "g" })).await.expect(201).json()["id"].clone();
    let invite = |number: usize| {
        let (erin, group) = (erin.clone(), group.clone());
        let body = json!({ "email": format!("{number}@example.org") });
        async move { erin.post(&format!("/api/chats/{group}/invitations"), body).await }
    };
    for number in 0..20 {
        invite(number).await.expect(202);
    }
    assert_eq!(invite(20).await.expect_problem(409)["code"], "too_many_invitations");
}

/// Moves what happened into the past.
async fn wait_hours(app: &TestApp, hours: i32) {
    for sql in [
        "update chat_members set joined_at = joined_at - make_interval(hours => $1)",
        "update inbox_items set created_at = created_at - make_interval(hours => $1)",
        "update presences set last_seen = last_seen - make_interval(hours => $1)",
        "update sessions set used_at = used_at - make_interval(hours => $1)",
        "update mails set created_at = created_at - make_interval(hours => $1), sent_at = sent_at - make_interval(hours => $1),
                          due_at = due_at - make_interval(hours => $1)",
    ] {
        sqlx::query(sql).bind(hours).execute(&app.db).await.expect("the past");
    }
    while digests::enqueue(&app.db).await.expect("digests") {}
    sqlx::query("select pg_notify('mails', '')").execute(&app.db).await.expect("a notification");
}

/// How many digests of a user wait.
async fn waiting_digests(app: &TestApp, user: &TestUser) -> i64 {
    let sql = "select count(*) from mails where user_id = $1 and kind = 'digest' and due_at is not null";
    sqlx::query_scalar(sql).bind(user.id).fetch_one(&app.db).await.expect("a count")
}

async fn mention(from: &TestUser, to: &TestUser, text: &str) -> Value {
    from.say("general", &format!("@{} {text}", to.name)).await
}

#[tokio::test]
async fn a_digest_tells_of_unread_mentions_after_an_hour_without_the_user() {
    let (app, mut mail) = start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    verify(&app, &alice).await;
    let erin = sign_up_verified(&app, "erin").await;
    let general = alice.chat_id("general").await;
    erin.post(&format!("/api/chats/{general}/join"), json!({})).await.expect(201);
    let first = mention(&bob, &alice, "can you <b>look</b> at this?").await;
    // Carol's address is not verified, and Erin has read hers, so these go nowhere.
    mention(&alice, &carol, "and you?").await;
    let read = json!({ "message_id": mention(&alice, &erin, "hm").await["id"] });
    erin.put(&format!("/api/chats/{general}/read"), read).await.expect(200);
    wait_hours(&app, 2).await;
    let received = mail.expect("alice@example.com", "Unread mentions: 1").await;
    assert!(received.text().contains("can you <b>look</b> at this?"), "{}", received.text());
    assert!(received.html().contains("can you &lt;b&gt;look&lt;/b&gt; at this?"), "{}", received.html());
    let link = format!("{}/chats/{general}/{}", app.endpoints.chat, first["id"]);
    assert_eq!(received.url("/chats/"), link);
    eventually("nothing waits", || async {
        waiting_digests(&app, &erin).await + waiting_digests(&app, &carol).await == 0
    })
    .await;
    assert_eq!(mail.unexpected("erin@example.org", "Unread") + mail.unexpected("carol@example.com", "Unread"), 0);

    // What was in one digest is not in the next, which comes four hours later at the earliest.
    mention(&bob, &alice, "and at that?").await;
    wait_hours(&app, 2).await;
    eventually("the digest waits", || async { waiting_digests(&app, &alice).await == 1 }).await;
    let is_later = || async {
        let sql = "select due_at > now() + interval '1 hour' from mails where user_id = $1 and kind = 'digest' and due_at is not null";
        sqlx::query_scalar(sql).bind(alice.id).fetch_one(&app.db).await.expect("a mail")
    };
    eventually("the digest is postponed", is_later).await;
    wait_hours(&app, 3).await;
    let received = mail.expect("alice@example.com", "Unread mentions: 1").await;
    assert!(received.text().contains("and at that?") && !received.text().contains("can you"), "{}", received.text());

    // Its link stops digests, and the setting tells.
    let url = received.header("list-unsubscribe").trim_matches(['<', '>']).to_owned();
    assert_eq!(Client::new().post(&url).send().await.expect("an answer").status(), 204);
    assert_eq!(alice.get("/api/notification-settings").await.json()["email_digest"], false);
    mention(&bob, &alice, "hello?").await;
    wait_hours(&app, 6).await;
    assert_eq!(waiting_digests(&app, &alice).await, 0);
    let settings = alice.patch("/api/notification-settings", json!({ "email_digest": true })).await.expect(200).json();
    assert_eq!(settings["email_digest"], true);
}

#[tokio::test]
async fn a_user_who_is_connected_or_reads_gets_no_digest() {
    let (app, mut mail) = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    for user in [&alice, &bob] {
        verify(&app, user).await;
    }
    let stream = alice.listen().await;
    eventually("alice is connected", || async {
        let sql = "select exists (select from connections where user_id = $1)";
        sqlx::query_scalar(sql).bind(alice.id).fetch_one(&app.db).await.expect("an answer")
    })
    .await;
    mention(&bob, &alice, "are you there?").await;
    wait_hours(&app, 2).await;
    let is_postponed = || async {
        let sql = "select due_at > now() + interval '50 minutes' from mails where user_id = $1 and kind = 'digest'";
        sqlx::query_scalar::<_, Option<bool>>(sql).bind(alice.id).fetch_one(&app.db).await.expect("a mail")
            == Some(true)
    };
    eventually("the digest is postponed", is_postponed).await;
    drop(stream);
    eventually("alice has left", || async {
        let sql = "select last_seen is not null from presences where user_id = $1";
        let has_left =
            sqlx::query_scalar::<_, bool>(sql).bind(alice.id).fetch_optional(&app.db).await.expect("an answer");
        has_left == Some(true)
    })
    .await;
    // In the meantime alice reads on a device.
    let general = alice.chat_id("general").await;
    let last = bob.say("general", "well").await["id"].clone();
    alice.put(&format!("/api/chats/{general}/read"), json!({ "message_id": last })).await.expect(200);
    wait_hours(&app, 2).await;
    eventually("the digest is dropped", || async { waiting_digests(&app, &alice).await == 0 }).await;
    // A fence.
    mention(&alice, &bob, "here I am").await;
    wait_hours(&app, 2).await;
    mail.expect("bob@example.com", "Unread mentions: 1").await;
    assert_eq!(mail.unexpected("alice@example.com", "Unread"), 0);
}

#[tokio::test]
async fn a_digest_goes_to_the_present_address_and_leaves_out_muted_chats() {
    let (app, mut mail) = (TestApp::start().await, MailServer::start().await);
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (erin, frank) = (sign_up_verified(&app, "erin").await, sign_up_verified(&app, "frank").await);
    let general = alice.chat_id("general").await;
    for user in [&erin, &frank] {
        user.post(&format!("/api/chats/{general}/join"), json!({})).await.expect(201);
    }
    mention(&bob, &erin, "a private matter").await;
    mention(&bob, &frank, "not worth a mail").await;
    frank.put(&format!("/api/chats/{general}/mute"), json!({})).await.expect(204);
    wait_hours(&app, 2).await;
    assert_eq!((waiting_digests(&app, &erin).await, waiting_digests(&app, &frank).await), (1, 1));
    // The address changes while the digest waits.
    set_address(&app, &erin, "new@example.org").await;
    app.start_mailer(mail.url());
    eventually("the digests are dropped", || async {
        waiting_digests(&app, &erin).await + waiting_digests(&app, &frank).await == 0
    })
    .await;
    // The next mention is told at the new address, with what is still unread.
    mention(&bob, &erin, "another matter").await;
    wait_hours(&app, 2).await;
    let received = mail.expect("new@example.org", "Unread mentions: 2").await;
    assert!(received.text().contains("a private matter") && received.text().contains("another matter"));
    assert_eq!(mail.unexpected("erin@example.org", "") + mail.unexpected("frank@example.org", ""), 0);
}
