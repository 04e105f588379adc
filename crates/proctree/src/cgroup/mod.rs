//! cgroup v2: a leaf for each task, which kills and freezes its members without a race
//! (Documentation/admin-guide/cgroup-v2.rst of the kernel).
//!
//! [`Parent`] is made once by the supervisor, [`Leaf`] once for each task by its worker. A leaf is never
//! used again after a kill.
//!
//! Others may use the same place: supervisors in other pid namespaces, with numbers that mean nothing here, and people who
//! clean up. So whose a parent directory is, and whether that supervisor runs, is told by a lock on the directory; and
//! whoever finds one gone makes it anew.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::statfs::{CGROUP2_SUPER_MAGIC, statfs},
};

use crate::procfs::Process;

/// How long a freeze may take before it is reported as not done (members in uninterruptible sleep).
const FREEZE_MS_LIMIT: u64 = 1_000;
const PARENT_PREFIX: &str = "cc-executor-";
/// Supervisors with one pid that have parents in one directory.
const NAMESAKES_LIMIT: u32 = 1_000;

/// Where a supervisor looks for a place for its tasks' leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Below its own cgroup, if that can be written; else nowhere.
    Auto,
    /// Nowhere.
    Off,
    /// Below this directory; anything else is an error.
    Path(PathBuf),
}

/// Why cgroups cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup v2 is mounted, or this process is not in it.
    #[error("no cgroup v2 hierarchy is mounted")]
    NotMounted,
    /// Not a cgroup v2 directory.
    #[error("{0} is not a directory of a cgroup v2 hierarchy")]
    NotCgroup2(PathBuf),
    /// The kernel is older than 5.14.
    #[error("{0} has no cgroup.kill: the kernel is older than 5.14")]
    NoKill(PathBuf),
    /// A system call failed.
    #[error("{path}: {error}")]
    Io {
        /// On this file.
        path: PathBuf,
        /// With this error.
        error: io::Error,
    },
}

impl CgroupError {
    pub(crate) fn of(path: &Path, error: io::Error) -> Self {
        io_error(path, error)
    }
}

/// The directory in which a supervisor's tasks get their leaves.
#[derive(Debug)]
pub struct Parent {
    path: PathBuf,
    /// Says to others that it is in use, for as long as this process lives.
    _lock: Lock,
}

/// A directory that nobody else removes as long as this lives.
#[derive(Debug)]
struct Lock {
    _directory: File,
}

impl Lock {
    /// `None`: another process has it, or the directory is gone.
    fn take(directory: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(directory) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Before it was locked somebody may have removed it, and somebody else made another one.
        let is_same = fs::metadata(directory)
            .and_then(|now| Ok(now.ino() == file.metadata()?.ino()))
            .unwrap_or(false);
        Ok(is_same.then_some(Self { _directory: file }))
    }
}

impl Parent {
    /// Finds or makes the parent directory as `setting` says. `None`: leaves cannot be had.
    ///
    /// # Errors
    /// Only for [`Setting::Path`]: what an operator asked for must work or be reported.
    pub fn discover(setting: &Setting) -> Result<Option<Self>, CgroupError> {
        match setting {
            Setting::Off => Ok(None),
            Setting::Path(path) => Self::create_below(path).map(Some),
            Setting::Auto => {
                Ok(own_directory().ok().and_then(|path| Self::create_below(&path).ok()))
            }
        }
    }

    fn create_below(directory: &Path) -> Result<Self, CgroupError> {
        let file_system = statfs(directory).map_err(|errno| io_error(directory, errno.into()))?;
        if file_system.filesystem_type() != CGROUP2_SUPER_MAGIC {
            return Err(CgroupError::NotCgroup2(directory.to_owned()));
        }
        let parent = Self::create_first_free(directory)?;
        if parent.path.join("cgroup.kill").exists() {
            Ok(parent)
        } else {
            remove_tree(&parent.path);
            Err(CgroupError::NoKill(parent.path))
        }
    }

    /// Makes a directory that is this supervisor's alone: one with its pid may be there already, left by one that was
    /// killed, or used by one in another pid namespace.
    fn create_first_free(directory: &Path) -> Result<Self, CgroupError> {
        let own = format!("{PARENT_PREFIX}{}", std::process::id());
        for number in 1..=NAMESAKES_LIMIT {
            let name = if number == 1 { own.clone() } else { format!("{own}-{number}") };
            let path = directory.join(name);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(io_error(&path, error)),
            }
            // `None`: somebody has taken the new one for abandoned.
            if let Some(lock) = Lock::take(&path).map_err(|error| io_error(&path, error))? {
                return Ok(Self { path, _lock: lock });
            }
        }
        let error = io::Error::other("too many supervisors with this pid have been here");
        Err(io_error(&directory.join(own), error))
    }

    /// Its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it and what empty leaves are in it. Members, if any, stay where they are.
    pub fn remove(self) {
        remove_tree(&self.path);
    }

    /// Removes it if it has no leaves: those that it has belong to workers that run on.
    pub fn remove_if_unused(self) {
        drop(fs::remove_dir(&self.path));
    }
}

/// The leaf of this name in any supervisor's parent directory beside `parent`, or in that itself.
#[must_use]
pub fn find_leaf(parent: &Path, name: &str) -> Option<PathBuf> {
    parents_beside(parent).into_iter().map(|path| path.join(name)).find(|leaf| leaf.is_dir())
}

/// Removes the parent directories beside `parent` whose supervisors run no more, with what empty leaves are in
/// them, but for those that hold one of the leaves `in_use`: that may be empty and about to be used.
pub fn remove_abandoned(parent: &Path, in_use: &[PathBuf]) {
    for path in parents_beside(parent) {
        let is_used = in_use.iter().any(|leaf| leaf.parent() == Some(&path));
        if path != parent && !is_used {
            remove_if_abandoned(&path, remove_tree);
        }
    }
}

/// Calls `remove` while nobody else can use or remove it.
fn remove_if_abandoned(parent: &Path, remove: impl FnOnce(&Path)) {
    if let Ok(Some(_lock)) = Lock::take(parent) {
        remove(parent);
    }
}

/// Removes the directory that held a leaf, once that is gone, if a supervisor made it and no other leaf is in it.
pub fn remove_parent_of(leaf: &Path) {
    if let Some(parent) = leaf.parent()
        && is_parent(parent)
    {
        remove_if_abandoned(parent, |parent| drop(fs::remove_dir(parent)));
    }
}

/// All supervisors' parent directories in the directory that holds `parent`.
fn parents_beside(parent: &Path) -> Vec<PathBuf> {
    let Some(directory) = parent.parent() else { return Vec::new() };
    let mut parents = child_directories(directory);
    parents.retain(|path| is_parent(path));
    parents
}

/// Whether a supervisor of any pid namespace made it, as its name says.
fn is_parent(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix(PARENT_PREFIX)).is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

/// The directory of this process's own cgroup.
fn own_directory() -> Result<PathBuf, CgroupError> {
    let read =
        |path: &str| fs::read_to_string(path).map_err(|error| io_error(Path::new(path), error));
    let mounts = read("/proc/self/mountinfo")?;
    let membership = read("/proc/self/cgroup")?;
    own_directory_of(&mounts, &membership).ok_or(CgroupError::NotMounted)
}

/// As [`own_directory`], from the texts of proc_pid_mountinfo(5) and cgroups(7).
fn own_directory_of(mounts: &str, membership: &str) -> Option<PathBuf> {
    let own = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let (root, mount_point) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        after.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
    })?;
    // In a container only a part of the hierarchy may be mounted.
    let below_root = Path::new("/").join(own);
    let relative = below_root.strip_prefix(root).ok()?;
    Some(Path::new(mount_point).join(relative))
}

/// One task's cgroup.
#[derive(Debug)]
pub struct Leaf {
    path: PathBuf,
}

impl Leaf {
    /// Makes a leaf that nobody has used before, and the directory that is to hold it if somebody has removed that.
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
        making.map_err(|error| io_error(&path, error))?;
        Ok(Self { path })
    }

    /// A leaf that a worker made and did not remove; `None` if it is gone.
    #[must_use]
    pub fn existing(path: PathBuf) -> Option<Self> {
        path.is_dir().then_some(Self { path })
    }

    /// Its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its directory, for `CLONE_INTO_CGROUP`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn directory(&self) -> Result<File, CgroupError> {
        File::open(&self.path).map_err(|error| io_error(&self.path, error))
    }

    /// Its `cgroup.procs`, opened for joining.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn joining(&self) -> Result<File, CgroupError> {
        let path = self.path.join("cgroup.procs");
        File::options().write(true).open(&path).map_err(|error| io_error(&path, error))
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
            let events = File::open(&path).map_err(|error| io_error(&path, error))?;
            let text = io::read_to_string(&events).map_err(|error| io_error(&path, error))?;
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
                Err(errno) => return Err(io_error(&path, errno.into())),
            }
        }
    }

    /// Lets all members go on.
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

    fn write(&self, name: &str, text: &[u8]) -> Result<(), CgroupError> {
        let path = self.path.join(name);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text))
            .map_err(|error| io_error(&path, error))
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

/// Removes a cgroup directory depth first; the kernel refuses those that have members.
fn remove_tree(path: &Path) {
    for child in child_directories(path) {
        remove_tree(&child);
    }
    // A refusal means that somebody is still in there; whoever kills them tries again.
    drop(fs::remove_dir(path));
}

fn child_directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn io_error(path: &Path, error: io::Error) -> CgroupError {
    CgroupError::Io { path: path.to_owned(), error }
}

#[cfg(test)]
mod tests;
