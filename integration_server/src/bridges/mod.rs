//! Bridges: relays between chats and other networks. `whatsapp` and `google_chat` know a network;
//! this module sends the entries of the outbox, `jobs` processes received webhooks, reads the events of
//! spaces, and checks accounts. `receiving`, `text` and `limits` are what the networks have in common.

pub(crate) mod google_chat;
mod jobs;
mod limits;
mod receiving;
mod text;
mod whatsapp;

use crate::{client::OutgoingClient, metrics::Metrics, slots::Slots};
use chat_core::{
    Error, MessageId, UserId,
    bridges::{
        self, BridgeAccount, BridgeSecrets, BridgeState, PausedReason, chats,
        relay::{self, Recipient, RelayedMessage},
    },
    messages::Writer,
    outbox::{Content, Entry, Outcome, Settlement, State},
    sealing::Sealer,
    time::now,
    users::UserKind,
};
use chat_http::settings::{NetworkUrls, PublicUrl};
use file_store::FileStore;
use google_chat::api::GoogleApi;
use limits::Limits;
use serde::Deserialize;
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use whatsapp::graph::Graph;

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

/// Maximum number of requests to the API of one network at once.
const MAX_NETWORK_REQUESTS: usize = 64;

/// Maximum number of lanes of the bridges of one person to which this process sends at once.
const LANES_PER_OWNER: usize = 8;

/// The account and the remote user of a lane.
pub(crate) struct Target {
    pub(crate) recipient: Recipient,
    pub(crate) account: BridgeAccount,
    secrets: BridgeSecrets,
}

/// The parts of an event that matter to a bridge.
#[derive(Debug, Deserialize)]
pub(crate) struct EventData {
    message: Option<EventMessage>,
    message_id: Option<MessageId>,
    user_id: Option<UserId>,
}

/// A message as it was when the event happened.
#[derive(Debug, Deserialize)]
pub(crate) struct EventMessage {
    id: MessageId,
    content: String,
}

impl EventData {
    /// Reads the event of an entry of the outbox, and the message that it is about.
    pub(crate) fn read(entry: &Entry) -> Result<(MessageId, Self), Halt> {
        let data = match &entry.content {
            Content::Event(event) => &event.data,
            Content::Data(data) => data,
            Content::Missing => return Err(Halt::Dead("the event is no longer stored".into())),
        };
        let unreadable = |error: serde_json::Error| Halt::Dead(format!("the event cannot be read: {error}"));
        let event: Self = serde_json::from_str(data).map_err(unreadable)?;
        let id = event.message.as_ref().map(|message| message.id).or(event.message_id);
        Ok((id.ok_or_else(|| Halt::Dead("the event names no message".into()))?, event))
    }
}

impl Target {
    /// Loads a message. `None` if it is not to be relayed: a bridge relays only what members of
    /// the chat wrote here, never what came from a bridge, so that no loop can begin.
    pub(crate) async fn load_message(
        &self,
        db: &PgPool,
        id: MessageId,
        event: Option<EventMessage>,
    ) -> Result<Option<RelayedMessage>, Halt> {
        let Some(mut message) = relay::load_message(db, &self.recipient, id).await? else { return Ok(None) };
        let relays = match message.sender_kind {
            UserKind::Person => true,
            UserKind::Bot | UserKind::Webhook => self.account.settings.relays_bots,
            UserKind::Ghost => false,
        };
        if !relays || message.is_relayed || message.is_deleted {
            return Ok(None);
        }
        // As it was then; later edits follow.
        if let Some(event) = event {
            message.content = event.content;
        }
        Ok(Some(message))
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
    /// Nothing can be sent to this remote user: two programs may answer each other, or the app was
    /// removed from the space.
    PauseChat(PausedReason),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, cause = error.source_text(), "cannot relay a message; trying again");
        Self::Pause { pause: ERROR_PAUSE, why: None }
    }
}

/// What became of an entry that is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    /// It was sent.
    Sent,
    /// There was nothing to send.
    Nothing,
}

/// What bridges need.
#[derive(Debug)]
pub(crate) struct Bridges {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) graph: Graph,
    pub(crate) google: GoogleApi,
    /// The public URL of the chat server: links to files begin with it.
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) files: FileStore,
    pub(crate) writer: Writer,
    pub(crate) user_quota_bytes: i64,
    pub(crate) metrics: Arc<Metrics>,
    limits: Limits,
    lanes: Slots<UserId>,
}

/// What the bridges of one process need.
#[derive(Debug)]
pub(crate) struct BridgeDeps {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) client: OutgoingClient,
    pub(crate) networks: NetworkUrls,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) files: FileStore,
    pub(crate) writer: Writer,
    pub(crate) user_quota_bytes: i64,
    pub(crate) metrics: Arc<Metrics>,
}

impl Bridges {
    pub(crate) fn new(deps: BridgeDeps) -> Self {
        let BridgeDeps { db, sealer, client, networks, public_url, files, writer, user_quota_bytes, metrics } = deps;
        let client = client.with_host_limit(MAX_NETWORK_REQUESTS);
        let graph = Graph { client: client.clone(), base: Arc::new(networks.graph_url.clone()) };
        Self {
            db,
            sealer,
            graph,
            google: GoogleApi::new(client, networks),
            public_url,
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
            let halt = match self.send(&target, entry, deadline).await {
                Ok(outcome) => {
                    let was_sent = outcome == EntryOutcome::Sent;
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
                Halt::PauseChat(reason) => {
                    if let Err(error) = chats::pause_by_server(&self.db, target.recipient.id, reason).await {
                        tracing::warn!(%error, "cannot pause a chat of a bridge");
                    }
                    settlement.pause = STOPPED_PAUSE;
                }
            }
            break;
        }
        settlement
    }

    async fn send(&self, target: &Target, entry: &Entry, deadline: Instant) -> Result<EntryOutcome, Halt> {
        let settings = &target.account.settings;
        match (&target.secrets, &settings.whatsapp, &settings.google_chat) {
            (BridgeSecrets::Whatsapp(secrets), Some(account), _) => {
                let sending = whatsapp::SendContext {
                    db: &self.db,
                    graph: &self.graph,
                    blobs: self.files.blobs(),
                    target,
                    account,
                    token: secrets.access_token.as_str(),
                    limits: &self.limits,
                    deadline,
                };
                whatsapp::send(&sending, entry).await
            }
            (BridgeSecrets::GoogleChat(secrets), _, Some(_)) => {
                let sending = google_chat::SendContext {
                    db: &self.db,
                    api: &self.google,
                    sealer: &self.sealer,
                    public_url: self.public_url.as_ref(),
                    target,
                    key: &secrets.key,
                    limits: &self.limits,
                    deadline,
                };
                google_chat::send(&sending, entry).await
            }
            _ => Err(Halt::Account("the account of this bridge is incomplete".into())),
        }
    }

    async fn stop(&self, account: &BridgeAccount, why: &str) {
        if let Err(error) = bridges::stop(&self.db, account, why).await {
            tracing::warn!(%error, "cannot stop a bridge");
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
