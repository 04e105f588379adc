//! `task.get`, `task.list`, `task.attach` and `task.detach`: any task, by its id.

use cc_protocol::{
    CallError, UnfitParam,
    control::Done,
    task::{TaskAttach, TaskList, TaskListResult, TaskNamed},
};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    delivery::Outgoing,
    session::{
        delivered::Delivered,
        follow::follow,
        handler::Handler,
        position::{check_position, is_over},
        reply::{Reply, Then},
    },
    task::lookup,
};

impl Handler {
    pub(super) async fn task_get(
        &self,
        TaskNamed { task_id }: TaskNamed,
    ) -> Result<Reply, CallError> {
        let task = self.find_task(&task_id).await?;
        Ok(Reply::new(task.described(&self.services.tasks).await))
    }

    pub(super) async fn task_list(
        &self,
        TaskList { state, limit, before }: TaskList,
    ) -> Result<Reply, CallError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let only = self.access.only().cloned();
        let (tasks, has_more) =
            lookup::list(&self.services.tasks, only, state, before, limit).await?;
        Ok(Reply::new(TaskListResult { tasks, has_more }))
    }

    pub(super) async fn task_attach(
        &mut self,
        TaskAttach { task_id, after_seq }: TaskAttach,
    ) -> Result<Reply, CallError> {
        let task = self.find_task(&task_id).await?;
        check_position(&task, "after_seq", after_seq)?;
        if is_over(&task) {
            self.delivered_of(&task_id).await;
        }
        self.attached.retain(|_, delivered| delivered.is_pending());
        if self.attached.contains_key(&task_id) || self.is_current_being_sent(&task_id) {
            return Err(UnfitParam::AlreadyAttached { task_id }.into());
        }
        if self.attached.len() >= limits::ATTACHED_TASKS {
            let limit = limits::ATTACHED_TASKS;
            return Err(CallError::AttachedFull { what: "tasks", limit });
        }
        let (delivered, is_delivered) = oneshot::channel();
        let follow = follow(&self.services.tasks, &task_id, &task, after_seq, delivered);
        self.attached.insert(task_id, Delivered::new(is_delivered));
        let summary = task.summary(&self.services.tasks);
        Ok(Reply::new(summary).then(Then::Send(Outgoing::Attach(follow))))
    }

    /// Nothing of the task is sent after the answer.
    pub(super) async fn task_detach(
        &mut self,
        TaskNamed { task_id }: TaskNamed,
    ) -> Result<Reply, CallError> {
        if self.attached.remove(&task_id).is_none() {
            self.find_task(&task_id).await?;
            return Err(UnfitParam::TaskNotAttached { task_id }.into());
        }
        self.send(Outgoing::Detach(task_id)).await;
        Ok(Reply::new(Done::new("detached")))
    }

    /// Waits until this connection has been sent the end of a task that is over, if it is being sent: a client
    /// that has read it may ask for the task again at once.
    async fn delivered_of(&mut self, task_id: &str) {
        self.release().await;
        if let Some(delivered) = self.attached.get_mut(task_id) {
            delivered.wait().await;
        }
        if self.is_current_being_sent(task_id) {
            self.delivered().await;
        }
    }

    /// Whether this connection is being sent the task's events because it is the session's current task.
    fn is_current_being_sent(&mut self, task_id: &str) -> bool {
        let current = self.current.as_mut().filter(|current| current.task_id == task_id);
        current.is_some_and(|current| current.delivered.is_pending())
    }
}
