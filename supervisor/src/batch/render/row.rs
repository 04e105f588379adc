//! The row of one task.

use cc_batch::{
    Plan,
    life::{Cause, Run, Skip, Stop, TaskState},
    retry::Class,
};
use cc_protocol::batch::{BatchRow, RowState};

use crate::{
    batch::{
        attempts::Attempts,
        render::words::{cause, display_name, outcome_verdict},
    },
    task::spec,
};

#[must_use]
pub(crate) fn row(plan: &Plan, index: usize, state: &TaskState, attempts: Attempts) -> BatchRow {
    let task = plan.tasks.get(index);
    let attempt = attempts.newest.last();
    let (reason, exit_code) =
        attempt.map_or((None, None), |attempt| (attempt.reason, attempt.exit_code));
    let error = error(state, &attempts);
    let why = why(plan, state, &attempts);
    let last = attempts.last.unwrap_or_default();
    BatchRow {
        index: index as u64,
        name: task.and_then(|task| task.name.clone()),
        label: task.and_then(|task| task.execute.label.clone()),
        title: task.map(|task| spec::shown(&task.execute.program)).unwrap_or_default(),
        state: row_state(state),
        verdict: outcome_verdict(state),
        reason,
        exit_code,
        error,
        why,
        attempts: attempts.newest,
        result: last.result,
        result_truncated: last.result_truncated,
        is_error: last.is_error,
        cost_usd: attempts.cost_usd,
        unknown_costs: attempts.unknown_costs,
        input_tokens: attempts.input_tokens,
        output_tokens: attempts.output_tokens,
        cache_read_tokens: attempts.cache_read_tokens,
        cache_creation_tokens: attempts.cache_creation_tokens,
        num_turns: last.num_turns,
        usage: last.usage,
        claude_session_id: last.claude_session_id,
        warnings: last.warnings,
        structured_output: last.structured_output,
        startup_failure_reason: last.startup_failure_reason,
        api_error: last.api_error,
        permission_denials: last.permission_denials,
        parts: last.parts,
        cli_version: last.cli_version,
        api_key_source: last.api_key_source,
        duration_ms: attempts.duration_ms,
        killed_leftovers: attempts.killed_leftovers,
        timeout_s: attempts.timeout_s,
        timeout_why: attempts.timeout_why,
    }
}

fn row_state(state: &TaskState) -> RowState {
    match state {
        TaskState::Waiting | TaskState::Attempt { run: Run::Queued, .. } => RowState::Waiting,
        TaskState::Before { .. }
        | TaskState::Attempt { run: Run::Running { .. }, .. }
        | TaskState::After { .. } => RowState::Running,
        TaskState::RetryAt { .. } => RowState::Retrying,
        TaskState::Over { .. } => RowState::Over,
        TaskState::Skipped { .. } => RowState::Skipped,
    }
}

fn error(state: &TaskState, attempts: &Attempts) -> Option<String> {
    let said = attempts.error.clone().or_else(|| attempts.last.as_ref()?.error.clone());
    let Some(outcome) = state.outcome() else { return said };
    let effects = "it may have had effects";
    match (outcome.cause, said) {
        (Cause::BeforeTaskFailed, said) => {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            Some(format!("the before_task hook failed{said}"))
        }
        (Cause::Attempt { end: Class::Lost }, Some(said)) if !said.contains(effects) => {
            Some(format!("{said}; {effects}"))
        }
        (Cause::Attempt { .. } | Cause::Stopped, said) => said,
    }
}

/// Why a task was skipped, or what it waits for if that is no limit.
fn why(plan: &Plan, state: &TaskState, attempts: &Attempts) -> Option<String> {
    let skip = match state {
        TaskState::Skipped { skip } => skip,
        TaskState::RetryAt { last, .. }
            if matches!(last.cause, Cause::Attempt { end: Class::Unavailable { .. } }) =>
        {
            let words = attempts.limit.as_deref().unwrap_or("something is missing");
            return Some(format!("it could not be started and waits: {words}"));
        }
        TaskState::Waiting
        | TaskState::Before { .. }
        | TaskState::Attempt { .. }
        | TaskState::RetryAt { .. }
        | TaskState::After { .. }
        | TaskState::Over { .. } => return None,
    };
    Some(match skip {
        Skip::NeededTaskFailed { task } => {
            format!("{}, which it needs, did not succeed", display_name(plan, *task))
        }
        Skip::NoResult { task } => {
            format!("{}, which it refers to, has no result", display_name(plan, *task))
        }
        Skip::ModelNotFound { task } => {
            format!(
                "the API refused its model to {}: name another model",
                display_name(plan, *task)
            )
        }
        Skip::Stopped { stop } => match stop {
            Stop::HaltSoon | Stop::HaltNow | Stop::Alike => "the batch was halted".to_owned(),
            Stop::Canceled => "the batch was canceled".to_owned(),
            Stop::Auth
            | Stop::Account
            | Stop::Unavailable
            | Stop::Lost
            | Stop::MaxCost
            | Stop::MaxTime => {
                format!("the batch was stopped: {}", cause(*stop))
            }
        },
    })
}
