//! What is wrong: a gauge for each condition.

use prometheus_client::registry::Registry;

use crate::ops::{
    health::{Condition, Health},
    metrics::label::{GaugeBy, Label},
};

impl Label for Condition {
    const NAME: &'static str = "condition";
    const ALL: &'static [Self] = &Self::ALL;

    fn value(self) -> &'static str {
        self.name()
    }
}

#[derive(Debug)]
pub(crate) struct ConditionMetrics {
    standing: GaugeBy<Condition>,
}

impl ConditionMetrics {
    pub(super) fn new(to: &mut Registry) -> Self {
        let help = "Whether the condition stands (1), now: what is wrong with the supervisor or its surroundings";
        Self { standing: GaugeBy::add(to, "condition", help) }
    }

    /// Before a page.
    pub(crate) fn set(&self, health: &Health) {
        for condition in Condition::ALL {
            self.standing.set(condition, usize::from(health.stands(condition)));
        }
    }
}
