//! `session.resume`: a new connection takes an old session over and is sent what its client has not received.
//!
//! Everything that can be refused is refused before anything changes; then the session belongs to this
//! connection, and what is owed is looked up when no other connection can add to it.

use std::{mem, sync::Arc};

use cc_protocol::{
    CallError, UnfitParam,
    notification::Position,
    session::{SessionResume, SessionResumeResult},
};
use cc_state::{SessionRow, TaskRow};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    delivery::Outgoing,
    session::{
        current_task::CurrentTask,
        follow::follow,
        handler::Handler,
        position::check_position,
        registry::{NoSession, Session, is_token_of},
        reply::{Reply, Then},
        state::Input,
    },
    task::lookup::{self, TaskRef},
};

impl Handler {
    pub(super) async fn resume(&mut self, resume: SessionResume) -> Result<Reply, CallError> {
        self.check_is_new(&resume.session_id)?;
        let session = self.find(&resume.session_id, &resume.resume_token).await?;
        if let Some(position) = &resume.after {
            self.check_has(&resume.session_id, position).await?;
        }
        self.services
            .sessions
            .take_over(&session, &self.connection)
            .map_err(|reason| no_session(&resume.session_id, reason))?;
        // The former session is kept in `self`, so that it is closed if this connection ends in the meantime.
        self.former = Some(mem::replace(&mut self.session, session));
        let from = resume.after.as_ref().map(|position| position.task_id.clone());
        let owed = self.owed_tasks(&resume.session_id, from).await;
        let number = self.connection.number;
        match owed {
            Ok(tasks) => {
                tracing::info!(
                    session_id = resume.session_id,
                    tasks = tasks.len(),
                    "a client has resumed its session"
                );
                self.services.tasks.metrics.sessions.resumed();
                self.services.sessions.happened(&self.session, Input::Resumed(number)).await;
                self.close_former().await;
                Ok(self.send_owed(resume, &tasks))
            }
            Err(error) => {
                // The connection keeps its own session; the other one waits for another attempt.
                self.services.sessions.happened(&self.session, Input::ResumeFailed(number)).await;
                if let Some(former) = self.former.take() {
                    self.session = former;
                }
                Err(error)
            }
        }
    }

    fn check_is_new(&self, session_id: &str) -> Result<(), UnfitParam> {
        if session_id == self.id() {
            Err(UnfitParam::OwnSession)
        } else if self.current.is_some() {
            Err(UnfitParam::ConnectionUsed)
        } else {
            Ok(())
        }
    }

    async fn find(&self, session_id: &str, token: &str) -> Result<Arc<Session>, CallError> {
        let mut reason = match self.services.sessions.find(session_id, token, &self.access) {
            Ok(session) => return Ok(session),
            Err(reason) => reason,
        };
        if reason == NoSession::Unknown {
            // It may be a session of an earlier supervisor.
            let id = session_id.to_owned();
            let row = self.services.tasks.store.read(move |db| db.session(&id)).await?;
            let is_own = |row: &SessionRow| {
                is_token_of(token, &row.token_hash) && self.access.sees(row.token.as_deref())
            };
            if row.as_ref().is_some_and(is_own) {
                reason = NoSession::Expired;
            }
        }
        Err(no_session(session_id, reason))
    }

    /// Checks that the session has this task, and the task this event.
    async fn check_has(&self, session_id: &str, position: &Position) -> Result<(), CallError> {
        let task = self.find_task(&position.task_id).await?;
        if task.session_id() != Some(session_id) {
            return Err(CallError::NoSuchTask { task_id: position.task_id.clone() });
        }
        Ok(check_position(&task, "after.seq", position.seq)?)
    }

    async fn owed_tasks(
        &self,
        session_id: &str,
        from: Option<String>,
    ) -> Result<Vec<TaskRef>, CallError> {
        let id = session_id.to_owned();
        let rows: Vec<TaskRow> = self
            .services
            .tasks
            .store
            .read(move |db| db.session_tasks(&id, from.as_deref(), limits::RESUME_TASKS))
            .await?;
        let tasks = &self.services.tasks;
        let mut owed: Vec<TaskRef> =
            rows.into_iter().map(|row| lookup::live_or_stored(tasks, row)).collect();
        // It may have been accepted so lately that its row is not there yet.
        if let Some(running) = self.session.running(&tasks.registry)
            && owed.last().is_none_or(|last| last.task_id() != running.task_id())
        {
            owed.push(TaskRef::Live(running));
        }
        Ok(owed)
    }

    /// Has everything sent that the client does not have, in the order of the tasks.
    fn send_owed(&mut self, resume: SessionResume, tasks: &[TaskRef]) -> Reply {
        let context = &self.services.tasks;
        let summaries: Vec<_> = tasks.iter().map(|task| task.summary(context)).collect();
        let mut then = Vec::new();
        let mut last = None;
        for (task, summary) in tasks.iter().zip(&summaries) {
            let after_seq = match &resume.after {
                Some(position) if position.task_id == summary.task_id => position.seq,
                Some(_) | None => 0,
            };
            let (delivered, is_delivered) = oneshot::channel();
            let mut follow = follow(context, &summary.task_id, task, after_seq, delivered);
            follow.cursor.count_replay(context.metrics.sessions.replayed_bytes());
            then.push(Then::Send(Outgoing::Follow(follow)));
            last = Some((summary.task_id.clone(), is_delivered));
        }
        if let Some((task_id, is_delivered)) = last {
            self.current = Some(CurrentTask::new(task_id, is_delivered));
        }
        let result = SessionResumeResult {
            session_id: resume.session_id,
            tasks: lookup::newest_that_fit(summaries, limits::RESUME_SUMMARIES),
        };
        Reply { then, ..Reply::new(result) }
    }
}

fn no_session(session_id: &str, reason: NoSession) -> CallError {
    let session_id = session_id.to_owned();
    match reason {
        NoSession::Unknown => CallError::SessionUnknown { session_id },
        NoSession::Expired => CallError::SessionExpired { session_id },
    }
}
