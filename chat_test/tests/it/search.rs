//! Searching messages.

use chat_test::{ApiResponse, TestApp, TestUser, eventually};
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

async fn search_contents(user: &TestUser, query: &str) -> Vec<String> {
    let results = user.get(&format!("/api/search?{query}")).await.expect(200).json();
    let texts = results["items"].as_array().expect("items").iter();
    texts.map(|result| result["content"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn words_phrases_and_parts_of_words_are_found_best_first() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    for text in [
        "the quick brown fox",
        "a fox, quick!",
        "firefoxes",
        "Ein Füchslein läuft",
        "你好世界，今天天气很好",
        "100% a_b",
    ] {
        alice.say("team", text).await;
    }
    for is_indexed in [false, true] {
        if is_indexed {
            index_all(&app).await;
        }
        find_all(&bob).await;
    }
}

/// A set of messages, and of searches with all that each one finds, best first.
#[derive(Deserialize)]
struct RelevanceSet {
    messages: Vec<NamedMessage>,
    queries: Vec<JudgedQuery>,
}

#[derive(Deserialize)]
struct NamedMessage {
    name: String,
    text: String,
}

#[derive(Deserialize)]
struct JudgedQuery {
    q: String,
    finds: Vec<String>,
}

#[tokio::test]
async fn each_search_of_the_relevance_set_finds_what_people_expect_and_nothing_else() {
    let set: RelevanceSet = serde_json::from_str(include_str!("../../../fixtures/search.json")).expect("a set");
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut names = HashMap::new();
    for message in set.messages {
        names.insert(message.text.clone(), message.name);
        alice.say("team", &message.text).await;
    }
    for is_indexed in [false, true] {
        if is_indexed {
            index_all(&app).await;
        }
        let mut wrong = Vec::new();
        for JudgedQuery { q, finds } in &set.queries {
            let found =
                search_contents(&alice, &form_urlencoded::Serializer::new(String::new()).append_pair("q", q).finish())
                    .await;
            let found: Vec<&String> = found.iter().filter_map(|text| names.get(text)).collect();
            if found != finds.iter().collect::<Vec<_>>() {
                wrong.push(format!("{q}: {found:?} instead of {finds:?}"));
            }
        }
        assert!(wrong.is_empty(), "indexed: {is_indexed}\n{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn a_search_that_takes_too_long_says_so() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    alice.say("team", "okapi").await;
    index_all(&app).await;
    let mut stuck = app.db.begin().await.expect("a transaction");
    sqlx::query("lock table search_entries in access exclusive mode").execute(&mut *stuck).await.expect("locked");
    let problem = alice.get("/api/search?q=okapi").await.expect_problem(422);
    assert_eq!(problem["errors"][0]["code"], "too_broad");
    stuck.rollback().await.expect("rolled back");
    assert_eq!(search_contents(&alice, "q=okapi").await, ["okapi"]);
}

/// Waits until every message is in the search index.
async fn index_all(app: &TestApp) {
    eventually("everything is indexed", || async {
        chat_core::search::index_batch(&app.db).await.expect("indexed");
        sqlx::query_scalar("select indexed_up_to >= (select max(id) from messages) from search_progress")
            .fetch_one(&app.db)
            .await
            .expect("progress")
    })
    .await;
}

async fn find_all(bob: &TestUser) {
    for (query, expected) in [
        ("q=quick%20fox", vec!["a fox, quick!", "the quick brown fox"]),
        ("q=%22quick%20brown%22", vec!["the quick brown fox"]),
        ("q=quick%20-brown", vec!["a fox, quick!"]),
        ("q=quick%20-%22brown%20fox%22", vec!["a fox, quick!"]),
        ("q=brown%20or%20f%C3%BCchslein", vec!["Ein Füchslein läuft", "the quick brown fox"]),
        ("q=fox", vec!["a fox, quick!", "the quick brown fox", "firefoxes"]),
        ("q=FOX", vec!["a fox, quick!", "the quick brown fox", "firefoxes"]),
        ("q=qui", vec!["a fox, quick!", "the quick brown fox"]),
        ("q=F%C3%BCchs", vec!["Ein Füchslein läuft"]),
        ("q=%E4%BB%8A%E5%A4%A9%E5%A4%A9%E6%B0%94", vec!["你好世界，今天天气很好"]),
        ("q=%E4%BD%A0%E5%A5%BD", vec!["你好世界，今天天气很好"]),
        ("q=100%25", vec!["100% a_b"]),
        ("q=a_b", vec!["100% a_b"]),
        ("q=axb", vec![]),
        ("q=nothing", vec![]),
    ] {
        assert_eq!(search_contents(bob, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn search_finds_only_messages_that_the_user_may_see_now() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let message = alice.say("team", "the zebra plan").await;
    index_all(&app).await;
    assert_eq!(search_contents(&bob, "q=zebra").await.len(), 1);
    assert!(search_contents(&dave, "q=zebra").await.is_empty());
    assert!(search_contents(&dave, &format!("q=zebra&chat_id={}", message["chat_id"])).await.is_empty());
    bob.post(&format!("/api/chats/{}/leave", message["chat_id"]), json!({})).await.expect(204);
    assert!(search_contents(&bob, "q=zebra").await.is_empty());
    alice.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": "the okapi plan" })).await.expect(200);
    assert!(search_contents(&alice, "q=zebra").await.is_empty());
    assert_eq!(search_contents(&alice, "q=okapi").await.len(), 1);
    alice.delete(&format!("/api/messages/{}", message["id"])).await.expect(204);
    assert!(search_contents(&alice, "q=okapi").await.is_empty());
}

#[tokio::test]
async fn filters_narrow_and_every_result_opens() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    let one = bob.say_in(general, "okapi one").await;
    alice.say_in(team, "okapi two").await;
    bob.say_in(team, "okapi three").await;
    sqlx::query("update messages set created_at = '2020-05-05' where id <= $1")
        .bind(one["id"].as_i64())
        .execute(&app.db)
        .await
        .expect("long ago");
    for (filter, expected) in [
        (format!("chat_id={team}"), vec!["okapi three", "okapi two"]),
        (format!("from={}", bob.id), vec!["okapi three", "okapi one"]),
        ("before=2021-01-01".to_owned(), vec!["okapi one"]),
        ("after=2020-05-05T00:00:00.5Z".to_owned(), vec!["okapi three", "okapi two"]),
        ("before=2020-05-06&after=2020-05-05".to_owned(), vec!["okapi one"]),
        ("has=file".to_owned(), vec![]),
    ] {
        assert_eq!(search_contents(&alice, &format!("q=okapi&{filter}")).await, expected, "{filter}");
    }
    let results = alice.get("/api/search?q=okapi").await.json();
    for result in results["items"].as_array().expect("hits") {
        let around = format!("/api/chats/{}/messages?around={}", result["chat_id"], result["id"]);
        let page = alice.get(&around).await.expect(200).json();
        assert!(page["items"].as_array().expect("items").iter().any(|message| message["id"] == result["id"]));
    }
}

#[tokio::test]
async fn search_results_are_paginated() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for n in 0..7 {
        alice.say("team", if n % 2 == 0 { "okapi" } else { "megaokapis" }).await;
    }
    let whole = alice.get("/api/search?q=okapi").await.json()["items"].clone();
    let (mut seen, mut query) = (Vec::new(), Some("q=okapi&limit=2".to_owned()));
    while let Some(next) = query {
        let page = alice.get(&format!("/api/search?{next}")).await.expect(200).json();
        seen.extend(page["items"].as_array().expect("items").clone());
        query = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(Value::from(seen), whole);
}

#[tokio::test]
async fn an_invalid_search_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for query in [
        "",
        "q=",
        "q=%20",
        "q=%22%22",
        "q=--",
        "q=%7C%26!()",
        "q=x%00y",
        "q=okapi&has=money",
        "q=okapi&before=yesterday",
        "q=okapi&after=",
        "q=okapi&chat_id=0",
        "q=okapi&from=bob",
        "q=okapi&page=7",
        "q=okapi&page=1.0",
        "q=okapi&limit=0",
    ] {
        alice.get(&format!("/api/search?{query}")).await.expect_problem(422);
    }
    // Operators next to words are unusual but valid.
    for query in
        ["q=-okapi", "q=or", "q=okapi%20or", "q=%22okapi", "q='okapi':*", "q=%5Cokapi", "q=o", "q=%F0%9F%A6%8A"]
    {
        alice.get(&format!("/api/search?{query}")).await.expect(200);
    }
}

#[tokio::test]
async fn an_edit_is_found_immediately_and_indexed_later() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let message = alice.say("team", "the zebra plan").await;
    index_all(&app).await;
    // Holds off the job of the server, as a busy database does.
    let mut job = app.db.begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(4861703374915)").execute(&mut *job).await.expect("the lock of the job");
    let path = format!("/api/messages/{}", message["id"]);
    alice.patch(&path, json!({ "content": "the okapi plan" })).await.expect(200);
    assert!(search_contents(&alice, "q=zebra").await.is_empty());
    assert_eq!(search_contents(&alice, "q=okapi").await, ["the okapi plan"]);
    let entries = "select count(*) from search_entries where words like '%okapi%'";
    let count = async || sqlx::query_scalar::<_, i64>(entries).fetch_one(&app.db).await.expect("a count");
    assert_eq!(count().await, 0, "the edit itself does not update the index");
    job.rollback().await.expect("rolled back");
    eventually("the edit is indexed", || async {
        chat_core::search::index_batch(&app.db).await.expect("indexed");
        sqlx::query_scalar::<_, bool>("select not exists (select from search_stale)")
            .fetch_one(&app.db)
            .await
            .expect("a row")
    })
    .await;
    assert_eq!(count().await, 1);
    assert_eq!(search_contents(&alice, "q=okapi").await, ["the okapi plan"]);
    alice.delete(&path).await.expect(204);
    assert!(search_contents(&alice, "q=okapi").await.is_empty());
    assert_eq!(count().await, 0, "a deleted text leaves the index at once");
}

#[tokio::test]
async fn a_search_may_have_filters_only() {
    let app = TestApp::start().await;
    let [alice, bob] = [app.sign_up("alice2").await, app.sign_up("bob2").await];
    let group = json!({ "type": "group", "name": "files", "members": [bob.id] });
    let team = alice.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    for index in 0..2 {
        let named = |name: &str| format!("{name} {index}");
        alice.say_in(team, &named("see https://example.com")).await;
        bob.say_in(team, &named("?!")).await;
        let file = Part::bytes(b"some text".to_vec()).file_name("notes.txt");
        let request = bob.request(http::Method::POST, "/api/upload").multipart(Form::new().part("file", file));
        let files = ApiResponse::read(request.send().await.expect("an answer")).await.expect(201).json();
        let message = json!({ "content": "", "files": [files[0]["id"]] });
        bob.post(&format!("/api/chats/{team}/messages"), message).await.expect(201);
        if index == 0 {
            index_all(&app).await;
        }
    }
    let count = async |query: &str| search_contents(&alice, query).await.len();
    assert_eq!(count("has=file").await, 2);
    assert_eq!(count(&format!("from={}", bob.id)).await, 4);
    assert_eq!(count(&format!("from={}&has=file", alice.id)).await, 0);
    assert_eq!(search_contents(&alice, "has=link").await, ["see https://example.com 1", "see https://example.com 0"]);
    assert_eq!(count("has=image").await, 0);
    assert!(count("after=2020-01-01").await >= 6);
    assert_eq!(count("before=2020-01-01").await, 0);
    for incomplete in ["", &format!("chat_id={team}"), "order=newest"] {
        alice.get(&format!("/api/search?{incomplete}")).await.expect_problem(422);
    }
    let page = alice.get(&format!("/api/search?from={}&limit=3", bob.id)).await.expect(200).json();
    let next = page["next"].as_str().expect("a next page");
    assert_eq!(count(next).await, 1);

    // An earlier version left out messages without words.
    index_all(&app).await;
    sqlx::query("delete from search_entries where words = ''").execute(&app.db).await.expect("left out");
    assert_eq!(count("has=file").await, 0);
    sqlx::query("update search_progress set reindexed_up_to = 0").execute(&app.db).await.expect("not reindexed");
    for _ in 0..3 {
        chat_core::search::index_batch(&app.db).await.expect("indexed");
    }
    assert_eq!(count("has=file").await, 2);
    let files = alice.get("/api/search?has=file").await.expect(200).json();
    bob.delete(&format!("/api/messages/{}", files["items"][0]["id"])).await.expect(204);
    assert_eq!(count("has=file").await, 1, "a deleted message is not found");
    assert_eq!(count(&format!("from={}", bob.id)).await, 3);
    index_all(&app).await;
    assert_eq!(count(&format!("from={}", bob.id)).await, 3);
}

#[tokio::test]
async fn results_can_be_ordered_by_time() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let texts = ["okapi 1", "megaokapis 2", "okapi 3", "megaokapis 4", "okapi 5"];
    for text in texts {
        alice.say("team", text).await;
    }
    let newest_first: Vec<&str> = texts.into_iter().rev().collect();
    assert_eq!(search_contents(&alice, "q=okapi&order=newest").await, newest_first);
    let (mut seen, mut query) = (Vec::new(), Some("q=okapi&order=newest&limit=2".to_owned()));
    while let Some(next) = query {
        let page = alice.get(&format!("/api/search?{next}")).await.expect(200).json();
        seen.extend(page["items"].as_array().expect("items").iter().map(|one| one["content"].clone()));
        query = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, newest_first);
}
