//! What can be asked beside `execute` and `control`: sessions, any task by its id, and batches.
//!
//! Each call waits for its answer; events that come before it are kept for
//! [`Connection::next_event`]. Each fails with [`Error::Server`] when the server refuses, and with
//! whatever ends a connection.

use cc_protocol::{
    batch::{
        BatchList, BatchListResult, BatchNamed, BatchResume, BatchRows, BatchRowsResult,
        BatchSubmitted, BatchSummary, BatchTask, WholeResult,
    },
    configuration::{ReloadResult, SettingsResult},
    control::{ControlType, Done},
    drain::DrainResult,
    gate::{GateListResult, GateOpen, GateOpenResult},
    session::{SessionConfigure, SessionResume, SessionResumeResult},
    status::SupervisorStatus,
    task::{
        TaskAttach, TaskList, TaskListResult, TaskNamed, TaskOutput, TaskOutputResult, TaskSummary,
    },
    worker::{SubscribeResult, WorkerListResult, WorkerRestart, WorkerRestartResult},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    connection::{Connection, unwritable},
    error::Error,
};

impl Connection {
    /// Takes over a session, whose events after the named position then come from
    /// [`Connection::next_event`].
    ///
    /// # Errors
    /// -32010 for an unknown session or a wrong token, -32011 for one that is over; the connection then
    /// keeps the session that it has. Otherwise see the module.
    pub async fn resume(&mut self, session: &SessionResume) -> Result<SessionResumeResult, Error> {
        self.call("session.resume", written(session)?).await
    }

    /// Chooses how events come on this connection; returns what is now chosen.
    ///
    /// # Errors
    /// See the module.
    pub async fn configure(&mut self, choice: SessionConfigure) -> Result<SessionConfigure, Error> {
        self.call("session.configure", written(&choice)?).await
    }

    /// Ends the session: its running task is canceled, and nobody can resume it.
    ///
    /// # Errors
    /// See the module.
    pub async fn close_session(&mut self) -> Result<Done, Error> {
        self.call("session.close", json!({})).await
    }

    /// A task as it is now.
    ///
    /// # Errors
    /// -32014 for a task that is unknown. Otherwise see the module.
    pub async fn task(&mut self, task_id: &str) -> Result<TaskSummary, Error> {
        self.call("task.get", named(task_id)?).await
    }

    /// A page of the tasks that are known, the newest first.
    ///
    /// # Errors
    /// See the module.
    pub async fn tasks(&mut self, which: &TaskList) -> Result<TaskListResult, Error> {
        self.call("task.list", written(which)?).await
    }

    /// A page of a task's stored events.
    ///
    /// # Errors
    /// -32014 for a task that is unknown. Otherwise see the module.
    pub async fn task_output(&mut self, which: &TaskOutput) -> Result<TaskOutputResult, Error> {
        self.call("task.output", written(which)?).await
    }

    /// Follows a task from a position on: its events then come from [`Connection::next_event`].
    ///
    /// # Errors
    /// -32014 for a task that is unknown. Otherwise see the module.
    pub async fn attach(&mut self, task: &TaskAttach) -> Result<TaskSummary, Error> {
        self.call("task.attach", written(task)?).await
    }

    /// Stops following it. Events that were sent before may still come.
    ///
    /// # Errors
    /// -32014 for a task that is not followed. Otherwise see the module.
    pub async fn detach(&mut self, task_id: &str) -> Result<Done, Error> {
        self.call("task.detach", named(task_id)?).await
    }

    /// Pauses, resumes or cancels any task.
    ///
    /// # Errors
    /// -32014 for a task that is unknown, -32002 for one that has ended. Otherwise see the module.
    pub async fn control_task(
        &mut self,
        task_id: &str,
        control: ControlType,
    ) -> Result<Done, Error> {
        self.call(control.task_method(), named(task_id)?).await
    }

    /// Starts a batch. With an idempotency key this may be asked again without harm.
    ///
    /// # Errors
    /// -32602 with all that is wrong with the plan. Otherwise see the module.
    pub async fn batch_submit(&mut self, plan: &impl Serialize) -> Result<BatchSubmitted, Error> {
        self.call("batch.submit", written(plan)?).await
    }

    /// A batch as it is now.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown. Otherwise see the module.
    pub async fn batch_get(&mut self, batch_id: &str) -> Result<BatchSummary, Error> {
        self.call("batch.get", batch_named(batch_id)?).await
    }

    /// A page of the batches that are known, the newest first.
    ///
    /// # Errors
    /// See the module.
    pub async fn batch_list(&mut self, which: &BatchList) -> Result<BatchListResult, Error> {
        self.call("batch.list", written(which)?).await
    }

    /// A page of a batch's tasks.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown. Otherwise see the module.
    pub async fn batch_rows(&mut self, which: &BatchRows) -> Result<BatchRowsResult, Error> {
        self.call("batch.rows", written(which)?).await
    }

    /// The result of one task of a batch, whole up to
    /// [`cc_protocol::batch::WHOLE_RESULT_BYTES_LIMIT`].
    ///
    /// # Errors
    /// -32015 for a batch that is unknown, -32602 for a task that it does not have. Otherwise see the module.
    pub async fn batch_result(&mut self, which: &BatchTask) -> Result<WholeResult, Error> {
        self.call("batch.result", written(which)?).await
    }

    /// Ends a batch: what runs is canceled, and nothing more begins.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown, -32002 for one that is over. Otherwise see the module.
    pub async fn batch_cancel(&mut self, batch_id: &str) -> Result<Done, Error> {
        self.call("batch.cancel", batch_named(batch_id)?).await
    }

    /// Follows a batch: its changes and its end then come from [`Connection::next_event`]. Of one that is followed
    /// already only how it stands is answered.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown. Otherwise see the module.
    pub async fn batch_attach(&mut self, batch_id: &str) -> Result<BatchSummary, Error> {
        self.call("batch.attach", batch_named(batch_id)?).await
    }

    /// Stops following it.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown, -32602 for one that is not followed. Otherwise see the module.
    pub async fn batch_detach(&mut self, batch_id: &str) -> Result<Done, Error> {
        self.call("batch.detach", batch_named(batch_id)?).await
    }

    /// The gates of accounts: which ones a limit has shut, and how many tasks wait.
    ///
    /// # Errors
    /// -32601 from a server that has no such call. Otherwise see the module.
    pub async fn gate_list(&mut self) -> Result<GateListResult, Error> {
        self.call("gate.list", json!({})).await
    }

    /// How the supervisor is.
    ///
    /// # Errors
    /// See the module.
    pub async fn supervisor_status(&mut self) -> Result<SupervisorStatus, Error> {
        self.call("supervisor.status", json!({})).await
    }

    /// Opens gates before their time.
    ///
    /// # Errors
    /// -32602 for one that is unknown, -32002 for one that is not shut. Otherwise see the module.
    pub async fn gate_open(&mut self, which: &GateOpen) -> Result<GateOpenResult, Error> {
        self.call("gate.open", written(which)?).await
    }

    /// The workers and what their tasks' processes use.
    ///
    /// # Errors
    /// -32601 from a server that has no such call. Otherwise see the module.
    pub async fn worker_list(&mut self) -> Result<WorkerListResult, Error> {
        self.call("worker.list", json!({})).await
    }

    /// Restarts workers.
    ///
    /// # Errors
    /// -32014 for a task that is unknown, -32002 for one that has ended. Otherwise see the module.
    pub async fn worker_restart(
        &mut self,
        which: &WorkerRestart,
    ) -> Result<WorkerRestartResult, Error> {
        self.call("worker.restart", written(which)?).await
    }

    /// From now on alerts come from [`Connection::next_event`]; returns those that stand.
    ///
    /// # Errors
    /// -32601 from a server that has no such call. Otherwise see the module.
    pub async fn subscribe(&mut self) -> Result<SubscribeResult, Error> {
        self.call("supervisor.subscribe", json!({})).await
    }

    /// The settings of the supervisor, and where they come from.
    ///
    /// # Errors
    /// See the module.
    pub async fn settings(&mut self) -> Result<SettingsResult, Error> {
        self.call("supervisor.settings", json!({})).await
    }

    /// Has the supervisor read its settings again.
    ///
    /// # Errors
    /// -32018 for settings with mistakes: nothing has changed. Otherwise see the module.
    pub async fn reload(&mut self) -> Result<ReloadResult, Error> {
        self.call("supervisor.reload", json!({})).await
    }

    /// Begins a drain: no new tasks are started.
    ///
    /// # Errors
    /// See the module.
    pub async fn drain(&mut self) -> Result<DrainResult, Error> {
        self.call("supervisor.drain", json!({})).await
    }

    /// How far a drain is.
    ///
    /// # Errors
    /// See the module.
    pub async fn drain_progress(&mut self) -> Result<DrainResult, Error> {
        self.call("supervisor.drain_progress", json!({})).await
    }

    /// Ends a drain.
    ///
    /// # Errors
    /// See the module.
    pub async fn undrain(&mut self) -> Result<DrainResult, Error> {
        self.call("supervisor.undrain", json!({})).await
    }

    /// Starts a new batch with what has not succeeded of one. Must not be asked again if the answer is lost.
    ///
    /// # Errors
    /// -32015 for a batch that is unknown. Otherwise see the module.
    pub async fn batch_resume(&mut self, which: &BatchResume) -> Result<BatchSubmitted, Error> {
        self.call("batch.resume", written(which)?).await
    }
}

fn batch_named(batch_id: &str) -> Result<Value, Error> {
    written(&BatchNamed { batch_id: batch_id.to_owned() })
}

fn named(task_id: &str) -> Result<Value, Error> {
    written(&TaskNamed { task_id: task_id.to_owned() })
}

pub(crate) fn written(params: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(params).map_err(unwritable)
}
