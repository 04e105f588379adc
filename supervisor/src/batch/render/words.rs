//! Why a batch stops, and its tasks with it: the sentences for people.

use cc_batch::{
    Batch, Plan,
    life::{Cause, Ending, Phase, Run, Stop, TaskState},
    limits::UNAVAILABLE_LONGEST_MS,
    retry::Class,
};
use cc_events::Verdict;
use cc_protocol::batch::usd;

use crate::batch::attempts::Attempts;

/// Why a batch stops, and whether it is over.
pub(crate) fn stop(phase: &Phase) -> (Option<Stop>, bool) {
    match phase {
        Phase::Going => (None, false),
        Phase::Stopping { stop } => (Some(*stop), false),
        Phase::AfterBatch { stop, .. } => (*stop, false),
        Phase::Over { stop, .. } => (*stop, true),
    }
}

/// The reason why a batch stops before every task had its turn.
#[must_use]
pub(crate) fn reason(plan: &Plan, batch: &Batch, attempts: &[Attempts], stop: Stop) -> String {
    let place = |is_it: &dyn Fn(&TaskState) -> bool| batch.tasks.iter().position(is_it);
    let first = |is_it: &dyn Fn(&TaskState) -> bool| {
        place(is_it).map_or_else(|| "a task".to_owned(), |index| display_name(plan, index))
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
            let words = index.and_then(|index| obstacle(attempts, index));
            format!(
                "the account of {} cannot be used: {}; then resume the batch",
                first(&has(Verdict::Account)),
                words.unwrap_or("check the account")
            )
        }
        Stop::Alike => {
            let alike = batch.head.alike;
            let words = alike.and_then(|alike| obstacle(attempts, alike.last));
            format!(
                "{} tasks in a row ended alike without a turn, the last one with: {}; remove the cause, then resume the batch",
                alike.map_or(0, |alike| alike.tasks),
                words.unwrap_or("no error message")
            )
        }
        Stop::Unavailable => {
            let is_it = |state: &TaskState| {
                let cause = state.outcome().map(|outcome| outcome.cause);
                matches!(cause, Some(Cause::Attempt { end: Class::Unavailable { .. } }))
            };
            let attempts = place(&is_it).and_then(|index| attempts.get(index));
            let words = attempts.and_then(|attempts| attempts.limit.as_deref());
            format!(
                "tasks could not be started for {} minutes: {}; remove the cause, then resume the batch",
                UNAVAILABLE_LONGEST_MS / 60_000,
                words.unwrap_or("something is missing")
            )
        }
        Stop::Lost => format!(
            "{} was lost with its worker and may have had effects: check what it has done, then resume the batch",
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

/// The reason why tasks were skipped because the API refused their model.
pub(crate) fn lost_model(plan: &Plan, batch: &Batch, attempts: &[Attempts]) -> Option<String> {
    let lost = batch.head.lost_models.first()?;
    let model = lost.model.as_deref().unwrap_or("the default one");
    let words = obstacle(attempts, lost.task).unwrap_or("name another model");
    Some(format!("the model of {} was refused ({model}): {words}", display_name(plan, lost.task)))
}

fn obstacle(attempts: &[Attempts], index: usize) -> Option<&str> {
    attempts.get(index)?.obstacle.as_deref()
}

pub(crate) fn outcome_verdict(state: &TaskState) -> Option<Verdict> {
    state.outcome().map(|outcome| outcome.verdict)
}

/// A task, for people: its number from 1, and its name.
#[must_use]
pub(crate) fn display_name(plan: &Plan, index: usize) -> String {
    let name = plan.tasks.get(index).and_then(|task| task.name.as_deref());
    match name {
        Some(name) => format!("task {} ({name})", index + 1),
        None => format!("task {}", index + 1),
    }
}

pub(crate) fn cause(stop: Stop) -> &'static str {
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

/// Why the batch ended an attempt; `None` if it did not. The attempt's worker knows only that it was canceled.
#[must_use]
pub(crate) fn why_ended(batch: &Batch, index: usize, task_id: &str) -> Option<String> {
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
