//! One task's cgroup: its members are killed, frozen and counted by the kernel, all at once.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    directory::{child_directories, remove_tree},
    error::CgroupError,
};
use crate::procfs::Process;

/// How long a freeze may take before it is reported as not done (members in uninterruptible sleep).
const FREEZE_MS_LIMIT: u64 = 1_000;

/// One task's cgroup.
#[derive(Debug)]
pub struct Leaf {
    path: PathBuf,
}

impl Leaf {
    /// Makes a new leaf, and the directory that is to hold it if that was removed.
    ///
    /// # Errors
    /// When a directory cannot be made, or the leaf is there already.
    pub fn create(path: PathBuf) -> Result<Self, CgroupError> {
        let making = match (fs::create_dir(&path), path.parent()) {
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                // Another worker may do the same.
                drop(fs::create_dir(parent));
                fs::create_dir(&path)
            }
            (made, _) => made,
        };
        making.map_err(|error| CgroupError::io(&path, error))?;
        Ok(Self { path })
    }

    /// A leaf that a worker made and did not remove; `None` if it is gone.
    #[must_use]
    pub fn existing(path: PathBuf) -> Option<Self> {
        path.is_dir().then_some(Self { path })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, for `CLONE_INTO_CGROUP`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn directory(&self) -> Result<File, CgroupError> {
        File::open(&self.path).map_err(|error| CgroupError::io(&self.path, error))
    }

    /// Its `cgroup.procs`, opened for joining.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn joining(&self) -> Result<File, CgroupError> {
        let path = self.path.join("cgroup.procs");
        File::options().write(true).open(&path).map_err(|error| CgroupError::io(&path, error))
    }

    /// Kills all members, and those of cgroups below it, also while they fork or are frozen.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.write("cgroup.kill", b"1")
    }

    /// Stops all members and waits (at most a second) until they have stopped. Says whether they have.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn freeze(&self) -> Result<bool, CgroupError> {
        self.write("cgroup.freeze", b"1")?;
        let path = self.path.join("cgroup.events");
        let deadline = Instant::now() + Duration::from_millis(FREEZE_MS_LIMIT);
        loop {
            let events = File::open(&path).map_err(|error| CgroupError::io(&path, error))?;
            let text =
                io::read_to_string(&events).map_err(|error| CgroupError::io(&path, error))?;
            if text.lines().any(|line| line == "frozen 1") {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            // A change of the file wakes the poll; the reading before it is what arms it.
            let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(CgroupError::io(&path, errno.into())),
            }
        }
    }

    /// Resumes all members.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("cgroup.freeze", b"0")
    }

    /// Members, and those of cgroups below it. Zombies are not listed.
    #[must_use]
    pub fn members(&self) -> Vec<Process> {
        let mut pids = Vec::new();
        collect_members(&self.path, &mut pids);
        pids.into_iter().filter_map(Process::read).collect()
    }

    /// Whether any process is in it or below it.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        fs::read_to_string(self.path.join("cgroup.events"))
            .is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    /// Removes it with what cgroups the task made in it. Does nothing while members are left.
    pub fn remove(&self) {
        remove_tree(&self.path);
    }

    pub(super) fn write(&self, name: &str, text: &[u8]) -> Result<(), CgroupError> {
        let path = self.path.join(name);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .map_err(|error| CgroupError::io(&path, error))
    }
}

fn collect_members(path: &Path, pids: &mut Vec<i32>) {
    if let Ok(text) = fs::read_to_string(path.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for child in child_directories(path) {
        collect_members(&child, pids);
    }
}
