//! Metrics in the OpenMetrics format that Prometheus reads. Each part owns its
//! metrics and registers them. There is no global registry, so that two servers in
//! one process do not share counters.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::fmt;

/// An empty registry, in which every name begins with `confab_`.
pub fn new_registry() -> Registry {
    Registry::with_prefix("confab")
}

/// A histogram of durations in seconds: from 50 µs to 26 s, doubling.
pub fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

/// A histogram of counts: from 1 to 65,536, doubling.
pub fn size_histogram() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 17))
}

/// Registers gauges that one function reads at each scrape: their names and help
/// texts, and their values in the same order.
pub fn register_gauges<const N: usize>(
    registry: &mut Registry,
    gauges: [(&'static str, &'static str); N],
    read: impl Fn() -> [i64; N] + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(GaugeCollector { gauges, read }));
}

struct GaugeCollector<F, const N: usize> {
    gauges: [(&'static str, &'static str); N],
    read: F,
}

impl<F, const N: usize> fmt::Debug for GaugeCollector<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.gauges.iter().map(|(name, _)| name)).finish()
    }
}

impl<F: Fn() -> [i64; N] + Send + Sync + 'static, const N: usize> Collector for GaugeCollector<F, N> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for ((name, help), value) in self.gauges.iter().zip((self.read)()) {
            let gauge = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        Ok(())
    }
}
