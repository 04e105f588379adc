//! Watches the state directory: whether it is still there, can be written, and has room.
//!
//! Its mode is kept. That it was removed or moved is heard from the kernel (inotify(7)) and, where that is not to be had, found at the next
//! look; a look is also what finds a full or read-only disk before a task does, and that it is one no more.

use std::{io, mem::MaybeUninit, os::fd::OwnedFd, path::Path, sync::Arc};

use rustix::{
    fs::{
        Access, AtFlags, FallocateFlags, Mode, OFlags, StatVfs, StatVfsMountFlags, accessat,
        fallocate, fstatvfs, inotify, openat, unlinkat,
    },
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::spawn_blocking,
    time::sleep,
};

use crate::{
    config::limits,
    ops::{
        health::{Condition, Health},
        repeated::Repeated,
    },
    storage::{directory::Directory, state_dir::StateDir},
};

/// The file that is made and removed to find out whether a disk that failed works again.
const PROBE: &str = "probe";

/// Raises and clears what is wrong with the state directory. Returns when it is gone: removed, moved or replaced.
///
/// `try_database` is called when the directory can be written and the database could not: clients that see the condition
/// send nothing that would show that it can be again.
pub(crate) async fn until_lost(
    state_dir: Arc<StateDir>,
    health: Arc<Health>,
    try_database: impl Fn(),
) {
    let changes = Changes::of(&state_dir)
        .inspect_err(|error| tracing::debug!(%error, "the state directory is only looked at"))
        .ok();
    let mut conditions = health.watch();
    loop {
        let (looked_at, known) = (Arc::clone(&state_dir), Arc::clone(&health));
        // A network file system may let its callers wait.
        let look = spawn_blocking(move || Look::at(&looked_at, &known));
        match look.await {
            Ok(Look::Lost) => return,
            Ok(Look::Seen(seen)) => {
                if seen.unwritable.is_none() && health.stands(Condition::Database) {
                    try_database();
                }
                seen.tell(&state_dir, &health);
            }
            Err(error) => tracing::error!(%error, "looking at the state directory"),
        }
        let is_well = !WATCHED.into_iter().any(|condition| health.stands(condition));
        // Who changes its attributes again and again is a task that means harm.
        sleep(limits::STATE_CHECK_SOON).await;
        let pause = if is_well { limits::STATE_CHECK } else { limits::STATE_CHECK_AGAIN };
        tokio::select! {
            () = sleep(pause) => {}
            () = changed(changes.as_ref()) => {}
            // A task that could not be put on record was the first to notice.
            _ = conditions.changed() => {}
        }
    }
}

async fn changed(changes: Option<&Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// What is looked after more often while it stands.
const WATCHED: [Condition; 4] = [
    Condition::StateDirectory,
    Condition::StateNearlyFull,
    Condition::Database,
    Condition::TaskLog,
];

/// What one look has found.
enum Look {
    Lost,
    Seen(Seen),
}

struct Seen {
    /// The condition stood before the look. What was raised during it is news to this look.
    stood: bool,
    /// The log of a task failed, long enough ago that probes have seen it.
    log_failed: bool,
    /// Why nothing can be written.
    unwritable: Option<io::Error>,
    /// `None` where that is not known.
    room: Option<Room>,
}

impl Look {
    fn at(state_dir: &StateDir, health: &Health) -> Self {
        if !state_dir.lock().is_in_place() {
            return Self::Lost;
        }
        for directory in [state_dir.root(), state_dir.tasks(), state_dir.keepers()] {
            if let Err(error) = directory.keep_mode() {
                static LINES: Repeated =
                    Repeated::new("modes of directories could not be set back");
                let path = directory.path().display().to_string();
                LINES.log(|| {
                    tracing::warn!(path, %error, "the mode of this directory could not be set back to 700");
                });
            }
        }
        let room = fstatvfs(state_dir.root().descriptor()).ok();
        let stood = health.stands(Condition::StateDirectory);
        let log_failed = health.stood_for(Condition::TaskLog, limits::TASK_LOG_FAILURE_SHOWN);
        let is_suspect = stood || log_failed || health.stands(Condition::Database);
        let unwritable = match &room {
            Some(room) if room.f_flag.contains(StatVfsMountFlags::RDONLY) => {
                Some(Errno::ROFS.into())
            }
            Some(_) | None => permission(state_dir.tasks())
                .and_then(|()| match is_suspect {
                    // Only what is written says whether a write works. A disk that sleeps is not woken for that.
                    true => probe(state_dir.root()),
                    false => Ok(()),
                })
                .err(),
        };
        Self::Seen(Seen { stood, log_failed, unwritable, room: room.map(|room| Room::of(&room)) })
    }
}

impl Seen {
    fn tell(self, state_dir: &StateDir, health: &Health) {
        match self.unwritable {
            Some(error) => {
                health.raise(Condition::StateDirectory, unwritable(state_dir.path(), &error))
            }
            None => {
                if self.stood {
                    health.clear(Condition::StateDirectory);
                }
                if self.log_failed {
                    health.clear(Condition::TaskLog);
                }
            }
        }
        match self.room.map(|room| (room.level(), room)) {
            Some((Level::Low, room)) => health.raise(
                Condition::StateNearlyFull,
                format!(
                    "{} MiB and {} files are left on the disk of the state directory {}: make room on it, or keep fewer \
                     tasks (--keep-bytes, --keep-tasks)",
                    room.bytes >> 20,
                    room.files,
                    state_dir.path().display()
                ),
            ),
            Some((Level::Enough, _)) => health.clear(Condition::StateNearlyFull),
            // In between, what stands goes on standing: it does not change with every task.
            Some((Level::Between, _)) | None => {}
        }
    }
}

/// What is said where the state directory cannot be written.
#[must_use]
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> String {
    format!(
        "the state directory {} cannot be written ({error}), so no task can be started: make room on its disk, correct \
         its permissions, or mount it writable; this ends by itself then",
        path.display()
    )
}

/// The room that is left on a file system.
struct Room {
    bytes: u64,
    bytes_wanted: u64,
    files: u64,
    files_wanted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Low,
    Between,
    Enough,
}

impl Room {
    fn of(found: &StatVfs) -> Self {
        let share = |total: u64| total / limits::NEARLY_FULL_SHARE;
        let total_bytes = found.f_blocks.saturating_mul(found.f_frsize);
        // Some file systems count no files.
        let (files, files_wanted) = match found.f_files {
            0 => (u64::MAX, 0),
            total => (found.f_favail, limits::NEARLY_FULL_FILES.min(share(total))),
        };
        Self {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            bytes_wanted: limits::NEARLY_FULL_BYTES.min(share(total_bytes)),
            files,
            files_wanted,
        }
    }

    fn level(&self) -> Level {
        let has = |found: u64, wanted: u64| match found {
            _ if found < wanted => Level::Low,
            _ if found < wanted + wanted / 4 => Level::Between,
            _ => Level::Enough,
        };
        match (has(self.bytes, self.bytes_wanted), has(self.files, self.files_wanted)) {
            (Level::Low, _) | (_, Level::Low) => Level::Low,
            (Level::Between, _) | (_, Level::Between) => Level::Between,
            (Level::Enough, Level::Enough) => Level::Enough,
        }
    }
}

/// Whether the permissions of a directory let something be made in it.
fn permission(directory: &Directory) -> io::Result<()> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(directory.descriptor(), ".", access, AtFlags::EACCESS)?)
}

/// Makes a file, takes space for it, and removes it.
fn probe(directory: &Directory) -> io::Result<()> {
    let at = directory.descriptor();
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(at, PROBE, flags, Mode::RUSR | Mode::WUSR)?;
    let written = match fallocate(&file, FallocateFlags::empty(), 0, limits::STATE_PROBE_BYTES) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => rustix::io::write(&file, &[0; 4096]).map(drop),
        other => other,
    };
    let removed = unlinkat(at, PROBE, AtFlags::empty());
    Ok(written.and(removed)?)
}

/// The kernel's word that the directory, or its lock, was removed or moved.
struct Changes(AsyncFd<OwnedFd>);

impl Changes {
    #[expect(
        deprecated,
        reason = "deprecated for what is no descriptor of its own; this one is, and the replacement is unsafe"
    )]
    fn of(state_dir: &StateDir) -> io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags)?;
        let own = inotify::WatchFlags::MOVE_SELF | inotify::WatchFlags::DELETE_SELF;
        // Its mode is an attribute; and a file that is open has no other sign of its removal than its number of names.
        let own = own | inotify::WatchFlags::ATTRIB;
        inotify::add_watch(&watch, state_dir.path(), own)?;
        inotify::add_watch(&watch, state_dir.tasks().path(), own)?;
        inotify::add_watch(&watch, state_dir.lock().path(), own)?;
        Ok(Self(AsyncFd::with_interest(watch, Interest::READABLE)?))
    }

    /// Returns when there was a change.
    async fn next(&self) {
        let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        // What it was is found by looking.
        while events.next().is_ok() {}
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(bytes: u64, files: u64) -> Level {
        Room { bytes, bytes_wanted: 1_000, files, files_wanted: 100 }.level()
    }

    #[test]
    fn a_disk_is_low_by_bytes_or_by_files_and_has_enough_only_with_some_to_spare() {
        assert_eq!(room(999, 1_000), Level::Low);
        assert_eq!(room(10_000, 99), Level::Low);
        assert_eq!(room(1_249, 1_000), Level::Between);
        assert_eq!(room(10_000, 124), Level::Between);
        assert_eq!(room(1_250, 125), Level::Enough);
    }

    #[test]
    fn a_probe_leaves_nothing_and_follows_no_link() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = Directory::named(temporary.path()).unwrap();
        probe(&directory).unwrap();
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
        std::os::unix::fs::symlink("/dev/null", temporary.path().join(PROBE)).unwrap();
        assert!(probe(&directory).is_err());
    }
}
