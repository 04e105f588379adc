//! What `ccx run` and `ccx attach` print at a task's end, and the exit code.

use std::time::Duration;

use cc_protocol::{ClaudeResult, EndReason, Verdict, notification::ProcessCompleted};

use crate::{
    display::{advice, text},
    exit_code,
    follow::{
        CancelCause, End,
        output::{Mode, RunOutput},
    },
};

/// Longest line of one warning.
const WARNING_COLUMNS: usize = 300;
/// What a shell reports for a program that was ended by a broken pipe (SIGPIPE is 13).
const BROKEN_PIPE: i32 = 13;

/// Prints how the task ended, and chooses the exit code.
pub(crate) fn conclude(end: &End, mode: Mode, is_prompt: bool, output: &mut RunOutput) -> u8 {
    let completed = &end.completed;
    match end.cancel_cause {
        Some(CancelCause::Interrupt(interrupt)) => {
            output.note(&format!("ccx: {}", how_it_ended(completed)));
            return interrupt.exit_code();
        }
        Some(CancelCause::OutputClosed) => return output_closed(output),
        None => {}
    }
    if mode == Mode::Agent {
        if let Some(result) = end.result.as_ref().map(|result| &result.claude) {
            let answer = result.result.as_deref().unwrap_or_default();
            if result.is_error {
                output.note(&format!("claude: {}", words_of_error(result)));
            } else {
                output.print(&format!("{}\n", answer.trim_end_matches('\n')));
            }
            if result.result_truncated {
                output.note("ccx: the answer is cut at 256 KiB; --json prints the whole of it");
            }
        }
        for warning in &completed.warnings {
            output.note(&format!(
                "ccx: warning: {}",
                text::one_line(&warning.message, WARNING_COLUMNS)
            ));
        }
        if completed.verdict != Verdict::Succeeded {
            output.note(&verdict_line(completed));
        }
    } else if completed.reason != EndReason::Exit {
        output.note(&format!("ccx: {}", how_it_ended(completed)));
    }
    exit_code::of_task(completed, is_prompt)
}

/// The CLI's error: its answer, else its list of errors, else its error code.
fn words_of_error(result: &ClaudeResult) -> String {
    let answer = result.result.as_deref().unwrap_or_default().trim_end();
    let words = [result.startup_failure_reason.as_deref(), result.api_error.as_deref()];
    match (answer, result.errors.as_slice()) {
        ("", []) => {
            words.into_iter().flatten().next().unwrap_or("an error without words").to_owned()
        }
        ("", errors) => errors.join("\n"),
        (answer, _) => answer.to_owned(),
    }
}

/// Reports why standard output is closed, unless it is an ordinary broken pipe, and chooses the exit code.
pub(crate) fn output_closed(output: &mut RunOutput) -> u8 {
    let problem = output
        .stdout_error()
        .filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
        .map(ToString::to_string);
    match problem {
        // As with `| head`: not a failure of `ccx`.
        None => exit_code::of_signal(BROKEN_PIPE),
        Some(problem) => {
            output.note(&format!("ccx: cannot write to standard output: {problem}"));
            exit_code::OWN_FAILURE
        }
    }
}

/// `the task ended by timeout after 2.0 s: …`.
fn how_it_ended(completed: &ProcessCompleted) -> String {
    let signal = completed.signal.map(|signal| format!(" {signal}")).unwrap_or_default();
    let cause = match completed.reason {
        EndReason::Exit => "its exit".to_owned(),
        EndReason::Signal => format!("signal{signal}"),
        EndReason::Canceled => "cancellation".to_owned(),
        EndReason::Timeout => "timeout".to_owned(),
        EndReason::IdleTimeout => "silence timeout".to_owned(),
        EndReason::Lingered => "a kill, as it did not exit after its result,".to_owned(),
        EndReason::OutputLimit => "the output limit".to_owned(),
        EndReason::SpawnFailed => "a failure to start".to_owned(),
        EndReason::WorkerDied => "the death of its worker".to_owned(),
        EndReason::SupervisorLost => "the end of the supervisor".to_owned(),
        EndReason::ResourceLimit => "a lack of resources".to_owned(),
        EndReason::Disconnected => "the loss of the connection".to_owned(),
        EndReason::WorkerRestarted => "an operator's restart of its worker".to_owned(),
    };
    let after = text::duration(Duration::from_millis(completed.duration_ms));
    let error = completed.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("the task ended by {cause} after {after}{error}")
}

/// The verdict of an agent's task and what to do about it.
fn verdict_line(completed: &ProcessCompleted) -> String {
    let advice = match completed.verdict {
        Verdict::Succeeded => "",
        Verdict::Failed => "the answer above says why",
        Verdict::NoResult => "the agent ended without a result; --json shows all that it printed",
        Verdict::Auth => &advice::on_refused_credentials(),
        Verdict::RateLimited => "the API's limit is reached; try again later",
        Verdict::TimedOut => "allow more time with --timeout or --idle-timeout",
        Verdict::Canceled => "another client canceled it",
        Verdict::OutputLimit => "it printed more than the server allows",
        Verdict::SpawnFailed => "the agent could not be started",
        Verdict::WorkerDied => "its worker died; try again",
        Verdict::ResourceLimit => "the machine ran out of something",
        Verdict::Denied => "allow the tools that it needs, or choose another permission mode",
        Verdict::Incomplete => "it ended before its work was done",
        Verdict::Account => "the account cannot be used until a person acts: see the error above",
    };
    let cause = match completed.reason {
        EndReason::Exit => format!("exit code {}", completed.exit_code),
        EndReason::Signal
        | EndReason::Canceled
        | EndReason::Timeout
        | EndReason::IdleTimeout
        | EndReason::Lingered
        | EndReason::OutputLimit
        | EndReason::SpawnFailed
        | EndReason::WorkerDied
        | EndReason::SupervisorLost
        | EndReason::ResourceLimit
        | EndReason::Disconnected
        | EndReason::WorkerRestarted => how_it_ended(completed),
    };
    format!("ccx: {}: {advice} ({cause})", completed.verdict.as_str())
}
