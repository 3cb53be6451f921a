//! The jobs of bridges besides sending: received webhooks are processed, the events of spaces are read,
//! accounts are checked, and public keys are fetched.

use super::{
    Bridges, ERROR_PAUSE, google_chat,
    receiving::{self, Receiver},
    whatsapp,
};
use crate::notifications::Wakers;
use chat_core::Error;
use chat_core::bridges::{
    self, BridgeAccount, BridgeSecrets, BridgeState, google_keys,
    inbox::{self, InboxLease, WebhookOutcome},
    spaces::{self, SpaceRead},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum number of inboxes that are processed at once.
const INBOXES_AT_ONCE: usize = 8;

/// Maximum number of spaces that are read at once.
const READS_AT_ONCE: usize = 8;

/// How long what is in progress at a shutdown may still take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How often the database is asked for what is due without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Why the account of a bridge was not found to work.
#[derive(Debug)]
pub(crate) enum CheckError {
    /// The network refuses it.
    Refused(String),
    /// It could not be checked.
    Failed(String),
}

impl Bridges {
    /// Starts to process received webhooks, to read the events of spaces, and to check accounts.
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
        let (fetcher, key_wakers, stop) = (Arc::clone(self), Arc::clone(wakers), shutdown.clone());
        tasks.spawn(async move {
            let run = async {
                loop {
                    fetcher.fetch_keys().await;
                    let _ = timeout(POLL_INTERVAL, key_wakers.keys.notified()).await;
                }
            };
            stop.run_until_cancelled(run).await;
        });
        let (readers, read_wakers, stop) = (Arc::clone(self), Arc::clone(wakers), shutdown.clone());
        tasks.spawn(async move {
            let slots = Arc::new(Semaphore::new(READS_AT_ONCE));
            let reads = TaskTracker::new();
            let run = async {
                loop {
                    while readers.start_read(&slots, &reads).await {}
                    let _ = timeout(POLL_INTERVAL, read_wakers.spaces.notified()).await;
                }
            };
            stop.run_until_cancelled(run).await;
            // Without them the spaces would wait for the end of their leases.
            reads.close();
            let _ = timeout(SHUTDOWN_GRACE, reads.wait()).await;
        });
        let (bridges, wakers, shutdown) = (Arc::clone(self), Arc::clone(wakers), shutdown.clone());
        tasks.spawn(async move {
            let slots = Arc::new(Semaphore::new(INBOXES_AT_ONCE));
            let inboxes = TaskTracker::new();
            let run = async {
                loop {
                    while bridges.start_inbox(&slots, &inboxes).await {}
                    // Look again after a timeout too.
                    let _ = timeout(POLL_INTERVAL, wakers.inboxes.notified()).await;
                }
            };
            shutdown.run_until_cancelled(run).await;
            // A batch that is cut off is processed again, without effect.
            inboxes.close();
            let _ = timeout(SHUTDOWN_GRACE, inboxes.wait()).await;
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
        let receiver = Receiver {
            db: &self.db,
            files: &self.files,
            writer: &self.writer,
            user_quota_bytes: self.user_quota_bytes,
            account: &lease.account,
            limits: &self.limits,
        };
        let settings = &lease.account.settings;
        let results = match (&secrets, &settings.whatsapp) {
            (BridgeSecrets::Whatsapp(secrets), Some(settings)) => {
                let token = secrets.access_token.as_str();
                let receiving = whatsapp::ReceiveContext { receiver, graph: &self.graph, settings, token };
                receiving::process(&receiving, &webhooks).await
            }
            (BridgeSecrets::GoogleChat(secrets), _) => {
                let receiving = google_chat::ReceiveContext { receiver, api: &self.google, key: &secrets.key };
                receiving::process(&receiving, &webhooks).await
            }
            (BridgeSecrets::Whatsapp(_), None) => return Err(Error::internal("the account of a bridge is incomplete")),
        };
        for (_, result) in &results {
            self.metrics.record_received(match result {
                WebhookOutcome::Done(None) => "done",
                WebhookOutcome::Done(Some(_)) => "failed",
                WebhookOutcome::Retry(_) => "repeated",
            });
        }
        inbox::finish(&self.db, lease, &webhooks, &results).await
    }

    /// Claims a space whose events are due, and starts to read them. Returns whether there was one.
    async fn start_read(self: &Arc<Self>, slots: &Arc<Semaphore>, tasks: &TaskTracker) -> bool {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return false };
        match spaces::claim_read(&self.db).await {
            Ok(Some(read)) => {
                let bridges = Arc::clone(self);
                tasks.spawn(async move {
                    let _slot = slot;
                    bridges.read_space(&read).await;
                });
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, cause = error.source_text(), "cannot look for spaces to read; trying again");
                sleep(ERROR_PAUSE).await;
                false
            }
        }
    }

    async fn read_space(&self, read: &SpaceRead) {
        let bridge = read.account.id;
        let done = async {
            let secrets = read.account.open_secrets(&self.sealer)?;
            let (outcome, refusal) = google_chat::read_events(&self.google, &secrets.google_chat()?.key, read).await;
            if let Some(why) = refusal {
                self.stop(&read.account, &why).await;
            }
            spaces::finish_read(&self.db, read, &outcome).await
        };
        if let Err(error) = done.await {
            // The space is due again when the lease ends.
            tracing::warn!(%bridge, %error, cause = error.source_text(), "cannot read the events of a space");
        }
    }

    /// Fetches the public keys of Google that are due.
    async fn fetch_keys(&self) {
        let issuers = match google_keys::claim_issuers(&self.db).await {
            Ok(issuers) => issuers,
            Err(error) => {
                tracing::debug!(%error, "cannot look for keys to fetch");
                return;
            }
        };
        futures_util::future::join_all(issuers.iter().map(|issuer| self.fetch_keys_of(issuer))).await;
    }

    async fn fetch_keys_of(&self, issuer: &str) {
        let why = match self.google.fetch_keys(issuer).await {
            Ok(keys) => match google_keys::store_keys(&self.db, issuer, &keys).await {
                Ok(true) => return,
                Ok(false) => "they are no JSON Web Key Set".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.why().to_owned(),
        };
        tracing::info!(issuer, why, "cannot fetch the public keys of an issuer at Google; trying again");
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
        let settings = &account.settings;
        let checked = match (&secrets, &settings.whatsapp, &settings.google_chat) {
            (BridgeSecrets::Whatsapp(secrets), Some(settings), _) => {
                whatsapp::check(&self.graph, secrets.access_token.as_str(), settings).await
            }
            (BridgeSecrets::GoogleChat(secrets), _, Some(settings)) => {
                let checked = google_chat::check(&self.google, &secrets.key).await;
                if checked.is_ok()
                    && let Err(error) = google_keys::require_keys(&self.db, settings).await
                {
                    tracing::warn!(bridge = %account.id, %error, "cannot record the issuers of a bridge");
                }
                checked.map(|profile| (profile, Vec::new()))
            }
            _ => Err(CheckError::Refused("the account of this bridge is incomplete".into())),
        };
        match checked {
            Ok((profile, templates)) => {
                if let Err(error) = bridges::set_connected(&self.db, account, &profile, &templates).await {
                    tracing::warn!(bridge = %account.id, %error, "cannot record the check of a bridge");
                }
            }
            Err(CheckError::Refused(why)) => self.stop(account, &why).await,
            Err(CheckError::Failed(why)) => {
                tracing::info!(bridge = %account.id, why, "cannot check a bridge; trying again")
            }
        }
    }
}
