//! The summary of a batch: counts, sums, outcome, what it waits for.

use cc_batch::{
    Batch, Plan,
    life::{Cause, Phase, Run, Stop, TaskState},
    retry::Class,
};
use cc_protocol::batch::{
    BatchCounts, BatchOutcome, BatchRunning, BatchState, BatchSummary, BatchWait, RUNNING_LIMIT,
};

use crate::batch::{
    attempts::Attempts,
    gates::Gates,
    render::words::{lost_model, reason, stop},
    run_state::{BatchFacts, RunState},
};

#[must_use]
pub(crate) fn summary(facts: &BatchFacts, run_state: &RunState, gates: &Gates) -> BatchSummary {
    let RunState { batch, attempts, started_ms, over_ms } = run_state;
    let plan = &facts.plan;
    let waits = wait(facts, run_state, gates);
    let sum = |count: fn(&Attempts) -> u64| attempts.iter().map(count).fold(0, u64::saturating_add);
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
            .map(|stop| reason(plan, batch, attempts, stop))
            .or_else(|| lost_model(plan, batch, attempts)),
        counts: counts(batch),
        jobs: plan.options.jobs,
        cost_usd: batch.head.cost_usd,
        input_tokens: sum(|attempts| attempts.input_tokens),
        output_tokens: sum(|attempts| attempts.output_tokens),
        cache_read_tokens: sum(|attempts| attempts.cache_read_tokens),
        cache_creation_tokens: sum(|attempts| attempts.cache_creation_tokens),
        unknown_costs: sum(|attempts| attempts.unknown_costs),
        warnings: sum(|attempts| u64::from(attempts.warnings > 0)),
        retries: sum(|attempts| attempts.starts.saturating_sub(1)),
        killed_leftovers: sum(|attempts| attempts.killed_leftovers),
        submitted_ms: facts.submitted_ms,
        started_ms: *started_ms,
        ended_ms: *over_ms,
        waits,
        running: running(plan, batch, attempts),
    }
}

/// The outcome of a batch that is over or has only its last hook left.
#[must_use]
pub(crate) fn outcome(plan: &Plan, batch: &Batch, stop: Option<Stop>) -> BatchOutcome {
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

/// The limit that tasks wait for, and the earliest time at which one of them continues.
fn wait(facts: &BatchFacts, run_state: &RunState, gates: &Gates) -> Option<BatchWait> {
    if run_state.batch.head.phase != Phase::Going {
        return None;
    }
    let tasks = run_state.batch.tasks.iter().enumerate();
    let waits = tasks.filter_map(|(index, task)| match task {
        TaskState::RetryAt { at_ms, last, .. } => match last.cause {
            Cause::Attempt { end: Class::Limit { .. } } => {
                let words = run_state.attempts[index].limit.as_deref().unwrap_or("a usage limit");
                Some(BatchWait { until_ms: *at_ms, reason: words.to_owned() })
            }
            Cause::Attempt { end: Class::Unavailable { .. } } => {
                let words = run_state.attempts[index].limit.as_deref();
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

fn running(plan: &Plan, batch: &Batch, attempts: &[Attempts]) -> Vec<BatchRunning> {
    let tasks = batch.tasks.iter().enumerate();
    let running = tasks.filter_map(|(index, task)| {
        let TaskState::Attempt { attempt, run: Run::Running { task_id, .. } } = task else {
            return None;
        };
        let last = attempts.get(index).and_then(|attempts| attempts.newest.last());
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
