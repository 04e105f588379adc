//! What process trees use, for operators: one pass over `/proc` for all of them.

use std::{collections::HashMap, fs, io, time::Duration};

use rustix::param::{clock_ticks_per_second, page_size};

use crate::procfs::{self, Process};

/// What a process and all that descends from it use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Since the root was started.
    pub age: Duration,
    /// That descend from the root and are alive; the root is not counted.
    pub processes: u64,
    /// User and system time of all of them and the root, and of what the root has reaped.
    pub cpu: Duration,
    /// Resident memory of all of them and the root; what they share is counted for each.
    pub memory_bytes: u64,
}

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    cpu_ticks: u64,
    reaped_ticks: u64,
    memory_pages: u64,
}

/// The usage of the trees of these processes; those that are gone are left out.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn of_trees(roots: &[i32]) -> io::Result<HashMap<i32, TreeUsage>> {
    let all = procfs::all()?;
    let uptime = uptime();
    let ticks = |count: u64| Duration::from_millis(count * 1000 / clock_ticks_per_second().max(1));
    let of_tree = |root: &Process| {
        let own = usage(root.pid).unwrap_or_default();
        let mut tree = TreeUsage {
            age: uptime.saturating_sub(ticks(root.start_ticks)),
            processes: 0,
            cpu: ticks(own.cpu_ticks + own.reaped_ticks),
            memory_bytes: own.memory_pages,
        };
        for process in procfs::below(root.pid, &all).iter().filter(|process| !process.is_dead()) {
            let Some(used) = usage(process.pid) else { continue };
            tree.processes += 1;
            tree.cpu += ticks(used.cpu_ticks + used.reaped_ticks);
            tree.memory_bytes += used.memory_pages;
        }
        tree.memory_bytes *= page_size() as u64;
        (root.pid, tree)
    };
    Ok(all.iter().filter(|process| roots.contains(&process.pid)).map(of_tree).collect())
}

fn usage(pid: i32) -> Option<Usage> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 14 to 17 and 24 of `/proc/PID/stat`.
fn parse(stat: &[u8]) -> Option<Usage> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end_of_name + 2..)?).ok()?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Usage {
        cpu_ticks: field(14)? + field(15)?,
        reaped_ticks: field(16)? + field(17)?,
        memory_pages: field(24)?,
    })
}

/// Since the machine was booted, by the clock of processes' start times.
fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = b"42 (a) b) S 1 42 42 0 -1 4194304 1 2 3 4 50 60 7 8 20 0 1 0 12345 999 17 0";
        let expected = Usage { cpu_ticks: 110, reaped_ticks: 15, memory_pages: 17 };
        assert_eq!(parse(stat), Some(expected));
    }

    #[test]
    fn a_tree_is_counted_without_its_root() {
        let mut root =
            Command::new("sh").args(["-c", "sleep 600 & sleep 600 & wait"]).spawn().unwrap();
        let pid = root.id() as i32;
        let usage = loop {
            let usage = of_trees(&[pid]).unwrap()[&pid];
            if usage.processes == 2 {
                break usage;
            }
        };
        assert!(usage.memory_bytes > 0 && usage.age < Duration::from_secs(600), "{usage:?}");
        for process in procfs::descendants(pid).unwrap() {
            let _was_there = process.signal(rustix::process::Signal::KILL);
        }
        root.wait().unwrap();
        assert_eq!(of_trees(&[pid]).unwrap(), HashMap::new());
    }
}
