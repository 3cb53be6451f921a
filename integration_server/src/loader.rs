//! Works off what is due, a few at once: loads the descriptions of programs (`oauth_clients`) and the images of webhooks
//! (`webhook_avatars`), and sends pushes (`push`) and mail (`mail`).

use chat_core::Result;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Maximum number of things of one kind that one process loads at once.
const MAX_AT_ONCE: usize = 16;

/// How often things to load are looked for without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long what is being loaded may take after `shutdown`.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// The pause after a failure of the database.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Things of one kind that are loaded.
pub(crate) trait Load: Send + Sync + 'static {
    /// What identifies a thing.
    type Item: Send + 'static;

    /// Claims the next thing that is to be loaded.
    fn claim(&self) -> impl Future<Output = Result<Option<Self::Item>>> + Send;

    /// Loads it, and records the result.
    fn load(&self, item: Self::Item) -> impl Future<Output = Result<()>> + Send;
}

/// Loads until `shutdown`. What is being loaded then has a while to finish; otherwise it is asked for again, or its
/// lease ends.
pub(crate) async fn run<L: Load>(kind: L, waker: Arc<Notify>, shutdown: CancellationToken) {
    let kind = Arc::new(kind);
    let slots = Arc::new(Semaphore::new(MAX_AT_ONCE));
    let mut tasks = JoinSet::new();
    let run = async {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            match kind.claim().await {
                Ok(Some(item)) => {
                    let (kind, waker) = (Arc::clone(&kind), Arc::clone(&waker));
                    tasks.spawn(async move {
                        if let Err(error) = kind.load(item).await {
                            tracing::warn!(%error, "cannot record what was done");
                        }
                        drop(slot);
                        // Something else of the same owner may wait.
                        waker.notify_one();
                    });
                    while tasks.try_join_next().is_some() {}
                }
                Ok(None) => {
                    drop(slot);
                    let _ = timeout(POLL_INTERVAL, waker.notified()).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot look for things to load");
                    sleep(ERROR_PAUSE).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(run).await;
    let _ = timeout(SHUTDOWN_GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}
