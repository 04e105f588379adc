//! `execute`: a request becomes a task of the session, and its start is answered.
//!
//! From [`Handler::accept`] on the task runs to its end, even if the connection that asked for it is lost.

use std::path::PathBuf;

use cc_events::{Completed, EndReason, SpawnFailureKind, Started};
use cc_protocol::{
    CallError,
    execute::{Execute, ExecuteResult, Program},
};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    delivery::Outgoing,
    ops::clock::now_ms,
    session::{
        current_task::CurrentTask,
        follow::follow,
        handler::Handler,
        reply::{CallOutcome, Reply, Then},
    },
    task::{self, StartOutcome, TaskHandle, TaskInfo, allowance, lookup::TaskRef, spec},
};

impl Handler {
    /// Starts a task, or says what it waits for.
    pub(super) async fn execute(&mut self, execute: Execute) -> Result<CallOutcome, CallError> {
        if !execute.detach
            && let Some(canceled) = self.find_blocking_task()?
        {
            return Ok(CallOutcome::Waits { execute: Box::new(execute), canceled });
        }
        self.start(execute).await.map(CallOutcome::Replied)
    }

    /// The canceled task that has to be gone before the session may start another one; `None`: the session runs nothing.
    /// Old clients take the answer to a cancel for the task's end: one `execute` may wait until it is gone.
    fn find_blocking_task(&self) -> Result<Option<TaskHandle>, CallError> {
        if self.services.tasks.stage.is_stopping() {
            return Err(CallError::DrainingTasks { task_id: None });
        }
        let running = self.session.running(&self.services.tasks.registry);
        let unanswered = self.current.as_ref().filter(|current| current.delivered.is_unanswered());
        let task_id = match (running, unanswered, &self.waiting) {
            (Some(running), None, None) if running.is_canceled() => return Ok(Some(running)),
            (None, None, None) => return Ok(None),
            (_, _, Some(waiting)) => waiting.canceled_task_id().to_owned(),
            (Some(running), _, None) => running.task_id().to_owned(),
            (None, Some(unanswered), None) => unanswered.task_id.clone(),
        };
        Err(CallError::TaskRuns { task_id })
    }

    /// Starts a task that has to wait for no other one.
    pub(super) async fn start(&mut self, execute: Execute) -> Result<Reply, CallError> {
        if self.services.tasks.stage.is_stopping() {
            return Err(CallError::DrainingTasks { task_id: None });
        }
        if self.services.tasks.drain.is_on() {
            return Err(CallError::Drained { what: "tasks" });
        }
        let is_detached = execute.detach;
        if !is_detached {
            // A client that sends the next task before it has read the end of this one waits for itself.
            self.delivered().await;
        }
        let task_id = uuid::Uuid::now_v7().to_string();
        let ignored_params = shorten(&execute.ignored_params);
        let token = self.access.owner();
        let directory =
            allowance::check(&self.services.tasks, token.as_deref(), execute.cwd.as_deref())
                .await?;
        let (handle, start) = self.accept(execute, &task_id, directory)?;
        let (delivered, is_delivered) = oneshot::channel();
        if !is_detached {
            self.current = Some(CurrentTask::new(task_id.clone(), is_delivered));
        }
        match start.await {
            Ok(StartOutcome::Started(started)) if is_detached => {
                Ok(Reply::new(execute_result(task_id, &started, ignored_params)))
            }
            Ok(StartOutcome::Started(started)) => {
                let task = TaskRef::Live(handle);
                let follow = follow(&self.services.tasks, &task_id, &task, 0, delivered);
                let result = execute_result(task_id, &started, ignored_params);
                Ok(Reply::new(result).then(Then::Send(Outgoing::Follow(follow))))
            }
            Ok(StartOutcome::NotStarted(completed)) => {
                if !is_detached {
                    self.current = None;
                }
                Err(not_started(task_id, *completed))
            }
            Err(_) => Err(CallError::OwnerFailed),
        }
    }

    /// Gives a task an owner: it runs even if this connection is lost. Unless it is detached, it belongs to the
    /// session.
    fn accept(
        &self,
        execute: Execute,
        task_id: &str,
        directory: Option<PathBuf>,
    ) -> Result<(TaskHandle, oneshot::Receiver<StartOutcome>), CallError> {
        let info = TaskInfo {
            task_id: task_id.to_owned(),
            label: execute.label.clone(),
            command: spec::shown(&execute.program),
            is_prompt: matches!(execute.program, Program::Prompt(_)),
            batch_id: None,
            shape: crate::batch::shape(&execute.program),
            session_id: (!execute.detach).then(|| self.id().to_owned()),
            accepted_ms: now_ms(),
            token: self.access.owner(),
        };
        let is_detached = execute.detach;
        let tasks = &self.services.tasks;
        let current = tasks.settings.current();
        let setting = spec::Setting {
            config: &current.config,
            environment: &current.environment,
            cgroup: tasks.cgroup.as_ref(),
            directory,
            adoption_key: Some(&tasks.adoption_key.key),
        };
        let spec = setting.spec(execute, task_id, tasks.log_path(task_id))?;
        let accept = |record| task::accept(tasks, spec, info, record);
        let accepted = if is_detached {
            accept(None).map_err(CallError::from)?
        } else {
            let record = Some(self.session.record());
            self.session
                .accept(self.connection.number, task_id, || accept(record))
                .map_err(|refusal| refusal.map_or(CallError::SessionLost, CallError::from))?
        };
        Ok(accepted)
    }
}

fn execute_result(
    task_id: String,
    started: &Started,
    ignored_params: Vec<String>,
) -> ExecuteResult {
    ExecuteResult {
        status: "started".to_owned(),
        pid: started.pid,
        pgid: started.pid,
        task_id,
        containment: started.containment.as_str().to_owned(),
        isolation: started.isolation.clone(),
        ignored_params,
    }
}

/// Why a task has ended without its main process having run.
fn not_started(task_id: String, completed: Completed) -> CallError {
    match completed.reason {
        EndReason::SupervisorLost => CallError::DrainingTasks { task_id: Some(task_id) },
        EndReason::Exit
        | EndReason::Signal
        | EndReason::Canceled
        | EndReason::Timeout
        | EndReason::IdleTimeout
        | EndReason::Lingered
        | EndReason::OutputLimit
        | EndReason::SpawnFailed
        | EndReason::WorkerDied
        | EndReason::ResourceLimit
        | EndReason::Disconnected
        | EndReason::WorkerRestarted => CallError::NotStarted {
            task_id,
            problem: completed.error.unwrap_or_else(|| completed.reason.as_str().to_owned()),
            end_reason: completed.reason,
            exit_code: completed.exit_code,
            is_retryable: completed.spawn_failure == Some(SpawnFailureKind::Means),
        },
    }
}

/// The names of parameters that were ignored, within bounds.
fn shorten(names: &[String]) -> Vec<String> {
    let short = |name: &String| name.chars().take(limits::IGNORED_PARAM_CHARS).collect();
    names.iter().take(limits::IGNORED_PARAMS).map(short).collect()
}
