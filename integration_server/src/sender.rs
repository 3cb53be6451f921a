//! Sends what is due. A dispatcher claims lanes and starts a run for each; a run sends a few
//! entries to an endpoint or a remote user, in order; the settler records what the runs did, several at once.
//!
//! Endpoints that fail have a dispatcher and slots of their own, so that they do not take the
//! slots of the others.

use crate::{
    bridges::Bridges,
    client::OutgoingClient,
    metrics::Metrics,
    notifications::Wakers,
    slots::Slots,
    webhook::{self, Effect, Request},
};
use chat_core::{
    Error, LaneId, Result, UserId,
    bridges::{
        BridgeAccount,
        relay::{self, Recipient},
    },
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

/// Maximum number of healthy endpoints to which this process sends at once.
const HEALTHY_SLOTS: usize = 256;

/// Maximum number of failing endpoints to which this process sends at once.
const FAILING_SLOTS: usize = 32;

/// Maximum number of endpoints of one person, and of the person's bots, to which this process
/// sends at once.
const SLOTS_PER_OWNER: usize = 4;

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

/// The pause of an endpoint whose host or owner has no free slot.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// How long a request that is in progress at a shutdown may still take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The pause of an endpoint whose secret cannot be opened.
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
    pub(crate) owners: Slots<UserId>,
    pub(crate) bridges: Arc<Bridges>,
    pub(crate) shutdown: CancellationToken,
}

/// What a run needs.
struct Run {
    lease: Lease,
    target: Option<LaneTarget>,
    entries: Vec<Entry>,
    epoch: Arc<Epoch>,
    _slot: OwnedSemaphorePermit,
}

/// Where the entries of a lane go.
enum LaneTarget {
    /// To an endpoint of webhooks.
    Endpoint(Target),
    /// To a remote user on another network.
    RemoteUser(Box<(Recipient, BridgeAccount)>),
}

impl LaneTarget {
    fn lane(&self) -> LaneId {
        match self {
            Self::Endpoint(target) => target.id.into(),
            Self::RemoteUser(remote_user) => remote_user.0.id.into(),
        }
    }
}

impl Sender {
    /// Returns the slots of all owners.
    pub(crate) fn slots_of_owners() -> Slots<UserId> {
        Slots::new(SLOTS_PER_OWNER)
    }

    /// Starts to send. After `shutdown` no run begins, and those that run are settled.
    pub(crate) fn spawn(self, tasks: &TaskTracker) {
        let sender = Arc::new(self);
        let (settlements, receiver) = mpsc::channel(HEALTHY_SLOTS + FAILING_SLOTS);
        for (health, slots) in [(Health::Healthy, HEALTHY_SLOTS), (Health::Failing, FAILING_SLOTS)] {
            tasks.spawn(Arc::clone(&sender).dispatch(health, slots, settlements.clone()));
        }
        // The settler ends when the last run has.
        tasks.spawn(sender.settle_all(receiver));
    }

    /// Claims endpoints with due entries and starts their runs. Never stops between the two.
    async fn dispatch(self: Arc<Self>, health: Health, slots: usize, settlements: mpsc::Sender<Settlement>) {
        let (slots, shutdown) = (Arc::new(Semaphore::new(slots)), self.shutdown.clone());
        while let Some(permits) = shutdown.run_until_cancelled(acquire_some(&slots)).await {
            let wait = match self.claim(health, permits, &settlements).await {
                Ok(runs) if runs.is_empty() => self.time_until_due(health).await,
                Ok(runs) => {
                    for run in runs {
                        let (sender, settlements) = (Arc::clone(&self), settlements.clone());
                        tokio::spawn(async move {
                            // The settler ends after the last run.
                            let _ = settlements.send(sender.run(run).await).await;
                        });
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, cause = error.source_text(), "cannot read the outbox; trying again");
                    ERROR_PAUSE
                }
            };
            // Look again after a timeout too.
            let woken = timeout(wait, self.wakers.of(health).notified());
            if shutdown.run_until_cancelled(woken).await.is_none() {
                return;
            }
        }
    }

    async fn time_until_due(&self, health: Health) -> Duration {
        outbox::time_until_due(&self.db, health, POLL_INTERVAL).await.unwrap_or(POLL_INTERVAL).max(MIN_WAIT)
    }

    /// Claims endpoints. If their entries cannot be loaded, releases them again.
    async fn claim(
        &self,
        health: Health,
        permits: Vec<OwnedSemaphorePermit>,
        settlements: &mpsc::Sender<Settlement>,
    ) -> Result<Vec<Run>> {
        let leases = outbox::claim(&self.db, health, i64::try_from(permits.len()).unwrap_or(0)).await?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let loaded = self.load(leases.clone(), permits).await;
        if loaded.is_err() {
            for lease in leases {
                let settlement = Settlement { pause: ERROR_PAUSE, ..Settlement::unchanged(lease) };
                // The settler runs for as long as this dispatcher.
                let _ = settlements.send(settlement).await;
            }
        }
        loaded
    }

    async fn load(&self, leases: Vec<Lease>, permits: Vec<OwnedSemaphorePermit>) -> Result<Vec<Run>> {
        let lanes: Vec<LaneId> = leases.iter().map(|lease| lease.lane).collect();
        let mut db = self.db.acquire().await?;
        let endpoints = webhook_endpoints::load_targets(&mut *db, &lanes).await?;
        let remote_users = relay::load_recipients(&mut db, &lanes).await?;
        let remote_users = remote_users.into_iter().map(|remote_user| LaneTarget::RemoteUser(Box::new(remote_user)));
        let targets = endpoints.into_iter().map(LaneTarget::Endpoint).chain(remote_users);
        let (epoch, entries) = outbox::load_due(&mut db, &lanes).await?;
        let epoch = Arc::new(epoch);
        let mut targets: HashMap<LaneId, LaneTarget> = targets.map(|target| (target.lane(), target)).collect();
        let mut entries_of: HashMap<LaneId, Vec<Entry>> = HashMap::new();
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

    /// Sends the entries of one lane, in order, until one fails.
    async fn run(&self, Run { lease, target, entries, epoch, _slot }: Run) -> Settlement {
        let mut settlement = Settlement::unchanged(lease);
        let target = match target {
            Some(LaneTarget::RemoteUser(remote_user)) => {
                let (recipient, account) = *remote_user;
                return self.bridges.run(settlement, recipient, account, &entries, &self.shutdown).await;
            }
            Some(LaneTarget::Endpoint(target)) if !target.is_disabled => Some(target),
            Some(LaneTarget::Endpoint(_)) | None => None,
        };
        let Some(target) = target else {
            settlement.outcomes =
                entries.iter().map(|entry| not_sent(entry, State::Dead, "the endpoint is disabled")).collect();
            return settlement;
        };
        let Some(_owner_slot) = self.owners.try_acquire(&target.owner_id) else {
            settlement.pause = BUSY_PAUSE;
            return settlement;
        };
        let keys = match target.open_keys(&self.sealer) {
            Ok(keys) => keys,
            Err(error) => {
                tracing::error!(endpoint = %target.id, cause = error.source_text(), "cannot open the secret of an endpoint");
                settlement.pause = NO_SECRET_PAUSE;
                let why = "this server cannot open the secret of the endpoint; its administrator has to check SECRETS_KEY_FILE";
                settlement.outcomes =
                    entries.iter().take(1).map(|entry| not_sent(entry, State::Waiting, why)).collect();
                return settlement;
            }
        };
        let started_at = Instant::now();
        for entry in &entries {
            if started_at.elapsed() > RUN_TIME || self.shutdown.is_cancelled() {
                break;
            }
            let Some(request) = Request::new(entry, &epoch, &keys, now()) else {
                settlement.outcomes.push(not_sent(entry, State::Dead, "the event is no longer stored"));
                continue;
            };
            let Some(response) = self.until_shutdown(request.send(&self.client, &target.url)).await else { break };
            let (outcome, effect) = webhook::evaluate(entry, response, settlement.failures);
            if outcome.was_sent {
                self.record(entry, &outcome);
                settlement.outcomes.push(outcome);
            }
            match effect {
                Effect::Continue => (settlement.failures, settlement.has_succeeded) = (0, true),
                Effect::Pause(pause) => {
                    settlement.failures += 1;
                    settlement.pause = pause;
                    if is_failing_for_days(&settlement) {
                        self.disable(&settlement, DisabledReason::Failing).await;
                    }
                    break;
                }
                Effect::Gone => {
                    // Nothing is sent until it is disabled.
                    settlement.pause = ERROR_PAUSE;
                    self.disable(&settlement, DisabledReason::Gone).await;
                    break;
                }
                Effect::NotSent => {
                    settlement.pause = BUSY_PAUSE;
                    break;
                }
            }
        }
        settlement
    }

    /// Returns the output of a request; `None` if it takes too long after `shutdown`. It is then
    /// sent again.
    async fn until_shutdown<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        let grace = async {
            self.shutdown.cancelled().await;
            sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            biased;
            output = request => Some(output),
            () = grace => None,
        }
    }

    fn record(&self, entry: &Entry, outcome: &Outcome) {
        self.metrics.record_attempt(match outcome.state {
            State::Delivered => "delivered",
            State::Waiting => "failed",
            State::Dead => "dead",
        });
        if let (Content::Event(event), 0, State::Delivered) = (&entry.content, entry.attempts, outcome.state) {
            let delay = (now() - event.at.0).to_std().unwrap_or_default();
            self.metrics.commit_to_response.observe(delay.as_secs_f64());
        }
    }

    /// Disables the endpoint of a run. Settles the run first, because disabling gives up what
    /// still waits.
    async fn disable(&self, settlement: &Settlement, reason: DisabledReason) {
        self.settle(settlement).await;
        let endpoint = settlement.lease.lane.into();
        match webhook_endpoints::disable(&self.db, endpoint, reason).await {
            Ok(()) => tracing::info!(%endpoint, ?reason, "disabled an endpoint"),
            Err(error) => tracing::warn!(%endpoint, %error, "cannot disable an endpoint"),
        }
    }

    /// Settles runs until the last has ended. A run that is not settled before its lease ends is
    /// sent again.
    async fn settle_all(self: Arc<Self>, mut settlements: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(MAX_SETTLED);
        while settlements.recv_many(&mut batch, MAX_SETTLED).await > 0 {
            if let Err(error) = outbox::settle(&self.db, &batch).await {
                tracing::warn!(%error, cause = error.source_text(), "cannot record what was sent; trying again");
                // One by one, so that one cannot stop the others.
                for settlement in &batch {
                    self.settle(settlement).await;
                }
            }
            batch.clear();
            // More may be due on the same lanes.
            self.wakers.wake_senders();
        }
    }

    /// Settles a run, for as long as its lease lasts.
    async fn settle(&self, settlement: &Settlement) {
        let started_at = Instant::now();
        while let Err(error) = outbox::settle(&self.db, std::slice::from_ref(settlement)).await {
            tracing::warn!(%error, cause = error.source_text(), "cannot record what was sent; trying again");
            // Another error than a lost connection does not pass.
            if !matches!(error, Error::Unavailable(_)) || started_at.elapsed() > LEASE {
                return;
            }
            sleep(ERROR_PAUSE).await;
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

/// Whether no attempt has succeeded for some days.
fn is_failing_for_days(settlement: &Settlement) -> bool {
    let since = settlement.lease.failing_since.filter(|_| !settlement.has_succeeded);
    since.is_some_and(|since| (now() - since.0).num_days() >= MAX_FAILING_DAYS)
}

/// The outcome of an entry that was not sent.
fn not_sent(entry: &Entry, state: State, error: &str) -> Outcome {
    Outcome { id: entry.id, state, was_sent: false, retry_delay: None, status: None, error: Some(error.to_owned()) }
}
