//! What the machine gives tasks: containment, pipes, open files.

use std::fs;

use super::{finding::Finding, probe::Probe};

/// Default capacity of a pipe (pipe(7)).
const USUAL_PIPE_BYTES: u64 = 64 * 1024;
/// Open files that a supervisor with the default limits of 100 sessions and 200 tasks can need, with a margin.
const OPEN_FILES_NEEDED: u64 = 4096;
/// The variable that turns cgroups off.
const CGROUP_VARIABLE: &str = "CC_EXECUTOR_CGROUP";

/// How the processes of a task are contained.
pub(crate) fn containment(containment: &str) -> Finding {
    const WHAT: &str = "containment";
    let setting = std::env::var(CGROUP_VARIABLE).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    judge_containment(WHAT, containment, &setting, kernel.trim())
}

fn judge_containment(
    what: &'static str,
    containment: &str,
    setting: &str,
    kernel: &str,
) -> Finding {
    match (containment, setting) {
        ("cgroup", _) => Finding::ok(
            what,
            format!("a cgroup v2 leaf for each task, and the subreaper (Linux {kernel})"),
        ),
        ("subreaper", "off") => {
            Finding::ok(what, format!("the subreaper; {CGROUP_VARIABLE} is off (Linux {kernel})"))
        }
        ("subreaper", _) => Finding::warn(
            what,
            format!(
                "the subreaper alone: no cgroup v2 directory can be written here (Linux {kernel})"
            ),
            "that is enough but for programs that gain privileges; a systemd unit with Delegate=yes (deploy/systemd) or cc-supervisor --cgroup DIR gives each task a cgroup",
        ),
        (other, _) => Finding::skip(what, format!("{other:?} is not known to this version of ccx")),
    }
}

/// The capacity of a task's pipes, and the limit for all pipes of this user.
pub(crate) fn pipes(probe: &Probe) -> Finding {
    let pages = fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").ok();
    let pages = pages.and_then(|text| text.trim().parse().ok());
    judge_pipes(probe.pipe_bytes, pages)
}

fn judge_pipes(pipe_bytes: Option<u64>, user_pages: Option<u64>) -> Finding {
    const WHAT: &str = "pipes";
    const PAGE_KIB: u64 = 4;
    let budget = match user_pages {
        Some(0) => "all pipes of this user may hold any amount".to_owned(),
        Some(pages) => format!("all pipes of this user may hold {} MiB", pages * PAGE_KIB / 1024),
        None => "what all pipes of this user may hold cannot be read".to_owned(),
    };
    match pipe_bytes {
        None => Finding::skip(WHAT, format!("what a task's pipe holds cannot be told; {budget}")),
        Some(bytes) if bytes < USUAL_PIPE_BYTES => Finding::warn(
            WHAT,
            format!(
                "a task's pipe holds only {} KiB; {budget}, and they are used up",
                bytes / 1024
            ),
            "end programs with many pipes, or raise fs.pipe-user-pages-soft: an agent that does not wait for a full pipe loses its last lines",
        ),
        Some(bytes) => {
            Finding::ok(WHAT, format!("a task's pipe holds {} KiB; {budget}", bytes / 1024))
        }
    }
}

/// The limits for open files of a task and of a supervisor.
pub(crate) fn open_files(probe: &Probe) -> Finding {
    const WHAT: &str = "open files";
    let (soft, hard) = (probe.open_files, probe.most_open_files);
    if hard < OPEN_FILES_NEEDED {
        return Finding::warn(
            WHAT,
            format!("{hard} at most, and a supervisor can need {OPEN_FILES_NEEDED}"),
            "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower --max-sessions and --max-tasks",
        );
    }
    Finding::ok(WHAT, format!("{soft} for a task, {hard} at most"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_than_usual_is_a_warning_with_what_to_do() {
        let probe = |most_open_files| Probe {
            variables: Vec::new(),
            pipe_bytes: None,
            open_files: 1024,
            most_open_files,
            most_processes: None,
        };
        let lines = [
            judge_containment("containment", "cgroup", "", "6.1").line(),
            judge_containment("containment", "subreaper", "off", "6.1").line(),
            judge_containment("containment", "subreaper", "", "6.1").line(),
            judge_containment("containment", "jail", "", "6.1").line(),
            judge_pipes(Some(1 << 20), Some(16_384)).line(),
            judge_pipes(Some(8 << 10), Some(16_384)).line(),
            judge_pipes(Some(64 << 10), Some(0)).line(),
            judge_pipes(None, None).line(),
            open_files(&probe(1_048_576)).line(),
            open_files(&probe(1024)).line(),
        ];
        insta::assert_snapshot!(lines.concat(), @r#"
        ok    containment  a cgroup v2 leaf for each task, and the subreaper (Linux 6.1)
        ok    containment  the subreaper; CC_EXECUTOR_CGROUP is off (Linux 6.1)
        warn  containment  the subreaper alone: no cgroup v2 directory can be written here (Linux 6.1); that is enough but for programs that gain privileges; a systemd unit with Delegate=yes (deploy/systemd) or cc-supervisor --cgroup DIR gives each task a cgroup
        skip  containment  "jail" is not known to this version of ccx
        ok    pipes        a task's pipe holds 1024 KiB; all pipes of this user may hold 64 MiB
        warn  pipes        a task's pipe holds only 8 KiB; all pipes of this user may hold 64 MiB, and they are used up; end programs with many pipes, or raise fs.pipe-user-pages-soft: an agent that does not wait for a full pipe loses its last lines
        ok    pipes        a task's pipe holds 64 KiB; all pipes of this user may hold any amount
        skip  pipes        what a task's pipe holds cannot be told; what all pipes of this user may hold cannot be read
        ok    open files   1024 for a task, 1048576 at most
        warn  open files   1024 at most, and a supervisor can need 4096; raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower --max-sessions and --max-tasks
        "#);
    }
}
