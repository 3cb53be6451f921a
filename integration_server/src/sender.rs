//! Sends what is due. A dispatcher claims endpoints and starts a run for each; a run sends a few
//! entries in order; the settler records what the runs did, several at once.
//!
//! Endpoints that fail have a dispatcher and slots of their own, so that they do not take the
//! slots of the others.

use crate::{
    client::OutgoingClient,
    metrics::Metrics,
    notifications::Wakers,
    webhook::{self, Effect, Request},
};
use chat_core::{
    EndpointId, Result,
    events::Epoch,
    outbox::{self, Content, Entry, Health, LEASE, Lease, Outcome, Settlement, State},
    sealing::Sealer,
    time::now,
    webhook_endpoints::{self, DisabledReason, Target},
};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum number of endpoints to which this process sends at once, by health.
const HEALTHY_SLOTS: usize = 256;
const FAILING_SLOTS: usize = 32;

/// Maximum number of endpoints that are claimed at once. It bounds the memory: each can have
/// `MAX_ENTRIES` entries.
const MAX_CLAIMED: usize = 32;

/// How often the database is asked for due entries without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The minimum time between two looks, so that an entry that is due but claimed by another
/// process costs little.
const MIN_WAIT: Duration = Duration::from_millis(20);

/// The pause after an error.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// After this time a run begins no other request. Together with the time limit of a request it
/// is shorter than the lease.
const RUN_TIME: Duration = Duration::from_secs(20);

/// How long an endpoint may fail until it is disabled.
const MAX_FAILING_DAYS: i64 = 3;

/// The pause of an endpoint whose host is busy, and of one whose secret cannot be opened.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
const NO_SECRET_PAUSE: Duration = Duration::from_secs(60);

/// Maximum number of runs that are settled in one transaction.
const MAX_SETTLED: usize = 64;

/// Sends what is due.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) client: OutgoingClient,
    pub(crate) wakers: Arc<Wakers>,
    pub(crate) metrics: Arc<Metrics>,
}

/// What a run needs.
struct Run {
    lease: Lease,
    target: Option<Target>,
    entries: Vec<Entry>,
    epoch: Arc<Epoch>,
    _slot: OwnedSemaphorePermit,
}

impl Sender {
    /// Starts to send. After `shutdown` no run begins, and those that run are settled.
    pub(crate) fn spawn(self, tasks: &TaskTracker, shutdown: &CancellationToken) {
        let sender = Arc::new(self);
        let (settlements, receiver) = mpsc::channel(HEALTHY_SLOTS + FAILING_SLOTS);
        for (health, slots) in [(Health::Healthy, HEALTHY_SLOTS), (Health::Failing, FAILING_SLOTS)] {
            let dispatch = Arc::clone(&sender).dispatch(health, slots, settlements.clone());
            tasks.spawn(shutdown.clone().run_until_cancelled_owned(dispatch));
        }
        // The settler ends when the last run has.
        tasks.spawn(sender.settle_all(receiver));
    }

    /// Claims endpoints with due entries and starts their runs.
    async fn dispatch(self: Arc<Self>, health: Health, slots: usize, settlements: mpsc::Sender<Settlement>) {
        let slots = Arc::new(Semaphore::new(slots));
        loop {
            let permits = acquire_some(&slots).await;
            match self.claim(health, permits).await {
                Ok(runs) if runs.is_empty() => self.wait(health).await,
                Ok(runs) => {
                    for run in runs {
                        let (sender, settlements) = (Arc::clone(&self), settlements.clone());
                        tokio::spawn(async move {
                            // The settler ends after the last run.
                            let _ = settlements.send(sender.run(run).await).await;
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, source = error.source_text(), "cannot read the outbox; trying again");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    /// Waits until there may be something to send.
    async fn wait(&self, health: Health) {
        let limit = outbox::time_until_due(&self.db, health, POLL_INTERVAL).await.unwrap_or(POLL_INTERVAL);
        let waker = &self.wakers.senders[usize::from(health == Health::Failing)];
        // Either way: look again.
        let _ = timeout(limit.max(MIN_WAIT), waker.notified()).await;
    }

    async fn claim(&self, health: Health, permits: Vec<OwnedSemaphorePermit>) -> Result<Vec<Run>> {
        let leases = outbox::claim(&self.db, health, i64::try_from(permits.len()).unwrap_or(0)).await?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let lanes: Vec<EndpointId> = leases.iter().map(|lease| lease.lane).collect();
        let mut db = self.db.acquire().await?;
        let targets = webhook_endpoints::load_targets(&mut *db, &lanes).await?;
        let (epoch, entries) = outbox::load_due(&mut db, &lanes).await?;
        let epoch = Arc::new(epoch);
        let mut targets: HashMap<EndpointId, Target> = targets.into_iter().map(|target| (target.id, target)).collect();
        let mut entries_of: HashMap<EndpointId, Vec<Entry>> = HashMap::new();
        for entry in entries {
            entries_of.entry(entry.lane).or_default().push(entry);
        }
        let runs = leases.into_iter().zip(permits).map(|(lease, slot)| Run {
            target: targets.remove(&lease.lane),
            entries: entries_of.remove(&lease.lane).unwrap_or_default(),
            lease,
            epoch: Arc::clone(&epoch),
            _slot: slot,
        });
        Ok(runs.collect())
    }

    /// Sends the entries of one endpoint, in order, until one fails.
    async fn run(&self, Run { lease, target, entries, epoch, _slot }: Run) -> Settlement {
        let mut settlement =
            Settlement { failures: lease.failures, lease, outcomes: Vec::new(), pause: Duration::ZERO };
        let Some(target) = target.filter(|target| !target.is_disabled) else {
            settlement.outcomes = entries.iter().map(|entry| give_up(entry, "the endpoint is disabled")).collect();
            return settlement;
        };
        let keys = match target.open_keys(&self.sealer) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!(endpoint = %target.id, source = error.source_text(), "cannot sign the deliveries to an endpoint");
                settlement.pause = NO_SECRET_PAUSE;
                return settlement;
            }
        };
        let started_at = Instant::now();
        for entry in &entries {
            if started_at.elapsed() > RUN_TIME {
                break;
            }
            let Some(request) = Request::new(entry, &epoch, &keys, now()) else {
                settlement.outcomes.push(give_up(entry, "the event is no longer stored"));
                continue;
            };
            let answer = request.send(&self.client, &target.url).await;
            let (outcome, effect) = webhook::evaluate(entry, answer, settlement.failures);
            if effect == Effect::NotSent {
                settlement.pause = BUSY_PAUSE;
                break;
            }
            self.record(entry, &outcome);
            settlement.outcomes.push(outcome);
            match effect {
                Effect::Continue => settlement.failures = 0,
                Effect::Pause(pause) => {
                    settlement.failures += 1;
                    settlement.pause = pause;
                    break;
                }
                Effect::Gone => {
                    self.disable(&target, DisabledReason::Gone).await;
                    break;
                }
                Effect::NotSent => break,
            }
        }
        let has_failed_for = settlement.lease.failing_since.map(|since| now() - since.0);
        if settlement.failures > 0 && has_failed_for.is_some_and(|time| time.num_days() >= MAX_FAILING_DAYS) {
            self.disable(&target, DisabledReason::Failing).await;
        }
        settlement
    }

    fn record(&self, entry: &Entry, outcome: &Outcome) {
        self.metrics.record_attempt(match outcome.state {
            State::Delivered => "delivered",
            State::Waiting => "failed",
            State::Dead => "dead",
        });
        if let (Content::Event(event), 0, State::Delivered) = (&entry.content, entry.attempts, outcome.state) {
            let delay = (now() - event.at.0).to_std().unwrap_or_default();
            self.metrics.commit_to_answer.observe(delay.as_secs_f64());
        }
    }

    async fn disable(&self, target: &Target, reason: DisabledReason) {
        match webhook_endpoints::disable(&self.db, target.id, reason).await {
            Ok(()) => tracing::info!(endpoint = %target.id, ?reason, "disabled an endpoint"),
            Err(error) => tracing::warn!(endpoint = %target.id, %error, "cannot disable an endpoint"),
        }
    }

    /// Settles runs until the last has ended. A run that is not settled before its lease ends is
    /// sent again.
    async fn settle_all(self: Arc<Self>, mut runs: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(MAX_SETTLED);
        while runs.recv_many(&mut batch, MAX_SETTLED).await > 0 {
            let started_at = Instant::now();
            while let Err(error) = outbox::settle(&self.db, &batch).await {
                tracing::warn!(%error, source = error.source_text(), "cannot record what was sent; trying again");
                if started_at.elapsed() > LEASE {
                    break;
                }
                sleep(ERROR_PAUSE).await;
            }
            batch.clear();
            // More may be due on the same lanes.
            self.wakers.senders[0].notify_one();
        }
    }
}

/// Acquires at least one slot, and as many more as are free, up to `MAX_CLAIMED`.
async fn acquire_some(slots: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
    let first = Arc::clone(slots).acquire_owned().await;
    let mut permits: Vec<OwnedSemaphorePermit> = first.into_iter().collect();
    while permits.len() < MAX_CLAIMED
        && let Ok(permit) = Arc::clone(slots).try_acquire_owned()
    {
        permits.push(permit);
    }
    permits
}

fn give_up(entry: &Entry, error: &str) -> Outcome {
    Outcome { id: entry.id, state: State::Dead, steps_aside_for: None, status: None, error: Some(error.to_owned()) }
}
