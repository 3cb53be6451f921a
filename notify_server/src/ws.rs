//! WebSocket: sends the same events as JSON, one per text message, and receives
//! commands.

mod commands;
mod transport;

use crate::{
    NotifyServer, connection,
    handshake::{ConnectRequest, Handshake, is_allowed_origin, parse_cursor},
    transport::{Disconnect, Transport},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::Response,
};
use chat_core::{Error, Result, audit::Client, auth::Identity, events::Cursor};
use chat_http::{acceptor::ConnectionPermit, refusals::read_client, request_id::new_request_id};
use commands::{Command, Envelope};
use futures_util::{StreamExt, stream::SplitStream};
use hyper_util::rt::TokioIo;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};
use transport::{ProgressIo, WsTransport};

/// How long a client without a token in its request may take to send one.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may be silent before it is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// Maximum number of consecutive pings without a reply.
const MAX_MISSED_PONGS: u32 = 2;

/// Time limit to send a close frame, and then to receive the client's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum size of a command, in bytes: 64 KiB of text, with each character escaped.
const MAX_COMMAND_BYTES: usize = 512 * 1024;

/// Maximum size of the write buffer, in bytes. A write beyond it fails.
const MAX_WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

type Io = ProgressIo<TokioIo<hyper::upgrade::Upgraded>>;
type Reader = SplitStream<WebSocketStream<Io>>;

/// Upgrades a request to a WebSocket. First verifies the token or ticket in the request,
/// and rejects an invalid one as other routes do.
pub(crate) async fn upgrade(
    State(notify): State<Arc<NotifyServer>>,
    mut request: Request,
) -> chat_http::Result<Response> {
    let response = create_response_with_body(&request, Body::empty)
        .map_err(|error| Error::Malformed(format!("not a WebSocket handshake: {error}")))?;
    if !is_allowed_origin(&notify, request.headers()) {
        return Err(Error::Forbidden("this origin is not allowed to open WebSockets").into());
    }
    let connect = ConnectRequest::parse(request.uri(), request.headers())?;
    let identity = connect.authenticate(&notify, request.headers()).await?;
    let handshake = match identity {
        Some(identity) => Some(Handshake::load(&notify, identity, connect.resume.clone()).await?),
        None => None,
    };
    let address = notify.rate_limiter.client_address(request.extensions(), request.headers());
    let client = read_client(address, request.headers().get(header::USER_AGENT));
    // The permit counts the connection while it is open.
    let permit = request.extensions().get::<ConnectionPermit>().cloned();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            serve(&notify, TokioIo::new(upgraded), client, handshake, connect.resume).await;
        }
        drop(permit);
    });
    Ok(response)
}

async fn serve(
    notify: &Arc<NotifyServer>,
    io: TokioIo<hyper::upgrade::Upgraded>,
    client: Client,
    handshake: Option<Handshake>,
    resume: Option<Cursor>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_COMMAND_BYTES))
        .max_frame_size(Some(MAX_COMMAND_BYTES));
    let (io, progress) = ProgressIo::new(io);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (sink, mut reader) = socket.split();
    let transport = WsTransport::new(sink, progress);
    let handshake = match handshake {
        Some(handshake) => handshake,
        None => match authenticate(notify, &mut reader, &transport, resume).await {
            Some(handshake) => handshake,
            None => return,
        },
    };
    let identity = handshake.identity.clone();
    {
        let mut connection_future = pin!(connection::run(notify, handshake, &transport));
        let command_future = run_commands(notify, &identity, &client, &mut reader, &transport);
        tokio::select! {
            () = connection_future.as_mut() => {}
            () = command_future => {
                transport.mark_closed();
                connection_future.await;
                return;
            }
        }
    }
    let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = reader.next().await {} }).await;
}

/// Waits for an `auth` command.
async fn authenticate(
    notify: &NotifyServer,
    reader: &mut Reader,
    transport: &WsTransport<Io>,
    resume: Option<Cursor>,
) -> Option<Handshake> {
    let deadline = Instant::now() + AUTH_TIMEOUT;
    let outcome = loop {
        match timeout_at(deadline, reader.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => break run_auth_command(notify, &text, resume).await,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(_) => return None,
            Err(_) => break Err((None, chat_core::auth::token::MISSING)),
        }
    };
    match outcome {
        Ok((handshake, reference)) => {
            let _ = transport.send_json(&commands::ack(reference, serde_json::Value::Null)).await;
            Some(handshake)
        }
        Err((reference, error)) => {
            let _ = transport.send_json(&commands::error_reply(reference, &error, &new_request_id())).await;
            let disconnect = match error {
                Error::Unauthorized { .. } | Error::Forbidden(_) | Error::InsufficientScope(_) => {
                    Disconnect::Unauthorized
                }
                _ => Disconnect::InvalidMessage,
            };
            transport.close(disconnect).await;
            None
        }
    }
}

type AuthFailure = (Option<serde_json::Value>, Error);

async fn run_auth_command(
    notify: &NotifyServer,
    text: &str,
    resume: Option<Cursor>,
) -> Result<(Handshake, Option<serde_json::Value>), AuthFailure> {
    let Envelope { reference, command } = Envelope::parse(text);
    let handshake = async {
        let Command::Auth { token, last_event_id } = command? else {
            return Err(chat_core::auth::token::MISSING);
        };
        let identity = notify.authenticator.identify_token(&token).await?;
        identity.require_stream()?;
        let resume = match last_event_id {
            Some(id) => Some(parse_cursor(&id)?),
            None => resume,
        };
        Handshake::load(notify, identity, resume).await
    };
    match handshake.await {
        Ok(handshake) => Ok((handshake, reference)),
        Err(error) => Err((reference, error)),
    }
}

/// Runs the client's commands, one after the other, until the client disconnects.
async fn run_commands(
    notify: &Arc<NotifyServer>,
    identity: &Identity,
    client: &Client,
    reader: &mut Reader,
    transport: &WsTransport<Io>,
) {
    let mut missed_pongs = 0;
    loop {
        match timeout(PING_INTERVAL, reader.next()).await {
            Ok(Some(Ok(message))) => {
                missed_pongs = 0;
                let reply = match message {
                    Message::Text(text) => commands::handle(notify, identity, client, &text).await,
                    Message::Binary(_) => {
                        let error = Error::Malformed("commands must be text messages".into());
                        commands::error_reply(None, &error, &new_request_id())
                    }
                    // The next read replies to a close frame.
                    _ => continue,
                };
                if transport.send_json(&reply).await.is_err() {
                    return;
                }
            }
            Ok(Some(Err(error))) => return transport.close_for_error(&error).await,
            Ok(None) => return,
            Err(_) if missed_pongs == MAX_MISSED_PONGS => return,
            Err(_) => {
                missed_pongs += 1;
                if transport.send_ping().await.is_err() {
                    return;
                }
            }
        }
    }
}
