//! The signs of life that pages, `ccx status` and the service manager are shown: whether the event loop turns, what the
//! surroundings allow, and how the tasks of the last day ended.
//!
//! In reading order: `pulse` is the event loop, `checkup` the surroundings, `recent` the ends of tasks.

pub(crate) mod checkup;

pub(crate) mod pulse;

pub(crate) mod recent;

use std::sync::Arc;

use self::{checkup::Checkup, pulse::Pulse, recent::RecentEnds};
use crate::{config::live::Live, ops::health::Health};

#[derive(Debug)]
pub(crate) struct Vitals {
    pub(crate) pulse: Pulse,
    pub(crate) checkup: Arc<Checkup>,
    pub(crate) recent: RecentEnds,
}

impl Vitals {
    #[must_use]
    pub(crate) fn new(settings: Live, health: Arc<Health>) -> Self {
        Self {
            pulse: Pulse::new(),
            checkup: Arc::new(Checkup::new(settings, health)),
            recent: RecentEnds::new(),
        }
    }
}
