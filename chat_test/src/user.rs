//! A person with a device.

use crate::{Inbox, Reply};
use http::Method;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// Where the servers are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The API, as in `http://127.0.0.1:1234`.
    pub chat: String,
    /// The streams.
    pub notify: String,
}

/// Somebody signed in.
#[derive(Debug, Clone)]
pub struct TestUser {
    /// As in the demo world.
    pub name: String,
    /// Their id.
    pub id: i64,
    /// Their access token.
    pub token: String,
    /// The value of their stream cookie.
    pub cookie: String,
    /// What signing in answered.
    pub welcome: Value,
    places: Places,
    client: Client,
}

impl TestUser {
    /// Signs in somebody of the demo world.
    pub async fn sign_in(places: &Places, name: &str) -> Self {
        let body = json!({ "email": format!("{name}@example.com"), "password": "confab-demo" });
        Self::enter(places, name, "/api/signin", body, 200).await
    }

    pub(crate) async fn sign_up(places: &Places, name: &str) -> Self {
        let body =
            json!({ "username": name, "email": format!("{name}@example.org"), "password": "long unlikely words" });
        Self::enter(places, name, "/api/signup", body, 201).await
    }

    async fn enter(places: &Places, name: &str, path: &str, body: Value, status: u16) -> Self {
        let client = Client::new();
        let response = client.post(format!("{}{path}", places.chat)).json(&body).send().await.expect("an answer");
        let reply = Reply::read(response).await.expect(status);
        let welcome = reply.json();
        let cookie = reply.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        Self {
            name: name.to_owned(),
            id: welcome["user"]["id"].as_i64().expect("an id"),
            token: welcome["token"].as_str().expect("a token").to_owned(),
            cookie,
            welcome,
            places: places.clone(),
            client,
        }
    }

    /// A request with this person's token, still to be sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.places.chat)).bearer_auth(&self.token)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Reply::read(request.send().await.expect("an answer")).await
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// Makes.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Changes.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Sets.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Takes away.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// The id of one of this person's chats.
    pub async fn chat(&self, name: &str) -> i64 {
        let chats = self.get("/api/chats").await.expect(200).json();
        let chats = chats["items"].as_array().expect("items").clone();
        let found = chats.iter().find(|chat| chat["name"] == name || (name == "direct" && chat["type"] == "single"));
        found.unwrap_or_else(|| panic!("{} is in no chat {name}", self.name))["id"].as_i64().expect("an id")
    }

    /// Says something in a chat, by its name; answers the message.
    pub async fn say(&self, chat: &str, text: &str) -> Value {
        let id = self.chat(chat).await;
        self.say_in(id, text).await
    }

    /// Says something in a chat, by its id; answers the message.
    pub async fn say_in(&self, chat: i64, text: &str) -> Value {
        self.post(&format!("/api/chats/{chat}/messages"), json!({ "content": text })).await.expect(201).json()
    }

    /// Opens a stream and waits until it is live.
    pub async fn listen(&self) -> Inbox {
        Inbox::open(self.stream(None)).await
    }

    /// Opens a stream from where an earlier one was left.
    pub async fn resume(&self, last_event_id: &str) -> Inbox {
        Inbox::open(self.stream(Some(last_event_id))).await
    }

    /// The same person, with the same token, at another pair of servers.
    pub fn at(&self, places: &Places) -> Self {
        Self { places: places.clone(), ..self.clone() }
    }

    /// A request for a stream on a connection of its own, still to be sent.
    pub fn stream(&self, last_event_id: Option<&str>) -> RequestBuilder {
        let request = Client::new().get(format!("{}/events", self.places.notify)).bearer_auth(&self.token);
        match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        }
    }
}
