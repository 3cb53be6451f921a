//! What the path of an event counts: from commit to the hub, from the hub to the
//! sockets, and everything that is not the plain case.

use crate::hub::Hub;
use chat_core::metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::sync::Arc;

/// One of this many writes of a session is timed: the clock and the histogram
/// would be a noticeable part of a delivery.
pub(crate) const TIMED_WRITES: u32 = 16;

/// The figures of one notify server.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) events: Counter,
    pub(crate) poison: Counter,
    pub(crate) stretches: Histogram,
    pub(crate) commit_to_hub: Histogram,
    pub(crate) hub_to_socket: Histogram,
    pub(crate) log_lag: Gauge,
    pub(crate) leads: Gauge,
    pub(crate) hears: Gauge,
    pub(crate) doubts: Counter,
    pub(crate) presence_round: Histogram,
    pub(crate) relayed: Family<Outcome, Counter>,
    pub(crate) demotions: Counter,
    pub(crate) roster_reads: Counter,
    pub(crate) openings: Family<Outcome, Counter>,
    pub(crate) catch_ups: Family<Source, Counter>,
    pub(crate) endings: Family<Reason, Counter>,
}

/// How a stream began, or what became of a piece of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

/// Where missed events were read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Source {
    pub(crate) source: &'static str,
}

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            poison: Counter::default(),
            stretches: metrics::counts(),
            commit_to_hub: metrics::seconds(),
            hub_to_socket: metrics::seconds(),
            log_lag: Gauge::default(),
            leads: Gauge::default(),
            hears: Gauge::default(),
            doubts: Counter::default(),
            presence_round: metrics::seconds(),
            relayed: Family::default(),
            demotions: Counter::default(),
            roster_reads: Counter::default(),
            openings: Family::default(),
            catch_ups: Family::default(),
            endings: Family::default(),
        }
    }
}

impl Figures {
    pub(crate) fn opened(&self, outcome: &'static str) {
        self.openings.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn relayed(&self, outcome: &'static str) {
        self.relayed.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn caught_up_from(&self, source: &'static str) {
        self.catch_ups.get_or_create(&Source { source }).inc();
    }

    pub(crate) fn ended(&self, reason: &'static str) {
        self.endings.get_or_create(&Reason { reason }).inc();
    }

    /// Adds the figures to those of the process.
    pub(crate) fn register(&self, registry: &mut Registry, hub: &Arc<Hub>) {
        let Self { events, poison, stretches, commit_to_hub, hub_to_socket, .. } = self;
        registry.register("events", "Events of the log that were routed", events.clone());
        registry.register("events_unreadable", "Events that were passed over", poison.clone());
        registry.register("stretch_events", "Events that were read from the log at once", stretches.clone());
        registry.register("commit_to_hub_seconds", "From an event's own time to its routing", commit_to_hub.clone());
        registry.register("hub_to_socket_seconds", "From routing to the socket, sampled", hub_to_socket.clone());
        let Self { leads, hears, doubts, relayed, presence_round, .. } = self;
        registry.register("relay_leads", "1 where the replica reads the log for all", leads.clone());
        registry.register("relay_hears", "1 where the replica hears another that leads", hears.clone());
        registry.register("relay_doubts", "Times that Redis was found wanting", doubts.clone());
        registry.register("relay_pieces", "Pieces of the log for Redis, by what became of them", relayed.clone());
        registry.register("presence_round_seconds", "Time to tell who came and went", presence_round.clone());
        let Self { log_lag, demotions, roster_reads, openings, catch_ups, endings, .. } = self;
        registry.register("log_lag_events", "Events between the log's end and the hub", log_lag.clone());
        registry.register("demotions", "Outboxes that overflowed", demotions.clone());
        registry.register("roster_reads", "Reads of who may open a stream, shared", roster_reads.clone());
        registry.register("streams_opened", "Streams, by how they began", openings.clone());
        registry.register("catch_ups", "Reads of missed events, by where they were", catch_ups.clone());
        registry.register("streams_ended", "Streams, by why they ended", endings.clone());
        type Read = fn(&crate::hub::Census) -> usize;
        let gauges: [(&str, &str, Read); 4] = [
            ("streams", "Streams that are live", |census| census.streams),
            ("people", "People with a live stream", |census| census.people),
            ("outbox_pieces", "Pieces that wait for devices", |census| census.pieces),
            ("outbox_bytes", "Bytes that wait for devices", |census| census.bytes),
        ];
        for (name, help, read) in gauges {
            let hub = Arc::clone(hub);
            metrics::gauge(registry, name, help, move || i64::try_from(read(&hub.census())).unwrap_or(i64::MAX));
        }
    }
}
