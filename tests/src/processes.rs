//! What an operator sees in `/proc`: who is alive, whose child it is, in what state.

use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::cgroup;

/// All process ids at this moment.
fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The processes whose arguments contain `tag`, zombies not counted (they have no arguments).
#[must_use]
pub fn survivors(tag: &str) -> Vec<i32> {
    matching("cmdline", tag)
}

/// The processes whose environment contains `text`.
#[must_use]
pub fn with_environment(text: &str) -> Vec<i32> {
    matching("environ", text)
}

fn matching(file: &str, text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let contains = |pid: &i32| {
        *pid != own
            && fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    };
    all().into_iter().filter(contains).collect()
}

/// The processes that hold a file below `directory` open.
#[must_use]
pub fn holding_open(directory: &Path) -> Vec<i32> {
    all().into_iter().filter(|pid| holds_open(*pid, directory)).collect()
}

/// Whether a process holds a file below `directory` open.
#[must_use]
pub fn holds_open(pid: i32, directory: &Path) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(directory)))
    })
}

/// The numbers of its open files.
#[must_use]
pub fn open_files(pid: i32) -> Vec<u32> {
    let names = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let number = |name: std::ffi::OsString| name.to_str().unwrap().parse().unwrap();
    names.map(|entry| number(entry.unwrap().file_name())).collect()
}

/// Fields of `/proc/PID/stat` from the state on (`[0]` is the state, `[1]` the parent, `[16]` the
/// nice value); `None` when the process is gone.
#[must_use]
pub fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also spaces and parentheses.
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The name of its program, at most 15 bytes of it.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// One-letter state, such as `S`, `T` (stopped) or `Z`.
#[must_use]
pub fn state(pid: i32) -> Option<String> {
    stat(pid).map(|fields| fields[0].clone())
}

#[must_use]
pub fn parent(pid: i32) -> Option<i32> {
    stat(pid).and_then(|fields| fields[1].parse().ok())
}

/// The children, zombies included.
#[must_use]
pub fn children(of: i32) -> Vec<i32> {
    all().into_iter().filter(|pid| parent(*pid) == Some(of)).collect()
}

/// Whether the kernel holds the process: stopped, or in a frozen cgroup.
#[must_use]
pub fn is_held(pid: i32) -> bool {
    state(pid).is_some_and(|state| state == "T") || is_frozen(pid)
}

fn is_frozen(pid: i32) -> bool {
    cgroup::directory_of(pid.cast_unsigned()).is_some_and(|directory| {
        fs::read_to_string(directory.join("cgroup.events"))
            .is_ok_and(|events| events.contains("frozen 1"))
    })
}

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident_bytes: u64,
    /// The most that ever was.
    pub most_resident_bytes: u64,
}

/// What a process holds in memory, from `/proc/PID/status`.
#[must_use]
pub fn memory(pid: i32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    };
    Memory { resident_bytes: field("VmRSS:"), most_resident_bytes: field("VmHWM:") }
}

/// A handle on a process that cannot come to mean another one.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
    pub pid: i32,
}

impl Process {
    /// `None` when there is none with this number.
    #[must_use]
    pub fn open(pid: i32) -> Option<Self> {
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { pidfd, pid })
    }

    /// Sends a signal; a process that is gone is none of our business.
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal process {}: {error}", self.pid),
        }
    }

    /// Waits until the process has exited. False when it has not within `patience`.
    #[must_use]
    pub fn wait_gone(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
            match poll(&mut descriptors, Some(&timeout)) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("cannot wait for process {}: {error}", self.pid),
            }
        }
    }
}

/// Checks that none of the processes with `tag` in their arguments is left.
pub fn assert_gone(tag: &str) {
    let left = survivors(tag);
    assert!(left.is_empty(), "left behind: {}", describe(&left));
}

/// Waits until none of the processes with `tag` in their arguments is left, also those that such a
/// process has started meanwhile.
pub fn wait_until_gone(tag: &str) {
    let deadline = Instant::now() + crate::PATIENCE;
    loop {
        let alive: Vec<Process> = survivors(tag).into_iter().filter_map(Process::open).collect();
        let Some(first) = alive.first() else { return };
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(first.wait_gone(left), "still there: {}", describe(&survivors(tag)));
    }
}

/// Kills what a failed test leaves behind.
pub fn kill_all(pids: &[i32]) {
    for process in pids.iter().filter_map(|pid| Process::open(*pid)) {
        process.signal(Signal::KILL);
    }
}

/// The processes by number, state and arguments, for the text of a failure.
#[must_use]
pub fn describe(pids: &[i32]) -> String {
    let one = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        format!("{pid} [{}] {arguments}", state(*pid).unwrap_or_else(|| "gone".to_owned()))
    };
    pids.iter().map(one).collect::<Vec<_>>().join("; ")
}
