//! The work that goes on beside the requests.

use crate::{Api, Blobs};
use chat_core::{
    Error, Result,
    housekeeping::{self, Done, Retention},
    search, time,
};
use chrono::TimeDelta;
use clap::Args;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often those who have not asked for long are forgotten, and room is made in
/// the log.
const ROOM_EVERY: Duration = Duration::from_secs(60);

/// How often what is too old is looked for.
const ROUND_EVERY: Duration = Duration::from_secs(3600);

/// How many keys of files are looked up at once.
const KEYS: usize = 1_000;

/// How old bytes are that belong to no file, before they are taken for lost.
const STRAY_HOURS: i64 = 24;

/// How long things are kept, and how much of them.
#[derive(Debug, Clone, Copy, Args)]
pub struct Keeping {
    /// For how many days a client can be away and still resume.
    #[arg(long, env = "LOG_RETENTION_DAYS", default_value_t = 30)]
    pub log_retention_days: u16,
    /// For how many days messages are kept where their chat does not say; 0 keeps
    /// them for ever.
    #[arg(long, env = "MESSAGE_RETENTION_DAYS", default_value_t = 0)]
    pub message_retention_days: u16,
    /// How many bytes of files one person may have.
    #[arg(long, env = "USER_QUOTA_BYTES", default_value_t = 5 * 1024 * 1024 * 1024)]
    pub quota_bytes: i64,
}

impl Keeping {
    /// As the programs start unless told otherwise.
    pub const DEFAULT: Self =
        Self { log_retention_days: 30, message_retention_days: 0, quota_bytes: 5 * 1024 * 1024 * 1024 };

    fn retention(self) -> Retention {
        Retention {
            log_days: i32::from(self.log_retention_days.max(1)),
            message_days: (self.message_retention_days > 0).then_some(i32::from(self.message_retention_days)),
        }
    }
}

/// Does a round of housekeeping, with the bytes that go with it. Nothing, if
/// another process is at it.
pub async fn tidy(db: &PgPool, blobs: &Blobs, keeping: Keeping) -> Result<Option<Done>> {
    let done = housekeeping::round(db, keeping.retention()).await?;
    if let Some(done) = &done {
        blobs.forget(done.blob_keys.iter().cloned()).await;
        sweep(db, blobs).await?;
    }
    Ok(done)
}

/// Forgets bytes that belong to no file: a crash came between the two.
async fn sweep(db: &PgPool, blobs: &Blobs) -> Result<()> {
    let old = blobs.stored_before(time::now() - TimeDelta::hours(STRAY_HOURS));
    old.try_chunks(KEYS)
        .map_err(|error| error.1)
        .try_for_each(|keys| async move {
            let strays = housekeeping::strays(db, &keys).await?;
            blobs.forget(strays).await;
            Ok::<(), Error>(())
        })
        .await
}

/// Starts the work, which ends with `shutdown`.
pub(crate) fn start(api: &Arc<Api>, shutdown: &CancellationToken) {
    tokio::spawn(search::keep_index(api.db.clone(), shutdown.clone()));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(keep_room(Arc::clone(api))));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(keep_tidy(Arc::clone(api))));
}

async fn keep_room(api: Arc<Api>) {
    let mut ticks = interval(ROOM_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        api.counters.tidy();
        match housekeeping::make_room(&api.db).await {
            Ok(0) => {}
            Ok(made) => tracing::debug!(made, "made room in the event log"),
            Err(error) => tracing::warn!(%error, "no room could be made in the event log"),
        }
    }
}

async fn keep_tidy(api: Arc<Api>) {
    let mut ticks = interval(ROUND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match tidy(&api.db, &api.blobs, api.keeping).await {
            Ok(Some(done)) => tracing::debug!(?done, "tidied up"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "could not tidy up"),
        }
    }
}
