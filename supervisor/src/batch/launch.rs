//! Starts one job of a batch as an ordinary task that belongs to no session, and chooses its timeout.

use std::sync::Arc;

use cc_batch::{
    Plan,
    plan::Timeout,
    template::Missing,
    timeout_auto::{self, Policy, SAMPLES_LIMIT},
};
use cc_protocol::{
    CallError,
    execute::{Execute, Program},
};

use crate::{
    batch::{batches::Batches, run_state::BatchFacts},
    ops::clock::now_ms,
    storage::database::StoreError,
    task::{self, TaskHandle, TaskInfo, allowance, registry::Refusal, spec},
};

/// How a start went. Whether the main process ran is known only from the job's end.
#[derive(Debug)]
pub(super) enum Start {
    /// The task has an owner.
    Begun(TaskHandle),
    /// The limit of running tasks is reached, the worker program is broken, or no task can be put on record: start the
    /// job again when one of them has ended, or starts are not refused any more.
    NoRoom,
    /// The supervisor is stopping: the next one starts the job.
    Stopping,
    Failed(StartError),
}

/// Why a job cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the plan has no such hook")]
    NoHook,
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The request is invalid, or the configuration forbids it.
    #[error(transparent)]
    Refused(CallError),
}

pub(super) async fn start(
    batches: &Arc<Batches>,
    facts: &BatchFacts,
    task_id: &str,
    execute: Execute,
) -> Start {
    let (token, cwd) = (facts.token.as_deref(), execute.cwd.as_deref());
    let directory = match allowance::check(&batches.tasks, token, cwd).await {
        Ok(directory) => directory,
        Err(error) => return Start::Failed(StartError::Refused(error)),
    };
    let info = TaskInfo {
        task_id: task_id.to_owned(),
        label: execute.label.clone(),
        command: spec::shown(&execute.program),
        session_id: None,
        accepted_ms: now_ms(),
        is_prompt: matches!(execute.program, Program::Prompt(_)),
        batch_id: Some(facts.batch_id.clone()),
        shape: shape(&execute.program),
        token: facts.token.clone(),
    };
    let current = batches.tasks.settings.current();
    let setting = spec::Setting {
        config: &current.config,
        environment: &current.environment,
        cgroup: batches.tasks.cgroup.as_ref(),
        directory,
        adoption_key: Some(&batches.tasks.adoption_key.key),
    };
    let spec = match setting.spec(execute, task_id, batches.tasks.log_path(task_id)) {
        Ok(spec) => spec,
        Err(error) => return Start::Failed(StartError::Refused(error)),
    };
    match task::accept(&batches.tasks, spec, info, None) {
        // No client waits for the start.
        Ok((handle, _)) => Start::Begun(handle),
        // A drain holds up no task of a batch that is about to start.
        Err(
            Refusal::Full { .. }
            | Refusal::TokenFull { .. }
            | Refusal::WorkerBroken { .. }
            | Refusal::Unrecordable(_)
            | Refusal::Draining,
        ) => Start::NoRoom,
        Err(Refusal::Closed | Refusal::StateLost) => Start::Stopping,
    }
}

/// The shape of a prompt: equal for prompts that differ only in details, so that they share a history of durations.
#[must_use]
pub(crate) fn shape(program: &Program) -> Option<String> {
    match program {
        Program::Prompt(prompt) => Some(timeout_auto::shape(&prompt.prompt)),
        Program::Argv { .. } | Program::Command { .. } => None,
    }
}

/// The name under which a task of a batch is listed.
#[must_use]
pub(super) fn label(plan: &Plan, index: usize) -> Option<String> {
    let task = plan.tasks.get(index)?;
    task.execute.label.clone().or_else(|| task.name.clone())
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    /// `None`: the supervisor's default.
    pub(super) timeout_s: Option<f64>,
    /// Why this one, if it was chosen from the history.
    pub(super) why: Option<String>,
}

/// Chooses the timeout of a task. `auto` uses the history of its label, else of its prompt's shape, else of its name.
pub(super) async fn timeout(
    batches: &Batches,
    plan: &Plan,
    index: usize,
) -> Result<Chosen, StoreError> {
    let Some(task) = plan.tasks.get(index) else {
        return Ok(Chosen { timeout_s: None, why: None });
    };
    match task.timeout {
        Timeout::Default => return Ok(Chosen { timeout_s: None, why: None }),
        Timeout::Seconds(seconds) => return Ok(Chosen { timeout_s: Some(seconds), why: None }),
        Timeout::Auto => {}
    }
    let durations_ms = match (&task.execute.label, shape(&task.execute.program), &task.name) {
        (None, Some(shape), _) => {
            batches.tasks.store.read(move |db| db.durations_of_shape(&shape, SAMPLES_LIMIT)).await?
        }
        (Some(label), _, _) | (None, None, Some(label)) => {
            let label = label.clone();
            batches.tasks.store.read(move |db| db.durations_of_label(&label, SAMPLES_LIMIT)).await?
        }
        (None, None, None) => Vec::new(),
    };
    let choice = timeout_auto::choose(&durations_ms, &Policy::default());
    let limit_s = batches.tasks.config().task.timeout_limit.as_secs_f64();
    let timeout_s = (choice.timeout_s as f64).min(limit_s);
    Ok(Chosen { timeout_s: Some(timeout_s), why: Some(choice.why) })
}
