//! Batches and their tasks in the words of the wire. Pure but for the gates, which are asked who is closed.

use cc_batch::{
    Batch, Plan,
    life::{Cause, Ending, Phase, Run, Skip, Stop, TaskState},
    limits::UNAVAILABLE_LONGEST_MS,
    retry::Class,
};
use cc_events::Verdict;
use cc_protocol::batch::{
    BatchCounts, BatchOutcome, BatchRow, BatchRunning, BatchState, BatchSummary, BatchWait,
    RUNNING_LIMIT, RowState, usd,
};

use crate::batch::{
    attempts::Record,
    gates::Gates,
    snapshot::{BatchFacts, RunState},
};
use crate::task::spec;

/// A batch.
#[must_use]
pub fn summary(facts: &BatchFacts, standing: &RunState, gates: &Gates) -> BatchSummary {
    let RunState { batch, records, started_ms, over_ms } = standing;
    let plan = &facts.plan;
    let waits = wait(facts, standing, gates);
    let sum = |count: fn(&Record) -> u64| records.iter().map(count).fold(0, u64::saturating_add);
    let state = match batch.head.phase {
        Phase::Over { .. } => BatchState::Over,
        Phase::Going if waits.is_some() && !batch.tasks.iter().any(is_running) => {
            BatchState::WaitingLimit
        }
        Phase::Going | Phase::Stopping { .. } | Phase::AfterBatch { .. } => BatchState::Running,
    };
    let (stop, is_over) = stop(&batch.head.phase);
    BatchSummary {
        batch_id: facts.batch_id.clone(),
        name: plan.name.clone(),
        state,
        outcome: is_over.then(|| outcome(plan, batch, stop)),
        reason: stop
            .map(|stop| reason(plan, batch, records, stop))
            .or_else(|| lost_model(plan, batch, records)),
        counts: counts(batch),
        jobs: plan.options.jobs,
        cost_usd: batch.head.cost_usd,
        input_tokens: sum(|record| record.input_tokens),
        output_tokens: sum(|record| record.output_tokens),
        cache_read_tokens: sum(|record| record.cache_read_tokens),
        cache_creation_tokens: sum(|record| record.cache_creation_tokens),
        unknown_costs: sum(|record| record.unknown_costs),
        warnings: sum(|record| u64::from(record.warnings > 0)),
        retries: sum(|record| record.starts.saturating_sub(1)),
        killed_leftovers: sum(|record| record.killed_leftovers),
        submitted_ms: facts.submitted_ms,
        started_ms: *started_ms,
        ended_ms: *over_ms,
        waits,
        running: running(plan, batch, records),
    }
}

/// Why it stops, and whether it is over.
fn stop(phase: &Phase) -> (Option<Stop>, bool) {
    match phase {
        Phase::Going => (None, false),
        Phase::Stopping { stop } => (Some(*stop), false),
        Phase::AfterBatch { stop, .. } => (*stop, false),
        Phase::Over { stop, .. } => (*stop, true),
    }
}

/// How a batch that is over, or has only its last hook left, has ended.
#[must_use]
pub fn outcome(plan: &Plan, batch: &Batch, stop: Option<Stop>) -> BatchOutcome {
    match stop {
        Some(Stop::Canceled) => BatchOutcome::Canceled,
        Some(Stop::HaltSoon | Stop::HaltNow | Stop::Alike) => BatchOutcome::Halted,
        Some(
            Stop::Auth
            | Stop::Account
            | Stop::Unavailable
            | Stop::Lost
            | Stop::MaxCost
            | Stop::MaxTime,
        ) => BatchOutcome::Stopped,
        None => {
            let is_fine = |(state, task): (&TaskState, &cc_batch::plan::PlanTask)| {
                task.allow_failure || state.outcome().is_some_and(|outcome| outcome.has_succeeded())
            };
            if batch.tasks.iter().zip(&plan.tasks).all(is_fine) {
                BatchOutcome::Succeeded
            } else {
                BatchOutcome::Failed
            }
        }
    }
}

/// The first line of a report on a batch that stops before every task had its turn.
#[must_use]
pub fn reason(plan: &Plan, batch: &Batch, records: &[Record], stop: Stop) -> String {
    let place = |is_it: &dyn Fn(&TaskState) -> bool| batch.tasks.iter().position(is_it);
    let first = |is_it: &dyn Fn(&TaskState) -> bool| {
        place(is_it).map_or_else(|| "a task".to_owned(), |index| called(plan, index))
    };
    let has = |verdict| move |state: &TaskState| outcome_verdict(state) == Some(verdict);
    match stop {
        Stop::HaltSoon | Stop::HaltNow => {
            let tasks = match batch.head.failures {
                1 => "1 task".to_owned(),
                failures => format!("{failures} tasks"),
            };
            format!("{tasks} failed, and halt is {}", plan.options.halt)
        }
        Stop::Canceled => "it was canceled".to_owned(),
        Stop::Auth => format!(
            "the API refused the credentials of {}: log in again or correct the key, then resume the batch",
            first(&has(Verdict::Auth))
        ),
        Stop::Account => {
            let index = place(&has(Verdict::Account));
            let words = index.and_then(|index| obstacle(records, index));
            format!(
                "the account of {} cannot be used: {}; resume the batch then",
                first(&has(Verdict::Account)),
                words.unwrap_or("see to it")
            )
        }
        Stop::Alike => {
            let alike = batch.head.alike;
            let words = alike.and_then(|alike| obstacle(records, alike.last));
            format!(
                "{} tasks in a row ended alike without a turn, the last one with: {}; see to the cause, then resume the batch",
                alike.map_or(0, |alike| alike.tasks),
                words.unwrap_or("no word of what went wrong")
            )
        }
        Stop::Unavailable => {
            let is_it = |state: &TaskState| {
                let cause = state.outcome().map(|outcome| outcome.cause);
                matches!(cause, Some(Cause::Attempt { end: Class::Unavailable { .. } }))
            };
            let record = place(&is_it).and_then(|index| records.get(index));
            let words = record.and_then(|record| record.limit.as_deref());
            format!(
                "tasks cannot be started, and it was waited for {} minutes: {}; see to it, then resume the batch",
                UNAVAILABLE_LONGEST_MS / 60_000,
                words.unwrap_or("something is wanting")
            )
        }
        Stop::Lost => format!(
            "{} was lost with its worker and may have had effects: see what it has done, then resume the batch",
            first(&has(Verdict::WorkerDied))
        ),
        Stop::MaxCost => format!(
            "{} are spent, and max_cost_usd is {}",
            usd(batch.head.cost_usd),
            plan.options.max_cost_usd.unwrap_or_default()
        ),
        Stop::MaxTime => {
            format!("max_time_s of {} s is over", plan.options.max_time_s.unwrap_or_default())
        }
    }
}

/// What is said of a batch whose tasks were not begun because their model was refused.
fn lost_model(plan: &Plan, batch: &Batch, records: &[Record]) -> Option<String> {
    let lost = batch.head.lost_models.first()?;
    let model = lost.model.as_deref().unwrap_or("the default one");
    let words = obstacle(records, lost.task).unwrap_or("name another model");
    Some(format!("the model of {} was refused ({model}): {words}", called(plan, lost.task)))
}

fn obstacle(records: &[Record], index: usize) -> Option<&str> {
    records.get(index)?.obstacle.as_deref()
}

fn outcome_verdict(state: &TaskState) -> Option<Verdict> {
    state.outcome().map(|outcome| outcome.verdict)
}

/// A task, for people: its number from 1, and its name.
#[must_use]
pub fn called(plan: &Plan, index: usize) -> String {
    let name = plan.tasks.get(index).and_then(|task| task.name.as_deref());
    match name {
        Some(name) => format!("task {} ({name})", index + 1),
        None => format!("task {}", index + 1),
    }
}

fn counts(batch: &Batch) -> BatchCounts {
    let mut counts = BatchCounts { tasks: batch.tasks.len() as u64, ..BatchCounts::default() };
    for task in &batch.tasks {
        let count = match task {
            TaskState::Waiting | TaskState::Attempt { run: Run::Queued, .. } => &mut counts.waiting,
            TaskState::Before { .. }
            | TaskState::Attempt { run: Run::Running { .. }, .. }
            | TaskState::After { .. } => &mut counts.running,
            TaskState::RetryAt { .. } => &mut counts.retrying,
            TaskState::Over { outcome, .. } if outcome.has_succeeded() => &mut counts.succeeded,
            TaskState::Over { .. } => &mut counts.failed,
            TaskState::Skipped { .. } => &mut counts.skipped,
        };
        *count += 1;
    }
    counts
}

fn run_of(task: &TaskState) -> Option<&Run> {
    match task {
        TaskState::Before { run }
        | TaskState::Attempt { run, .. }
        | TaskState::After { run, .. } => Some(run),
        TaskState::Waiting
        | TaskState::RetryAt { .. }
        | TaskState::Over { .. }
        | TaskState::Skipped { .. } => None,
    }
}

fn is_running(task: &TaskState) -> bool {
    matches!(run_of(task), Some(Run::Running { .. }))
}

/// The limit that some task waits for, and the earliest time at which one goes on.
fn wait(facts: &BatchFacts, standing: &RunState, gates: &Gates) -> Option<BatchWait> {
    if standing.batch.head.phase != Phase::Going {
        return None;
    }
    let tasks = standing.batch.tasks.iter().enumerate();
    let waits = tasks.filter_map(|(index, task)| match task {
        TaskState::RetryAt { at_ms, last, .. } => match last.cause {
            Cause::Attempt { end: Class::Limit { .. } } => {
                let words = standing.records[index].limit.as_deref().unwrap_or("a usage limit");
                Some(BatchWait { until_ms: *at_ms, reason: words.to_owned() })
            }
            Cause::Attempt { end: Class::Unavailable { .. } } => {
                let words = standing.records[index].limit.as_deref();
                let words = words.unwrap_or("it could not be started").to_owned();
                Some(BatchWait { until_ms: *at_ms, reason: words })
            }
            Cause::Attempt { .. } | Cause::BeforeTaskFailed | Cause::Stopped => None,
        },
        TaskState::Attempt { run: Run::Queued, .. } => {
            let pass = gates.pass(&facts.plan.tasks.get(index)?.execute)?;
            let (until_ms, reason) = gates.closed(&pass)?;
            Some(BatchWait { until_ms, reason })
        }
        TaskState::Waiting
        | TaskState::Before { .. }
        | TaskState::Attempt { .. }
        | TaskState::After { .. }
        | TaskState::Over { .. }
        | TaskState::Skipped { .. } => None,
    });
    waits.min_by_key(|wait| wait.until_ms)
}

fn running(plan: &Plan, batch: &Batch, records: &[Record]) -> Vec<BatchRunning> {
    let tasks = batch.tasks.iter().enumerate();
    let running = tasks.filter_map(|(index, task)| {
        let TaskState::Attempt { attempt, run: Run::Running { task_id, .. } } = task else {
            return None;
        };
        let last = records.get(index).and_then(|record| record.attempts.last());
        Some(BatchRunning {
            index: index as u64,
            name: plan.tasks.get(index)?.name.clone(),
            label: plan.tasks.get(index)?.execute.label.clone(),
            task_id: task_id.clone(),
            attempt: attempt.number,
            started_ms: last.map_or(0, |last| last.started_ms),
        })
    });
    running.take(RUNNING_LIMIT).collect()
}

/// A task of a batch.
#[must_use]
pub fn row(plan: &Plan, index: usize, state: &TaskState, record: Record) -> BatchRow {
    let task = plan.tasks.get(index);
    let attempt = record.attempts.last();
    let (reason, exit_code) =
        attempt.map_or((None, None), |attempt| (attempt.reason, attempt.exit_code));
    let error = error(state, &record);
    let why = why(plan, state, &record);
    let last = record.last.unwrap_or_default();
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
        attempts: record.attempts,
        result: last.result,
        result_truncated: last.result_truncated,
        is_error: last.is_error,
        cost_usd: record.cost_usd,
        unknown_costs: record.unknown_costs,
        input_tokens: record.input_tokens,
        output_tokens: record.output_tokens,
        cache_read_tokens: record.cache_read_tokens,
        cache_creation_tokens: record.cache_creation_tokens,
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
        duration_ms: record.duration_ms,
        killed_leftovers: record.killed_leftovers,
        timeout_s: record.timeout_s,
        timeout_why: record.timeout_why,
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

fn error(state: &TaskState, record: &Record) -> Option<String> {
    let said = record.error.clone().or_else(|| record.last.as_ref()?.error.clone());
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

/// Why a task was skipped, or for what it waits although no limit was met.
fn why(plan: &Plan, state: &TaskState, record: &Record) -> Option<String> {
    let skip = match state {
        TaskState::Skipped { skip } => skip,
        TaskState::RetryAt { last, .. }
            if matches!(last.cause, Cause::Attempt { end: Class::Unavailable { .. } }) =>
        {
            let words = record.limit.as_deref().unwrap_or("something is wanting");
            return Some(format!("it waits, since it could not be started: {words}"));
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
            format!("{}, which it needs, did not succeed", called(plan, *task))
        }
        Skip::NoResult { task } => {
            format!("{}, which it refers to, has no result", called(plan, *task))
        }
        Skip::ModelNotFound { task } => {
            format!("the API refused its model to {}: name another model", called(plan, *task))
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

fn cause(stop: Stop) -> &'static str {
    match stop {
        Stop::HaltSoon | Stop::HaltNow | Stop::Alike => "it was halted",
        Stop::Canceled => "it was canceled",
        Stop::Auth => "the API refused the credentials",
        Stop::Account => "the account cannot be used",
        Stop::Unavailable => "tasks cannot be started",
        Stop::Lost => "a task was lost",
        Stop::MaxCost => "max_cost_usd is spent",
        Stop::MaxTime => "max_time_s is over",
    }
}

/// Why the batch has told an attempt to end; `None` where it has not. What the attempt's worker knows is only that
/// it was told to.
#[must_use]
pub fn why_ended(batch: &Batch, index: usize, task_id: &str) -> Option<String> {
    let TaskState::Attempt { run, .. } = batch.tasks.get(index)? else { return None };
    let Run::Running { task_id: running, ending: Some(ending) } = run else { return None };
    if running != task_id {
        return None;
    }
    match (ending, stop(&batch.head.phase).0) {
        (Ending::AuthRefused, _) => Some(cause(Stop::Auth).to_owned()),
        (Ending::Stop, Some(stop)) => Some(format!("ended with its batch: {}", cause(stop))),
        (Ending::Stop, None) => None,
    }
}
