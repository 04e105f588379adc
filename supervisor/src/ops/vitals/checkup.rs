//! What a page asks about the surroundings: the room that is left for the state directory, and whether the program for
//! prompts is there. Whether the state directory can be written is watched by `storage/watch.rs`.
//!
//! A look costs a few system calls and is made when a page asks, but not twice in a few seconds; between looks the last
//! findings stand. It writes nothing. While the program is missing the look is repeated by itself, so that its return is
//! noticed without anybody asking.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::statvfs;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::{
    config::{limits, live::Live, programs},
    ops::health::{Condition, Health},
};

/// The file system of the state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Checkup {
    settings: Live,
    health: Arc<Health>,
    /// Prompt tasks were asked for.
    has_prompts: AtomicBool,
    space: Mutex<Option<Space>>,
    latest: tokio::sync::Mutex<Latest>,
    is_repeated: AtomicBool,
}

#[derive(Debug, Default)]
struct Latest {
    at: Option<Instant>,
    /// A look that did not come back in time.
    stuck: Option<JoinHandle<Findings>>,
}

/// What a look has found.
#[derive(Debug)]
struct Findings {
    space: Option<Space>,
    /// The program for prompts, if it is needed and was not found.
    missing_agent: Option<String>,
}

impl Checkup {
    #[must_use]
    pub(crate) fn new(settings: Live, health: Arc<Health>) -> Self {
        Self {
            settings,
            health,
            has_prompts: AtomicBool::new(false),
            space: Mutex::new(None),
            latest: tokio::sync::Mutex::default(),
            is_repeated: AtomicBool::new(false),
        }
    }

    /// A prompt task was asked for: from now on its program must be there.
    pub(crate) fn note_prompt(&self) {
        self.has_prompts.store(true, Ordering::Relaxed);
    }

    /// As the last look has found it.
    #[must_use]
    pub(crate) fn space(&self) -> Option<Space> {
        *self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, unless that was done a moment ago. Waits for the disk, but not for one that hangs.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let mut latest = self.latest.lock().await;
        if latest.at.is_some_and(|at| at.elapsed() < limits::CHECKUP_FRESH) {
            return;
        }
        // One that hangs is waited for again: a second one would hang as well, and threads are few.
        let mut looking = latest.stuck.take().unwrap_or_else(|| {
            let checkup = Arc::clone(self);
            spawn_blocking(move || checkup.look())
        });
        match timeout(limits::CHECKUP_PATIENCE, &mut looking).await {
            Ok(Ok(findings)) => self.note(findings),
            Ok(Err(error)) => tracing::error!(%error, "looking at the surroundings"),
            Err(_) => latest.stuck = Some(looking),
        }
        latest.at = Some(Instant::now());
        drop(latest);
        if self.health.stands(Condition::AgentMissing) {
            self.repeat();
        }
    }

    /// Looks again and again until the program is there.
    fn repeat(self: &Arc<Self>) {
        if self.is_repeated.swap(true, Ordering::Relaxed) {
            return;
        }
        let checkup = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                sleep(limits::CHECKUP_FRESH).await;
                let Some(checkup) = checkup.upgrade() else { return };
                // Boxed: a look that finds trouble begins this again.
                Box::pin(checkup.refresh()).await;
                if !checkup.health.stands(Condition::AgentMissing) {
                    checkup.is_repeated.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    fn note(&self, findings: Findings) {
        if findings.space.is_some() {
            *self.space.lock().unwrap_or_else(PoisonError::into_inner) = findings.space;
        }
        match findings.missing_agent {
            Some(program) => {
                let text = format!(
                    "{program}: the program for prompts is not found or cannot be executed: install it, or name another \
                     with --agent"
                );
                self.health.raise(Condition::AgentMissing, text);
            }
            None => self.health.clear(Condition::AgentMissing),
        }
    }

    fn look(&self) -> Findings {
        let config = self.settings.config();
        let is_needed = config.is_agent_given || self.has_prompts.load(Ordering::Relaxed);
        let program = config.agent.first().filter(|_| is_needed);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let missing_agent =
            program.filter(|program| programs::find(program, &path).is_none()).cloned();
        Findings { space: Space::of(&config.state_dir), missing_agent }
    }
}

impl Space {
    fn of(path: &Path) -> Option<Self> {
        let found = statvfs(path).ok()?;
        Some(Self {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}
