//! WebSocket: the same events as JSON, one in a text message, and commands the
//! other way.

mod commands;
mod line;

use crate::{
    Notify,
    opening::{Asked, Opening, cursor, is_own_page},
    session,
    wire::{Parting, Wire},
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use chat_core::{
    Error, Result,
    auth::{Audience, Claims},
    events::Cursor,
    net::Place,
    web,
};
use commands::{Frame, Received};
use futures_util::{StreamExt, stream::SplitStream};
use hyper_util::rt::TokioIo;
use line::{Line, Watched};
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

/// How long somebody without a token in the request has to send one.
const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may be silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);

/// How many such questions may go unanswered.
const MAX_UNANSWERED: u32 = 2;

/// How long a client has to say goodbye too.
const GOODBYE: Duration = Duration::from_secs(1);

/// The largest command, in bytes: 64 KiB of text, each character escaped.
const MAX_COMMAND: usize = 512 * 1024;

/// The most bytes that wait to be written before more is refused.
const MAX_WRITE_BUFFER: usize = 4 * 1024 * 1024;

type Io = Watched<TokioIo<hyper::upgrade::Upgraded>>;
type Reader = SplitStream<WebSocketStream<Io>>;

/// Turns a request into a WebSocket. Whoever shows a token or a ticket has it
/// looked at before that, and is refused as on any other route.
pub(crate) async fn upgrade(State(notify): State<Arc<Notify>>, mut request: Request) -> Result<Response> {
    let response = create_response_with_body(&request, Body::empty)
        .map_err(|error| Error::Malformed(format!("this is where WebSockets are opened: {error}")))?;
    if !is_own_page(&notify, request.headers()) {
        return Err(Error::Forbidden("this page may not open WebSockets here"));
    }
    let asked = Asked::read(request.uri(), request.headers())?;
    let claims = asked.claims(&notify, request.headers()).await?;
    let opening = match claims {
        Some(claims) => Some(Opening::of(&notify, claims, asked.resume.clone()).await?),
        None => None,
    };
    // Counted among the connections for as long as it is open.
    let place = request.extensions().get::<Place>().cloned();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            serve(&notify, TokioIo::new(upgraded), opening, asked.resume).await;
        }
        drop(place);
    });
    Ok(response)
}

async fn serve(
    notify: &Arc<Notify>,
    io: TokioIo<hyper::upgrade::Upgraded>,
    opening: Option<Opening>,
    resume: Option<Cursor>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_COMMAND))
        .max_frame_size(Some(MAX_COMMAND));
    let (io, progress) = Watched::new(io);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let (sink, mut reader) = socket.split();
    let line = Line::new(sink, progress);
    let opening = match opening {
        Some(opening) => opening,
        None => match authenticate(notify, &mut reader, &line, resume).await {
            Some(opening) => opening,
            None => return,
        },
    };
    let claims = opening.claims;
    {
        let mut session = pin!(session::run(notify, opening, &line));
        let reading = read(notify, claims, &mut reader, &line);
        tokio::select! {
            () = session.as_mut() => {}
            () = reading => {
                line.hang_up();
                session.await;
                return;
            }
        }
    }
    let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = reader.next().await {} }).await;
}

/// Waits for an `auth` command.
async fn authenticate(
    notify: &Notify,
    reader: &mut Reader,
    line: &Line<Io>,
    resume: Option<Cursor>,
) -> Option<Opening> {
    let deadline = Instant::now() + AUTH_TIMEOUT;
    let outcome = loop {
        match timeout_at(deadline, reader.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => break admit(notify, &text, resume).await,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(_) => return None,
            Err(_) => break Err((None, chat_core::auth::token::MISSING)),
        }
    };
    match outcome {
        Ok((opening, reference)) => {
            let _ = line.say(&commands::ack(reference, serde_json::Value::Null)).await;
            Some(opening)
        }
        Err((reference, error)) => {
            let _ = line.say(&commands::refusal(reference, &error, &web::new_request_id())).await;
            let parting = match error {
                Error::Unauthorized { .. } => Parting::Unauthorized,
                _ => Parting::Unreadable,
            };
            line.part(parting).await;
            None
        }
    }
}

type Refused = (Option<serde_json::Value>, Error);

async fn admit(
    notify: &Notify,
    text: &str,
    resume: Option<Cursor>,
) -> Result<(Opening, Option<serde_json::Value>), Refused> {
    let Frame { reference, command } = Frame::read(text);
    let opening = async {
        let Received::Auth { token, last_event_id } = command? else {
            return Err(chat_core::auth::token::MISSING);
        };
        let claims = notify.verifier.verify(&token, Audience::Api)?;
        let resume = match last_event_id {
            Some(id) => Some(cursor(&id)?),
            None => resume,
        };
        Opening::of(notify, claims, resume).await
    };
    match opening.await {
        Ok(opening) => Ok((opening, reference)),
        Err(error) => Err((reference, error)),
    }
}

/// Does what the client says, one command after the other, until it goes.
async fn read(notify: &Arc<Notify>, claims: Claims, reader: &mut Reader, line: &Line<Io>) {
    let mut unanswered = 0;
    loop {
        match timeout(SILENCE, reader.next()).await {
            Ok(Some(Ok(message))) => {
                unanswered = 0;
                let answer = match message {
                    Message::Text(text) => commands::answer(notify, claims, &text).await,
                    Message::Binary(_) => {
                        let error = Error::Malformed("commands are text".into());
                        commands::refusal(None, &error, &web::new_request_id())
                    }
                    // A goodbye is answered as the next one is waited for.
                    _ => continue,
                };
                if line.say(&answer).await.is_err() {
                    return;
                }
            }
            Ok(Some(Err(error))) => return line.refuse(&error).await,
            Ok(None) => return,
            Err(_) if unanswered == MAX_UNANSWERED => return,
            Err(_) => {
                unanswered += 1;
                if line.ask().await.is_err() {
                    return;
                }
            }
        }
    }
}
