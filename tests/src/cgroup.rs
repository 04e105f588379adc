//! The two containments, and the macro that holds both to the same promises.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::Options;

/// A cgroup v2 directory of one test's own. On drop it must be empty: whatever the supervisor made in
/// it, the supervisor has removed.
pub struct CgroupRoot {
    path: PathBuf,
}

impl CgroupRoot {
    /// `None` where no writable cgroup v2 hierarchy is in reach of this user.
    fn create() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cc-tests-{}-{number}", std::process::id());
        let path = directory_of(std::process::id())?.join(name);
        fs::create_dir(&path).ok()?;
        Some(Self { path })
    }

    /// For `--cgroup`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for CgroupRoot {
    fn drop(&mut self) {
        let left: Vec<_> = fs::read_dir(&self.path)
            .map(|entries| entries.flatten().filter(|entry| entry.path().is_dir()).collect())
            .unwrap_or_default();
        let is_empty = left.is_empty();
        for directory in &left {
            remove_tree(&directory.path());
        }
        let removed = fs::remove_dir(&self.path);
        if !std::thread::panicking() {
            assert!(is_empty, "the supervisor left cgroups behind: {left:?}");
            removed.expect("the test's cgroup can be removed once its tasks are gone");
        }
    }
}

/// Removes cgroup directories from the leaves up; what cannot be removed stays, and its test fails.
fn remove_tree(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    drop(fs::remove_dir(directory));
}

/// The directory of a process's cgroup in the v2 hierarchy, wherever that is mounted.
#[must_use]
pub fn directory_of(pid: u32) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4).map(PathBuf::from))?
    })?;
    let memberships = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let own = memberships.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mount.join(own))
}

/// What holds a task's processes together in a test.
pub enum Containment {
    /// `--cgroup` with a directory of the test's own.
    Cgroup(CgroupRoot),
    /// `--cgroup off`.
    Subreaper,
}

impl Containment {
    /// The cgroup containment, or `None`, loudly, where this machine has none to give. With
    /// `CC_TEST_REQUIRE_CGROUP` set (as the project's own CI does) its absence is a failure.
    #[must_use]
    pub fn cgroup() -> Option<Self> {
        let root = CgroupRoot::create();
        if root.is_none() {
            assert!(
                std::env::var_os("CC_TEST_REQUIRE_CGROUP").is_none(),
                "CC_TEST_REQUIRE_CGROUP is set, but there is no writable cgroup v2 directory"
            );
            eprintln!("SKIPPED: no writable cgroup v2 directory here (root usually has one)");
        }
        root.map(Self::Cgroup)
    }

    /// Options of a supervisor that uses it.
    #[must_use]
    pub fn options(&self) -> Options {
        match self {
            Self::Cgroup(root) => Options::new().flag("--cgroup", root.path().to_str().unwrap()),
            Self::Subreaper => Options::new(),
        }
    }

    /// What `execute` must report, so that a silent fallback fails the test.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cgroup(_) => "cgroup",
            Self::Subreaper => "subreaper",
        }
    }
}

/// Turns functions that take `&Containment` into two tests each, `with_cgroup::…` and
/// `with_subreaper::…`. A function that is not listed is dead code, and clippy says so.
#[macro_export]
macro_rules! with_both_containments {
    ($($name:ident),+ $(,)?) => {
        mod with_cgroup {$(
            #[test]
            fn $name() {
                if let Some(containment) = $crate::cgroup::Containment::cgroup() {
                    super::$name(&containment);
                }
            }
        )+}
        mod with_subreaper {$(
            #[test]
            fn $name() {
                super::$name(&$crate::cgroup::Containment::Subreaper);
            }
        )+}
    };
}
