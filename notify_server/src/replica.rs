//! This replica among the others: says that it lives, and finds out who leads.

use crate::{metrics::Metrics, relay::error_source};
use chat_core::{
    Error,
    replicas::{self, HEARTBEAT_INTERVAL, LEASE},
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
    pub(crate) is_leader: watch::Receiver<bool>,
    /// How many times the database has begun to know it: again after a crash, and
    /// after a silence in which it was taken for gone.
    pub(crate) incarnations: watch::Receiver<u64>,
}

impl Replica {
    /// Says that it lives until `shutdown`, and then hands over.
    pub(crate) fn start(db: PgPool, name: String, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        let (leader_sender, is_leader) = watch::channel(false);
        let (incarnation_sender, incarnations) = watch::channel(0);
        let id = Uuid::now_v7();
        tokio::spawn(async move {
            let mut heartbeat = interval(HEARTBEAT_INTERVAL);
            heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while shutdown.run_until_cancelled(heartbeat.tick()).await.is_some() {
                let is_leader = match timeout(LEASE, replicas::heartbeat(&db, id, &name)).await {
                    Ok(Ok(heartbeat)) => {
                        if heartbeat.is_first {
                            incarnation_sender.send_modify(|incarnations| *incarnations += 1);
                        }
                        heartbeat.leader == id
                    }
                    // Not heard of, it does not lead.
                    Ok(Err(error)) => log_missed_heartbeat(&error),
                    Err(_) => log_missed_heartbeat(&Error::Unavailable("the database did not answer in time".into())),
                };
                let changed = leader_sender.send_if_modified(|now| std::mem::replace(now, is_leader) != is_leader);
                if changed {
                    metrics.relay_leading.set(is_leader.into());
                    let what = if is_leader { "this replica leads" } else { "another replica leads" };
                    tracing::info!(replica = %id, "{what}");
                }
            }
            let _ = timeout(LEASE, replicas::step_down(&db, id)).await;
        });
        Self { id, is_leader, incarnations }
    }
}

fn log_missed_heartbeat(error: &Error) -> bool {
    tracing::debug!(%error, cause = error_source(error), "cannot send the heartbeat of this replica");
    false
}
