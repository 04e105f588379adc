//! What a session has to do while its client says nothing: start the waiting `execute`, or let the connection be closed.

use std::{future::pending, pin::pin, sync::Arc};

use cc_protocol::error::close;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    delivery::Outgoing,
    ops::stage::StageWatch,
    session::{
        audit::Subject,
        handler::{Handler, response},
        reply::Reply,
        waiting::WaitingExecute,
    },
};

const RESTART: (u16, &str) = (close::RESTART, "the supervisor is restarting: reconnect and resume");

#[derive(Debug)]
pub(crate) enum Due {
    /// The connection may be closed, with this code and reason.
    Close(u16, &'static str),
    /// The waiting `execute` can be answered: [`Handler::answer_waiting`].
    AnswerWaiting,
}

impl Handler {
    /// Returns when there is something to do. Dropping the future loses nothing.
    pub(crate) async fn due(&mut self, stage: &StageWatch) -> Due {
        if self.waiting.is_some() {
            // Boxed: few connections ever wait for this.
            Box::pin(self.waiting_can_be_answered(stage)).await;
            return Due::AnswerWaiting;
        }
        let (code, reason) = self.may_close(stage).await;
        Due::Close(code, reason)
    }

    /// A claim on the values of the next message. The `execute` that waits may have what this waits for, so it is served
    /// meanwhile.
    pub(super) async fn claim_values(&mut self, count: usize) -> Option<OwnedSemaphorePermit> {
        let budget = Arc::clone(&self.services.budget);
        let tasks = Arc::clone(&self.services.tasks);
        let mut claiming = pin!(budget.claim_values(count));
        while self.waiting.is_some() {
            tokio::select! {
                biased;
                values = &mut claiming => return values,
                () = self.waiting_can_be_answered(&tasks.stage) => {}
            }
            self.answer_waiting().await;
        }
        claiming.await
    }

    async fn waiting_can_be_answered(&mut self, stage: &StageWatch) {
        let deadline = self.waiting.as_ref().and_then(|waiting| waiting.deadline());
        let is_late = tokio::select! {
            () = self.canceled_task_is_gone() => false,
            () = stage.stopping() => false,
            () = at(deadline) => true,
        };
        if is_late && let Some(waiting) = &mut self.waiting {
            waiting.refuse_late();
        }
    }

    async fn canceled_task_is_gone(&mut self) {
        let Some(waiting) = self.waiting.as_ref().filter(|waiting| !waiting.is_refused()) else {
            return;
        };
        let canceled = waiting.canceled.clone();
        if let Some(current) = &mut self.current
            && current.task_id == canceled.task_id()
        {
            current.delivered.wait().await;
        }
        // The log may have broken off before the end.
        if !canceled.is_done() {
            canceled.is_over().await;
        }
    }

    /// Starts the waiting `execute`, or refuses it, and answers the rest of its message.
    pub(crate) async fn answer_waiting(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        let WaitingExecute { id, execute, mut message, refusal, canceled: _, since: _ } = *waiting;
        let subject = Subject::of_waiting(&execute);
        let reply = match refusal {
            Some(refusal) => Reply::refused(refusal),
            None => self.start(*execute).await.unwrap_or_else(Reply::refused),
        };
        self.audit(&subject, &reply.result);
        if let Some(id) = id {
            message.answers.push(response(id, reply.result));
        }
        self.answer(message, reply.then).await;
    }

    /// Returns when the connection may be closed from this side, and with which close frame: when the client has been
    /// sent everything, after it has closed its session or while the supervisor ends its tasks; at once when the
    /// supervisor leaves them to the next one. Dropping the future loses nothing.
    async fn may_close(&mut self, stage: &StageWatch) -> (u16, &'static str) {
        // Boxed: what an end takes is not kept by a connection that waits for one.
        if self.is_closing {
            return Box::pin(async {
                tokio::select! {
                    () = self.idle() => (close::NORMAL, "the session is closed"),
                    () = stage.leaving() => RESTART,
                }
            })
            .await;
        }
        stage.stopping().await;
        if stage.is_leaving() {
            return RESTART;
        }
        Box::pin(self.idle()).await;
        (close::GOING_AWAY, "the supervisor is stopping")
    }

    /// Returns when the writer has nothing more to follow.
    async fn idle(&self) {
        let (idle, is_idle) = oneshot::channel();
        self.send(Outgoing::TellWhenIdle(idle)).await;
        // An error means that the writer is gone.
        drop(is_idle.await);
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
