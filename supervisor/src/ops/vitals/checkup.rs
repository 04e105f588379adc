//! What the surroundings allow: a state directory that can be written and has room, and a program for prompts.
//!
//! A look costs a few system calls and is made when a page asks, but not twice in a few seconds; between looks the last
//! findings stand. It writes nothing. What is found is raised and cleared as conditions of [`crate::ops::health`]; while
//! one stands, the look is repeated by itself, so that it is cleared without anybody asking.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{Access, access, statvfs};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::{
    config::{limits, live::Live},
    ops::health::{Condition, Health},
};

/// What is raised and cleared here.
const CONDITIONS: [Condition; 3] =
    [Condition::StateDirectory, Condition::StateNearlyFull, Condition::AgentMissing];

/// The file system of the state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
    /// `None` where the file system has no fixed number of them.
    free_files: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Checkup {
    settings: Live,
    tasks_dir: PathBuf,
    /// Device and file number of the state directory at the start: another one in its place is none.
    identity: Option<(u64, u64)>,
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
    state: Result<Space, StateTrouble>,
    /// The program for prompts, if it is needed and was not found.
    missing_agent: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum StateTrouble {
    #[error("the state directory {} was removed or replaced: put it back, or restart the supervisor", .0.display())]
    Replaced(PathBuf),
    #[error(
        "{}: {error}; tasks cannot be recorded until it can be written: correct its permissions, or mount its file system \
         writable",
        path.display()
    )]
    NotWritable { path: PathBuf, error: io::Error },
}

impl Checkup {
    #[must_use]
    pub(crate) fn new(settings: Live, tasks_dir: PathBuf, health: Arc<Health>) -> Self {
        Self {
            identity: identity(&settings.config().state_dir).ok(),
            settings,
            tasks_dir,
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
            Ok(Err(error)) => tracing::error!(%error, "looking at the state directory"),
            Err(_) => {
                latest.stuck = Some(looking);
                let path = self.settings.config().state_dir.display().to_string();
                let text = format!("{path}: its file system does not answer: look after its disk");
                self.health.raise(Condition::StateDirectory, text);
            }
        }
        latest.at = Some(Instant::now());
        drop(latest);
        if self.has_trouble() {
            self.repeat();
        }
    }

    fn has_trouble(&self) -> bool {
        CONDITIONS.iter().any(|condition| self.health.stands(*condition))
    }

    /// Looks again and again until there is no trouble left.
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
                if !checkup.has_trouble() {
                    checkup.is_repeated.store(false, Ordering::Relaxed);
                    return;
                }
            }
        });
    }

    fn note(&self, findings: Findings) {
        let health = &self.health;
        match findings.state {
            Ok(space) => {
                *self.space.lock().unwrap_or_else(PoisonError::into_inner) = Some(space);
                health.clear(Condition::StateDirectory);
                if space.is_nearly_full() {
                    let path = self.settings.config().state_dir.display().to_string();
                    let text = format!(
                        "{path}: {} MiB are left on its file system: make room, or keep fewer logs (--keep-bytes, \
                         --keep-days)",
                        space.free_bytes >> 20
                    );
                    health.raise(Condition::StateNearlyFull, text);
                } else {
                    health.clear(Condition::StateNearlyFull);
                }
            }
            Err(trouble) => health.raise(Condition::StateDirectory, trouble.to_string()),
        }
        match findings.missing_agent {
            Some(program) => {
                let text = format!(
                    "{program}: the program for prompts is not found or cannot be executed: install it, or name another \
                     with --agent"
                );
                health.raise(Condition::AgentMissing, text);
            }
            None => health.clear(Condition::AgentMissing),
        }
    }

    fn look(&self) -> Findings {
        let config = self.settings.config();
        let is_needed = config.is_agent_given || self.has_prompts.load(Ordering::Relaxed);
        let program = config.agent.first().filter(|_| is_needed);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let missing_agent = program.filter(|program| !is_found(program, &path)).cloned();
        Findings { state: self.look_at_state(&config.state_dir), missing_agent }
    }

    fn look_at_state(&self, state_dir: &Path) -> Result<Space, StateTrouble> {
        let at = |path: &Path, error: io::Error| StateTrouble::NotWritable {
            path: path.to_owned(),
            error,
        };
        match identity(state_dir) {
            Ok(now) if self.identity.is_none_or(|at_start| at_start == now) => {}
            Ok(_) => return Err(StateTrouble::Replaced(state_dir.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateTrouble::Replaced(state_dir.to_owned()));
            }
            Err(error) => return Err(at(state_dir, error)),
        }
        for directory in [state_dir, &self.tasks_dir] {
            access(directory, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|error| at(directory, error.into()))?;
        }
        Space::of(state_dir).map_err(|error| at(state_dir, error))
    }
}

impl Space {
    fn of(path: &Path) -> io::Result<Self> {
        let found = statvfs(path)?;
        Ok(Self {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_files: Some(found.f_favail).filter(|_| found.f_files > 0),
        })
    }

    /// Whether a few tasks more would fill it.
    fn is_nearly_full(&self) -> bool {
        let least = limits::STATE_FREE_BYTES.min(self.total_bytes / 20);
        self.free_bytes < least
            || self.free_files.is_some_and(|files| files < limits::STATE_FREE_FILES)
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether a program can be executed: by its path, or found in the directories of `path`.
fn is_found(program: &str, path: &OsStr) -> bool {
    let is_program =
        |candidate: &Path| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        is_program(Path::new(program))
    } else {
        std::env::split_paths(path).any(|directory| is_program(&directory.join(program)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_nearly_full_with_a_small_rest_or_without_room_for_files() {
        let mib = |free: u64, total: u64, free_files| Space {
            free_bytes: free << 20,
            total_bytes: total << 20,
            free_files,
        };
        assert!(!mib(1_000, 100_000, Some(100_000)).is_nearly_full());
        assert!(mib(10, 100_000, Some(100_000)).is_nearly_full());
        assert!(mib(1_000, 100_000, Some(3)).is_nearly_full());
        assert!(!mib(1_000, 100_000, None).is_nearly_full(), "such as btrfs");
        assert!(!mib(10, 16, None).is_nearly_full(), "a small one that is nearly empty");
    }

    #[test]
    fn a_program_is_found_by_its_path_and_by_its_name() {
        let path = OsStr::new("/nowhere:/bin");
        assert!(is_found("/bin/sh", path) && is_found("sh", path));
        assert!(!is_found("/bin/no-such-program", path) && !is_found("no-such-program", path));
        assert!(!is_found("/etc/passwd", path) && !is_found("/bin", path));
    }
}
