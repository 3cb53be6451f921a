//! Metrics of what is sent to other servers.

use chat_core::metrics::duration_histogram;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

/// The metrics of one integration server.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Deliveries that the feed inserted.
    pub(crate) queued: Counter,
    attempts: Family<Outcome, Counter>,
    relayed: Family<Outcome, Counter>,
    received: Family<Outcome, Counter>,
    /// From the commit of an event to the response of the endpoint, of deliveries that the first
    /// attempt delivered.
    pub(crate) commit_to_response: Histogram,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            queued: Counter::default(),
            attempts: Family::default(),
            relayed: Family::default(),
            received: Family::default(),
            commit_to_response: duration_histogram(),
        }
    }
}

impl Metrics {
    /// Counts an attempt: `delivered`, `failed` or `dead`.
    pub(crate) fn record_attempt(&self, outcome: &'static str) {
        self.attempts.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts what a bridge did with an event of a chat: `sent` or `failed`.
    pub(crate) fn record_relayed(&self, outcome: &'static str) {
        self.relayed.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a webhook of another network: `done`, `failed` or `repeated`.
    pub(crate) fn record_received(&self, outcome: &'static str) {
        self.received.get_or_create(&Outcome { outcome }).inc();
    }

    /// Adds these metrics to those of the process.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Self { queued, attempts, relayed, received, commit_to_response } = self;
        registry.register("webhooks_queued", "Deliveries of outgoing webhooks that entered the outbox", queued.clone());
        registry.register("webhook_attempts", "Attempts to deliver a webhook, by outcome", attempts.clone());
        registry.register("bridge_relayed", "Events that bridges sent to other networks, by outcome", relayed.clone());
        registry.register(
            "bridge_received",
            "Webhooks of other networks that were processed, by outcome",
            received.clone(),
        );
        let help = "Time from commit to the response of the endpoint, if the first attempt delivered";
        registry.register("commit_to_webhook_seconds", help, commit_to_response.clone());
    }
}
