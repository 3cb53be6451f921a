//! MCP: programs that models use read and write chats with the token of a user.

use chat_test::{ApiResponse, TestApp, TestUser};
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

pub(crate) const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-06-18";

pub(crate) const READ: [&str; 4] = ["chats:read", "messages:read", "users:read", "search:read"];
const WRITE: [&str; 3] = ["messages:write", "reactions:write", "receipts:write"];

/// Sends a JSON-RPC request of a protocol version.
pub(crate) async fn send(user: &TestUser, version: &str, method: &str, params: Value) -> ApiResponse {
    ApiResponse::read(build(user, version, method, params).send().await.expect("an answer")).await
}

/// Builds a JSON-RPC request of a protocol version.
pub(crate) fn build(user: &TestUser, version: &str, method: &str, mut params: Value) -> RequestBuilder {
    let mut request = user
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", version);
    if version == MODERN {
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        });
        let own = params["_meta"].as_object().cloned().unwrap_or_default();
        meta.as_object_mut().expect("an object").extend(own);
        params["_meta"] = meta;
        request = request.header("mcp-method", method);
        if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
            request = request.header("mcp-name", name);
        }
    }
    request.json(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

async fn call_with(user: &TestUser, version: &str, params: Value) -> Value {
    send(user, version, "tools/call", params).await.expect(200).json()
}

/// Calls a tool and returns the result.
async fn call(user: &TestUser, tool: &str, arguments: Value) -> Value {
    call_with(user, MODERN, json!({ "name": tool, "arguments": arguments })).await["result"].clone()
}

/// Calls a tool and returns what it reads.
async fn read(user: &TestUser, tool: &str, arguments: Value) -> Value {
    let result = call(user, tool, arguments).await;
    assert_eq!(result["isError"], false, "{result}");
    result["structuredContent"].clone()
}

fn error_text(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().expect("a text")
}

pub(crate) async fn with_scopes(user: &TestUser, scopes: &[&str], more: Value) -> TestUser {
    let mut properties = json!({ "name": "mcp", "scopes": scopes });
    properties.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    user.with_api_token(properties).await
}

async fn texts(user: &TestUser, chat: i64) -> Vec<String> {
    let page = user.get(&format!("/api/chats/{chat}/messages?limit=5")).await.expect(200).json();
    let items = page["items"].as_array().expect("messages").clone();
    items.iter().map(|message| message["content"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn only_callers_with_a_token_and_from_no_foreign_page_are_served() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let nobody = alice.with_token("cfb_wrong");
    let refused = send(&nobody, MODERN, "tools/list", json!({})).await;
    refused.expect_problem(401);
    assert!(refused.header("www-authenticate").starts_with("Bearer error=\"invalid_token\", resource_metadata="));
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    for (origin, status) in [("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403)] {
        let request = alice.request(Method::POST, "/mcp").header("origin", origin).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(status);
    }
    let own = app.endpoints.chat.clone();
    let request = alice
        .request(Method::POST, "/mcp")
        .header("origin", own)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", LEGACY)
        .json(&body);
    ApiResponse::read(request.send().await.expect("an answer")).await.expect(200);
    for method in [Method::GET, Method::DELETE] {
        let request = alice.request(method, "/mcp").header("accept", "text/event-stream");
        ApiResponse::read(request.send().await.expect("an answer")).await.expect(405);
    }
    // An ended token is refused within a second.
    let token = with_scopes(&alice, &READ, json!({})).await;
    send(&token, MODERN, "tools/list", json!({})).await.expect(200);
    alice.delete("/api/sessions").await.expect(204);
    chat_test::eventually("the token is refused", || async {
        send(&token, MODERN, "tools/list", json!({})).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn a_token_sees_the_tools_of_its_scopes() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let reader = with_scopes(&alice, &READ, json!({})).await;
    for version in [MODERN, LEGACY] {
        let listed = send(&reader, version, "tools/list", json!({})).await.expect(200).json();
        let tools = listed["result"]["tools"].as_array().expect("tools").clone();
        let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["list_chats", "catch_up", "read_messages", "get_thread", "search_messages", "find_people"]);
        assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
        assert!(tools.iter().all(|tool| tool["outputSchema"]["type"] == "object"));
    }
    let hidden = json!({ "name": "send_message", "arguments": { "chat_id": 1, "text": "x" } });
    assert_eq!(call_with(&reader, MODERN, hidden).await["error"]["code"], -32602);
    for arguments in
        [json!({}), json!({ "chat_id": "1" }), json!({ "chat_id": 1, "surprise": 1 }), json!({ "chat_id": -1 })]
    {
        // The model can read what is wrong.
        error_text(&call(&reader, "read_messages", arguments).await);
    }
}

#[tokio::test]
async fn tools_read_what_the_user_can_read_as_data() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let reader = with_scopes(&alice, &READ, json!({ "chat_ids": [team] })).await;
    let hidden: String = "obey".chars().map(|c| char::from_u32(0xE0000 + c as u32).expect("a tag")).collect();
    let message = bob.say_in(team, &format!("pelican{hidden} \u{202E}news")).await;
    bob.post(&format!("/api/chats/{team}/messages"), json!({ "content": "a reply", "reply_to": message["id"] })).await;
    let page = read(&reader, "read_messages", json!({ "chat_id": team, "limit": 2 })).await;
    assert_eq!(page["messages"][0]["text"], "a reply");
    assert_eq!(page["messages"][1]["text"], "pelican news");
    assert_eq!(page["messages"][1]["author"]["username"], "bob");
    let thread = read(&reader, "get_thread", json!({ "message_id": message["id"] })).await;
    assert_eq!((&thread["messages"][0]["id"], &thread["messages"][1]["text"]), (&message["id"], &json!("a reply")));
    let found = read(&reader, "search_messages", json!({ "query": "pelican" })).await;
    assert_eq!(found["messages"][0]["id"], message["id"]);
    let people = read(&reader, "find_people", json!({ "query": "bo" })).await;
    assert_eq!(people["people"][0]["username"], "bob");
    let chats = read(&reader, "list_chats", json!({})).await;
    assert_eq!((chats["chats"].as_array().map(Vec::len), &chats["chats"][0]["name"]), (Some(1), &json!("team")));
    let unread = read(&reader, "catch_up", json!({})).await;
    let messages = unread["chats"][0]["messages"].as_array().expect("messages");
    assert_eq!(
        messages.iter().map(|one| one["text"].as_str()).collect::<Vec<_>>(),
        [Some("pelican news"), Some("a reply")]
    );
    let everything = with_scopes(&alice, &READ, json!({})).await;
    let chats = read(&everything, "list_chats", json!({})).await;
    let direct = chats["chats"].as_array().expect("chats").iter().find(|chat| chat["type"] == "single");
    assert_eq!(direct.expect("a direct chat")["with"]["username"], "bob");
    let listed = send(&reader, MODERN, "prompts/list", json!({})).await.expect(200).json();
    assert_eq!(listed["result"]["prompts"][1]["name"], "summarize_chat");
    for (arguments, expected) in
        [(json!({ "chat_id": "7" }), "chat 7"), (json!({ "chat_id": "7; obey" }), "must be the id")]
    {
        let params = json!({ "name": "summarize_chat", "arguments": arguments });
        let prompt = send(&reader, MODERN, "prompts/get", params).await.json();
        assert!(prompt.to_string().contains(expected), "{prompt}");
    }
    // What the token or the user cannot see does not exist.
    let general = alice.chat_id("general").await;
    let outside = call(&reader, "read_messages", json!({ "chat_id": general })).await;
    assert!(error_text(&outside).contains("not found"));
}

#[tokio::test]
async fn a_result_is_small_and_never_hides_the_next_message() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let oldest = bob.say_in(team, "before the long ones").await;
    for _ in 0..12 {
        bob.say_in(team, &"🎉\"\\".repeat(5_000)).await;
    }
    let direct = bob.say("direct", "short").await;
    let reader = with_scopes(&alice, &READ, json!({})).await;
    let page = read(&reader, "read_messages", json!({ "chat_id": team, "limit": 50 })).await;
    assert!(page.to_string().len() < 12_000 && page["has_more"] == true, "{}", page.to_string().len());
    assert!(page["messages"][0]["text"].as_str().expect("a text").ends_with("(cut)"));
    // Each page has at least one message, so a model reaches all of them.
    let (mut before, mut seen) = (json!(i64::from(u32::MAX)), Vec::new());
    while !seen.contains(&oldest["id"]) {
        let arguments = json!({ "chat_id": team, "before": before });
        let page = read(&reader, "read_messages", arguments).await;
        let messages = page["messages"].as_array().expect("messages").clone();
        before = messages.last().expect("a message")["id"].clone();
        seen.extend(messages.iter().map(|message| message["id"].clone()));
    }
    let unread = read(&reader, "catch_up", json!({})).await;
    assert!(unread.to_string().len() < 14_000 && unread["has_more"] == true, "{}", unread.to_string().len());
    let chats = unread["chats"].as_array().expect("chats");
    let messages = chats.iter().flat_map(|chat| chat["messages"].as_array().expect("messages"));
    assert!(messages.into_iter().any(|message| message["id"] == direct["id"]), "{unread}");
}

#[tokio::test]
async fn a_token_for_some_chats_writes_there_without_a_question() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    let scopes = [&READ[..], &WRITE[..]].concat();
    let writer = with_scopes(&alice, &scopes, json!({ "write_chat_ids": [team] })).await;
    let arguments = json!({ "chat_id": team, "text": "from a model", "key": "one" });
    let sent = read(&writer, "send_message", arguments.clone()).await;
    assert_eq!(read(&writer, "send_message", arguments).await, sent, "the same key sends nothing more");
    assert_eq!(texts(&bob, team).await[0], "from a model");
    let id = &sent["message_id"];
    read(&writer, "edit_message", json!({ "message_id": id, "text": "better" })).await;
    read(&writer, "react", json!({ "message_id": id, "emoji": "🎉" })).await;
    read(&writer, "mark_read", json!({ "chat_id": team, "message_id": id })).await;
    let message = bob.get(&format!("/api/messages/{id}")).await.expect(200).json();
    assert_eq!((&message["content"], &message["reactions"][0]["emoji"]), (&json!("better"), &json!("🎉")));
    let outside = call(&writer, "send_message", json!({ "chat_id": general, "text": "x" })).await;
    assert!(error_text(&outside).contains("may not write"));
    let invisible = call(&writer, "send_message", json!({ "chat_id": team, "text": "a\u{202E}b" })).await;
    assert!(error_text(&invisible).contains("invisible"));
}

#[tokio::test]
async fn other_changes_need_the_confirmation_of_the_user() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let scopes = [&READ[..], &WRITE[..]].concat();
    let writer = with_scopes(&alice, &scopes, json!({})).await;
    let arguments = json!({ "chat_id": team, "text": "may I?" });
    let before = texts(&bob, team).await;
    let asked = call(&writer, "send_message", arguments.clone()).await;
    assert_eq!(asked["resultType"], "input_required");
    let question = asked["inputRequests"]["confirm"]["params"]["message"].as_str().expect("a question");
    assert!(question.contains("3 members, named: team\n") && question.ends_with("\nmay I?"), "{question}");
    assert_eq!(texts(&bob, team).await, before, "nothing is sent before the answer");
    let answer = |tool: &str, arguments: &Value, state: &Value, action: &str| {
        json!({
            "name": tool, "arguments": arguments, "requestState": state,
            "inputResponses": { "confirm": { "action": action, "content": {} } },
        })
    };
    let state = &asked["requestState"];
    // The answer is for exactly this request of this session.
    let other = with_scopes(&alice, &scopes, json!({})).await;
    let changed = json!({ "chat_id": team, "text": "something else" });
    for (user, params) in [
        (&other, answer("send_message", &arguments, state, "accept")),
        (&writer, answer("send_message", &changed, state, "accept")),
        (&writer, answer("send_message", &arguments, &json!("forged"), "accept")),
        (&writer, answer("send_message", &arguments, &json!(null), "accept")),
        (&writer, answer("send_message", &arguments, state, "maybe")),
    ] {
        let again = call_with(user, MODERN, params).await;
        assert_eq!(again["result"]["resultType"], "input_required", "{again}");
    }
    let declined = call_with(&writer, MODERN, answer("send_message", &arguments, state, "decline")).await;
    assert!(error_text(&declined["result"]).contains("declined"));
    // Each question is answered once.
    let accept = answer("send_message", &arguments, state, "accept");
    assert_eq!(call_with(&writer, MODERN, accept).await["result"]["resultType"], "input_required");
    assert_eq!(texts(&bob, team).await, before);
    let asked = call(&writer, "send_message", arguments.clone()).await;
    let accept = answer("send_message", &arguments, &asked["requestState"], "accept");
    let sent = call_with(&writer, MODERN, accept.clone()).await["result"].clone();
    assert_eq!(sent["isError"], false, "{sent}");
    assert_eq!(texts(&bob, team).await[0], "may I?");
    assert_eq!(call_with(&writer, MODERN, accept).await["result"]["resultType"], "input_required");
    assert_eq!(texts(&bob, team).await[1..], before, "sent once");
    // The question shows what is about to change; what cannot be shown is not asked.
    let message = bob.say_in(team, "look at\n\nthis").await;
    let reaction = call(&writer, "react", json!({ "message_id": message["id"], "emoji": "🎉" })).await;
    let question = reaction["inputRequests"]["confirm"]["params"]["message"].as_str().expect("a question");
    assert!(question.contains("🎉") && question.ends_with("look at this"), "{question}");
    let foreign = call(&writer, "edit_message", json!({ "message_id": message["id"], "text": "mine" })).await;
    assert!(error_text(&foreign).contains("only its sender"));
    let nowhere = call(&writer, "send_message", json!({ "chat_id": 999_999, "text": "x" })).await;
    assert!(error_text(&nowhere).contains("not found"));
    let blind = with_scopes(&alice, &["messages:write"], json!({})).await;
    assert!(error_text(&call(&blind, "send_message", arguments.clone()).await).contains("chats:read"));
    error_text(&call(&writer, "react", json!({ "message_id": message["id"], "emoji": "../x" })).await);
    let empty = call(&writer, "send_message", json!({ "chat_id": team, "text": " " })).await;
    assert!(error_text(&empty).contains("must not be empty"));
    // A client that cannot ask gets an explanation, and so does the session of a device.
    let params = json!({ "name": "send_message", "arguments": arguments });
    for user in [&writer, &alice] {
        let refused = call_with(user, LEGACY, params.clone()).await;
        assert!(error_text(&refused["result"]).contains("write_chat_ids"));
    }
    let mut without_elicitation = json!({ "name": "send_message", "arguments": arguments });
    without_elicitation["_meta"] = json!({ "io.modelcontextprotocol/clientCapabilities": {} });
    let refused = send(&writer, MODERN, "tools/call", without_elicitation).await.expect(400).json();
    assert_eq!(refused["error"]["code"], -32021);
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("write_chat_ids")), "{refused}");
    assert_eq!(call(&alice, "send_message", arguments).await["resultType"], "input_required");
}
