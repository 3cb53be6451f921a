//! Sign-up, sign-in, sign-out, refresh tokens and finding users.

use chat_core::time::now;
use chat_test::{ApiResponse, TestApp};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn post(app: &TestApp, path: &str, body: Value) -> ApiResponse {
    let request = reqwest::Client::new().post(format!("{}{path}", app.endpoints.chat)).json(&body);
    ApiResponse::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn concurrent_sign_ups_with_one_name_create_one_user() {
    let app = TestApp::start().await;
    let attempts: Vec<_> = (0..6)
        .map(|n| {
            let name = if n % 2 == 0 { "Grace" } else { "grace" };
            post(
                &app,
                "/api/signup",
                json!({ "username": name, "email": format!("g{n}@example.com"), "password": "long unlikely words" }),
            )
        })
        .collect();
    let replies = futures_util::future::join_all(attempts).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for lost in replies.into_iter().filter(|reply| reply.status != 201) {
        assert_eq!(lost.expect_problem(409)["code"], "username_taken");
    }
    for look_alike in ["aIice", "a1ice", "al1ce", "a.lice", "ALICE", "B0b", "caro1"] {
        let body = json!({ "username": look_alike, "email": "x@example.com", "password": "long unlikely words" });
        assert_eq!(post(&app, "/api/signup", body).await.expect_problem(409)["code"], "username_taken", "{look_alike}");
    }
    for reserved in ["admin", "System", "here", "confab", "adrnin", "supp0rt", "c0nfab", "a11"] {
        let body = json!({ "username": reserved, "email": "x@example.com", "password": "long unlikely words" });
        post(&app, "/api/signup", body).await.expect_problem(422);
    }
    let again = json!({ "username": "heidi", "email": "ALICE@example.com", "password": "long unlikely words" });
    assert_eq!(post(&app, "/api/signup", again).await.expect_problem(409)["code"], "email_taken");
}

#[tokio::test]
async fn a_weak_password_is_rejected() {
    let app = TestApp::start().await;
    for password in [
        "password1",
        "aaaaaaaaaaaa",
        "grace-hopper1",
        "hoppergrace",
        "mailserver99",
        "confab2026!",
        "qwertyuiop12",
        "letmein2024",
    ] {
        let body = json!({ "username": "grace-hopper", "email": "g@mailserver.example", "password": password });
        let reply = post(&app, "/api/signup", body).await;
        assert_eq!(reply.status, 422, "{password}");
        let problem = reply.expect_problem(422);
        assert_eq!(
            (problem["errors"][0]["field"].as_str(), problem["errors"][0]["code"].as_str()),
            (Some("password"), Some("weak"))
        );
    }
}

#[tokio::test]
async fn sign_in_does_not_reveal_whether_an_email_exists() {
    let app = TestApp::start().await;
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    let mut answers = Vec::new();
    for _ in 0..5 {
        for (email, fastest) in [("alice@example.com", &mut known), ("nobody@example.com", &mut unknown)] {
            let begun = Instant::now();
            let reply = post(&app, "/api/signin", json!({ "email": email, "password": "wrong password" })).await;
            *fastest = begun.elapsed().min(*fastest);
            let mut problem = reply.expect_problem(401);
            problem["request_id"] = Value::Null;
            answers.push(problem);
        }
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    // Hashing dominates both; a skipped hash would be a hundred times faster.
    assert!(unknown > known / 4 && known > unknown / 4, "known {known:?}, unknown {unknown:?}");
}

#[tokio::test]
async fn reusing_a_refresh_token_ends_the_session() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let refresh = |token: Value| post(&app, "/api/token/refresh", json!({ "refresh_token": token }));
    let second = refresh(alice.auth_response["refresh_token"].clone()).await.expect(200).json();
    assert_ne!(second["refresh_token"], alice.auth_response["refresh_token"]);
    assert_eq!(second["user"], alice.auth_response["user"]);
    // The first token is used again, so it was copied. The whole session ends.
    assert_eq!(
        refresh(alice.auth_response["refresh_token"].clone()).await.expect_problem(401)["code"],
        "session_revoked"
    );
    assert_eq!(refresh(second["refresh_token"].clone()).await.expect_problem(401)["code"], "session_revoked");
    assert_eq!(refresh(json!("made up")).await.expect_problem(401)["code"], "token_invalid");
}

#[tokio::test]
async fn a_refresh_can_be_retried_until_its_new_token_is_used() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let refresh = |token: &Value, nonce: &str| {
        post(&app, "/api/token/refresh", json!({ "refresh_token": token, "nonce": nonce }))
    };
    let first = &alice.auth_response["refresh_token"];
    refresh(first, "too short").await.expect_problem(422);
    // Many tabs refresh at the same time, without coordination.
    let answers = join_all((0..8).map(|_| refresh(first, "one-name-for-this-use"))).await;
    let mut given = answers.into_iter().map(|reply| reply.expect(200).json()["refresh_token"].clone());
    let second = given.next().expect("eight answers");
    assert!(given.all(|token| token == second));
    let third = refresh(&second, "another-name-for-that").await.expect(200).json()["refresh_token"].clone();
    assert_ne!(third, second);
    // The token from the first refresh has been used, so a repeat is treated as a stolen copy.
    assert_eq!(refresh(first, "one-name-for-this-use").await.expect_problem(401)["code"], "session_revoked");
    assert_eq!(refresh(&third, "the-last-name-of-all").await.expect_problem(401)["code"], "session_revoked");
}

#[tokio::test]
async fn a_stolen_refresh_token_without_its_nonce_ends_the_session() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let first = &alice.auth_response["refresh_token"];
    let own = json!({ "refresh_token": first, "nonce": "known-to-the-device" });
    let second = post(&app, "/api/token/refresh", own).await.expect(200).json();
    let stolen = json!({ "refresh_token": first, "nonce": "guessed-by-somebody" });
    assert_eq!(post(&app, "/api/token/refresh", stolen).await.expect_problem(401)["code"], "session_revoked");
    let body = json!({ "refresh_token": second["refresh_token"] });
    assert_eq!(post(&app, "/api/token/refresh", body).await.expect_problem(401)["code"], "session_revoked");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_clears_the_cookie() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let reply = alice.post("/api/signout", json!({})).await.expect(204);
    assert!(
        reply.header("set-cookie").starts_with("confab_stream=; ") && reply.header("set-cookie").contains("Max-Age=0")
    );
    let body = json!({ "refresh_token": alice.auth_response["refresh_token"] });
    assert_eq!(post(&app, "/api/token/refresh", body).await.expect_problem(401)["code"], "session_revoked");
}

#[tokio::test]
async fn users_are_found_by_words_of_their_names_and_emails_stay_private() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    bob.patch("/api/me", json!({ "display_name": "İbrahim Ångström-Núñez" })).await.expect(200);
    for (q, found) in [
        ("bo", "bob"),
        ("BOB", "bob"),
        ("Dave T", "dave"),
        ("carol", "carol"),
        ("ibrahim", "bob"),
        ("nunez", "bob"),
        ("angstrom ib", "bob"),
        ("Ångström-N", "bob"),
    ] {
        let reply = alice.request(http::Method::GET, "/api/users/search").query(&[("q", q)]).send().await;
        let answer = ApiResponse::read(reply.expect("an answer")).await.expect(200).json();
        assert_eq!(answer["items"][0]["username"], found, "{q}");
        assert_eq!(answer["items"][0].get("email"), None);
    }
    for (q, count) in [("%", 0), ("_", 0), ("\\", 0), ("zzz", 0)] {
        let reply = alice.request(http::Method::GET, "/api/users/search").query(&[("q", q)]).send().await;
        let answer = ApiResponse::read(reply.expect("an answer")).await.expect(200).json();
        assert_eq!(answer["items"].as_array().map(Vec::len), Some(count), "{q}");
    }
    let seen = alice.get(&format!("/api/users/{}", bob.id)).await.expect(200).json();
    assert_eq!((seen["username"].as_str(), seen.get("email")), (Some("bob"), None));
    assert_eq!(alice.get("/api/me").await.expect(200).json()["email"], "alice@example.com");
    alice.get("/api/users/999999").await.expect_problem(404);
    let both = alice.get(&format!("/api/users?ids={},999999,{},{}", bob.id, alice.id, bob.id)).await.expect(200).json();
    let names: Vec<_> = both["items"].as_array().expect("a list").iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["alice", "bob"], "each user once, and no unknown users");
}

/// When a session ends, its streams end immediately and cannot be reopened.
#[tokio::test]
async fn signing_out_ends_the_streams_of_that_device_only() {
    let app = TestApp::start().await;
    let [here, there, alice] = app.sign_in(["bob", "bob", "alice"]).await;
    let (mut gone, mut stays) = (here.listen().await, there.listen().await);
    let ticket = here.post("/api/events/ticket", json!({})).await.expect(201).json();
    here.post("/api/signout", json!({})).await.expect(204);
    assert_eq!(gone.next().await.kind, "session.revoked");
    assert_eq!(gone.try_next().await, None);
    alice.say("team", "after").await;
    assert_eq!(stays.next().await.kind, "session.revoked");
    assert_eq!(stays.next().await.text(), "after");

    let client = reqwest::Client::new();
    let events = || client.get(format!("{}/events", app.endpoints.notify));
    let ticket = ticket["ticket"].as_str().expect("text");
    for (how, request, code) in [
        ("token", events().bearer_auth(&here.token), "session_revoked"),
        ("cookie", events().header("cookie", &here.cookie), "session_revoked"),
        ("ticket", events().query(&[("ticket", ticket)]), "token_invalid"),
    ] {
        let reply = ApiResponse::read(request.send().await.expect("an answer")).await;
        assert_eq!(reply.expect_problem(401)["code"], code, "{how}");
    }
}

#[tokio::test]
async fn a_custom_status_is_shown_until_it_ends() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let path = format!("/api/users/{}", alice.id);
    let tomorrow = (now() + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = json!({ "text": "In the greenhouse", "emoji": "🌱", "expires_at": tomorrow });
    let me = alice.patch("/api/me", json!({ "custom_status": status, "time_zone": "Europe/Paris" })).await.expect(200);
    let shown = me.json()["custom_status"].clone();
    assert_eq!((&shown["text"], &shown["emoji"]), (&json!("In the greenhouse"), &json!("🌱")));
    let event = bobs.next_of("user.updated").await;
    assert_eq!(
        (&event.data["user"]["custom_status"], &event.data["user"]["time_zone"]),
        (&shown, &json!("Europe/Paris"))
    );
    assert_eq!(bob.get(&path).await.expect(200).json()["custom_status"], shown);
    // Another change leaves it; only null removes it.
    alice.patch("/api/me", json!({ "bio": "Grows orchids" })).await.expect(200);
    assert_eq!(bob.get(&path).await.expect(200).json()["custom_status"], shown);
    alice.patch("/api/me", json!({ "custom_status": null, "time_zone": null })).await.expect(200);
    let user = bob.get(&path).await.expect(200).json();
    assert_eq!((&user["custom_status"], &user["time_zone"]), (&Value::Null, &Value::Null));
    // One that has ended is not shown.
    let past = json!({ "text": "Lunch", "expires_at": "2026-01-01T12:00:00Z" });
    alice.patch("/api/me", json!({ "custom_status": past })).await.expect(200);
    assert_eq!(bob.get(&path).await.expect(200).json()["custom_status"], Value::Null);
    for invalid in [
        json!({ "text": "" }),
        json!({ "text": "x".repeat(101) }),
        json!({ "text": "two\nlines" }),
        json!({ "text": "hi", "emoji": "abc" }),
        json!({ "text": "hi", "expires_at": "tomorrow" }),
        json!({ "emoji": "🌱" }),
    ] {
        alice.patch("/api/me", json!({ "custom_status": invalid })).await.expect_problem(422);
    }
    alice.patch("/api/me", json!({ "time_zone": "Mars/Olympus" })).await.expect_problem(422);
}
