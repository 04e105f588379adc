//! How processes are seen: one pass over `/proc` (proc_pid_stat(5)).
//!
//! A pass is no snapshot. A process whose parent dies during the pass can be missed, a forking one's
//! child too; callers that need certainty repeat it until nothing new appears, and take "no child is
//! left to wait for" as the only proof.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
};

/// More than the fields of `/proc/PID/stat` can have: 51 numbers and a name.
const STAT_BYTES_LIMIT: usize = 2_048;

/// Longest chain of parents that is followed.
const ANCESTORS_LIMIT: usize = 10_000;

/// One process, as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its pid, which is used again after its death.
    pub pid: i32,
    /// The pid of its parent.
    pub parent: i32,
    /// One letter, such as `R`, `S`, `T` (stopped) or `Z` (zombie).
    pub state: u8,
    /// Clock ticks since boot; together with `pid` it names a process for good.
    pub start_ticks: u64,
}

/// Pid and start time of a process; no other process ever has the same two.
pub type Identity = (i32, u64);

impl Process {
    /// Reads one process; `None` if there is none with this pid.
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        let mut stat = [0; STAT_BYTES_LIMIT];
        // The kernel makes the whole line at once: one read gets it, and a second one for its end would cost as much.
        let bytes = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut stat).ok()?;
        parse_stat(pid, stat.get(..bytes)?)
    }

    /// Whether it has exited and only waits to be reaped.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// What names the process for good, also after its death.
    #[must_use]
    pub fn identity(&self) -> Identity {
        (self.pid, self.start_ticks)
    }

    /// Whether it is the same process, and not another one with the same pid.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// Whether a signal or a debugger has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }
}

/// All processes, in one pass.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn all() -> io::Result<Vec<Process>> {
    let mut processes = Vec::with_capacity(128);
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ended during the pass is simply not there any more.
        processes.extend(Process::read(pid));
    }
    Ok(processes)
}

/// All that descend from `ancestor`, itself excluded, zombies included, in one pass.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn descendants(ancestor: i32) -> io::Result<Vec<Process>> {
    Ok(below(ancestor, &all()?))
}

/// All that descend from this process and are alive, in one pass.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn living_descendants() -> io::Result<Vec<Process>> {
    let mut members = descendants(own_pid())?;
    members.retain(|process| !process.is_dead());
    Ok(members)
}

/// Whether a process descends from one of these. One that is gone is taken for a descendant.
#[must_use]
pub fn descends_from_any(pid: i32, ancestors: &[i32]) -> bool {
    let mut current = pid;
    // Each process is older than its child, but a pid that is used again during the walk could lead in a circle.
    for _ in 0..ANCESTORS_LIMIT {
        let Some(process) = Process::read(current) else { return true };
        if process.parent <= 1 {
            return false;
        }
        if ancestors.contains(&process.parent) {
            return true;
        }
        current = process.parent;
    }
    true
}

/// The pid of this process.
#[must_use]
pub fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Those of `processes` that descend from `ancestor`, itself excluded.
#[must_use]
pub fn below(ancestor: i32, processes: &[Process]) -> Vec<Process> {
    below_any(vec![ancestor], processes)
}

/// Those of `processes` that descend from any of these, each once.
#[must_use]
pub fn below_any(ancestors: Vec<i32>, processes: &[Process]) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let mut parents = ancestors;
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(child);
            parents.push(child.pid);
        }
    }
    found
}

/// The children of a process with one thread, zombies included, as the kernel lists them. A process that becomes a child
/// during the look is seen too: it comes last. `None` where the kernel has no such list.
#[must_use]
pub fn children(of: i32) -> Option<Vec<i32>> {
    let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// The children of a process with any number of threads: each thread has a list of those that it has started.
#[must_use]
pub fn children_of_threads(of: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{of}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// Children of `parent` among the most recently born processes: 64 numbers up to the newest one.
///
/// A chain in which every process forks and exits moves faster than a whole pass over `/proc`; this
/// look is short enough to catch it.
#[must_use]
pub fn newest_children(parent: i32) -> Vec<Process> {
    let Some(newest) = fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|line| line.split_ascii_whitespace().nth(4)?.parse::<i32>().ok())
    else {
        return Vec::new();
    };
    (newest.saturating_sub(63)..=newest.saturating_add(1))
        .rev()
        .filter_map(Process::read)
        .filter(|process| process.parent == parent && !process.is_dead())
        .collect()
}

/// The value of a variable in the environment that the process was started with. `None` also when that
/// cannot be read: it is another user's, or so young that its environment is not in place yet.
#[must_use]
pub fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    variable_in(&fs::read(format!("/proc/{pid}/environ")).ok()?, name).map(<[u8]>::to_vec)
}

/// As [`variable`], from `NAME=value` strings with a NUL after each.
fn variable_in<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Fields 3, 4 and 22; the name before them is in parentheses and may hold anything, parentheses too.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end_of_name + 2..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Process { pid, parent, state, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let stat = b"42 (a) S 1 (b) R 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 0";
        let process = parse_stat(42, stat).unwrap();
        assert_eq!(process, Process { pid: 42, parent: 7, state: b'R', start_ticks: 12345 });
    }

    #[test]
    fn a_variable_is_found_among_others_by_its_whole_name() {
        let environment = b"A=b\0MARK_X=no\0MARK=t-1\0C=\0";
        assert_eq!(variable_in(environment, "MARK"), Some(&b"t-1"[..]));
        assert_eq!(variable_in(environment, "C"), Some(&b""[..]));
        assert_eq!(variable_in(environment, "D"), None);
        assert_eq!(variable_in(b"", "A"), None);
    }

    #[test]
    fn this_process_is_found_below_its_parent() {
        let own = Process::read(std::process::id() as i32).unwrap();
        assert!(descendants(own.parent).unwrap().iter().any(|process| process.pid == own.pid));
    }

    #[test]
    fn everyone_below_is_found_and_nobody_else() {
        let process = |pid, parent| Process { pid, parent, state: b'S', start_ticks: 0 };
        let all = [process(1, 0), process(2, 1), process(3, 2), process(4, 1), process(5, 3)];
        let mut pids: Vec<i32> = below(2, &all).iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [3, 5]);
    }
}
