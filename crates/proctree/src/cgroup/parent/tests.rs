use std::time::{Duration, Instant};

use super::*;
use crate::cgroup::Leaf;

const MOUNTS: &str = "\
24 1 0:21 / /proc rw - proc proc rw
31 24 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
42 24 0:28 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

#[test]
fn the_own_cgroup_is_found_also_where_version_1_is_mounted_beside() {
    let membership = "4:memory:/x\n0::/user.slice/a.scope\n";
    assert_eq!(
        own_directory_of(MOUNTS, membership).unwrap(),
        Path::new("/sys/fs/cgroup/unified/user.slice/a.scope")
    );
    assert_eq!(own_directory_of(MOUNTS, "0::/\n").unwrap(), Path::new("/sys/fs/cgroup/unified/"));
}

#[test]
fn a_partial_mount_in_a_container_is_understood() {
    let mounts = "42 24 0:28 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(
        own_directory_of(mounts, "0::/docker/ab/c\n").unwrap(),
        Path::new("/sys/fs/cgroup/c")
    );
    assert_eq!(own_directory_of(mounts, "0::/elsewhere\n"), None);
}

#[test]
fn no_version_2_is_no_directory() {
    assert_eq!(own_directory_of("24 1 0:21 / /proc rw - proc proc rw\n", "0::/\n"), None);
    assert_eq!(own_directory_of(MOUNTS, "4:memory:/x\n"), None);
}

#[test]
fn leaves_of_earlier_supervisors_are_found_and_their_parents_removed_unless_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let parent = |name: &str| directory.path().join(format!("{PARENT_PREFIX}{name}"));
    let (own, used, unused) = (parent("7"), parent("8"), parent("9-2"));
    let (foreign, locked) = (directory.path().join("foreign"), parent("1"));
    for path in [&own, &used, &unused, &foreign, &locked] {
        fs::create_dir_all(path.join("task")).unwrap();
    }
    // Held by a supervisor whose pid means nothing here.
    let lock = Lock::take(&locked).unwrap().unwrap();
    let leaf = used.join("task");
    until("the unused one is removed", || {
        remove_abandoned(&own, std::slice::from_ref(&leaf));
        !unused.exists()
    });
    assert!(own.exists() && leaf.exists() && foreign.exists() && !unused.exists());
    assert!(locked.join("task").exists(), "its supervisor runs");
    fs::remove_dir(own.join("task")).unwrap();
    fs::remove_dir(locked.join("task")).unwrap();
    remove_parent_of(&locked.join("task"));
    assert!(locked.exists());
    drop(lock);
    until("one that is not locked any more is removed", || {
        remove_parent_of(&locked.join("task"));
        !locked.exists()
    });
    assert_eq!(find_leaf(&own, "task"), Some(leaf.clone()));
    assert_eq!(find_leaf(&own, "other"), None);
    remove_parent_of(&leaf);
    assert!(used.exists(), "its leaf is still there");
    fs::remove_dir(&leaf).unwrap();
    until("one without a leaf is removed", || {
        remove_parent_of(&leaf);
        !used.exists()
    });
    remove_parent_of(&foreign.join("task"));
    assert!(foreign.exists());
}

/// Tries again until it is so: a child that another test has just forked holds a copy of every lock until it executes its
/// program.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn two_supervisors_with_one_pid_have_a_directory_each() {
    let directory = tempfile::tempdir().unwrap();
    let first = Parent::create_first_free(directory.path()).unwrap();
    let second = Parent::create_first_free(directory.path()).unwrap();
    assert_ne!(first.path(), second.path());
    remove_abandoned(second.path(), &[]);
    assert!(first.path().exists() && is_parent(first.path()) && is_parent(second.path()));
    first.remove();
    assert!(second.path().exists());
}

#[test]
fn a_leaf_is_made_also_where_its_directory_was_removed() {
    let directory = tempfile::tempdir().unwrap();
    let leaf = directory.path().join("parent/leaf");
    assert!(Leaf::create(leaf.clone()).is_ok() && leaf.is_dir());
    assert!(Leaf::create(leaf).is_err(), "it is another one's");
    assert!(Leaf::create(directory.path().join("no/such/leaf")).is_err());
}

#[test]
fn an_ordinary_directory_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let error = Parent::discover(&Setting::Path(directory.path().to_owned())).unwrap_err();
    assert!(matches!(error, CgroupError::NotCgroup2(_)), "{error}");
}

#[test]
fn a_supervisor_in_a_subgroup_of_its_unit_makes_its_directory_beside_that() {
    let unit = Path::new("/sys/fs/cgroup/user.slice/cc-supervisor.service");
    assert_eq!(unit_of_subgroup(&unit.join(SUBGROUP)), Some(unit));
    assert_eq!(unit_of_subgroup(unit), None);
}
