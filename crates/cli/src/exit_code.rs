//! Exit codes: the one place where the end of a task, of a batch or of a command becomes a number.
//!
//! `run` follows env(1) and timeout(1), so that scripts can treat it as they treat those.

use cc_protocol::{
    EndReason, Verdict, batch::BatchRow, error::ErrorObject, notification::ProcessCompleted,
    status::ServiceState,
};
use serde_json::Value;

use crate::error::CommandError;

/// The command line or a task file is wrong.
const USAGE: u8 = 2;
/// A deadline ended the task.
pub(crate) const TIMED_OUT: u8 = 124;
/// `ccx`, the supervisor or the worker failed, not the task.
pub(crate) const OWN_FAILURE: u8 = 125;
/// The program was found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// The program is not there.
const NOT_FOUND: u8 = 127;
/// More failures of a batch than are counted.
const MANY_FAILURES: u8 = 101;
/// Death by signal N is 128 + N.
const SIGNAL_BASE: i32 = 128;

/// The code of `ccx run` for a task that was not canceled from here.
pub(crate) fn of_task(completed: &ProcessCompleted, is_prompt: bool) -> u8 {
    let code = of_end(completed.reason, completed.exit_code);
    // The agent exits with 0 without having done anything, too: only the verdict tells.
    if is_prompt && code == 0 && completed.verdict != Verdict::Succeeded { 1 } else { code }
}

fn of_end(reason: EndReason, exit_code: i32) -> u8 {
    match reason {
        EndReason::Exit | EndReason::Signal | EndReason::Lingered => of_status(exit_code),
        EndReason::Timeout | EndReason::IdleTimeout => TIMED_OUT,
        EndReason::Canceled => of_signal(15),
        // As env(1) has it: its log keeps the code that the answer to its request had.
        EndReason::SpawnFailed => match u8::try_from(exit_code) {
            Ok(code @ OWN_FAILURE..=NOT_FOUND) => code,
            Ok(_) | Err(_) => NOT_EXECUTABLE,
        },
        EndReason::OutputLimit
        | EndReason::WorkerDied
        | EndReason::SupervisorLost
        | EndReason::ResourceLimit
        | EndReason::Disconnected
        | EndReason::WorkerRestarted => OWN_FAILURE,
    }
}

/// The wire writes death by signal N as -N.
fn of_status(exit_code: i32) -> u8 {
    if exit_code < 0 {
        of_signal(exit_code.saturating_neg())
    } else {
        u8::try_from(exit_code).unwrap_or(OWN_FAILURE)
    }
}

/// 128 + N, as shells have it.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(SIGNAL_BASE.saturating_add(signal)).unwrap_or(OWN_FAILURE)
}

/// The code for an `execute` that the server refused.
pub(crate) fn of_refusal(error: &ErrorObject) -> u8 {
    // 127, 126 or 125, as env(1) has it; only a task that could not be started has one.
    let code = error.data.get("exit_code").and_then(Value::as_u64);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE)
}

/// The code of a task of a batch: 0 only for a success.
pub(crate) fn of_job(row: &BatchRow) -> u8 {
    if row.verdict == Some(Verdict::Succeeded) {
        return 0;
    }
    let code = match (row.reason, row.exit_code) {
        (Some(reason), Some(exit_code)) => of_end(reason, exit_code),
        (Some(_) | None, _) => OWN_FAILURE,
    };
    code.max(1)
}

/// The code of a batch: the number of failures, or 101 for more than 100. Without a failure it is 0 only if every task
/// ran and no process is left behind.
pub(crate) fn of_batch(failures: usize, not_run: usize, is_something_left: bool) -> u8 {
    match u8::try_from(failures) {
        Ok(0) => u8::from(is_something_left || not_run > 0),
        Ok(count) if count < MANY_FAILURES => count,
        Ok(_) | Err(_) => MANY_FAILURES,
    }
}

/// The code of `ccx status`: whether the supervisor is well. One that cannot be reached is [`OWN_FAILURE`].
pub(crate) fn of_service(state: ServiceState) -> u8 {
    match state {
        ServiceState::Ok => 0,
        ServiceState::Degraded => 1,
        ServiceState::NotReady | ServiceState::Draining | ServiceState::Stopping => 2,
    }
}

/// The code of a command that an error ended.
pub(crate) fn of_error(error: &CommandError) -> u8 {
    match error {
        CommandError::Usage(_) => USAGE,
        CommandError::AgentNotFound { .. } => NOT_FOUND,
        CommandError::NotStarted(refusal) => of_refusal(refusal),
        CommandError::Interrupted { signal, .. } => of_signal(*signal),
        CommandError::NoSupervisor { .. }
        | CommandError::Client(_)
        | CommandError::Io { .. }
        | CommandError::Failed(_) => OWN_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use cc_protocol::error::ErrorCode;

    use super::*;
    use crate::fixtures::completed;

    #[test]
    fn a_task_that_ends_by_itself_passes_its_code_on() {
        for (exit_code, signal, expected) in
            [(0, None, 0), (3, None, 3), (255, None, 255), (-15, Some(15), 143), (-9, None, 137)]
        {
            let reason = if signal.is_some() { EndReason::Signal } else { EndReason::Exit };
            let end =
                ProcessCompleted { exit_code, signal, reason, ..completed(Verdict::Failed, 0) };
            assert_eq!(of_task(&end, false), expected);
        }
    }

    #[test]
    fn deadlines_are_124_and_the_machinery_is_125() {
        for (reason, expected) in [
            (EndReason::Timeout, 124),
            (EndReason::IdleTimeout, 124),
            (EndReason::Canceled, 143),
            (EndReason::WorkerDied, 125),
            (EndReason::SupervisorLost, 125),
            (EndReason::SpawnFailed, 126),
        ] {
            let end = ProcessCompleted { reason, ..completed(Verdict::Failed, 0) };
            assert_eq!(of_task(&end, false), expected, "{reason:?}");
        }
    }

    #[test]
    fn a_task_that_never_started_says_whose_fault_it_was() {
        for code in [125, 126, 127] {
            let error = ErrorObject::new(ErrorCode::SpawnFailed, "no").with("exit_code", code);
            assert_eq!(of_refusal(&error), code);
        }
        assert_eq!(of_refusal(&ErrorObject::new(ErrorCode::Draining, "later")), 125);
    }

    #[test]
    fn a_prompt_task_is_0_only_when_it_succeeded() {
        assert_eq!(of_task(&completed(Verdict::Succeeded, 0), true), 0);
        assert_eq!(of_task(&completed(Verdict::NoResult, 0), true), 1);
        assert_eq!(of_task(&completed(Verdict::NoResult, 0), false), 0);
        assert_eq!(of_task(&completed(Verdict::Auth, 1), true), 1);
    }

    #[test]
    fn a_batch_counts_its_failures_up_to_100() {
        for (failures, not_run, is_something_left, expected) in [
            (0, 0, false, 0),
            (0, 0, true, 1),
            (0, 3, false, 1),
            (1, 0, false, 1),
            (7, 2, true, 7),
            (100, 0, false, 100),
        ] {
            assert_eq!(of_batch(failures, not_run, is_something_left), expected);
        }
        assert_eq!(of_batch(101, 0, false), 101);
        assert_eq!(of_batch(100_000, 0, false), 101);
    }
}
