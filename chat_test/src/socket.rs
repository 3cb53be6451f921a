//! A WebSocket client.

use crate::{DEADLINE, Event};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Response},
};

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    replies: VecDeque<Value>,
    events: VecDeque<Event>,
    last_ref: u64,
    /// The close code, once the server has closed the socket.
    pub close_code: Option<u16>,
}

impl Socket {
    /// Opens a WebSocket with these headers. Returns the HTTP response if the server
    /// rejects the handshake.
    pub async fn open(server: &str, query: &str, headers: &[(&'static str, &str)]) -> Result<Self, Response<Vec<u8>>> {
        let address = server.strip_prefix("http://").expect("a server");
        let mut request = format!("ws://{address}/ws{query}").into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(address).await.expect("a connection");
        match client_async_with_config(request, MaybeTlsStream::Plain(stream), None).await {
            Ok((stream, _)) => {
                let (replies, events) = (VecDeque::new(), VecDeque::new());
                Ok(Self { stream, replies, events, last_ref: 0, close_code: None })
            }
            Err(Error::Http(rejection)) => Err((*rejection).map(Option::unwrap_or_default)),
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends a text message unchanged.
    pub async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    /// Sends a message of any kind.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Sends a command and returns its reply.
    pub async fn send_command(&mut self, mut command: Value) -> Value {
        self.last_ref += 1;
        command["ref"] = json!(self.last_ref);
        self.send(&command.to_string()).await;
        loop {
            let reply = self.next_reply().await;
            if reply["ref"] == self.last_ref {
                return reply;
            }
        }
    }

    /// Returns the next reply to a command.
    pub async fn next_reply(&mut self) -> Value {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return reply;
            }
            assert!(self.read().await, "closed: {:?}", self.close_code);
        }
    }

    /// Returns the next event, including ephemeral ones.
    pub async fn next(&mut self) -> Event {
        self.try_next().await.unwrap_or_else(|| panic!("closed: {:?}", self.close_code))
    }

    /// Returns the next event, or `None` when the socket is closed.
    pub async fn try_next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// Returns the next event of one type and skips the others.
    pub async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await;
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Waits until the server closes the socket and returns the close code.
    pub async fn wait_for_close(&mut self) -> Option<u16> {
        while self.try_next().await.is_some() {}
        self.close_code
    }

    /// Waits for the end and returns whether the server sent a close frame.
    pub async fn is_closed_cleanly(&mut self) -> bool {
        while let Some(message) = timeout(DEADLINE, self.stream.next()).await.expect("an end within the deadline") {
            match message {
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    async fn read(&mut self) -> bool {
        let message = timeout(DEADLINE, self.stream.next()).await.expect("something within the deadline");
        match message {
            Some(Ok(Message::Text(text))) => {
                let object: Value = serde_json::from_str(&text).expect("JSON");
                match object["type"].as_str().expect("a type") {
                    "ack" | "error" | "pong" => self.replies.push_back(object),
                    _ => {
                        let id = object["id"].as_str().map(str::to_owned);
                        self.events.push_back(Event::parse(id, &text));
                    }
                }
                true
            }
            Some(Ok(Message::Close(frame))) => {
                self.close_code = frame.map(|frame| frame.code.into());
                false
            }
            Some(Ok(_)) => true,
            Some(Err(_)) | None => false,
        }
    }
}
