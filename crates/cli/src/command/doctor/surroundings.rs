//! What surrounds a supervisor that is to run for long: processes, memory, the clock, and whether it outlives a logout.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::geteuid;

use super::{finding::Finding, probe::Probe};
use crate::display::text;

/// Processes of an agent with its helpers, times a few tasks.
const PROCESSES_WANTED: u64 = 512;
/// One agent with its helpers.
const MEMORY_WANTED: u64 = 1 << 30;

/// Everything that these checks find.
pub(crate) fn check(probe: Option<&Probe>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(probe) = probe {
        findings.push(processes(probe.most_processes, cgroup_limit("pids.max")));
    }
    findings.push(memory(available_memory(), cgroup_limit("memory.max")));
    findings.push(clock(ask("timedatectl", &["show", "-p", "NTPSynchronized", "--value"])));
    findings.push(linger(geteuid().is_root(), || {
        let uid = geteuid().to_string();
        ask("loginctl", &["show-user", &uid, "-p", "Linger", "--value"])
    }));
    findings
}

fn processes(of_user: Option<u64>, of_cgroup: Option<u64>) -> Finding {
    const WHAT: &str = "processes";
    let least = of_user.into_iter().chain(of_cgroup).min();
    match least {
        Some(least) if least < PROCESSES_WANTED => Finding::warn(
            WHAT,
            format!("{least} at most, and every agent starts dozens"),
            "raise the limit (ulimit -u, in a service TasksMax= and LimitNPROC=), or lower --max-tasks",
        ),
        Some(least) => Finding::ok(WHAT, format!("{least} at most")),
        None => Finding::ok(WHAT, "as many as the machine has"),
    }
}

fn memory(available: Option<u64>, of_cgroup: Option<u64>) -> Finding {
    const WHAT: &str = "memory";
    let least = available.into_iter().chain(of_cgroup).min();
    match least {
        None => Finding::skip(WHAT, "what is available cannot be read"),
        Some(least) if least < MEMORY_WANTED => Finding::warn(
            WHAT,
            format!("{} for all tasks", text::bytes(least)),
            "an agent with its helpers takes about that alone: lower --max-tasks, or give it more (in a service MemoryMax=)",
        ),
        Some(least) => Finding::ok(WHAT, format!("{} for all tasks", text::bytes(least))),
    }
}

fn clock(synchronized: Option<String>) -> Finding {
    const WHAT: &str = "clock";
    match synchronized.as_deref() {
        Some("yes") => Finding::ok(WHAT, "it is set by the network"),
        Some("no") => Finding::warn(
            WHAT,
            "nothing sets it by the network",
            "waits for usage limits and old logs go by it: timedatectl set-ntp true",
        ),
        Some(_) | None => Finding::skip(WHAT, "timedatectl does not say whether anything sets it"),
    }
}

fn linger(is_root: bool, ask: impl FnOnce() -> Option<String>) -> Finding {
    const WHAT: &str = "linger";
    if is_root {
        return Finding::ok(WHAT, "not needed: a service of root has no session to outlive");
    }
    match ask().as_deref() {
        Some("yes") => Finding::ok(WHAT, "services of this user outlive its sessions"),
        Some("no") => Finding::warn(
            WHAT,
            "services of this user end with its last session",
            "to keep a supervisor running after a logout: loginctl enable-linger",
        ),
        Some(_) | None => {
            Finding::skip(WHAT, "loginctl does not say whether services outlive a logout")
        }
    }
}

/// What a program of the system says; `None` where it is not there or fails.
fn ask(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}

fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// A limit of this process's cgroup, or of one above it: the least.
fn cgroup_limit(file: &str) -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let leaf = Path::new("/sys/fs/cgroup").join(path);
    let limit = |place: &Path| fs::read_to_string(place.join(file)).ok()?.trim().parse().ok();
    leaf.ancestors().take_while(|place| place.starts_with("/sys/fs/cgroup")).filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_what_to_do() {
        let yes = || Some("yes".to_owned());
        let no = || Some("no".to_owned());
        let lines = [
            processes(Some(100), None).line(),
            processes(Some(10_000), Some(300)).line(),
            processes(Some(10_000), None).line(),
            processes(None, None).line(),
            memory(Some(8 << 30), Some(256 << 20)).line(),
            memory(Some(8 << 30), None).line(),
            memory(None, None).line(),
            clock(yes()).line(),
            clock(no()).line(),
            clock(None).line(),
            linger(true, no).line(),
            linger(false, yes).line(),
            linger(false, no).line(),
            linger(false, || None).line(),
        ];
        let levels: Vec<&str> = lines.iter().map(|line| line[..4].trim()).collect();
        assert_eq!(
            levels,
            [
                "warn", "warn", "ok", "ok", "warn", "ok", "skip", "ok", "warn", "skip", "ok", "ok",
                "warn", "skip"
            ],
            "{lines:?}"
        );
        for line in lines.iter().filter(|line| line.starts_with("warn")) {
            assert!(line.contains("; "), "what to do: {line}");
        }
    }
}
