//! Metrics of each step of an event: from the commit to the hub, from the hub to the
//! sockets, and failures.

use crate::hub::{Hub, HubStats};
use chat_core::metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::sync::Arc;

/// One of this many writes of a connection is timed, because timing every write would
/// noticeably increase the cost of a delivery.
pub(crate) const WRITE_SAMPLE_INTERVAL: u32 = 16;

/// The metrics of one notify server.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) events: Counter,
    pub(crate) unreadable_events: Counter,
    pub(crate) log_batch_events: Histogram,
    pub(crate) commit_to_hub: Histogram,
    pub(crate) hub_to_socket: Histogram,
    pub(crate) log_lag: Gauge,
    pub(crate) relay_leading: Gauge,
    pub(crate) relay_following: Gauge,
    pub(crate) relay_failovers: Counter,
    pub(crate) presence_update: Histogram,
    pub(crate) relay_batches: Family<Outcome, Counter>,
    pub(crate) slow_consumers: Counter,
    pub(crate) membership_loads: Counter,
    pub(crate) connections_opened: Family<Outcome, Counter>,
    pub(crate) catch_ups: Family<Source, Counter>,
    pub(crate) connections_closed: Family<Reason, Counter>,
}

/// The outcome of opening a connection, or of a batch for Redis.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

/// Where missed events were read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Source {
    pub(crate) source: &'static str,
}

/// Why a connection closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            events: Counter::default(),
            unreadable_events: Counter::default(),
            log_batch_events: metrics::size_histogram(),
            commit_to_hub: metrics::duration_histogram(),
            hub_to_socket: metrics::duration_histogram(),
            log_lag: Gauge::default(),
            relay_leading: Gauge::default(),
            relay_following: Gauge::default(),
            relay_failovers: Counter::default(),
            presence_update: metrics::duration_histogram(),
            relay_batches: Family::default(),
            slow_consumers: Counter::default(),
            membership_loads: Counter::default(),
            connections_opened: Family::default(),
            catch_ups: Family::default(),
            connections_closed: Family::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn record_opened(&self, outcome: &'static str) {
        self.connections_opened.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn record_relay_batch(&self, outcome: &'static str) {
        self.relay_batches.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn record_catch_up(&self, source: &'static str) {
        self.catch_ups.get_or_create(&Source { source }).inc();
    }

    pub(crate) fn record_closed(&self, reason: &'static str) {
        self.connections_closed.get_or_create(&Reason { reason }).inc();
    }

    /// Adds these metrics to those of the process.
    pub(crate) fn register(&self, registry: &mut Registry, hub: &Arc<Hub>) {
        let Self { events, unreadable_events, log_batch_events, commit_to_hub, hub_to_socket, log_lag, .. } = self;
        registry.register("events", "Events of the log routed by the hub", events.clone());
        let help = "Events skipped because they cannot be read";
        registry.register("events_unreadable", help, unreadable_events.clone());
        registry.register("log_batch_events", "Events in one batch read from the log", log_batch_events.clone());
        registry.register("commit_to_hub_seconds", "Time from commit to routing of an event", commit_to_hub.clone());
        registry.register("hub_to_socket_seconds", "Time from routing to the socket, sampled", hub_to_socket.clone());
        registry.register("log_lag_events", "Number of events between the hub and the end of the log", log_lag.clone());
        let Self { relay_leading, relay_following, relay_failovers, relay_batches, presence_update, .. } = self;
        registry.register("relay_leading", "1 if this replica leads and reads the log for all", relay_leading.clone());
        registry.register("relay_following", "1 if this replica reads events through Redis", relay_following.clone());
        let help = "Number of times that this replica fell back from Redis to the log";
        registry.register("relay_failovers", help, relay_failovers.clone());
        registry.register("relay_batches", "Batches published to Redis, by outcome", relay_batches.clone());
        registry.register("presence_update_seconds", "Duration of a presence update", presence_update.clone());
        let Self { slow_consumers, membership_loads, connections_opened, catch_ups, connections_closed, .. } = self;
        registry.register("slow_consumers", "Send queues that overflowed", slow_consumers.clone());
        registry.register("membership_loads", "Batched loads of memberships and sessions", membership_loads.clone());
        registry.register("connections_opened", "Connections opened, by outcome", connections_opened.clone());
        registry.register("catch_ups", "Reads of missed events, by source", catch_ups.clone());
        registry.register("connections_closed", "Connections closed, by reason", connections_closed.clone());
        let gauges = [
            ("connections", "Open connections"),
            ("connected_users", "Users with an open connection"),
            ("send_queue_frames", "Frames in send queues"),
            ("send_queue_bytes", "Bytes in send queues"),
        ];
        let hub = Arc::clone(hub);
        // One scan of the hub provides all four values.
        metrics::register_gauges(registry, gauges, move || {
            let HubStats { connections, connected_users, queued_frames, queued_bytes } = hub.stats();
            [connections, connected_users, queued_frames, queued_bytes]
                .map(|count| i64::try_from(count).unwrap_or(i64::MAX))
        });
    }
}
