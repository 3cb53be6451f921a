//! The standard design: axum's `Sse` with tokio's `broadcast`.

use axum::{
    Router,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use std::{convert::Infallible, sync::Arc};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::wrappers::BroadcastStream;

type Channel = broadcast::Sender<Arc<str>>;

/// Serves until the process is killed. `POST /publish` sends an event to every stream.
pub(crate) async fn serve() {
    let (channel, _) = broadcast::channel::<Arc<str>>(1024);
    let router = Router::new().route("/events", get(events)).route("/publish", post(publish)).with_state(channel);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    eprintln!("listening on http://{}", listener.local_addr().expect("its address"));
    axum::serve(listener, router).await.expect("served");
}

async fn events(State(channel): State<Channel>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // In this design a slow reader silently loses events.
    let stream = BroadcastStream::new(channel.subscribe())
        .filter_map(|event| async { event.ok() })
        .map(|data| Ok(Event::default().id("1").event("message.new").data(data)));
    Sse::new(stream).keep_alive(KeepAlive::default())
}

async fn publish(State(channel): State<Channel>, body: String) {
    let _ = channel.send(body.into());
}
