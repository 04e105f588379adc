//! `session.resume`: a new connection takes an old session over and gets what its client is owed.
//!
//! Everything that can be refused is refused before anything changes; then the session belongs to this
//! connection, and what is owed is looked up when nobody else can add to it.

use cc_protocol::{
    error::{ErrorCode, ErrorObject},
    notification::Position,
    session::{SessionResume, SessionResumeResult},
};
use cc_state::TaskRow;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    session::{
        handler::{After, Current, Delivery, Handler},
        registry::{NoSession, Session},
        state::Input,
    },
    task::lookup::{self, TaskRef},
};

use std::sync::Arc;

impl Handler {
    /// Answers `session.resume`.
    pub(crate) async fn resume(
        &mut self,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> Result<Value, ErrorObject> {
        let resume = SessionResume::from_params(params)?;
        self.check_is_new(&resume.session_id)?;
        let session = self.find(&resume.session_id, &resume.resume_token).await?;
        if let Some(position) = &resume.after {
            self.check_position(&resume.session_id, position).await?;
        }
        self.services
            .sessions
            .take_over(&session, &self.connection)
            .map_err(|reason| refused(&resume.session_id, reason))?;
        // Kept where it is found should this connection end in the midst of it.
        self.former = Some(std::mem::replace(&mut self.session, session));
        let from = resume.after.as_ref().map(|position| position.task_id.clone());
        let owed = self.owed_tasks(&resume.session_id, from).await;
        let number = self.connection.number;
        match owed {
            Ok(tasks) => {
                tracing::info!(session_id = resume.session_id, tasks = tasks.len(), "resumed");
                self.services.sessions.happened(&self.session, Input::Resumed(number)).await;
                self.close_former().await;
                Ok(self.send_owed(resume, tasks, after))
            }
            Err(error) => {
                // The connection goes on as what it was; the session waits for another attempt.
                self.services.sessions.happened(&self.session, Input::ResumeFailed(number)).await;
                if let Some(former) = self.former.take() {
                    self.session = former;
                }
                Err(error)
            }
        }
    }

    fn check_is_new(&self, session_id: &str) -> Result<(), ErrorObject> {
        let problem = if session_id == self.id() {
            "is the session of this connection already"
        } else if self.current.is_some() {
            "cannot be resumed on a connection that has run a task: use a new connection"
        } else {
            return Ok(());
        };
        let message = format!("Invalid params: session_id {problem}");
        Err(ErrorObject::new(ErrorCode::InvalidParams, message).with("field", "session_id"))
    }

    async fn find(&self, session_id: &str, token: &str) -> Result<Arc<Session>, ErrorObject> {
        let mut reason = match self.services.sessions.find(session_id, token) {
            Ok(session) => return Ok(session),
            Err(reason) => reason,
        };
        if reason == NoSession::Unknown {
            // One of an earlier supervisor, perhaps.
            let id = session_id.to_owned();
            let row = self.services.tasks.store.read(move |db| db.session(&id)).await;
            let row = row.map_err(|error| lookup::failed(&error))?;
            if row.is_some_and(|row| crate::session::registry::is_token_of(token, &row.token_hash))
            {
                reason = NoSession::Expired;
            }
        }
        Err(refused(session_id, reason))
    }

    async fn check_position(
        &self,
        session_id: &str,
        position: &Position,
    ) -> Result<(), ErrorObject> {
        let known = TaskRef::find(&self.services.tasks, &position.task_id).await?;
        if known.session_id() != Some(session_id) {
            return Err(lookup::no_such_task(&position.task_id));
        }
        let last_seq = known.last_seq();
        if position.seq > last_seq {
            let message = format!(
                "Invalid params: after.seq is {}, and the last event of this task is {last_seq}",
                position.seq
            );
            return Err(ErrorObject::new(ErrorCode::InvalidParams, message)
                .with("field", "after")
                .with("last_seq", last_seq));
        }
        Ok(())
    }

    async fn owed_tasks(
        &self,
        session_id: &str,
        from: Option<String>,
    ) -> Result<Vec<TaskRef>, ErrorObject> {
        let id = session_id.to_owned();
        let rows: Vec<TaskRow> = self
            .services
            .tasks
            .store
            .read(move |db| db.session_tasks(&id, from.as_deref(), limits::RESUME_TASKS))
            .await
            .map_err(|error| lookup::failed(&error))?;
        Ok(rows.into_iter().map(|row| lookup::live_or_stored(&self.services.tasks, row)).collect())
    }

    /// Has everything sent that the client does not have, in the order of the tasks.
    fn send_owed(
        &mut self,
        resume: SessionResume,
        tasks: Vec<TaskRef>,
        after: &mut Vec<After>,
    ) -> Value {
        let summaries = tasks.iter().map(|task| task.summary(&self.services.tasks)).collect();
        let mut last = None;
        for (task, summary) in tasks.iter().zip::<&Vec<_>>(&summaries) {
            if task.never_ran() {
                continue;
            }
            let after_seq = match &resume.after {
                Some(position) if position.task_id == summary.task_id => position.seq,
                Some(_) | None => 0,
            };
            let (delivered, delivery) = oneshot::channel();
            let follow = self.follow(&summary.task_id, task, after_seq, delivered);
            after.push(After::Follow(follow));
            last = Some((summary.task_id.clone(), delivery));
        }
        if let Some((task_id, delivery)) = last {
            self.current = Some(Current { task_id, delivery: Delivery::Unanswered });
            after.push(After::Answered(delivery));
        }
        json!(SessionResumeResult {
            session_id: resume.session_id,
            tasks: lookup::newest_that_fit(summaries, limits::RESUME_SUMMARIES),
        })
    }
}

fn refused(session_id: &str, reason: NoSession) -> ErrorObject {
    let shown: String = session_id.chars().take(64).collect();
    let (code, message) = match reason {
        NoSession::Unknown => {
            (ErrorCode::SessionUnknown, "there is no such session, or this is not its token")
        }
        NoSession::Expired => (
            ErrorCode::SessionExpired,
            "the session is over: it was closed, or had no connection for too long; \
             task.list shows what became of its tasks",
        ),
    };
    ErrorObject::new(code, message).with("session_id", shown)
}
