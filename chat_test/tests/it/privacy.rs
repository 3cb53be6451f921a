//! What users can learn of each other and do to each other without a common chat.

use chat_test::{ApiResponse, TestApp, TestUser};
use serde_json::{Value, json};

async fn find(user: &TestUser, text: &str) -> Vec<String> {
    let request = user.request(http::Method::GET, "/api/users/search").query(&[("q", text)]);
    let found = ApiResponse::read(request.send().await.expect("an answer")).await.expect(200).json();
    let names = found["items"].as_array().expect("users").iter();
    names.map(|user| user["username"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn the_directory_shows_contacts_and_exact_names() {
    let app = TestApp::start().await;
    let (erin, erika) = (app.sign_up("erin").await, app.sign_up("erika").await);
    erika.patch("/api/me", json!({ "display_name": "Erika Ångström" })).await.expect(200);
    let [alice] = app.sign_in(["alice"]).await;
    assert_eq!(find(&alice, "bo").await, ["bob"], "they share a chat");
    assert_eq!(find(&erin, "er").await, ["erin"], "only the caller");
    for exact in ["erika", "ERIKA", "@erika", "erika ångström"] {
        assert_eq!(find(&erin, exact).await, ["erika"], "{exact}");
    }
    assert_eq!(find(&erin, "erika a").await, [""; 0]);
    for (name, text) in [("Rene\u{301} F", "Ren\u{e9} F"), ("ΟΔΥΣΣΕΥΣ", "ΟΔΥΣΣΕΥΣ"), ("İstanbul A", "İstanbul A")]
    {
        erika.patch("/api/me", json!({ "display_name": name })).await.expect(200);
        assert_eq!(find(&erin, text).await, ["erika"], "{name}");
    }
    erika.patch("/api/me", json!({ "display_name": "Erika Ångström" })).await.expect(200);
    erin.post("/api/chats", json!({ "type": "single", "user_id": erika.id })).await.expect(201);
    assert_eq!(find(&erin, "er").await, ["erika", "erin"]);
}

#[tokio::test]
async fn a_profile_is_visible_to_those_who_share_or_shared_a_chat() {
    let app = TestApp::start().await;
    let [erin, frank, operator] = [app.sign_up("erin").await, app.sign_up("frank").await, app.sign_up("grace").await];
    let path = format!("/api/users/{}", frank.id);
    let ids = async |viewer: &TestUser| {
        let path = format!("/api/users?ids={},{}", frank.id, viewer.id);
        let users = viewer.get(&path).await.expect(200).json();
        users["items"].as_array().expect("users").iter().map(|user| user["id"].clone()).collect::<Vec<_>>()
    };
    erin.get(&path).await.expect_problem(404);
    erin.put(&format!("{path}/block"), json!({})).await.expect_problem(404);
    let own = erin.post("/api/chats", json!({ "type": "group", "name": "own", "members": [] })).await.json();
    erin.put(&format!("/api/chats/{}/bans/{}", own["id"], frank.id), json!({})).await.expect_problem(404);
    assert_eq!(ids(&erin).await, [json!(erin.id)], "ids cannot be tried one after the other");
    let group = json!({ "type": "group", "name": "club", "members": [frank.id] });
    let chat = erin.post("/api/chats", group).await.expect(201).json();
    assert_eq!(ids(&erin).await.len(), 2);
    frank.post(&format!("/api/chats/{}/leave", chat["id"]), json!({})).await.expect(204);
    erin.get(&path).await.expect(200);
    frank.get(&format!("/api/users/{}", erin.id)).await.expect_problem(404);
    let sql = "update users set is_operator = true where id = $1";
    sqlx::query(sql).bind(operator.id).execute(&app.db).await.expect("an operator");
    operator.get(&path).await.expect(200);
}

#[tokio::test]
async fn only_contacts_can_add_a_user_who_wants_that() {
    let app = TestApp::start().await;
    let (erin, frank) = (app.sign_up("erin").await, app.sign_up("frank").await);
    assert_eq!(erin.auth_response["user"]["group_privacy"], "everyone");
    let group = |members: Value| json!({ "type": "group", "name": "club", "members": members });
    erin.patch("/api/me", json!({ "group_privacy": "contacts" })).await.expect(200);
    erin.patch("/api/me", json!({ "group_privacy": "nobody" })).await.expect_problem(422);
    let refused = frank.post("/api/chats", group(json!([erin.id]))).await.expect_problem(422);
    assert_eq!(
        (&refused["errors"][0]["field"], &refused["errors"][0]["code"]),
        (&json!("members"), &json!("needs_invite"))
    );
    let chat = frank.post("/api/chats", group(json!([]))).await.expect(201).json();
    let members = format!("/api/chats/{}/members", chat["id"]);
    let refused = frank.post(&members, json!({ "user_id": erin.id })).await.expect_problem(422);
    assert_eq!(refused["errors"][0]["code"], "needs_invite");
    // A direct chat and a public channel make them no contacts, because frank needs no consent for them.
    let direct = frank.post("/api/chats", json!({ "type": "single", "user_id": erin.id })).await.expect(201).json();
    frank.say_in(direct["id"].as_i64().expect("an id"), "let me in").await;
    for user in [&erin, &frank] {
        let general = user.get("/api/channels?q=general").await.expect(200).json()["items"][0]["id"].clone();
        user.post(&format!("/api/chats/{general}/join"), json!({})).await.expect(201);
    }
    frank.post("/api/chats", group(json!([erin.id]))).await.expect_problem(422);
    // Whom erin answers, or whose invite she accepts, is a contact.
    let invite = frank.post(&format!("/api/chats/{}/invites", chat["id"]), json!({})).await.expect(201).json();
    erin.post(&format!("/api/invites/{}", invite["code"].as_str().expect("a code")), json!({})).await.expect(201);
    frank.post("/api/chats", group(json!([erin.id]))).await.expect(201);
    let grace = app.sign_up("grace").await;
    let direct = grace.post("/api/chats", json!({ "type": "single", "user_id": erin.id })).await.expect(201).json();
    erin.say_in(direct["id"].as_i64().expect("an id"), "hello").await;
    grace.post("/api/chats", group(json!([erin.id]))).await.expect(201);
}

#[tokio::test]
async fn a_blocker_looks_like_a_user_who_was_never_online() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut stream_of_bob = bob.listen().await;
    let _stream = alice.listen().await;
    let path = format!("/api/presence/{}", alice.id);
    chat_test::eventually("alice is online", || async {
        bob.get(&path).await.expect(200).json()["status"] == "online"
    })
    .await;
    let mut next_status = async || loop {
        let event = stream_of_bob.next_ephemeral("presence").await;
        if event.data["user_id"] == alice.id {
            break event.data["status"].clone();
        }
    };
    assert_eq!(next_status().await, "online");
    let block = format!("/api/users/{}/block", bob.id);
    alice.put(&block, json!({})).await.expect(204);
    assert_eq!(next_status().await, "offline", "an open stream is told");
    alice.delete(&block).await.expect(204);
    assert_eq!(next_status().await, "online");
    alice.put(&block, json!({})).await.expect(204);
    let hidden = json!({ "user_id": alice.id, "status": "offline", "last_seen": null });
    assert_eq!(bob.get(&path).await.expect(200).json(), hidden);
    let [dave] = app.sign_in(["dave"]).await;
    let never_online = json!({ "user_id": dave.id, "status": "offline", "last_seen": null });
    assert_eq!(bob.get(&format!("/api/presence/{}", dave.id)).await.expect(200).json(), never_online);
}

#[tokio::test]
async fn a_banned_user_does_not_find_the_channel() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let general = alice.chat_id("general").await;
    alice.put(&format!("/api/chats/{general}/bans/{}", bob.id), json!({})).await.expect(204);
    assert_eq!(bob.get("/api/channels").await.expect(200).json()["items"], json!([]));
    assert_eq!(alice.get("/api/channels").await.expect(200).json()["items"][0]["id"], general);
}

#[tokio::test]
async fn the_username_of_a_deleted_account_stays_reserved() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let body = json!({ "password": "long unlikely words" });
    let request = erin.request(http::Method::DELETE, "/api/me").json(&body);
    ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
    let sign_up = async |name: &str| {
        let body = json!({ "username": name, "email": "new@example.org", "password": "long unlikely words" });
        let request = reqwest::Client::new().post(format!("{}/api/signup", app.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await
    };
    for name in ["erin", "Erin", "er.in"] {
        assert_eq!(sign_up(name).await.expect_problem(409)["code"], "username_taken", "{name}");
    }
    let later = "update reserved_usernames set until_at = now() - interval '1 second'";
    sqlx::query(later).execute(&app.db).await.expect("90 days later");
    sign_up("erin").await.expect(201);
}

#[tokio::test]
async fn an_email_is_the_same_however_its_characters_are_composed() {
    let app = TestApp::start().await;
    let body = json!({ "username": "rene", "email": "rene\u{301}@example.org", "password": "long unlikely words" });
    let post = async |path: &str, body: Value| {
        let request = reqwest::Client::new().post(format!("{}{path}", app.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await
    };
    post("/api/signup", body).await.expect(201);
    let composed = json!({ "email": "ren\u{e9}@example.org", "password": "long unlikely words" });
    post("/api/signin", composed).await.expect(200);
    let again = json!({ "username": "rene2", "email": "ren\u{e9}@example.org", "password": "long unlikely words" });
    assert_eq!(post("/api/signup", again).await.expect_problem(409)["code"], "email_taken");
}

#[tokio::test]
async fn nobody_can_prevent_the_deletion_of_an_account() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let squatter = app.sign_up("squatter").await;
    for name in [format!("deleted-{}", erin.id), format!("deleted.{}", erin.id), "de1eted9".to_owned()] {
        let body = json!({ "username": name, "email": "new@example.org", "password": "long unlikely words" });
        let request = reqwest::Client::new().post(format!("{}/api/signup", app.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(422);
    }
    // A name from the time before it was reserved.
    let sql = "update users set username = $2 where id = $1";
    let name = format!("deleted{}", erin.id);
    sqlx::query(sql).bind(squatter.id).bind(name).execute(&app.db).await.expect("renamed");
    let request = erin.request(http::Method::DELETE, "/api/me").json(&json!({ "password": "long unlikely words" }));
    ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
}

#[tokio::test]
async fn a_sign_up_during_a_deletion_does_not_take_the_username() {
    let app = TestApp::start().await;
    for round in 0..5 {
        let name = format!("erin{round}");
        let erin = app.sign_up(&name).await;
        let sign_up = async |nth: u64| {
            // At different moments of the deletion; the outcome is the same at each.
            tokio::time::sleep(std::time::Duration::from_millis(3 * nth)).await;
            let email = format!("{name}-{nth}@example.org");
            let body = json!({ "username": name, "email": email, "password": "long unlikely words" });
            let request = reqwest::Client::new().post(format!("{}/api/signup", app.endpoints.chat)).json(&body);
            ApiResponse::read(request.send().await.expect("an answer")).await.status.as_u16()
        };
        let delete = async {
            let body = json!({ "password": "long unlikely words" });
            let request = erin.request(http::Method::DELETE, "/api/me").json(&body);
            ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
        };
        let (_, first, second, third) = tokio::join!(delete, sign_up(0), sign_up(1), sign_up(4));
        assert_eq!([first, second, third], [409, 409, 409]);
    }
}

#[tokio::test]
async fn the_directory_lists_contacts_page_by_page() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let [alice] = app.sign_in(["alice"]).await;
    let names = async |user: &TestUser, query: &str| {
        let page = user.get(&format!("/api/users/directory?{query}")).await.expect(200).json();
        let users = page["items"].as_array().expect("users").iter();
        (users.map(|user| user["username"].clone()).collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(names(&alice, "").await.0, ["bob", "carol", "dave"]);
    assert_eq!(names(&erin, "scope=everyone").await.0, [""; 0], "a closed directory shows contacts only");
    let (first, next) = names(&alice, "limit=2").await;
    assert_eq!(first, ["bob", "carol"]);
    assert_eq!(names(&alice, next.as_str().expect("a next page")).await, (vec![json!("dave")], Value::Null));

    alice.get(&format!("/api/users/{}/chats", erin.id)).await.expect_problem(404);
    let group = json!({ "type": "group", "name": "club", "members": [alice.id] });
    let club = erin.post("/api/chats", group).await.expect(201).json();
    let shared = alice.get(&format!("/api/users/{}/chats", erin.id)).await.expect(200).json();
    assert_eq!((&shared["items"][0]["id"], shared["items"].as_array().map(Vec::len)), (&club["id"], Some(1)));
    assert_eq!(names(&erin, "").await.0, ["alice"]);
}
