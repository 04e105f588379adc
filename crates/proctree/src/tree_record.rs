//! The record of a task's processes that its worker keeps in a file, for the case that the worker and its keeper are both
//! killed: then neither is there to say whose the orphans are, and a process that has cleared its environment bears no
//! marker.
//!
//! Pid and start time name a process for good, within one boot. What was born after the latest record is found only if it
//! descends from a recorded process that is alive.

use std::{collections::HashSet, fs, io, path::Path};

use crate::procfs::{self, Identity, Process};

/// File name of the record, beside the task log.
pub const FILE_NAME: &str = "tree";
/// Processes in a record; of more, those farthest from the worker are left out.
const PROCESSES_LIMIT: usize = 1_000;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Keeps the record of all that descends from this process.
#[derive(Debug, Default)]
pub struct TreeRecorder {
    recorded: HashSet<Identity>,
}

impl TreeRecorder {
    /// Looks at the tree and writes the record if it has changed. The cost grows with the task's processes and threads, not
    /// with those of the machine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn update(&mut self, path: &Path) -> io::Result<()> {
        let found = tree_of(procfs::own_pid());
        if found == self.recorded {
            return Ok(());
        }
        let mut text = fs::read_to_string(BOOT_ID)?;
        for (pid, start_ticks) in &found {
            text += &format!("{pid} {start_ticks}\n");
        }
        fs::write(path, text)?;
        self.recorded = found;
        Ok(())
    }

    /// Removes the record: the tree is proven empty.
    pub fn remove(&self, path: &Path) {
        if !self.recorded.is_empty() {
            // A record that stays names processes that are dead.
            drop(fs::remove_file(path));
        }
    }
}

/// All that descends from a process, breadth first.
fn tree_of(ancestor: i32) -> HashSet<Identity> {
    let mut found = HashSet::new();
    let mut parents: Vec<i32> = procfs::children_of_threads(ancestor);
    while !parents.is_empty() && found.len() < PROCESSES_LIMIT {
        let mut next = Vec::new();
        for pid in parents {
            let Some(process) = Process::read(pid).filter(|process| !process.is_dead()) else {
                continue;
            };
            if found.insert(process.identity()) {
                next.extend(procfs::children_of_threads(pid));
            }
        }
        parents = next;
    }
    found
}

/// The recorded processes that are alive. Empty where there is no record, or it is from before the machine was booted.
#[must_use]
pub fn alive(path: &Path) -> Vec<Process> {
    let (Ok(text), Ok(boot_id)) = (fs::read_to_string(path), fs::read_to_string(BOOT_ID)) else {
        return Vec::new();
    };
    let Some(lines) = text.strip_prefix(&boot_id) else { return Vec::new() };
    // A line without its newline was cut, and names another process.
    let whole = lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole
        .filter_map(|line| {
            let (pid, start_ticks) = line.split_once(' ')?;
            let identity: Identity = (pid.parse().ok()?, start_ticks.parse().ok()?);
            Process::read(identity.0)
                .filter(|process| process.identity() == identity && !process.is_dead())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_descends_from_here_is_recorded_and_found_again_while_it_lives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = child.id() as i32;
        let own = Process::read(pid).unwrap();
        let boot_id = fs::read_to_string(BOOT_ID).unwrap();
        let record = |line: String| fs::write(&path, format!("{boot_id}{line}")).unwrap();
        record(format!("{pid} {}\n", own.start_ticks));
        assert_eq!(alive(&path).first().map(Process::identity), Some(own.identity()));
        record(format!("{pid} {}\n", own.start_ticks + 1));
        assert_eq!(alive(&path), [], "another process that has its number");
        record(format!("{pid} {}", own.start_ticks));
        assert_eq!(alive(&path), [], "the record was cut");
        fs::write(&path, format!("another boot\n{pid} {}\n", own.start_ticks)).unwrap();
        assert_eq!(alive(&path), []);
        assert!(
            tree_of(own.parent).contains(&own.identity()) || procfs::children(own.parent).is_none()
        );
        child.kill().unwrap();
        child.wait().unwrap();
        record(format!("{pid} {}\n", own.start_ticks));
        assert_eq!(alive(&path), []);
    }
}
