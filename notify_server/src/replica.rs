//! The registration of this replica: sends its heartbeat and learns whether it leads.

use crate::metrics::Metrics;
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

/// One of the notify servers on the same database.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) id: Uuid,
    /// Whether this replica leads.
    pub(crate) is_leader: watch::Receiver<bool>,
    /// How many times the database has registered this replica. It registers the replica
    /// again after the database crashed or reaped the replica.
    pub(crate) incarnations: watch::Receiver<u64>,
}

impl Replica {
    /// Sends heartbeats until `shutdown`, and then steps down.
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
                    // Without a heartbeat this replica does not lead.
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
    tracing::debug!(%error, cause = error.source_text(), "cannot send the heartbeat of this replica");
    false
}
