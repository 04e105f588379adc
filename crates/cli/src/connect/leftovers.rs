//! Counts the processes that a batch left behind: "0 processes" is measured, not assumed.
//!
//! Every process of a task has the task's id in its environment, unless it cleared it; and with a private supervisor
//! every orphaned process of a task becomes a child of this program, which is a subreaper for that purpose. Both are
//! counted, but not children that this process had before it became `ccx` by execve(2). Only processes whose environment
//! this user may read are seen, and the tasks of this user are among those.

use std::{collections::BTreeSet, sync::OnceLock};

use cc_link::spec::MARKER_VARIABLE;
use cc_proctree::{
    procfs::{self, Process},
    subreaper::{self, Children},
};

/// Descendants of this process before it started anything.
static BEFORE: OnceLock<Vec<Process>> = OnceLock::new();

/// Makes this process a subreaper, so that orphaned processes become its children. Call before anything is started.
///
/// Where the kernel refuses, the search by environment remains.
pub(crate) fn adopt_orphans() {
    BEFORE.get_or_init(|| procfs::descendants(own_pid()).unwrap_or_default());
    subreaper::enable().ok();
}

/// Processes whose environment names one of these tasks.
pub(crate) fn of_tasks(task_ids: &[String]) -> BTreeSet<i32> {
    let ids: BTreeSet<&[u8]> = task_ids.iter().map(String::as_bytes).collect();
    let mut processes = procfs::all().unwrap_or_default();
    processes.retain(|process| {
        procfs::variable(process.pid, MARKER_VARIABLE)
            .is_some_and(|task_id| ids.contains(task_id.as_slice()))
    });
    pids(&processes)
}

/// Descendants of this process. Call when all its own children have been waited for: what is left
/// then are orphaned processes of tasks. Zombies are reaped and not counted.
pub(crate) fn of_this_process() -> BTreeSet<i32> {
    while matches!(subreaper::next_ended(), Ok(Children::Ended(_))) {}
    let descendants = procfs::descendants(own_pid()).unwrap_or_default();
    let before = BEFORE.get().map_or(&[][..], Vec::as_slice);
    let is_foreign = |process: &&Process| before.iter().any(|known| known.is_same_as(process));
    let foreign: Vec<&Process> = descendants.iter().filter(is_foreign).collect();
    let mut left = pids(&descendants);
    for process in foreign {
        left.remove(&process.pid);
        left.retain(|pid| !pids(&procfs::below(process.pid, &descendants)).contains(pid));
    }
    left
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn pids(processes: &[Process]) -> BTreeSet<i32> {
    processes.iter().map(|process| process.pid).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_process_that_carries_the_marker_is_found_and_gone_when_it_is_gone() {
        let task_id = format!("test-{}", std::process::id());
        let mut child = Command::new("cat")
            .env(MARKER_VARIABLE, &task_id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The environment is readable only after execve(2); a program that answers is past that.
        child.stdin.as_mut().unwrap().write_all(b"?").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let process_id = child.id().cast_signed();
        let wanted = [task_id, "another".to_owned()];
        assert_eq!(of_tasks(&wanted), BTreeSet::from([process_id]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of_tasks(&wanted), BTreeSet::new());
    }
}
