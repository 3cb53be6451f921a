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
    /// From the commit of an event to the answer of the endpoint, of first attempts.
    pub(crate) commit_to_answer: Histogram,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { queued: Counter::default(), attempts: Family::default(), commit_to_answer: duration_histogram() }
    }
}

impl Metrics {
    /// Counts an attempt: `delivered`, `failed` or `dead`.
    pub(crate) fn record_attempt(&self, outcome: &'static str) {
        self.attempts.get_or_create(&Outcome { outcome }).inc();
    }

    /// Adds these metrics to those of the process.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let Self { queued, attempts, commit_to_answer } = self;
        registry.register("webhooks_queued", "Deliveries of outgoing webhooks that entered the outbox", queued.clone());
        registry.register("webhook_attempts", "Attempts to deliver a webhook, by outcome", attempts.clone());
        let help = "Time from commit to the answer of the endpoint, of first attempts";
        registry.register("commit_to_webhook_seconds", help, commit_to_answer.clone());
    }
}
