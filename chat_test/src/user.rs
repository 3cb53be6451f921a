//! A signed-in user and their HTTP client.

use crate::{ApiResponse, EventStream};
use chat_core::auth::Scope;
use http::Method;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// The URLs of the servers.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The chat server's URL, such as `http://127.0.0.1:1234`.
    pub chat: String,
    /// The notify server's URL.
    pub notify: String,
}

/// A signed-in user.
#[derive(Debug, Clone)]
pub struct TestUser {
    /// The username.
    pub name: String,
    /// The user id.
    pub id: i64,
    /// The access token.
    pub token: String,
    /// The value of the stream cookie.
    pub cookie: String,
    /// The response to the sign-in or sign-up.
    pub auth_response: Value,
    endpoints: Endpoints,
    client: Client,
}

impl TestUser {
    /// Signs in a user of the demo data.
    pub async fn sign_in(endpoints: &Endpoints, name: &str) -> Self {
        let body = json!({ "email": format!("{name}@example.com"), "password": "confab-demo" });
        Self::authenticate(endpoints, name, "/api/signin", body, 200).await
    }

    pub(crate) async fn sign_up(endpoints: &Endpoints, name: &str) -> Self {
        let body =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "long unlikely words" });
        Self::authenticate(endpoints, name, "/api/signup", body, 201).await
    }

    async fn authenticate(endpoints: &Endpoints, name: &str, path: &str, body: Value, status: u16) -> Self {
        let client = Client::new();
        let response = client.post(format!("{}{path}", endpoints.chat)).json(&body).send().await.expect("an answer");
        let reply = ApiResponse::read(response).await.expect(status);
        let auth_response = reply.json();
        let cookie = reply.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        Self {
            name: name.to_owned(),
            id: auth_response["user"]["id"].as_i64().expect("an id"),
            token: auth_response["token"].as_str().expect("a token").to_owned(),
            cookie,
            auth_response,
            endpoints: endpoints.clone(),
            client,
        }
    }

    /// Builds a request with this user's token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.endpoints.chat)).bearer_auth(&self.token)
    }

    async fn send_request(&self, method: Method, path: &str, body: Option<Value>) -> ApiResponse {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> ApiResponse {
        self.send_request(Method::GET, path, None).await
    }

    /// Sends a POST request.
    pub async fn post(&self, path: &str, body: Value) -> ApiResponse {
        self.send_request(Method::POST, path, Some(body)).await
    }

    /// Sends a PATCH request.
    pub async fn patch(&self, path: &str, body: Value) -> ApiResponse {
        self.send_request(Method::PATCH, path, Some(body)).await
    }

    /// Sends a PUT request.
    pub async fn put(&self, path: &str, body: Value) -> ApiResponse {
        self.send_request(Method::PUT, path, Some(body)).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> ApiResponse {
        self.send_request(Method::DELETE, path, None).await
    }

    /// Returns the id of one of this user's chats by name. `direct` means a direct chat.
    pub async fn chat_id(&self, name: &str) -> i64 {
        let chats = self.get("/api/chats").await.expect(200).json();
        let chats = chats["items"].as_array().expect("items").clone();
        let found = chats.iter().find(|chat| chat["name"] == name || (name == "direct" && chat["type"] == "single"));
        found.unwrap_or_else(|| panic!("{} is in no chat {name}", self.name))["id"].as_i64().expect("an id")
    }

    /// Sends a message to a chat, by the chat's name, and returns the message.
    pub async fn say(&self, chat: &str, text: &str) -> Value {
        let id = self.chat_id(chat).await;
        self.say_in(id, text).await
    }

    /// Sends a message to a chat, by the chat's id, and returns the message.
    pub async fn say_in(&self, chat: i64, text: &str) -> Value {
        self.post(&format!("/api/chats/{chat}/messages"), json!({ "content": text })).await.expect(201).json()
    }

    /// Opens a stream and waits until it is live.
    pub async fn listen(&self) -> EventStream {
        EventStream::open(self.stream_request(None)).await
    }

    /// Resumes a stream from a cursor.
    pub async fn resume(&self, last_event_id: &str) -> EventStream {
        EventStream::open(self.stream_request(Some(last_event_id))).await
    }

    /// Returns the same user with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Creates an API token of this user with these properties, and returns its owner, who uses
    /// it: this user or the bot.
    pub async fn with_api_token(&self, properties: Value) -> Self {
        let created = self.post("/api/tokens", properties).await.expect(201).json();
        Self {
            id: created["user_id"].as_i64().expect("an id"),
            token: created["token"].as_str().expect("a token").to_owned(),
            ..self.clone()
        }
    }

    /// Creates a bot of this user with a token that has all scopes, and returns the bot.
    pub async fn create_bot(&self, name: &str) -> Self {
        let bot = self.post("/api/bots", json!({ "username": name })).await.expect(201).json();
        let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        let token = json!({ "name": "all", "scopes": scopes, "bot_id": bot["id"] });
        Self { name: name.to_owned(), ..self.with_api_token(token).await }
    }

    /// Returns the same user, with the same token, at another pair of servers.
    pub fn at(&self, endpoints: &Endpoints) -> Self {
        Self { endpoints: endpoints.clone(), ..self.clone() }
    }

    /// Builds a stream request that uses its own connection.
    pub fn stream_request(&self, last_event_id: Option<&str>) -> RequestBuilder {
        let request = Client::new().get(format!("{}/events", self.endpoints.notify)).bearer_auth(&self.token);
        match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        }
    }
}
