//! What all connections and tasks of one supervisor share. Built once by [`crate::shutdown`], then only read.

use std::{path::PathBuf, sync::Arc, time::Instant};

use cc_link::spec::CgroupParent;
use tokio::sync::{Semaphore, watch};

use crate::{
    admission::Rules, config::Config, environment::Base, metrics::Metrics, registry::Registry,
    retention::Retention, spawn::Spawner,
};

/// Where the supervisor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It takes connections and tasks.
    Serving,
    /// It was told to stop: no new tasks, running ones are being ended.
    Stopping,
}

/// What all connections and tasks of one supervisor share.
#[derive(Debug)]
pub struct Shared {
    /// As it was at the start.
    pub config: Config,
    /// Who may connect.
    pub rules: Rules,
    /// What tasks get of the environment.
    pub environment: Base,
    /// One permit a session.
    pub sessions: Arc<Semaphore>,
    /// The tasks that are not over.
    pub registry: Registry,
    /// Starts workers.
    pub spawner: Spawner,
    /// Removes old logs.
    pub retention: Arc<Retention>,
    /// Counters.
    pub metrics: Metrics,
    /// Where the tasks' directories are.
    pub tasks_dir: PathBuf,
    /// Where the tasks' cgroups are.
    pub cgroup: Option<CgroupParent>,
    /// Where this supervisor is in its life.
    pub stage: watch::Receiver<Stage>,
    /// When it started.
    pub started_at: Instant,
}

impl Shared {
    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        match *self.stage.borrow() {
            Stage::Serving => false,
            Stage::Stopping => true,
        }
    }

    /// Returns when it is told to stop.
    pub async fn stopping(&self) {
        let mut stage = self.stage.clone();
        // An error means that the sender is gone, which is the end as well.
        drop(stage.wait_for(|stage| *stage == Stage::Stopping).await);
    }

    /// Sessions now.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.config.sessions_limit.saturating_sub(self.sessions.available_permits())
    }
}
