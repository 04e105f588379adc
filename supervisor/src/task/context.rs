//! What all connections and tasks of one supervisor share. Built once by [`crate::daemon`], then only read.

use std::{path::PathBuf, sync::Arc, time::Instant};

use cc_link::spec::CgroupParent;
use tokio::sync::{Semaphore, watch};

use crate::{
    batch::Batches,
    config::{Config, environment::Base},
    http::admission::Rules,
    ops::{cli_news::CliNews, health::Problems, metrics::Metrics},
    session::registry::Sessions,
    storage::{database::Store, state_dir},
    task::{registry::Registry, retention::Retention},
    worker::spawner::Spawner,
};

/// Where the supervisor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It takes connections and tasks.
    Serving,
    /// It was told to stop: no new tasks, running ones are being ended.
    Stopping,
    /// It was told to make room for another supervisor: no new tasks, running ones run on without it.
    Leaving,
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
    /// One permit a connection that has a session.
    pub places: Arc<Semaphore>,
    /// The sessions, with a connection or without.
    pub sessions: Arc<Sessions>,
    /// The tasks that are not over.
    pub registry: Arc<Registry>,
    /// The batches that are not over.
    pub batches: Batches,
    /// The database.
    pub store: Store,
    /// What an operator should see to.
    pub problems: Arc<Problems>,
    /// What was told of the tasks' CLI.
    pub cli_news: CliNews,
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
            Stage::Stopping | Stage::Leaving => true,
        }
    }

    /// Returns when it is told to stop.
    pub async fn stopping(&self) {
        let mut stage = self.stage.clone();
        // An error means that the sender is gone, which is the end as well.
        drop(stage.wait_for(|stage| *stage != Stage::Serving).await);
    }

    /// Whether it was told to leave its tasks to another supervisor.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.stage.borrow() == Stage::Leaving
    }

    /// Returns when it is told to leave its tasks to another supervisor.
    pub async fn leaving(&self) {
        let mut stage = self.stage.clone();
        if stage.wait_for(|stage| *stage == Stage::Leaving).await.is_err() {
            // Stopped without that: it never comes.
            std::future::pending::<()>().await;
        }
    }

    /// The log of a task.
    #[must_use]
    pub fn log_path(&self, task_id: &str) -> PathBuf {
        state_dir::log_path(&self.tasks_dir.join(task_id))
    }

    /// Sessions that have a connection now.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.config.sessions_limit.saturating_sub(self.places.available_permits())
    }
}
