//! How a task ended, in words and numbers: the terminal event.

use std::{io, time::Duration};

use cc_claude::{Summary, verdict};
use cc_events::{
    ClaudeStream, Completed, EndReason, Event, OutputCounts, SpawnFailureKind, Verdict, Warning,
    WarningKind,
};
use cc_link::spec::TaskSpec;
use cc_proctree::{kill::Killed, start::StartError, subreaper::ExitStatus};
use nix::sys::{
    resource::{UsageWho, getrusage},
    signal::Signal,
    time::TimeValLike,
};

use crate::clocks::Due;

/// Why the worker ends its task: the reason, and a sentence that names the limit and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub reason: EndReason,
    pub error: String,
    /// A Claude task had its result already, and something of it still ran.
    pub is_after_result: bool,
}

impl Cause {
    pub(crate) fn new(reason: EndReason, error: impl Into<String>) -> Self {
        Self { reason, error: error.into(), is_after_result: false }
    }

    /// For a Claude task whose clock ran out when its result was there: it ends as its result says.
    pub(crate) fn after_result(error: impl std::fmt::Display) -> Self {
        let error = format!("had its result and went on: it {error}");
        Self { is_after_result: true, ..Self::new(EndReason::Lingered, error) }
    }

    /// For a clock that has run out. Of a Claude task that has its result only what ran on is cut off, which does not make
    /// the result a bad one.
    pub(crate) fn clock(due: Due, spec: &TaskSpec, has_result: bool) -> Self {
        let limits = &spec.deadlines;
        let seconds =
            |limit_ms: Option<u64>| Duration::from_millis(limit_ms.unwrap_or(0)).as_secs_f64();
        let (reason, error) = match due {
            Due::Total => (
                EndReason::Timeout,
                format!("ran longer than its timeout of {} s", seconds(limits.total_ms)),
            ),
            Due::Silence => (
                EndReason::IdleTimeout,
                format!("printed nothing for {} s (idle_timeout)", seconds(limits.silence_ms)),
            ),
            Due::FirstOutput => (
                EndReason::IdleTimeout,
                format!("printed nothing in its first {} s", seconds(limits.first_output_ms)),
            ),
            Due::Linger => {
                let error = format!(
                    "printed its result and did not exit within {} s",
                    seconds(Some(limits.linger_ms))
                );
                return Self::new(EndReason::Lingered, error);
            }
        };
        match spec.claude {
            ClaudeStream::Required if has_result => Self::after_result(error),
            ClaudeStream::No | ClaudeStream::Observed | ClaudeStream::Required => {
                Self::new(reason, error)
            }
        }
    }

    /// For a task log that takes no more.
    pub(crate) fn log_failure(failure: &io::Error, spec: &TaskSpec) -> Self {
        let log_path = spec.log_path.display();
        let error = format!("the task log {log_path} could not be written: {failure}");
        Self::new(EndReason::ResourceLimit, error)
    }

    /// For an end on request.
    pub(crate) fn requested(reason: EndReason) -> Self {
        let error = match reason {
            EndReason::Canceled => "canceled by the client",
            EndReason::Disconnected => "the client's connection ended while the task ran",
            EndReason::WorkerRestarted => "an operator restarted the task's worker",
            EndReason::SupervisorLost => "the supervisor was told to stop",
            EndReason::Exit
            | EndReason::Signal
            | EndReason::Timeout
            | EndReason::IdleTimeout
            | EndReason::Lingered
            | EndReason::OutputLimit
            | EndReason::SpawnFailed
            | EndReason::WorkerDied
            | EndReason::ResourceLimit => "ended by the supervisor",
        };
        Self::new(reason, error)
    }
}

/// Everything that the terminal event is made of.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub spec: &'a TaskSpec,
    pub pid: i32,
    /// `None`: the main process ended by itself.
    pub cause: Option<Cause>,
    /// `None`: it could not be killed.
    pub status: Option<ExitStatus>,
    pub killed: Killed,
    pub duration: Duration,
    pub counts: OutputCounts,
    pub summary: Option<Summary>,
}

/// The terminal event of a task that ran.
pub(crate) fn completed(end: End<'_>) -> Event {
    let shortage = out_of_memory(&end);
    let is_killed = end.status == Some(ExitStatus::Signal(Signal::SIGKILL as i32));
    let reason = match (&end.cause, end.status) {
        (Some(cause), _) => cause.reason,
        (None, _) if is_killed && shortage.is_some() => EndReason::ResourceLimit,
        (None, Some(ExitStatus::Code(_))) => EndReason::Exit,
        (None, Some(ExitStatus::Signal(_)) | None) => EndReason::Signal,
    };
    let summary = end.summary.as_ref();
    let exit_code = exit_code(reason, end.status, summary);
    let verdict = verdict::judge(end.spec.claude, reason, exit_code, summary);
    let mut warnings = warnings(summary, end.cause.as_ref());
    warnings.extend(shortage.clone());
    let error = match (end.cause, end.status) {
        (Some(cause), _) => Some(cause.error),
        (None, _) if reason == EndReason::ResourceLimit => shortage.map(|warning| warning.message),
        (None, Some(ExitStatus::Signal(signal))) => {
            Some(format!("the main process died of {}", signal_name(signal)))
        }
        // Its exit code says that all is well; a client that knows prompts knows verdicts.
        (None, Some(ExitStatus::Code(0))) if end.spec.claude == ClaudeStream::Required => {
            shortfall(verdict, &warnings)
        }
        (None, Some(ExitStatus::Code(_)) | None) => None,
    };
    let (cpu_ms, max_rss_bytes) = usage();
    Event::Completed(Box::new(Completed {
        pid: end.pid,
        reason,
        verdict,
        exit_code,
        signal: match end.status {
            Some(ExitStatus::Signal(signal)) => Some(signal),
            Some(ExitStatus::Code(_)) | None => None,
        },
        error,
        duration_ms: u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX),
        cpu_ms,
        max_rss_bytes,
        output: end.counts,
        killed_leftovers: end.killed.leftovers,
        unkillable: end.killed.unkillable,
        warnings,
        claude: end
            .summary
            .filter(|summary| summary.is_stream)
            .map(|summary| Box::new(summary.facts)),
        spawn_failure: None,
    }))
}

/// What a person should know beside the verdict.
fn warnings(summary: Option<&Summary>, cause: Option<&Cause>) -> Vec<Warning> {
    let mut warnings = summary.map(|summary| summary.warnings.clone()).unwrap_or_default();
    if let Some(cause) = cause.filter(|cause| cause.is_after_result) {
        let message = format!("the task {}, and was ended", cause.error);
        warnings.push(Warning { kind: WarningKind::EndedAfterResult, message });
    }
    warnings
}

/// That the kernel killed something of the task for lack of memory, as its leaf has counted.
fn out_of_memory(end: &End<'_>) -> Option<Warning> {
    let processes = match end.killed.out_of_memory {
        0 => return None,
        1 => "a process".to_owned(),
        count => format!("{count} processes"),
    };
    let limit = match end.spec.isolation.limits.memory_bytes {
        Some(bytes) => format!("the task may have {bytes} bytes together"),
        None => "the machine, or the service, has no more".to_owned(),
    };
    let message = format!("out of memory: the kernel killed {processes} of the task; {limit}");
    Some(Warning { kind: WarningKind::OutOfMemory, message })
}

/// Why the work of a task whose process ended well was not done, where that decided its verdict.
fn shortfall(verdict: Verdict, warnings: &[Warning]) -> Option<String> {
    let decisive: &[WarningKind] = match verdict {
        Verdict::Denied => &[WarningKind::PermissionDenied],
        Verdict::Incomplete => &[
            WarningKind::EmptyAnswer,
            WarningKind::BackgroundUnfinished,
            WarningKind::Refusal,
            WarningKind::TerminalReason,
        ],
        Verdict::NoResult => &[WarningKind::ResultTruncated],
        Verdict::Succeeded
        | Verdict::Failed
        | Verdict::Auth
        | Verdict::RateLimited
        | Verdict::TimedOut
        | Verdict::Canceled
        | Verdict::OutputLimit
        | Verdict::SpawnFailed
        | Verdict::WorkerDied
        | Verdict::ResourceLimit
        | Verdict::Account => return None,
    };
    let found = warnings.iter().find(|warning| decisive.contains(&warning.kind));
    found.map(|warning| warning.message.clone())
}

/// The code that tells clients whether the task went well: never 0 for one that the worker ended.
fn exit_code(reason: EndReason, status: Option<ExitStatus>, summary: Option<&Summary>) -> i32 {
    if reason == EndReason::Lingered {
        // What the CLI would have exited with, had it exited.
        return verdict::lingered_exit_code(summary);
    }
    match status {
        Some(ExitStatus::Signal(signal)) => -signal,
        // It obeyed SIGTERM and called that a success; to the client it is an end by SIGTERM.
        Some(ExitStatus::Code(0)) if reason != EndReason::Exit => -(Signal::SIGTERM as i32),
        Some(ExitStatus::Code(code)) => code,
        None => -(Signal::SIGKILL as i32),
    }
}

/// The terminal event of a task that could not be started.
pub(crate) fn spawn_failed(failure: &StartError) -> Event {
    Event::Completed(Box::new(Completed {
        pid: 0,
        reason: EndReason::SpawnFailed,
        verdict: Verdict::SpawnFailed,
        // As env(1) has it: 127 not found, 126 found and not executable, 125 its own failure.
        exit_code: match failure {
            StartError::ProgramNotFound(..) => 127,
            StartError::TooLong { .. } | StartError::Exec { .. } => 126,
            StartError::Nul(_) | StartError::Cwd { .. } | StartError::System { .. } => 125,
        },
        signal: None,
        error: Some(failure.to_string()),
        duration_ms: 0,
        cpu_ms: 0,
        max_rss_bytes: 0,
        output: OutputCounts::default(),
        killed_leftovers: 0,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: kind_of(failure),
    }))
}

/// What was missing, where a later start may find it: a program that is being replaced, for example.
fn kind_of(failure: &StartError) -> Option<SpawnFailureKind> {
    if failure.is_environmental() {
        return Some(SpawnFailureKind::Means);
    }
    match failure {
        StartError::ProgramNotFound(..) | StartError::Exec { .. } => {
            Some(SpawnFailureKind::Program)
        }
        StartError::Cwd { .. } if failure.is_not_found() => Some(SpawnFailureKind::Folder),
        StartError::Cwd { .. }
        | StartError::Nul(_)
        | StartError::TooLong { .. }
        | StartError::System { .. } => None,
    }
}

/// CPU time and largest resident set of everything that was reaped: the whole task, since the worker
/// has no other children (getrusage(2): `ru_maxrss` is in KiB).
fn usage() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return (0, 0) };
    let cpu_ms = usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds();
    let max_rss_bytes = usage.max_rss().saturating_mul(1024);
    (u64::try_from(cpu_ms).unwrap_or(0), u64::try_from(max_rss_bytes).unwrap_or(0))
}

fn signal_name(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string())
}

#[cfg(test)]
mod tests {
    use cc_events::ClaudeResult;

    use super::*;

    #[test]
    fn a_task_that_the_worker_ended_never_has_exit_code_0() {
        for reason in [EndReason::Canceled, EndReason::Timeout, EndReason::IdleTimeout] {
            assert_eq!(exit_code(reason, Some(ExitStatus::Code(0)), None), -15);
            assert_eq!(exit_code(reason, Some(ExitStatus::Code(143)), None), 143);
            assert_eq!(exit_code(reason, Some(ExitStatus::Signal(9)), None), -9);
            assert_eq!(exit_code(reason, None, None), -9);
        }
    }

    #[test]
    fn a_task_that_ended_by_itself_has_its_own_exit_code() {
        assert_eq!(exit_code(EndReason::Exit, Some(ExitStatus::Code(0)), None), 0);
        assert_eq!(exit_code(EndReason::Exit, Some(ExitStatus::Code(3)), None), 3);
        assert_eq!(exit_code(EndReason::Signal, Some(ExitStatus::Signal(11)), None), -11);
    }

    #[test]
    fn a_lingering_task_has_the_exit_code_that_its_result_calls_for() {
        for (is_error, expected) in [(false, 0), (true, 1)] {
            let result = Some(ClaudeResult { is_error, ..ClaudeResult::default() });
            let summary = Summary { result, ..Summary::default() };
            let killed = Some(ExitStatus::Signal(15));
            assert_eq!(exit_code(EndReason::Lingered, killed, Some(&summary)), expected);
        }
    }
}
