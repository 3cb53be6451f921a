//! Auth sessions: listing and ending them.

use chat_core::{
    auth::{Audience, Claims, sessions},
    time,
};
use chat_test::{ApiResponse, TestApp, TestUser, eventually};
use serde_json::{Value, json};

async fn list_sessions(user: &TestUser) -> Vec<Value> {
    user.get("/api/sessions").await.expect(200).json()["items"].as_array().expect("sessions").clone()
}

/// Returns whether the API accepts the user's token.
async fn is_signed_in(user: &TestUser) -> bool {
    let reply = user.get("/api/me").await;
    if reply.status == 200 {
        return true;
    }
    assert_eq!(reply.expect_problem(401)["code"], "session_revoked");
    false
}

#[tokio::test]
async fn a_user_lists_their_sessions_and_ends_one() {
    let app = TestApp::start().await;
    let [phone, laptop, bob] = app.sign_in(["alice", "alice", "bob"]).await;
    let mut streams = (phone.listen().await, laptop.listen().await);
    let listed = list_sessions(&laptop).await;
    assert_eq!(listed.iter().filter(|session| session["current"] == true).count(), 1);
    let of_phone = listed.iter().find(|session| session["current"] == false).expect("the phone");
    let path = format!("/api/sessions/{}", of_phone["id"].as_str().expect("an id"));
    bob.delete(&path).await.expect_problem(404);
    laptop.delete(&path).await.expect(204);
    assert!(!is_signed_in(&phone).await, "rejected immediately by the server that ended it");
    assert_eq!(streams.0.next().await.kind, "session.revoked");
    assert!(streams.0.try_next().await.is_none());
    assert_eq!(streams.1.next().await.kind, "session.revoked");
    assert!(is_signed_in(&laptop).await);
    assert_eq!(list_sessions(&laptop).await.len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_rejected_everywhere_within_seconds() {
    let app = TestApp::start().await;
    let beside = TestApp::replica_of(&app).await;
    let [alice] = app.sign_in(["alice"]).await;
    let elsewhere = alice.at(&beside.endpoints);
    assert!(is_signed_in(&elsewhere).await);
    alice.post("/api/signout", json!({})).await.expect(204);
    eventually("the other server rejects the session", || async { !is_signed_in(&elsewhere).await }).await;
}

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let body = |now: &str, new: &str| json!({ "current_password": now, "new_password": new });
    let sign_in = |password: &str| {
        let body = json!({ "email": "erin@example.org", "password": password });
        let request = reqwest::Client::new().post(format!("{}/api/signin", app.endpoints.chat)).json(&body);
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    sign_in("long unlikely words").await.expect(200);
    assert_eq!(list_sessions(&erin).await.len(), 2);
    erin.put("/api/me/password", body("wrong old words", "even longer unlikely words")).await.expect_problem(403);
    erin.put("/api/me/password", body("long unlikely words", "password")).await.expect_problem(422);
    erin.put("/api/me/password", body("long unlikely words", "even longer unlikely words")).await.expect(204);
    assert!(is_signed_in(&erin).await);
    assert_eq!(list_sessions(&erin).await.len(), 1);
    sign_in("long unlikely words").await.expect_problem(401);
    // A password that nobody could choose is just wrong.
    for wrong in ["short", &"long ".repeat(100)] {
        assert_eq!(sign_in(wrong).await.expect_problem(401)["code"], "credentials_invalid", "{wrong:?}");
    }
    sign_in("even longer unlikely words").await.expect(200);
}

#[tokio::test]
async fn a_token_for_another_users_session_is_rejected() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let session_id = list_sessions(&alice).await[0]["id"].as_str().expect("an id").parse().expect("a uuid");
    let claims = Claims { user_id: bob.id.try_into().expect("an id"), session_id };
    let token = app.signer.sign(claims, Audience::Api, time::now(), 60).expect("a token");
    for url in [format!("{}/api/me", app.endpoints.chat), format!("{}/events", app.endpoints.notify)] {
        let reply = reqwest::Client::new().get(url).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(ApiResponse::read(reply).await.expect_problem(401)["code"], "session_revoked");
    }
}

#[tokio::test]
async fn a_user_signs_out_everywhere_else() {
    let app = TestApp::start().await;
    let [phone, laptop, tablet] = app.sign_in(["alice", "alice", "alice"]).await;
    let mut stream = phone.listen().await;
    for device in [&phone, &tablet, &laptop] {
        assert_eq!(list_sessions(device).await[0]["current"], true, "the current session is the first");
    }
    laptop.delete("/api/sessions").await.expect(204);
    assert_eq!(list_sessions(&laptop).await.len(), 1);
    assert!(!is_signed_in(&phone).await && !is_signed_in(&tablet).await);
    while stream.try_next().await.is_some() {}
}

#[tokio::test]
async fn the_streams_of_a_session_end_when_it_expires() {
    let app = TestApp::start().await;
    let [phone, laptop] = app.sign_in(["alice", "alice"]).await;
    let (mut expiring, mut staying) = (phone.listen().await, laptop.listen().await);
    let id = list_sessions(&phone).await[0]["id"].as_str().expect("an id").to_owned();
    sqlx::query("update sessions set expires_at = now() where id::text = $1")
        .bind(&id)
        .execute(&app.db)
        .await
        .expect("it expires");
    sessions::revoke_expired(&app.db).await.expect("expired sessions end");
    assert_eq!(expiring.next().await.data["session_id"], id);
    assert!(expiring.try_next().await.is_none());
    assert_eq!(staying.next().await.kind, "session.revoked");
    laptop.say("team", "still here").await;
    staying.next_of("message.new").await;
}
