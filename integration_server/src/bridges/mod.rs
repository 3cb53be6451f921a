//! Bridges: relays between chats and other networks. `whatsapp` knows the network; this module
//! runs what is due: entries of the outbox, received webhooks, and checks of accounts.

mod whatsapp;

use crate::{client::OutgoingClient, metrics::Metrics, notifications::Wakers, slots::Slots};
use chat_core::{
    Error, UserId,
    bridges::{
        self, BridgeAccount, BridgeSecrets, BridgeState, PausedReason, chats,
        inbox::{self, InboxLease, WebhookOutcome},
        relay::Recipient,
    },
    messages::Writer,
    outbox::{Entry, Outcome, Settlement, State},
    sealing::Sealer,
    time::now,
};
use file_store::FileStore;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;
use whatsapp::graph::{Graph, GraphError};

/// Maximum number of messages that one bridge sends, and that the bridges of one person receive, in
/// a second: the limit of WhatsApp for one phone number.
const MAX_PER_SECOND: NonZeroU32 = NonZeroU32::new(80).expect("not zero");

/// How long to wait if the bridges of a person receive more than that.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// How many messages one remote user gets at once, and after that one each `REMOTE_USER_PERIOD`: the limit
/// of WhatsApp for one remote user.
const REMOTE_USER_BURST: NonZeroU32 = NonZeroU32::new(45).expect("not zero");
const REMOTE_USER_PERIOD: Duration = Duration::from_secs(6);

/// After this time a run begins no other message. Together with the time limits of an upload and
/// of a request it is shorter than the lease of a lane.
const RUN_TIME: Duration = Duration::from_secs(20);

/// The pause of a lane whose bridge does not work.
const STOPPED_PAUSE: Duration = Duration::from_secs(15);

/// The pause of a lane whose bridge is being checked.
const CONNECTING_PAUSE: Duration = Duration::from_secs(1);

/// The pause if too many requests are in progress.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// The pause after an error of the database.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// The pause after the first attempt that failed. It doubles with each further one.
const MIN_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What the network has not accepted after this time is given up, in days.
const MAX_AGE_DAYS: i64 = 3;

/// Maximum number of requests to the Graph API at once.
const MAX_GRAPH_REQUESTS: usize = 64;

/// Maximum number of lanes of the bridges of one person to which this process sends at once.
const LANES_PER_OWNER: usize = 8;

/// Maximum number of inboxes that are processed at once.
const INBOXES_AT_ONCE: usize = 8;

/// How often the database is asked for received webhooks without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The account and the remote user of a lane.
pub(crate) struct Target {
    pub(crate) recipient: Recipient,
    pub(crate) account: BridgeAccount,
    secrets: BridgeSecrets,
}

impl Target {
    pub(crate) fn token(&self) -> &str {
        self.secrets.access_token.as_str()
    }
}

/// Why a run on a lane does not go on to the next entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// This entry will never arrive; the next can.
    Dead(String),
    /// Nothing can be sent for a while.
    Pause { pause: Duration, why: Option<String> },
    /// The attempt failed for now; nothing was sent.
    Retry { pause: Duration, why: String },
    /// The account cannot be used.
    Account(String),
    /// Two programs may answer each other.
    Loop(PausedReason),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, cause = error.source_text(), "cannot relay a message; trying again");
        Self::Pause { pause: ERROR_PAUSE, why: None }
    }
}

impl From<GraphError> for Halt {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Account(why) => Self::Account(why),
            GraphError::Permanent { why, .. } => Self::Dead(why),
            GraphError::Temporary { pause, why } => Self::Retry { pause, why },
            // A request without a row in the database can be repeated.
            GraphError::NotSent(why) | GraphError::Unknown(why) => Self::Retry { pause: MIN_PAUSE, why },
            GraphError::Busy => Self::Pause { pause: BUSY_PAUSE, why: None },
        }
    }
}

/// What bridges need.
#[derive(Debug)]
pub(crate) struct Bridges {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) graph: Graph,
    pub(crate) files: FileStore,
    pub(crate) writer: Writer,
    pub(crate) user_quota_bytes: i64,
    pub(crate) metrics: Arc<Metrics>,
    limits: Limits,
    lanes: Slots<UserId>,
}

/// How fast messages are sent.
#[derive(Debug)]
pub(crate) struct Limits {
    bridges: DefaultKeyedRateLimiter<i64>,
    remote_users: DefaultKeyedRateLimiter<i64>,
    /// Messages that the bridges of one person receive.
    received: DefaultKeyedRateLimiter<i64>,
}

impl Limits {
    fn new() -> Self {
        let remote_user = Quota::with_period(REMOTE_USER_PERIOD).expect("not zero").allow_burst(REMOTE_USER_BURST);
        let network = Quota::per_second(MAX_PER_SECOND);
        Self {
            bridges: RateLimiter::keyed(network),
            remote_users: RateLimiter::keyed(remote_user),
            received: RateLimiter::keyed(network),
        }
    }

    /// Counts a message. Returns how long to wait if there were too many.
    pub(crate) fn charge(&self, recipient: &Recipient) -> Option<Duration> {
        if self.bridges.check_key(&recipient.bridge_id.get()).is_err() {
            return Some(Duration::from_millis(100));
        }
        self.remote_users.check_key(&recipient.id.get()).is_err().then_some(REMOTE_USER_PERIOD)
    }

    /// Waits until the bridges of a person may receive another message.
    pub(crate) async fn wait_to_receive(&self, owner: UserId) {
        while self.received.check_key(&owner.get()).is_err() {
            sleep(RECEIVE_PAUSE).await;
        }
    }

    fn remove_stale(&self) {
        self.received.retain_recent();
        self.bridges.retain_recent();
        self.remote_users.retain_recent();
    }
}

/// What the bridges of one process need.
#[derive(Debug)]
pub(crate) struct BridgeDeps {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) client: OutgoingClient,
    pub(crate) graph_url: Url,
    pub(crate) files: FileStore,
    pub(crate) writer: Writer,
    pub(crate) user_quota_bytes: i64,
    pub(crate) metrics: Arc<Metrics>,
}

impl Bridges {
    pub(crate) fn new(deps: BridgeDeps) -> Self {
        let BridgeDeps { db, sealer, client, graph_url, files, writer, user_quota_bytes, metrics } = deps;
        let graph = Graph { client: client.with_host_limit(MAX_GRAPH_REQUESTS), base: Arc::new(graph_url) };
        Self {
            db,
            sealer,
            graph,
            files,
            writer,
            user_quota_bytes,
            metrics,
            limits: Limits::new(),
            lanes: Slots::new(LANES_PER_OWNER),
        }
    }

    /// Forgets what the limits no longer need.
    pub(crate) fn remove_stale(&self) {
        self.limits.remove_stale();
        self.files.pixel_budget().remove_stale();
    }

    /// Sends the entries of one lane, in order, until one cannot be sent now.
    pub(crate) async fn run(
        &self,
        mut settlement: Settlement,
        recipient: Recipient,
        account: BridgeAccount,
        entries: &[Entry],
        shutdown: &CancellationToken,
    ) -> Settlement {
        match (account.state, recipient.paused_reason) {
            (BridgeState::Disabled, _) => {
                let dead = |entry: &Entry| settled(entry, State::Dead, false, Some("the bridge is disabled".into()));
                settlement.outcomes = entries.iter().map(dead).collect();
                return settlement;
            }
            (BridgeState::Connecting, _) => {
                settlement.pause = CONNECTING_PAUSE;
                return settlement;
            }
            (BridgeState::Stopped, _) | (_, Some(_)) => {
                settlement.pause = STOPPED_PAUSE;
                return settlement;
            }
            (BridgeState::Connected, None) => {}
        }
        let Some(_slot) = self.lanes.try_acquire(&account.owner_id) else {
            settlement.pause = BUSY_PAUSE;
            return settlement;
        };
        let secrets = match account.open_secrets(&self.sealer) {
            Ok(secrets) => secrets,
            Err(error) => {
                tracing::error!(bridge = %account.id, cause = error.source_text(), "cannot open the secrets of a bridge");
                settlement.pause = STOPPED_PAUSE;
                return settlement;
            }
        };
        let target = Target { recipient, account, secrets };
        let deadline = Instant::now() + RUN_TIME;
        for entry in entries {
            if Instant::now() > deadline || shutdown.is_cancelled() {
                break;
            }
            let sending = whatsapp::SendContext {
                db: &self.db,
                graph: &self.graph,
                blobs: self.files.blobs(),
                target: &target,
                limits: &self.limits,
                deadline,
            };
            let halt = match whatsapp::send(&sending, entry).await {
                Ok(outcome) => {
                    let was_sent = outcome == whatsapp::EntryOutcome::Sent;
                    if was_sent {
                        self.metrics.record_relayed("sent");
                    }
                    settlement.outcomes.push(settled(entry, State::Delivered, was_sent, None));
                    (settlement.failures, settlement.has_succeeded) = (0, true);
                    continue;
                }
                Err(Halt::Retry { why, .. }) if (now() - entry.created_at.0).num_days() >= MAX_AGE_DAYS => {
                    Halt::Dead(why)
                }
                Err(halt) => halt,
            };
            match halt {
                Halt::Dead(why) => {
                    self.metrics.record_relayed("failed");
                    settlement.outcomes.push(settled(entry, State::Dead, true, Some(why)));
                    continue;
                }
                Halt::Pause { pause, why } => {
                    if why.is_some() {
                        settlement.outcomes.push(settled(entry, State::Waiting, true, why));
                    }
                    settlement.pause = pause;
                }
                Halt::Retry { pause, why } => {
                    settlement.outcomes.push(settled(entry, State::Waiting, true, Some(why)));
                    settlement.pause = pause.max(backoff(settlement.failures));
                    settlement.failures += 1;
                }
                Halt::Account(why) => {
                    self.stop(&target.account, &why).await;
                    settlement.pause = STOPPED_PAUSE;
                }
                Halt::Loop(reason) => {
                    if let Err(error) = chats::pause_after_loop(&self.db, target.recipient.id, reason).await {
                        tracing::warn!(%error, "cannot pause a chat of a bridge");
                    }
                    settlement.pause = STOPPED_PAUSE;
                }
            }
            break;
        }
        settlement
    }

    async fn stop(&self, account: &BridgeAccount, why: &str) {
        if let Err(error) = bridges::stop(&self.db, account, why).await {
            tracing::warn!(%error, "cannot stop a bridge");
        }
    }

    /// Starts to process received webhooks and to check accounts.
    pub(crate) fn spawn(self: &Arc<Self>, tasks: &TaskTracker, wakers: &Arc<Wakers>, shutdown: &CancellationToken) {
        let (checks, stop) = (Arc::clone(self), shutdown.clone());
        tasks.spawn(async move {
            let run = async {
                loop {
                    checks.check_accounts().await;
                    sleep(POLL_INTERVAL).await;
                }
            };
            stop.run_until_cancelled(run).await;
        });
        let (bridges, wakers, shutdown) = (Arc::clone(self), Arc::clone(wakers), shutdown.clone());
        tasks.spawn(async move {
            let slots = Arc::new(Semaphore::new(INBOXES_AT_ONCE));
            let inboxes = TaskTracker::new();
            let run = async {
                loop {
                    while bridges.start_inbox(&slots, &inboxes).await {}
                    // Look again after a timeout too.
                    let _ = timeout(POLL_INTERVAL, wakers.bridges.notified()).await;
                }
            };
            shutdown.run_until_cancelled(run).await;
            // A batch that is cut off is processed again, without effect.
            inboxes.close();
            let _ = timeout(Duration::from_secs(2), inboxes.wait()).await;
        });
    }

    /// Claims an inbox with something due, and starts to process it. Returns whether there was one.
    async fn start_inbox(self: &Arc<Self>, slots: &Arc<Semaphore>, tasks: &TaskTracker) -> bool {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return false };
        match inbox::claim(&self.db).await {
            Ok(Some(lease)) => {
                let bridges = Arc::clone(self);
                tasks.spawn(async move {
                    let _slot = slot;
                    bridges.process_inbox(lease).await;
                });
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, cause = error.source_text(), "cannot read what networks sent; trying again");
                sleep(ERROR_PAUSE).await;
                false
            }
        }
    }

    async fn process_inbox(&self, lease: InboxLease) {
        let bridge = lease.account.id;
        if let Err(error) = self.process_batch(lease).await {
            // The inbox is due again when the lease ends.
            tracing::warn!(%bridge, %error, cause = error.source_text(), "cannot process what a network sent");
        }
    }

    async fn process_batch(&self, lease: InboxLease) -> chat_core::Result<()> {
        let webhooks = inbox::load_waiting(&self.db, &lease).await?;
        let secrets = lease.account.open_secrets(&self.sealer)?;
        let receiving = whatsapp::ReceiveContext {
            db: &self.db,
            graph: &self.graph,
            files: &self.files,
            writer: &self.writer,
            user_quota_bytes: self.user_quota_bytes,
            account: &lease.account,
            limits: &self.limits,
            token: secrets.access_token.as_str(),
        };
        let results = whatsapp::process(&receiving, &webhooks).await;
        for (_, result) in &results {
            self.metrics.record_received(match result {
                WebhookOutcome::Done(None) => "done",
                WebhookOutcome::Done(Some(_)) => "failed",
                WebhookOutcome::Retry(_) => "repeated",
            });
        }
        inbox::finish(&self.db, lease, &webhooks, &results).await
    }

    /// Checks the accounts that are due.
    async fn check_accounts(&self) {
        let due = match bridges::claim_checks(&self.db).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "cannot look for bridges to check");
                return;
            }
        };
        if due.is_empty() {
            return;
        }
        let accounts = bridges::load_bridge_accounts(&self.db, &due).await.unwrap_or_default();
        futures_util::future::join_all(accounts.iter().map(|account| self.check_account(account))).await;
    }

    async fn check_account(&self, account: &BridgeAccount) {
        if account.state == BridgeState::Disabled {
            return;
        }
        let Ok(secrets) = account.open_secrets(&self.sealer) else {
            self.stop(account, "this server cannot open the secrets; its administrator has to check SECRETS_KEY_FILE")
                .await;
            return;
        };
        match whatsapp::check(&self.graph, secrets.access_token.as_str(), &account.settings).await {
            Ok((profile, templates)) => {
                if let Err(error) = bridges::set_connected(&self.db, account, &profile, &templates).await {
                    tracing::warn!(bridge = %account.id, %error, "cannot record the check of a bridge");
                }
            }
            Err(GraphError::Account(why) | GraphError::Permanent { why, .. }) => self.stop(account, &why).await,
            Err(error) => {
                tracing::info!(bridge = %account.id, why = error.why(), "cannot check a bridge; trying again")
            }
        }
    }
}

/// The pause before the next attempt, after some failures in a row.
fn backoff(failures: i32) -> Duration {
    let exponent = u32::try_from(failures.clamp(0, 16)).unwrap_or(0);
    MIN_PAUSE.saturating_mul(1 << exponent).min(MAX_PAUSE)
}

fn settled(entry: &Entry, state: State, was_sent: bool, error: Option<String>) -> Outcome {
    Outcome { id: entry.id, state, was_sent, retry_delay: None, status: None, error }
}
