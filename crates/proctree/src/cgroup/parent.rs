//! The directory in which a supervisor's tasks get their leaves.
//!
//! Supervisors in other pid namespaces, whose pids mean nothing here, and people who clean up may use the same place. So a
//! lock on the directory says whose it is and whether that supervisor runs, and a process that finds the directory gone
//! makes it anew.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::{
    directory::{child_directories, remove_tree},
    error::CgroupError,
};

const PARENT_PREFIX: &str = "cc-executor-";
/// `DelegateSubgroup=` of the units in deploy/systemd.
const SUBGROUP: &str = "supervisor";
/// Supervisors with one pid that have parents in one directory.
const NAMESAKES_LIMIT: u32 = 1_000;

/// Where a supervisor makes the directory for its tasks' leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Below its own cgroup, if that can be written; else nowhere.
    Auto,
    Off,
    /// Below this directory; anything else is an error.
    Path(PathBuf),
}

#[derive(Debug)]
pub struct Parent {
    path: PathBuf,
    /// Tells others that it is in use, for as long as this process lives.
    _lock: Lock,
}

/// A lock on a directory, which no other supervisor removes as long as it is held.
#[derive(Debug)]
struct Lock {
    _directory: File,
}

impl Lock {
    /// `None`: another process holds it, or the directory is gone.
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
        // Before it was locked it may have been removed and made anew by others.
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
                let own = own_directory().ok();
                let unit = own.as_deref().and_then(unit_of_subgroup).map(Path::to_owned);
                let places = unit.into_iter().chain(own);
                Ok(places.filter_map(|path| Self::create_below(&path).ok()).next())
            }
        }
    }

    fn create_below(directory: &Path) -> Result<Self, CgroupError> {
        check_hierarchy(directory)?;
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
                Err(error) => return Err(CgroupError::io(&path, error)),
            }
            // `None`: another supervisor has taken the new one for abandoned.
            if let Some(lock) = Lock::take(&path).map_err(|error| CgroupError::io(&path, error))? {
                return Ok(Self { path, _lock: lock });
            }
        }
        let error = io::Error::other("too many supervisors with this pid have been here");
        Err(CgroupError::io(&directory.join(own), error))
    }

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

/// Whether a directory is one of a cgroup v2 hierarchy.
///
/// # Errors
/// When it is not, or cannot be looked at.
pub fn check_hierarchy(directory: &Path) -> Result<(), CgroupError> {
    let file_system =
        statfs(directory).map_err(|errno| CgroupError::io(directory, errno.into()))?;
    if file_system.filesystem_type() == CGROUP2_SUPER_MAGIC {
        Ok(())
    } else {
        Err(CgroupError::NotCgroup2(directory.to_owned()))
    }
}

/// The leaf of this name in any supervisor's parent directory beside `parent`, or in that itself.
#[must_use]
pub fn find_leaf(parent: &Path, name: &str) -> Option<PathBuf> {
    parents_beside(parent).into_iter().map(|path| path.join(name)).find(|leaf| leaf.is_dir())
}

/// Removes the parent directories beside `parent` whose supervisors are gone, with the empty leaves in them, but not those
/// that hold one of the leaves `in_use`: such a leaf may be empty and about to be used.
pub fn remove_abandoned(parent: &Path, in_use: &[PathBuf]) {
    for path in parents_beside(parent) {
        let is_used = in_use.iter().any(|leaf| leaf.parent() == Some(&path));
        if path != parent && !is_used {
            remove_if_abandoned(&path, remove_tree);
        }
    }
}

/// Calls `remove` while no other supervisor can use or remove it.
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

/// The unit's own directory, where the service manager has put this process into a subgroup of it: tasks get controllers
/// only from a directory without processes.
fn unit_of_subgroup(own: &Path) -> Option<&Path> {
    own.parent().filter(|_| own.ends_with(SUBGROUP))
}

/// The directory of this process's own cgroup.
fn own_directory() -> Result<PathBuf, CgroupError> {
    let read = |path: &str| {
        fs::read_to_string(path).map_err(|error| CgroupError::io(Path::new(path), error))
    };
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

#[cfg(test)]
mod tests;
