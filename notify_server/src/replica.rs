//! This replica among the others: says that it lives, and finds out who leads.

use crate::{figures::Figures, relay::cause};
use chat_core::{
    Error,
    replicas::{self, BEAT_EVERY, LEASE},
};
use sqlx::PgPool;
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A notify server among others over the same database.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) id: Uuid,
    /// Whether it leads.
    pub(crate) leads: watch::Receiver<bool>,
    /// How many times the database has begun to know it: again after a crash, and
    /// after a silence in which it was taken for gone.
    pub(crate) lives: watch::Receiver<u64>,
}

impl Replica {
    /// Says that it lives until `shutdown`, and then hands over.
    pub(crate) fn start(db: PgPool, name: String, figures: Arc<Figures>, shutdown: CancellationToken) -> Self {
        let (tell, leads) = watch::channel(false);
        let (tell_lives, lives) = watch::channel(0);
        let id = Uuid::now_v7();
        tokio::spawn(async move {
            let mut beat = interval(BEAT_EVERY);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while shutdown.run_until_cancelled(beat.tick()).await.is_some() {
                let leads = match timeout(LEASE, replicas::beat(&db, id, &name)).await {
                    Ok(Ok(beat)) => {
                        if beat.is_first {
                            tell_lives.send_modify(|lives| *lives += 1);
                        }
                        beat.leader == id
                    }
                    // Not heard of, it does not lead.
                    Ok(Err(error)) => silent(&error),
                    Err(_) => silent(&Error::Unavailable("the database did not answer in time".into())),
                };
                let changed = tell.send_if_modified(|now| std::mem::replace(now, leads) != leads);
                if changed {
                    figures.leads.set(leads.into());
                    let what = if leads { "this replica leads" } else { "another replica leads" };
                    tracing::info!(replica = %id, "{what}");
                }
            }
            let _ = timeout(LEASE, replicas::step_down(&db, id)).await;
        });
        Self { id, leads, lives }
    }
}

fn silent(error: &Error) -> bool {
    tracing::debug!(%error, cause = cause(error), "cannot say that this replica lives");
    false
}
