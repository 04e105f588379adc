//! Counts what a batch left behind: the claim "0 processes" is looked up, not assumed.
//!
//! Every process of a task carries the task's id in its environment, unless it has wiped it; and
//! with a private supervisor every process that a task could leave would have become a child of this
//! program, which takes in orphans for that purpose. Both are looked for. Only processes whose
//! environment this user may read are seen, which are those that this user's tasks can be.

use std::{
    collections::{BTreeSet, HashMap},
    fs, str,
};

use cc_link::spec::MARKER_VARIABLE;
use nix::{
    sys::{
        prctl,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Makes orphans of our descendants our children, so that none of them gets out of sight.
///
/// A kernel that refuses leaves the search by environment; that is not worth failing for.
pub(crate) fn take_in_orphans() {
    prctl::set_child_subreaper(true).ok();
}

/// Processes whose environment names one of these tasks.
pub(crate) fn of_tasks(task_ids: &[String]) -> BTreeSet<i32> {
    let ids: BTreeSet<&str> = task_ids.iter().map(String::as_str).collect();
    process_ids()
        .filter(|process_id| {
            // Gone meanwhile, or somebody else's.
            let Ok(environment) = fs::read(format!("/proc/{process_id}/environ")) else {
                return false;
            };
            marker(&environment).is_some_and(|task_id| ids.contains(task_id))
        })
        .collect()
}

/// Descendants of this process. Call when all its own children have been waited for: what is left
/// then are orphans of tasks. Those that are dead are reaped and not counted.
pub(crate) fn of_this_process() -> BTreeSet<i32> {
    const ANY_CHILD: Pid = Pid::from_raw(-1);
    while matches!(
        waitpid(ANY_CHILD, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
    ) {}
    let parents: HashMap<i32, i32> = process_ids()
        .filter_map(|process_id| {
            let stat = fs::read(format!("/proc/{process_id}/stat")).ok()?;
            Some((process_id, parent(&stat)?))
        })
        .collect();
    descendants(&parents, std::process::id().cast_signed())
}

fn process_ids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The task id in a process's environment (`NAME=value` strings, a NUL after each).
fn marker(environment: &[u8]) -> Option<&str> {
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| str::from_utf8(variable).ok()?.strip_prefix(MARKER_VARIABLE))
        .find_map(|rest| rest.strip_prefix('='))
}

/// The fourth field of `/proc/PID/stat`. The second is the program's name in parentheses, and may
/// itself hold spaces and parentheses.
fn parent(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn descendants(parents: &HashMap<i32, i32>, ancestor: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut generation = vec![ancestor];
    while !generation.is_empty() {
        generation = parents
            .iter()
            .filter(|(child, parent)| generation.contains(parent) && !found.contains(*child))
            .map(|(child, _)| *child)
            .collect();
        found.extend(&generation);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_found_among_other_variables_and_by_its_whole_name() {
        let environment = format!("A=b\0{MARKER_VARIABLE}_X=no\0{MARKER_VARIABLE}=t-1\0C=\0");
        assert_eq!(marker(environment.as_bytes()), Some("t-1"));
        assert_eq!(marker(b"A=b\0"), None);
        assert_eq!(marker(b""), None);
    }

    #[test]
    fn a_parent_is_read_whatever_the_program_is_called() {
        assert_eq!(parent(b"12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent(b"12 (sh) R 1 12"), Some(1));
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn descendants_are_found_over_generations_and_others_are_not() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (9, 8)]);
        assert_eq!(descendants(&parents, 2), BTreeSet::from([3, 4]));
        assert_eq!(descendants(&parents, 4), BTreeSet::new());
    }

    #[test]
    fn a_process_that_carries_the_marker_is_found_and_gone_when_it_is_gone() {
        let task_id = format!("test-{}", std::process::id());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env(MARKER_VARIABLE, &task_id)
            .spawn()
            .unwrap();
        let process_id = child.id().cast_signed();
        let wanted = [task_id, "another".to_owned()];
        assert_eq!(of_tasks(&wanted), BTreeSet::from([process_id]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of_tasks(&wanted), BTreeSet::new());
    }
}
