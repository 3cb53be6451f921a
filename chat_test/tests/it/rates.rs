//! How often one may ask.

use chat_test::{Reply, TestApp, TestUser, eventually};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_person_who_asks_too_often_is_told_when_to_come_back() {
    let app = TestApp::limited("write=3/m,read=2/s").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat("team").await;
    let send = |user: &TestUser| {
        let user = user.clone();
        async move { user.post(&format!("/api/chats/{team}/messages"), json!({ "content": "again" })).await }
    };
    for left in ["2", "1", "0"] {
        let sent = send(&alice).await.expect(201);
        assert_eq!((sent.header("ratelimit-limit"), sent.header("ratelimit-remaining")), ("3", left));
    }
    let refused = send(&alice).await;
    assert_eq!(refused.refused(429)["code"], "too_many_requests");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(
        (refused.header("ratelimit-remaining"), refused.header("ratelimit-reset")),
        ("0", refused.header("retry-after"))
    );
    send(&bob).await.expect(201);
    let messages = format!("/api/chats/{team}/messages");
    eventually("reading is counted apart, and comes back", || async { alice.get(&messages).await.status == 200 }).await;
    eventually("and has an end too", || async { alice.get(&messages).await.status == 429 }).await;
    let stored: i64 = sqlx::query_scalar("select count(*) from messages where content = 'again'")
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(stored, 4, "what was refused is not there");
}

#[tokio::test]
async fn passwords_are_tried_so_often_from_one_address() {
    let app = TestApp::limited("auth=3/m").await;
    let try_from = |address: &'static str| {
        let body = json!({ "email": "alice@example.com", "password": "wrong words" });
        let request = reqwest::Client::new().post(format!("{}/api/signin", app.places.chat));
        let request = request.header("x-forwarded-for", address).json(&body);
        async move { Reply::read(request.send().await.expect("an answer")).await }
    };
    for _ in 0..3 {
        try_from("203.0.113.7").await.refused(401);
    }
    try_from("203.0.113.7").await.refused(429);
    try_from("1.2.3.4, 203.0.113.7").await.refused(429);
    try_from("203.0.113.8").await.refused(401);
}

#[tokio::test]
async fn closing_an_account_is_no_way_to_try_passwords() {
    let app = TestApp::limited("auth=5/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut last = 0;
    for _ in 0..6 {
        let request = alice.request(Method::DELETE, "/api/me").json(&json!({ "password": "wrong words" }));
        last = Reply::read(request.send().await.expect("an answer")).await.status.as_u16();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn one_address_is_limited_whoever_is_behind_it() {
    let app = TestApp::limited("address=5/m").await;
    let ask = || async {
        Reply::read(reqwest::get(format!("{}/api/config", app.places.chat)).await.expect("an answer")).await
    };
    for _ in 0..5 {
        ask().await.expect(200);
    }
    ask().await.refused(429);
}

#[tokio::test]
async fn without_limits_nobody_counts() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let reply = Reply::read(alice.request(Method::GET, "/api/me").send().await.expect("an answer")).await.expect(200);
    assert_eq!(reply.header("ratelimit-limit"), "");
}
