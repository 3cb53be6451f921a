//! Serves one connection over any transport: sends what the client missed, then live
//! events and heartbeats. A slow consumer takes the same catch-up path as a client
//! that reconnects.

use crate::{
    NotifyServer,
    frame::{self, HEARTBEAT_MS},
    handshake::Handshake,
    hub::{AttachError, LivePosition, LoadedChats},
    metrics::WRITE_SAMPLE_INTERVAL,
    send_queue::{CloseReason, Polled, SendQueue},
    transport::{Disconnect, Transport},
};
use bytes::Bytes;
use chat_core::{
    Error, EventId, Result,
    auth::Claims,
    events::{self, Cursor, Position, Replay},
};
use std::{io, ops::Range, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep},
};

/// How long a connection waits for this replica to reach the client's cursor. A cursor
/// from another replica may be ahead.
const POSITION_TIMEOUT: Duration = Duration::from_secs(3);

/// How many times a connection tries to attach before the client is told to
/// reconnect.
const ATTACH_ATTEMPTS: usize = 5;

/// Range of the random time that a client waits to reconnect after its connection
/// breaks, in milliseconds.
const RETRY_MS: Range<u64> = 1_000..3_000;

/// Maximum number of missed events read from the log at once.
const PAGE_EVENTS: i64 = 500;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum DisconnectReason {
    #[error("the client closed the connection or read nothing for too long: {0}")]
    ClientGone(#[from] io::Error),
    #[error("closed by the hub: {0:?}")]
    Closed(CloseReason),
    #[error("unavailable: {0}")]
    Unavailable(#[from] Error),
}

impl DisconnectReason {
    fn label(&self) -> &'static str {
        match self {
            Self::ClientGone(error) if error.kind() == io::ErrorKind::TimedOut => "slow_consumer",
            Self::ClientGone(_) => "client_gone",
            Self::Closed(CloseReason::HistoryChanged) => "history_changed",
            Self::Closed(CloseReason::TooManyConnections) => "too_many_connections",
            Self::Closed(CloseReason::SessionRevoked) => "session_revoked",
            Self::Closed(CloseReason::ShuttingDown) => "shutting_down",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn to_disconnect(&self) -> Disconnect {
        match self {
            Self::ClientGone(error) if error.kind() == io::ErrorKind::TimedOut => Disconnect::SlowConsumer,
            Self::ClientGone(_) => Disconnect::ClientGone,
            Self::Closed(CloseReason::SessionRevoked) => Disconnect::SessionRevoked,
            Self::Closed(CloseReason::TooManyConnections) => Disconnect::TooManyConnections,
            Self::Closed(CloseReason::HistoryChanged | CloseReason::ShuttingDown) | Self::Unavailable(_) => {
                Disconnect::Reconnect
            }
        }
    }
}

/// Runs a connection until it ends, and then tells the client whether and when to
/// reconnect.
pub(crate) async fn run(
    notify: &NotifyServer,
    Handshake { identity, resume, membership }: Handshake,
    transport: &impl Transport,
) {
    let claims = identity.claims;
    let user = claims.user_id;
    let registration = HubRegistration { notify, claims, queue: Arc::new(SendQueue::for_session(claims.session_id)) };
    let Err(reason) = match membership {
        Ok(membership) => serve(&registration, membership.chats, resume, transport).await,
        Err(error) => Err(error.into()),
    };
    drop(registration);
    notify.metrics.record_closed(reason.label());
    tracing::debug!(%user, %reason, "connection closed");
    transport.close(reason.to_disconnect()).await;
}

/// A connection's registration with the hub. Dropping it detaches the connection.
struct HubRegistration<'a> {
    notify: &'a NotifyServer,
    claims: Claims,
    queue: Arc<SendQueue>,
}

impl Drop for HubRegistration<'_> {
    fn drop(&mut self) {
        self.notify.hub.detach(self.claims.user_id, &self.queue);
    }
}

async fn serve(
    registration: &HubRegistration<'_>,
    loaded: LoadedChats,
    resume: Option<Cursor>,
    transport: &impl Transport,
) -> Result<std::convert::Infallible, DisconnectReason> {
    // Boxed, because the future is large and short-lived.
    let sent = Box::pin(begin(registration, loaded, resume, transport)).await?;
    send_live(registration, sent, transport).await
}

/// Attaches to the hub, and sends `ready` and the events that the client missed. Returns
/// the position that the client has reached.
async fn begin(
    registration: &HubRegistration<'_>,
    loaded: LoadedChats,
    resume: Option<Cursor>,
    transport: &impl Transport,
) -> Result<EventId, DisconnectReason> {
    if let Some(cursor) = &resume
        && registration.notify.hub.cursor().is_none_or(|live_from| live_from.epoch == cursor.epoch)
    {
        // If the position is not reached, `load_missed_since` returns the error.
        registration.notify.hub.wait_for_position(cursor.position.id, POSITION_TIMEOUT).await;
    }
    let log_end = loaded.0;
    let attached = registration.attach(Some(loaded)).await?;
    match resume {
        Some(cursor) => resume_from(registration, cursor, attached, log_end, transport).await,
        None => {
            registration.notify.metrics.record_opened("fresh");
            let LivePosition { cursor, .. } = attached;
            let ready = frame::ready(&cursor, false, true, registration.claims.user_id);
            transport.send(&[frame::with_retry(RETRY_MS, &ready)]).await?;
            Ok(cursor.position.id)
        }
    }
}

/// Sends `ready` and the events that the client missed since its cursor. Returns the
/// position that the client has reached. `log_end` is a recent end position of the
/// log.
async fn resume_from(
    registration: &HubRegistration<'_>,
    from: Cursor,
    attached: LivePosition,
    log_end: EventId,
    transport: &impl Transport,
) -> Result<EventId, DisconnectReason> {
    let live_from = attached.cursor.clone();
    let (metrics, user) = (&registration.notify.metrics, registration.claims.user_id);
    let ready = |cursor, resumed| frame::with_retry(RETRY_MS, &frame::ready(cursor, resumed, false, user));
    let missed = match load_missed_since(registration, &from, attached, log_end, transport).await {
        Ok(missed) => missed,
        Err(reason) => {
            let reason = reset_reason(reason)?;
            metrics.record_opened(reason);
            transport.send(&[ready(&live_from, false), frame::reset(reason, &live_from)]).await?;
            return Ok(live_from.position.id);
        }
    };
    metrics.record_opened("resumed");
    transport.send(&[ready(&from, true)]).await?;
    match catch_up(registration, missed, transport).await {
        Ok(position) => {
            transport.send(&[frame::caught_up(&Cursor { epoch: live_from.epoch, position })]).await?;
            Ok(position.id)
        }
        Err(reason) => send_reset(registration, reset_reason(reason)?, transport).await,
    }
}

/// Returns why the client has to start over, or the unchanged error if it need not.
fn reset_reason(reason: DisconnectReason) -> Result<&'static str, DisconnectReason> {
    match reason {
        DisconnectReason::Unavailable(Error::Reset(reason)) => Ok(reason),
        other => Err(other),
    }
}

/// Tells the client that its missed events are unavailable, and continues from the
/// current position.
async fn send_reset(
    registration: &HubRegistration<'_>,
    reason: &'static str,
    transport: &impl Transport,
) -> Result<EventId, DisconnectReason> {
    let live_from = registration.attach(None).await?.cursor;
    transport.send(&[frame::reset(reason, &live_from)]).await?;
    Ok(live_from.position.id)
}

/// The events that a connection missed, by source.
enum MissedEvents {
    /// All missed events, from memory.
    Buffered(Vec<Bytes>, Position),
    /// From the log: the first page, and the rest if there is more.
    FromLog(Vec<Bytes>, Option<Box<Replay>>, Cursor),
}

/// Loads the events missed since a cursor. Returns `Error::Reset` if they are not
/// available.
async fn load_missed_since(
    registration: &HubRegistration<'_>,
    from: &Cursor,
    attached: LivePosition,
    log_end: EventId,
    transport: &impl Transport,
) -> Result<MissedEvents, DisconnectReason> {
    let live_from = &attached.cursor;
    if from.epoch != live_from.epoch {
        return Err(Error::Reset("epoch").into());
    }
    if from.position.id > live_from.position.id {
        // The cursor may come from a replica that is ahead, so compare it with the log.
        let is_behind = log_end >= from.position.id;
        let behind = || Error::Unavailable("this replica is behind the log".into());
        return Err(if is_behind { behind() } else { Error::Reset("future") }.into());
    }
    match registration.notify.hub.contains(from.position) {
        Some(true) => {}
        Some(false) => return Err(Error::Reset("epoch").into()),
        None => {
            let _permit = registration.acquire_catch_up_permit(transport).await?;
            events::check_position(&registration.notify.db, from.position).await?;
        }
    }
    load_missed(registration, attached, from.position.id, transport).await
}

/// Loads the events after a position. The position must not be after the one from
/// which the connection is live.
async fn load_missed(
    registration: &HubRegistration<'_>,
    attached: LivePosition,
    after: EventId,
    transport: &impl Transport,
) -> Result<MissedEvents, DisconnectReason> {
    let NotifyServer { hub, metrics, db, .. } = registration.notify;
    let LivePosition { cursor, chats } = attached;
    let user = registration.claims.user_id;
    if let Some(frames) = hub.replay(user, &chats, after, cursor.position.id) {
        metrics.record_catch_up("memory");
        return Ok(MissedEvents::Buffered(frames, cursor.position));
    }
    metrics.record_catch_up("log");
    // The permit is held while the database is read, and not while frames are sent to
    // a client that may be slow.
    let _permit = registration.acquire_catch_up_permit(transport).await?;
    let after = Position { id: after, tag: None };
    let replay = Replay::begin(db, user, chats.as_ref().clone(), after, cursor.position).await?;
    load_page(registration, Box::new(replay), cursor).await
}

async fn load_page(
    registration: &HubRegistration<'_>,
    mut replay: Box<Replay>,
    up_to: Cursor,
) -> Result<MissedEvents, DisconnectReason> {
    let mut db = registration.notify.db.acquire().await.map_err(Error::from)?;
    let page = replay.next(&mut db, PAGE_EVENTS).await?;
    let (_, events) = frame::encode(&up_to.epoch, &page.entries);
    let frames = events.into_iter().map(|event| event.sse).collect();
    Ok(MissedEvents::FromLog(frames, page.has_more.then_some(replay), up_to))
}

/// Sends the missed events up to the position from which the connection is live.
/// Repeats if the send queue overflowed in the meantime.
async fn catch_up(
    registration: &HubRegistration<'_>,
    mut missed: MissedEvents,
    transport: &impl Transport,
) -> Result<Position, DisconnectReason> {
    loop {
        let sent = match missed {
            MissedEvents::FromLog(frames, Some(rest), up_to) => {
                transport.send(&frames).await?;
                drop(frames);
                let _permit = registration.acquire_catch_up_permit(transport).await?;
                missed = load_page(registration, rest, up_to).await?;
                continue;
            }
            MissedEvents::FromLog(frames, None, Cursor { position, .. }) | MissedEvents::Buffered(frames, position) => {
                transport.send(&frames).await?;
                position
            }
        };
        if !registration.queue.has_lagged() {
            return Ok(sent);
        }
        registration.notify.metrics.slow_consumers.inc();
        let attached = registration.attach(None).await?;
        missed = load_missed(registration, attached, sent.id, transport).await?;
    }
}

/// Sends a slow consumer the events that its queue dropped.
async fn catch_up_from_log(
    registration: &HubRegistration<'_>,
    sent: EventId,
    transport: &impl Transport,
) -> Result<EventId, DisconnectReason> {
    tracing::debug!(user = %registration.claims.user_id, "slow consumer: catching up from the log");
    registration.notify.metrics.slow_consumers.inc();
    let attached = registration.attach(None).await?;
    let caught_up =
        async { catch_up(registration, load_missed(registration, attached, sent, transport).await?, transport).await };
    match caught_up.await {
        Ok(position) => Ok(position.id),
        Err(reason) => send_reset(registration, reset_reason(reason)?, transport).await,
    }
}

async fn send_live(
    registration: &HubRegistration<'_>,
    mut sent: EventId,
    transport: &impl Transport,
) -> Result<std::convert::Infallible, DisconnectReason> {
    let heartbeat = Duration::from_millis(HEARTBEAT_MS);
    let mut frames: Vec<Bytes> = Vec::new();
    // Create both futures once, because creating them for each event would cost more
    // than sending the event.
    let mut client_closed = pin!(transport.client_closed());
    let mut next_ping = pin!(sleep(heartbeat));
    let mut last_write = Instant::now();
    let mut writes = 0u32;
    loop {
        let polled = tokio::select! {
            biased;
            polled = registration.queue.next(&mut frames) => polled,
            () = client_closed.as_mut() => return Err(DisconnectReason::ClientGone(io::ErrorKind::ConnectionReset.into())),
            () = next_ping.as_mut() => {
                if last_write.elapsed() >= heartbeat {
                    transport.send(&[frame::PING]).await?;
                    last_write = Instant::now();
                }
                next_ping.as_mut().reset(last_write + heartbeat);
                continue;
            }
        };
        match polled {
            Polled::Frames { last_event: up_to, routed_at } => {
                transport.send(&frames).await?;
                sent = up_to;
                last_write = Instant::now();
                if writes.is_multiple_of(WRITE_SAMPLE_INTERVAL) {
                    registration
                        .notify
                        .metrics
                        .hub_to_socket
                        .observe((last_write.into_std() - routed_at).as_secs_f64());
                }
                writes = writes.wrapping_add(1);
            }
            Polled::Lagged => sent = Box::pin(catch_up_from_log(registration, sent, transport)).await?,
            Polled::Closed(reason) => return Err(DisconnectReason::Closed(reason)),
        }
    }
}

impl HubRegistration<'_> {
    /// Waits for a permit to read from the database, unless the client disconnects
    /// first.
    async fn acquire_catch_up_permit(
        &self,
        transport: &impl Transport,
    ) -> Result<SemaphorePermit<'_>, DisconnectReason> {
        let NotifyServer { catch_up_permits, shutdown, .. } = self.notify;
        tokio::select! {
            permit = catch_up_permits.acquire() => permit.map_err(|_| DisconnectReason::Closed(CloseReason::ShuttingDown)),
            () = shutdown.cancelled() => Err(DisconnectReason::Closed(CloseReason::ShuttingDown)),
            () = transport.client_closed() => Err(DisconnectReason::ClientGone(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Registers with the hub. Loads the user's chats if this is the user's first
    /// connection to this replica.
    async fn attach(&self, mut loaded: Option<LoadedChats>) -> Result<LivePosition, DisconnectReason> {
        let hub = &self.notify.hub;
        for _ in 0..ATTACH_ATTEMPTS {
            match hub.attach(self.claims.user_id, &self.queue, loaded.as_ref()) {
                Ok(attached) => return Ok(attached),
                Err(AttachError::ChatsNotLoaded) => match self.notify.membership_loader.load(self.claims).await? {
                    membership if membership.is_session_active => loaded = Some(membership.chats),
                    _ => return Err(DisconnectReason::Closed(CloseReason::SessionRevoked)),
                },
                // Keep the loaded chats: they are usable once the hub has reached
                // their position or a later one.
                Err(AttachError::LogBehind(position)) => drop(hub.wait_for_position(position, POSITION_TIMEOUT).await),
                Err(AttachError::Closed(reason)) => return Err(DisconnectReason::Closed(reason)),
            }
        }
        Err(Error::Unavailable("the event log is not being followed".into()).into())
    }
}
