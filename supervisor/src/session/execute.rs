//! `execute`: a request becomes a task of the session, and its start is answered.
//!
//! From [`Handler::accept`] on the task runs whatever becomes of the connection that asked for it.

use cc_events::{Completed, EndReason, SpawnFailureKind, Started};
use cc_protocol::{
    error::{ErrorCode, ErrorObject},
    execute::{Execute, ExecuteResult, Program},
};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    ops::clock::now_ms,
    session::handler::{After, CallResult, Current, Delivery, Handler},
    task::{self, StartOutcome, TaskHandle, TaskInfo, lookup::TaskRef, registry::Refusal, spec},
};

/// When an `execute` can be answered.
pub(crate) enum Turn {
    /// It is.
    Now(CallResult),
    /// When a task is gone whose cancel was answered.
    After {
        /// What is to be started then.
        execute: Box<Execute>,
        /// The task.
        canceled: TaskHandle,
    },
}

impl Handler {
    /// Answers `execute`, or says what it waits for.
    pub(crate) async fn execute(
        &mut self,
        params: Map<String, Value>,
        after: &mut Vec<After>,
    ) -> Turn {
        let execute = match Execute::from_params(params) {
            Ok(execute) => execute,
            Err(error) => return Turn::Now(Err(error)),
        };
        if execute.detach {
            return Turn::Now(self.start(execute, after).await);
        }
        match self.find_turn() {
            Ok(None) => Turn::Now(self.start(execute, after).await),
            Ok(Some(canceled)) => Turn::After { execute: Box::new(execute), canceled },
            Err(error) => Turn::Now(Err(error)),
        }
    }

    /// Starts what nothing stands in the way of any more.
    pub(crate) async fn start(&mut self, execute: Execute, after: &mut Vec<After>) -> CallResult {
        if self.services.tasks.stage.is_stopping() {
            return Err(stopping());
        }
        if !execute.detach {
            // A client that sends the next task before it has read the end of this one waits for itself.
            self.delivered().await;
        }
        let task_id = uuid::Uuid::now_v7().to_string();
        let ignored_params = shorten(&execute.ignored_params);
        let is_detached = execute.detach;
        let (handle, start) = self.accept(execute, &task_id)?;
        match start.await {
            Ok(StartOutcome::Started(started)) => {
                if !is_detached {
                    let (delivered, delivery) = oneshot::channel();
                    let known = TaskRef::Live(handle);
                    after.push(After::Follow(self.follow(&task_id, &known, 0, delivered)));
                    after.push(After::Answered(delivery));
                }
                Ok(answer_to_start(task_id, &started, ignored_params))
            }
            Ok(StartOutcome::NotStarted(completed)) => {
                if !is_detached {
                    self.current = None;
                }
                Err(answer_to_failed_start(&task_id, &completed))
            }
            Err(_) => Err(ErrorObject::new(ErrorCode::InternalError, "the task's owner failed")),
        }
    }

    /// `None`: the session runs nothing. A task whose cancel was answered is over as old clients see it: one `execute`
    /// may wait until it is gone.
    fn find_turn(&self) -> Result<Option<TaskHandle>, ErrorObject> {
        if self.services.tasks.stage.is_stopping() {
            return Err(stopping());
        }
        let running = self.session.running(&self.services.tasks.registry);
        let unanswered = self
            .current
            .as_ref()
            .filter(|current| matches!(current.delivery, Delivery::Unanswered));
        let task_id = match (running, unanswered, &self.waiting) {
            (Some(running), None, None) if running.is_canceled() => return Ok(Some(running)),
            (None, None, None) => return Ok(None),
            (_, _, Some(waiting)) => waiting.task_id().to_owned(),
            (Some(running), _, None) => running.task_id().to_owned(),
            (None, Some(unanswered), None) => unanswered.task_id.clone(),
        };
        let message = "A process is already running";
        Err(ErrorObject::new(ErrorCode::InvalidParams, message).with("task_id", task_id))
    }

    /// Takes a task on: from here on it runs whatever becomes of this connection, and it is the session's.
    fn accept(
        &mut self,
        execute: Execute,
        task_id: &str,
    ) -> Result<(TaskHandle, oneshot::Receiver<StartOutcome>), ErrorObject> {
        let facts = TaskInfo {
            task_id: task_id.to_owned(),
            label: execute.label.clone(),
            command: spec::shown(&execute.program),
            is_prompt: matches!(execute.program, Program::Prompt(_)),
            batch_id: None,
            shape: crate::batch::shape(&execute.program),
            session_id: (!execute.detach).then(|| self.id().to_owned()),
            accepted_ms: now_ms(),
        };
        let is_detached = execute.detach;
        let setting = spec::Setting {
            config: &self.services.tasks.config,
            environment: &self.services.tasks.environment,
            cgroup: self.services.tasks.cgroup.as_ref(),
        };
        let log_path = self.services.tasks.log_path(task_id);
        let spec = setting.spec(execute, task_id, log_path)?;
        let accept = |record| task::accept(&self.services.tasks, spec, facts, record);
        if is_detached {
            return accept(None).map_err(refused);
        }
        let record = Some(self.session.record());
        let accepted = self
            .session
            .accept(self.connection.number, task_id, || accept(record))
            .map_err(|refusal| refusal.map_or_else(lost_session, refused))?;
        let (task_id, delivery) = (task_id.to_owned(), Delivery::Unanswered);
        self.current = Some(Current { task_id, delivery });
        Ok(accepted)
    }
}

fn answer_to_start(task_id: String, started: &Started, ignored_params: Vec<String>) -> Value {
    json!(ExecuteResult {
        status: "started".to_owned(),
        pid: started.pid,
        pgid: started.pid,
        task_id,
        containment: started.containment.as_str().to_owned(),
        ignored_params,
    })
}

/// The answer to an `execute` that waited while somebody canceled again: what was asked for last is what ends.
pub(crate) fn withdrawn() -> ErrorObject {
    let reason = EndReason::Canceled.as_str();
    let message = "the task was canceled before it could be started";
    ErrorObject::new(ErrorCode::SpawnFailed, message)
        .with("reason", reason)
        .with("end_reason", reason)
}

/// The answer to whoever does not have the session any more.
pub(crate) fn lost_session() -> ErrorObject {
    let message = "this session is closed, or another connection has it";
    ErrorObject::new(ErrorCode::SessionExpired, message)
}

fn refused(refusal: Refusal) -> ErrorObject {
    match refusal {
        Refusal::Closed => stopping(),
        Refusal::Full { limit } => {
            let message = format!("{limit} tasks run already, and no more may: try again later");
            ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit)
        }
    }
}

fn stopping() -> ErrorObject {
    ErrorObject::new(ErrorCode::Draining, "the supervisor is stopping and takes no new tasks")
}

fn not_started(task_id: &str, reason: &str) -> ErrorObject {
    ErrorObject::new(ErrorCode::SpawnFailed, format!("the task could not be started: {reason}"))
        .with("task_id", task_id)
        .with("reason", reason)
}

fn answer_to_failed_start(task_id: &str, completed: &Completed) -> ErrorObject {
    match completed.reason {
        EndReason::SupervisorLost => stopping().with("task_id", task_id),
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
        | EndReason::Disconnected => {
            let reason = completed.error.as_deref().unwrap_or(completed.reason.as_str());
            not_started(task_id, reason)
                .with("end_reason", completed.reason.as_str())
                .with("exit_code", completed.exit_code)
                // What the machine lacks says nothing about the task: the same call may succeed soon.
                .with("retryable", completed.spawn_failure == Some(SpawnFailureKind::Means))
        }
    }
}

/// What a client sent without meaning is not sent back without bound.
fn shorten(names: &[String]) -> Vec<String> {
    let short = |name: &String| name.chars().take(limits::IGNORED_PARAM_CHARS).collect();
    names.iter().take(limits::IGNORED_PARAMS).map(short).collect()
}
