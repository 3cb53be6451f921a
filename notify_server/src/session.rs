//! One device's stream, whatever its transport: what it missed, then live, with
//! a heartbeat, to the end. A device that falls behind goes through the same
//! door as one that comes back.

use crate::{
    Notify,
    frame::{self, HEARTBEAT_MS},
    hub::{Attached, Loaded, NotYet},
    outbox::{Close, Found, Outbox},
    sse::Opening,
    wire::Wire,
};
use bytes::Bytes;
use chat_core::{
    Error, EventId, Result,
    auth::Claims,
    events::{self, Chats, Cursor, Replay},
};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep},
};

/// How long a device waits for the replica to reach the position it comes from,
/// which another replica may have shown it first.
const REACH_PATIENCE: Duration = Duration::from_secs(3);

/// How many times a device's chats are loaded before it is told to come back.
const ATTACH_ATTEMPTS: usize = 5;

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

/// Runs a stream to its end, and parts with a word on when to come back.
pub(crate) async fn run(notify: &Notify, Opening { claims, resume, answer }: Opening, wire: &impl Wire) {
    let user = claims.user_id;
    let seat = Seat { notify, claims, outbox: Arc::new(Outbox::of(claims.session_id)) };
    let Err(ended) = match answer {
        Ok(answer) => stream(&seat, answer.loaded, resume, wire).await,
        Err(error) => Err(error.into()),
    };
    drop(seat);
    tracing::debug!(%user, %ended, "a stream ended");
    // One whose session has ended need not come back.
    if !matches!(ended, Ended::Gone(_) | Ended::Closed(Close::Revoked)) {
        // One tab too many would only push out the next: let it wait.
        let retry = if matches!(ended, Ended::Closed(Close::TooMany)) { 60_000..120_000 } else { 250..2_500 };
        let _ = wire.send(&[frame::retry(retry)]).await;
    }
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
        // If this replica does not get there, `missed_from` says so.
        seat.notify.hub.reach(cursor.position, REACH_PATIENCE).await;
    }
    let attached = seat.attach(Some(loaded)).await?;
    let now = attached.cursor.clone();
    let retry = frame::retry(1_000..3_000);
    let mut sent = now.position;
    match resume {
        None => wire.send(&[retry, frame::ready(&now, false, true, seat.claims.user_id)]).await?,
        Some(cursor) => match missed_from(seat, &cursor, &now).await? {
            Ok(position) => {
                wire.send(&[retry, frame::ready(&cursor, true, false, seat.claims.user_id)]).await?;
                sent = Box::pin(catch_up(seat, attached, position, wire)).await?;
                wire.send(&[frame::caught_up(&Cursor { epoch: now.epoch, position: sent })]).await?;
            }
            Err(reason) => {
                let ready = frame::ready(&now, false, false, seat.claims.user_id);
                wire.send(&[retry, ready, frame::reset(reason, &now)]).await?;
            }
        },
    }
    live(seat, sent, wire).await
}

/// The position to catch up from, or why that cannot be.
async fn missed_from(seat: &Seat<'_>, from: &Cursor, now: &Cursor) -> Result<Result<EventId, &'static str>> {
    if from.epoch != now.epoch {
        return Ok(Err("epoch"));
    }
    if from.position > now.position {
        // Another replica may have shown it first; only the log knows.
        if events::head(&seat.notify.db).await?.last >= from.position {
            return Err(Error::Unavailable("this replica is behind the log".into()));
        }
        return Ok(Err("future"));
    }
    // In memory, hence not lost to retention; otherwise the log knows.
    let recent = seat.notify.hub.recall(seat.claims.user_id, &Chats::new(), from.position, from.position).is_some();
    if recent || from.position == now.position {
        return Ok(Ok(from.position));
    }
    let is_held = events::head(&seat.notify.db).await?.holds_after(from.position);
    Ok(if is_held { Ok(from.position) } else { Err("retention") })
}

/// Sends everything after `sent` up to the position the device is live from. If
/// so much came meanwhile that the outbox overflowed, goes round again.
async fn catch_up(
    seat: &Seat<'_>,
    mut attached: Attached,
    mut sent: EventId,
    wire: &impl Wire,
) -> Result<EventId, Ended> {
    loop {
        let upto = attached.cursor.position;
        match seat.notify.hub.recall(seat.claims.user_id, &attached.chats, sent, upto) {
            Some(missed) => wire.send(&missed).await?,
            None => replay(seat, &attached, sent, wire).await?,
        }
        sent = upto;
        if !seat.outbox.has_lagged() {
            return Ok(sent);
        }
        attached = seat.attach(None).await?;
    }
}

/// Sends what the device missed from the log itself, page by page.
async fn replay(seat: &Seat<'_>, attached: &Attached, sent: EventId, wire: &impl Wire) -> Result<(), Ended> {
    let Notify { db, .. } = seat.notify;
    let Cursor { epoch, position: upto } = &attached.cursor;
    // A place is held while the database is asked, and not while a device that
    // may be slow is sent to.
    let mut place = seat.place(wire).await?;
    let mut replay = Replay::begin(db, seat.claims.user_id, attached.chats.as_ref().clone(), sent, *upto).await?;
    loop {
        let page = replay.next(db, PAGE).await?;
        drop(place);
        let is_cut = page.is_cut;
        let (_, events) = frame::encode(epoch, &page.entries);
        drop(page);
        wire.send(&events.into_iter().map(|event| event.sse).collect::<Vec<_>>()).await?;
        if !is_cut {
            return Ok(());
        }
        place = seat.place(wire).await?;
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
            Found::Upto(last) => {
                wire.send(&pieces).await?;
                sent = last;
                spoke = Instant::now();
            }
            Found::Lagged => {
                tracing::debug!(user = %seat.claims.user_id, "a slow device catches up from the log");
                let attached = seat.attach(None).await?;
                sent = Box::pin(catch_up(seat, attached, sent, wire)).await?;
            }
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
