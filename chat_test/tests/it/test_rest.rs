//! Runs `test.rest`, the file that developers open in their editor's REST client.

use chat_test::{TestApp, rest_file};
use futures_util::StreamExt;
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::time::timeout;

const FILE: &str = include_str!("../../../test.rest");

#[tokio::test]
async fn every_request_of_test_rest_gets_its_expected_response() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let mut bobs = bob.listen().await;
    let (mut scope, requests) = rest_file::parse(FILE);
    scope.set("api", &app.endpoints.chat);
    scope.set("stream", &app.endpoints.notify);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    for request in requests {
        let mut sending = client.request(request.method.clone(), scope.substitute(&request.target));
        for (name, value) in &request.headers {
            sending = sending.header(name, scope.substitute(value));
        }
        if !request.body.is_empty() {
            let is_form = request.headers.iter().any(|(_, value)| value.starts_with("multipart/"));
            let body = scope.substitute(&request.body);
            sending = sending.body(if is_form { body.replace('\n', "\r\n") + "\r\n" } else { body });
        }
        let response = sending.send().await.expect("an answer");
        let status = response.status().as_u16();
        let is_stream = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body: Value = if is_stream {
            let first = timeout(chat_test::DEADLINE, response.bytes_stream().next()).await.expect("a first event");
            let text = String::from_utf8_lossy(&first.expect("bytes").expect("bytes")).into_owned();
            text.lines()
                .find_map(|line| line.strip_prefix("data: "))
                .and_then(|data| serde_json::from_str(data).ok())
                .unwrap_or_default()
        } else {
            let bytes = response.bytes().await.expect("a body");
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))
        };
        assert_eq!(status, request.status, "{}: {body}", request.title);
        for (path, expected) in &request.expected_body {
            assert_eq!(rest_file::value_at(&body, path), expected, "{}: {path} of {body}", request.title);
        }
        if let Some(name) = &request.name {
            scope.remember(name, body);
        }
    }
    // The events of one channel, as one of its members received them. Delivery receipts
    // exist only in direct chats and groups.
    let mut seen = BTreeSet::new();
    while !seen.contains("chat.deleted") {
        seen.insert(bobs.next().await.kind);
    }
    for kind in [
        "chat.new",
        "chat.updated",
        "member.joined",
        "member.updated",
        "member.left",
        "message.new",
        "message.read",
        "read_state",
        "reaction.added",
        "reaction.removed",
        "message.updated",
        "message.pinned",
        "message.unpinned",
        "message.deleted",
    ] {
        assert!(seen.contains(kind), "{kind} was not seen, but {seen:?}");
    }
    assert!(bobs.drain_ephemeral().iter().any(|event| event.kind == "typing"), "a typing event was received");
}

#[test]
fn every_route_is_in_test_rest() {
    let (_, requests) = rest_file::parse(FILE);
    let routes = chat_server::routes();
    let [live, ready] = chat_http::probes::PROBES;
    let metrics = chat_http::metrics::METRICS_PATH;
    let others = [notify_server::EVENTS_PATH, live, ready, metrics].map(|path| ("GET".to_owned(), path.to_owned()));
    let expected: BTreeSet<(String, String)> =
        routes.list().iter().map(|route| (route.method.to_string(), route.path.to_owned())).chain(others).collect();
    let asked: BTreeSet<(String, String)> = requests
        .iter()
        .map(|request| {
            let path = request.target.trim_start_matches("{{api}}").trim_start_matches("{{stream}}");
            let path = path.split('?').next().unwrap_or_default();
            // A placeholder for an id is in double braces; an emoji is percent-encoded.
            let path = path
                .split('/')
                .map(|part| if part.starts_with("{{") || part.starts_with('%') { "{}" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            (request.method.to_string(), path)
        })
        .collect();
    let nameless = |path: &str| {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let missing: Vec<_> =
        expected.iter().filter(|(method, path)| !asked.contains(&(method.clone(), nameless(path)))).collect();
    assert!(missing.is_empty(), "test.rest lacks {missing:?}");
    let known: BTreeSet<_> = expected.iter().map(|(method, path)| (method.clone(), nameless(path))).collect();
    let strange: Vec<_> = asked.iter().filter(|asked| !known.contains(*asked)).collect();
    assert!(strange.is_empty(), "test.rest has requests for unknown routes: {strange:?}");
}
