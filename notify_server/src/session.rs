//! One device's stream, whatever its transport: what it missed, then live, with
//! a heartbeat, to the end. A device that falls behind goes through the same
//! door as one that comes back.

use crate::{
    Notify,
    figures::TIMED_WRITES,
    frame::{self, HEARTBEAT_MS},
    hub::{Attached, Loaded, NotYet},
    opening::Opening,
    outbox::{Close, Found, Outbox},
    wire::{Parting, Wire},
};
use bytes::Bytes;
use chat_core::{
    Error, EventId, Result,
    auth::Claims,
    events::{Cursor, Replay},
};
use std::{io, ops::Range, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep},
};

/// How long a device waits for the replica to reach the position it comes from,
/// which another replica may have shown it first.
const REACH_PATIENCE: Duration = Duration::from_secs(3);

/// How many times a device's chats are loaded before it is told to come back.
const ATTACH_ATTEMPTS: usize = 5;

/// How long a client whose stream breaks waits before it comes back, in
/// milliseconds: some time within the range.
const RETRY_MS: Range<u64> = 1_000..3_000;

/// How many missed events are read from the log at once.
const PAGE: i64 = 500;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the device hung up or took nothing for too long: {0}")]
    Gone(#[from] io::Error),
    #[error("closed by the hub: {0:?}")]
    Closed(Close),
    #[error("the database could not be asked: {0}")]
    Unavailable(#[from] Error),
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Self::Gone(error) if error.kind() == io::ErrorKind::TimedOut => "slow",
            Self::Gone(_) => "gone",
            Self::Closed(Close::HistoryChanged) => "history_changed",
            Self::Closed(Close::TooMany) => "too_many",
            Self::Closed(Close::Revoked) => "revoked",
            Self::Closed(Close::Stopping) => "stopping",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn parting(&self) -> Parting {
        match self {
            Self::Gone(error) if error.kind() == io::ErrorKind::TimedOut => Parting::TooSlow,
            Self::Gone(_) => Parting::Gone,
            Self::Closed(Close::Revoked) => Parting::Revoked,
            Self::Closed(Close::TooMany) => Parting::TooMany,
            Self::Closed(Close::HistoryChanged | Close::Stopping) | Self::Unavailable(_) => Parting::ComeBack,
        }
    }
}

/// Runs a stream to its end, and parts with a word on when to come back.
pub(crate) async fn run(notify: &Notify, Opening { claims, resume, answer }: Opening, wire: &impl Wire) {
    let user = claims.user_id;
    let seat = Seat { notify, claims, outbox: Arc::new(Outbox::of(claims.session_id)) };
    let Err(ended) = match answer {
        Ok(answer) => stream(&seat, answer.loaded, resume, wire).await,
        Err(error) => Err(error.into()),
    };
    drop(seat);
    notify.figures.ended(ended.word());
    tracing::debug!(%user, %ended, "a stream ended");
    wire.part(ended.parting()).await;
}

/// A device's place in the hub, given up when dropped.
struct Seat<'a> {
    notify: &'a Notify,
    claims: Claims,
    outbox: Arc<Outbox>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.notify.hub.detach(self.claims.user_id, &self.outbox);
    }
}

async fn stream(
    seat: &Seat<'_>,
    loaded: Loaded,
    resume: Option<Cursor>,
    wire: &impl Wire,
) -> Result<std::convert::Infallible, Ended> {
    if let Some(cursor) = &resume
        && seat.notify.hub.cursor().is_none_or(|now| now.epoch == cursor.epoch)
    {
        // If this replica does not get there, `missed_since` says so.
        seat.notify.hub.reach(cursor.position, REACH_PATIENCE).await;
    }
    let log_end = loaded.0;
    let attached = seat.attach(Some(loaded)).await?;
    let sent = match resume {
        // In a box, as below: it is large, and soon over.
        Some(cursor) => Box::pin(resumed(seat, cursor, attached, log_end, wire)).await?,
        None => {
            seat.notify.figures.opened("fresh");
            let Attached { cursor, .. } = attached;
            let ready = frame::ready(&cursor, false, true, seat.claims.user_id);
            wire.send(&[frame::retry(RETRY_MS), ready]).await?;
            cursor.position
        }
    };
    live(seat, sent, wire).await
}

/// Greets a device that comes back and sends what it missed since its cursor;
/// answers the position that it has reached. `log_end` is where the log ended a
/// moment ago.
async fn resumed(
    seat: &Seat<'_>,
    from: Cursor,
    attached: Attached,
    log_end: EventId,
    wire: &impl Wire,
) -> Result<EventId, Ended> {
    let now = attached.cursor.clone();
    let (figures, user, retry) = (&seat.notify.figures, seat.claims.user_id, frame::retry(RETRY_MS));
    let missed = match missed_since(seat, &from, attached, log_end, wire).await {
        Ok(missed) => missed,
        Err(ended) => {
            let reason = reset_by(ended)?;
            figures.opened(reason);
            wire.send(&[retry, frame::ready(&now, false, false, user), frame::reset(reason, &now)]).await?;
            return Ok(now.position);
        }
    };
    figures.opened("resumed");
    wire.send(&[retry, frame::ready(&from, true, false, user)]).await?;
    match catch_up(seat, missed, wire).await {
        Ok(position) => {
            wire.send(&[frame::caught_up(&Cursor { epoch: now.epoch, position })]).await?;
            Ok(position)
        }
        Err(ended) => start_over(seat, reset_by(ended)?, wire).await,
    }
}

/// Why a device is to start over, if that is what came of it.
fn reset_by(ended: Ended) -> Result<&'static str, Ended> {
    match ended {
        Ended::Unavailable(Error::Reset(reason)) => Ok(reason),
        other => Err(other),
    }
}

/// What was missed cannot be told any more: says so, and goes on from here.
async fn start_over(seat: &Seat<'_>, reason: &'static str, wire: &impl Wire) -> Result<EventId, Ended> {
    let now = seat.attach(None).await?.cursor;
    wire.send(&[frame::reset(reason, &now)]).await?;
    Ok(now.position)
}

/// What a device missed, and where it was found.
enum Missed {
    /// All of it, in memory.
    Recent(Vec<Bytes>, EventId),
    /// In the log: the first page, and the rest if there is more.
    Logged(Vec<Bytes>, Option<Box<Replay>>, Cursor),
}

/// Finds what was missed since a cursor; `Error::Reset` if that cannot be.
async fn missed_since(
    seat: &Seat<'_>,
    from: &Cursor,
    attached: Attached,
    log_end: EventId,
    wire: &impl Wire,
) -> Result<Missed, Ended> {
    let now = &attached.cursor;
    if from.epoch != now.epoch {
        return Err(Error::Reset("epoch").into());
    }
    if from.position > now.position {
        // Another replica may have shown it first; only the log knows.
        let is_behind = log_end >= from.position;
        let behind = || Error::Unavailable("this replica is behind the log".into());
        return Err(if is_behind { behind() } else { Error::Reset("future") }.into());
    }
    find(seat, attached, from.position, wire).await
}

/// Finds the events after a position that is at or before the one from which the
/// device is live.
async fn find(seat: &Seat<'_>, attached: Attached, after: EventId, wire: &impl Wire) -> Result<Missed, Ended> {
    let Notify { hub, figures, db, .. } = seat.notify;
    let Attached { cursor, chats } = attached;
    let user = seat.claims.user_id;
    if let Some(pieces) = hub.recall(user, &chats, after, cursor.position) {
        figures.caught_up_from("memory");
        return Ok(Missed::Recent(pieces, cursor.position));
    }
    figures.caught_up_from("log");
    // A place is held while the database is asked, and not while a device that
    // may be slow is sent to.
    let _place = seat.place(wire).await?;
    let replay = Replay::begin(db, user, chats.as_ref().clone(), after, cursor.position).await?;
    next_page(seat, Box::new(replay), cursor).await
}

async fn next_page(seat: &Seat<'_>, mut replay: Box<Replay>, upto: Cursor) -> Result<Missed, Ended> {
    let mut db = seat.notify.db.acquire().await.map_err(Error::from)?;
    let page = replay.next(&mut db, PAGE).await?;
    let (_, events) = frame::encode(&upto.epoch, &page.entries);
    let pieces = events.into_iter().map(|event| event.sse).collect();
    Ok(Missed::Logged(pieces, page.is_cut.then_some(replay), upto))
}

/// Sends what was missed up to the position the device is live from. If so much
/// came meanwhile that the outbox overflowed, goes round again.
async fn catch_up(seat: &Seat<'_>, mut missed: Missed, wire: &impl Wire) -> Result<EventId, Ended> {
    loop {
        let sent = match missed {
            Missed::Logged(pieces, Some(rest), upto) => {
                wire.send(&pieces).await?;
                drop(pieces);
                let _place = seat.place(wire).await?;
                missed = next_page(seat, rest, upto).await?;
                continue;
            }
            Missed::Logged(pieces, None, Cursor { position, .. }) | Missed::Recent(pieces, position) => {
                wire.send(&pieces).await?;
                position
            }
        };
        if !seat.outbox.has_lagged() {
            return Ok(sent);
        }
        seat.notify.figures.demotions.inc();
        let attached = seat.attach(None).await?;
        missed = find(seat, attached, sent, wire).await?;
    }
}

/// Brings a device that fell behind up to date.
async fn promote(seat: &Seat<'_>, sent: EventId, wire: &impl Wire) -> Result<EventId, Ended> {
    tracing::debug!(user = %seat.claims.user_id, "a slow device catches up from the log");
    seat.notify.figures.demotions.inc();
    let attached = seat.attach(None).await?;
    let caught_up = async { catch_up(seat, find(seat, attached, sent, wire).await?, wire).await };
    match caught_up.await {
        Ok(position) => Ok(position),
        Err(ended) => start_over(seat, reset_by(ended)?, wire).await,
    }
}

async fn live(seat: &Seat<'_>, mut sent: EventId, wire: &impl Wire) -> Result<std::convert::Infallible, Ended> {
    let heartbeat = Duration::from_millis(HEARTBEAT_MS);
    let mut pieces: Vec<Bytes> = Vec::new();
    // Both are set up once and not for each event: that would cost more than the
    // event.
    let mut hung_up = pin!(wire.hung_up());
    let mut ping = pin!(sleep(heartbeat));
    let mut spoke = Instant::now();
    let mut writes = 0u32;
    loop {
        let found = tokio::select! {
            biased;
            found = seat.outbox.next(&mut pieces) => found,
            () = hung_up.as_mut() => return Err(Ended::Gone(io::ErrorKind::ConnectionReset.into())),
            () = ping.as_mut() => {
                if spoke.elapsed() >= heartbeat {
                    wire.send(&[frame::PING]).await?;
                    spoke = Instant::now();
                }
                ping.as_mut().reset(spoke + heartbeat);
                continue;
            }
        };
        match found {
            Found::Pieces { upto, since } => {
                wire.send(&pieces).await?;
                sent = upto;
                spoke = Instant::now();
                if writes.is_multiple_of(TIMED_WRITES) {
                    seat.notify.figures.hub_to_socket.observe((spoke.into_std() - since).as_secs_f64());
                }
                writes = writes.wrapping_add(1);
            }
            Found::Lagged => sent = Box::pin(promote(seat, sent, wire)).await?,
            Found::Closed(reason) => return Err(Ended::Closed(reason)),
        }
    }
}

impl Seat<'_> {
    /// Waits for a turn to read from the database, as long as the device does.
    async fn place(&self, wire: &impl Wire) -> Result<SemaphorePermit<'_>, Ended> {
        let Notify { catch_up_places, shutdown, .. } = self.notify;
        tokio::select! {
            place = catch_up_places.acquire() => place.map_err(|_| Ended::Closed(Close::Stopping)),
            () = shutdown.cancelled() => Err(Ended::Closed(Close::Stopping)),
            () = wire.hung_up() => Err(Ended::Gone(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Registers with the hub, loading the person's chats if this is their first
    /// device here.
    async fn attach(&self, mut loaded: Option<Loaded>) -> Result<Attached, Ended> {
        let hub = &self.notify.hub;
        for _ in 0..ATTACH_ATTEMPTS {
            match hub.attach(self.claims.user_id, &self.outbox, loaded.as_ref()) {
                Ok(attached) => return Ok(attached),
                Err(NotYet::Unknown) => match self.notify.roster.ask(self.claims).await? {
                    answer if answer.is_live => loaded = Some(answer.loaded),
                    _ => return Err(Ended::Closed(Close::Revoked)),
                },
                // The answer is kept: once the log has come this far it serves,
                // however much further it goes meanwhile.
                Err(NotYet::Ahead(position)) => drop(hub.reach(position, REACH_PATIENCE).await),
                Err(NotYet::Closed(reason)) => return Err(Ended::Closed(reason)),
            }
        }
        Err(Error::Unavailable("the event log is not being followed".into()).into())
    }
}
