//! How a metric gets into the registry.

use prometheus_client::{
    metrics::{gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

/// A metric of the registry, at zero. A counter's name gets `_total` from the format.
pub(super) fn add<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// A metric with a unit, which its name ends with.
pub(super) fn add_in<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    unit: Unit,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

/// A histogram of seconds.
pub(super) fn add_seconds(
    registry: &mut Registry,
    name: &str,
    buckets: &[f64],
    help: &str,
) -> Histogram {
    let metric = Histogram::new(buckets.iter().copied());
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// Sets a gauge to a count.
pub(super) fn set(gauge: &Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}
