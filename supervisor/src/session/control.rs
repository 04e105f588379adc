//! `control`, `task.cancel`, `task.pause` and `task.resume`: asks a task's owner, and answers as soon as it has confirmed.

use cc_events::EndReason;
use cc_protocol::{
    CallError,
    control::{ControlType, Done},
    task::TaskNamed,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    config::limits,
    delivery::Outgoing,
    session::{
        handler::Handler,
        reply::{Reply, Then},
    },
    task::{ControlReply, Request, TaskHandle, lookup::TaskRef},
};

impl Handler {
    /// Controls the session's running task.
    pub(super) async fn control(&mut self, control: ControlType) -> Reply {
        if control == ControlType::Cancel && self.refuse_waiting(CallError::Withdrawn) {
            return Reply::new(Done::new(control.done()));
        }
        match self.session.running(&self.services.tasks.registry) {
            Some(handle) => self.steer(handle, control).await,
            None => Reply::refused(CallError::NoProcess { task_id: None }),
        }
    }

    /// Controls any task, by its id.
    pub(super) async fn task_control(
        &mut self,
        control: ControlType,
        TaskNamed { task_id }: TaskNamed,
    ) -> Result<Reply, CallError> {
        match self.find_task(&task_id).await? {
            TaskRef::Live(handle) if !handle.is_done() => Ok(self.steer(handle, control).await),
            TaskRef::Live(_) | TaskRef::Stored(_) => {
                Err(CallError::NoProcess { task_id: Some(task_id) })
            }
        }
    }

    async fn steer(&mut self, handle: TaskHandle, control: ControlType) -> Reply {
        let (confirm, confirmed) = oneshot::channel();
        let request = match control {
            ControlType::Cancel => Request::Cancel(EndReason::Canceled, Some(confirm)),
            ControlType::Pause => Request::Pause(confirm),
            ControlType::Resume => Request::Resume(confirm),
        };
        // The event that the control causes may be published before the owner confirms. The writer must not send it
        // before the answer.
        self.send(Outgoing::Hold).await;
        self.is_held = true;
        handle.request(request).await;
        let reply = match wait_until_confirmed(control, confirmed).await {
            Ok(()) => Reply::new(Done::new(control.done())),
            Err(error) => Reply::refused(error),
        };
        reply.then(Then::Send(Outgoing::Release))
    }
}

async fn wait_until_confirmed(
    control: ControlType,
    confirmed: oneshot::Receiver<ControlReply>,
) -> Result<(), CallError> {
    match timeout(limits::CONTROL_ANSWER, confirmed).await {
        Ok(Ok(ControlReply::Done)) => Ok(()),
        Ok(Ok(ControlReply::NotRunning) | Err(_)) => Err(CallError::NoProcess { task_id: None }),
        Err(_) => {
            let seconds = limits::CONTROL_ANSWER.as_secs();
            Err(CallError::NotConfirmed { control, seconds })
        }
    }
}
