//! Graceful shutdown: the signal handler and the phases.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two phases of a graceful shutdown.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownPhase {
    /// A shutdown was requested: each response is the last on its connection.
    pub(crate) requested: CancellationToken,
    /// No new connection is accepted, and idle connections close.
    pub(crate) draining: CancellationToken,
}

/// Returns a token that Ctrl-C or SIGTERM cancels. A second signal ends the process
/// immediately, with exit status 130.
pub fn shutdown_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("shutting down; send the signal again to stop immediately");
        shutdown.cancel();
        wait_for_signal().await;
        std::process::exit(130);
    });
    token
}

async fn wait_for_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler can be set");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
