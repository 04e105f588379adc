//! What a session has asked for and how far its tasks have been heard: the part of
//! [`crate::Session`] that decides, without I/O and without a clock.
//!
//! ```text
//!   begin ─▶ asked ─answer: started──────────────────▶ followed ──terminal event──▶ ended
//!             │ ▲  └answer: refused─▶ NotStarted           │
//!   loss,     │ └── no newer task: sent again              └─loss, then resume after its last seq
//!   resume ───┤
//!             ├──── newer task runs or ran: Started
//!             ├──── newer task never started: NotStarted
//!             └──── newer task is just starting: asked about until it is one of the two
//! ```
//! Invariant: every event that is let through has the number that is due. A repeat is an error, and so is a
//! gap, unless the server has just said that the task's log is damaged; nothing is skipped in silence.

use std::collections::VecDeque;

use cc_protocol::{
    Verdict,
    control::ControlType,
    error::{ErrorCode, ErrorObject},
    execute::Execute,
    notification::{Notification, OutputBatch, Position, ProcessError, ProcessOutput},
    task::{TaskAttach, TaskState, TaskSummary},
};
use serde_json::Value;

use crate::{
    error::{Error, Unknown},
    event::Received,
    request::Request,
    session_event::{SessionEvent, StartedTask},
};

/// A task whose events are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    task_id: String,
    last_seq: u64,
    is_ended: bool,
    /// The server has said that it cannot read on in the task's log: the next number may be a later one.
    is_gap_announced: bool,
    /// Its start has failed, and the caller has the error: the terminal event, which a resume sends, is no news.
    is_refused: bool,
}

impl Followed {
    fn new(task_id: &str, last_seq: u64) -> Self {
        Self {
            task_id: task_id.to_owned(),
            last_seq,
            is_ended: false,
            is_gap_announced: false,
            is_refused: false,
        }
    }

    fn refused(task_id: &str) -> Self {
        Self { is_ended: true, is_refused: true, ..Self::new(task_id, 0) }
    }

    fn attach(&self) -> Request {
        Request::Attach(TaskAttach { task_id: self.task_id.clone(), after_seq: self.last_seq })
    }
}

/// A task that was asked for and not answered yet.
#[derive(Clone, Debug)]
struct Start {
    execute: Box<Execute>,
    /// The task that a resume showed for it, while it is just starting.
    shown: Option<String>,
}

/// What remains to be done after a resume.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) events: Vec<SessionEvent>,
    pub(crate) requests: Vec<Request>,
    /// Look at this task soon.
    pub(crate) look: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The session's latest task.
    own: Option<Followed>,
    attached: Vec<Followed>,
    start: Option<Start>,
    controls: VecDeque<(u64, ControlType)>,
}

impl Ledger {
    /// The position from which a resume continues.
    pub(crate) fn position(&self) -> Option<Position> {
        self.own.as_ref().map(|own| Position { task_id: own.task_id.clone(), seq: own.last_seq })
    }

    /// What would stay unknown if the session were over.
    pub(crate) fn unknown(&self) -> Unknown {
        match (&self.start, &self.own) {
            (Some(Start { shown: None, .. }), _) => Unknown::Start,
            (Some(_) | None, Some(own)) if !own.is_ended => {
                Unknown::After(Position { task_id: own.task_id.clone(), seq: own.last_seq })
            }
            (Some(_), _) => Unknown::Start,
            (None, Some(_) | None) => Unknown::Nothing,
        }
    }

    /// Whether a task of this session is requested or runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.unknown() != Unknown::Nothing
    }

    /// Requests a task.
    pub(crate) fn begin(&mut self, execute: &Execute) -> Request {
        let execute = Box::new(execute.clone());
        self.start = Some(Start { execute: execute.clone(), shown: None });
        Request::Start(execute)
    }

    /// Requests a control.
    pub(crate) fn control(&mut self, id: u64, control: ControlType) -> Request {
        self.controls.push_back((id, control));
        Request::Control(id, control)
    }

    /// A control is answered.
    pub(crate) fn controlled(&mut self, id: u64, outcome: Result<(), ErrorObject>) -> SessionEvent {
        self.controls.retain(|(waiting, _)| *waiting != id);
        SessionEvent::Controlled { id, outcome }
    }

    /// A task is to be followed after this event.
    pub(crate) fn attach(&mut self, task_id: &str, after_seq: u64) -> Request {
        let followed = Followed::new(task_id, after_seq);
        let request = followed.attach();
        self.attached.push(followed);
        request
    }

    /// A task cannot be followed.
    pub(crate) fn attach_refused(&mut self, task_id: String, error: ErrorObject) -> SessionEvent {
        self.attached.retain(|followed| followed.task_id != task_id);
        SessionEvent::AttachRefused { task_id, error }
    }

    /// The answer to `execute`.
    pub(crate) fn answered(&mut self, outcome: Result<StartedTask, ErrorObject>) -> SessionEvent {
        self.start = None;
        match outcome {
            Ok(started) => {
                self.own = Some(Followed::new(&started.task_id, 0));
                SessionEvent::Started(started)
            }
            Err(error) => {
                // The server has a task for it all the same, which a later resume would show.
                if let Some(task_id) = error.data.get("task_id").and_then(Value::as_str) {
                    self.own = Some(Followed::refused(task_id));
                }
                SessionEvent::NotStarted(error)
            }
        }
    }

    /// A notification came: what of it is to be passed on.
    pub(crate) fn heard(&mut self, received: Box<Received>) -> Result<Vec<SessionEvent>, Error> {
        let mut events = Vec::with_capacity(1);
        if let Notification::OutputBatch(batch) = received.notification {
            for output in unpack(batch) {
                self.advance(&output.position, false, &mut events)?;
                let received = Received::unpacked(Notification::Output(output));
                events.push(SessionEvent::Notification(Box::new(received)));
            }
            return Ok(events);
        }
        if let Some(Position { task_id, .. }) = received.notification.position()
            && self.own.as_ref().is_some_and(|own| own.is_refused && own.task_id == *task_id)
        {
            return Ok(events);
        }
        if let Notification::Error(ProcessError { task_id: Some(task_id), .. }) =
            &received.notification
            && let Some(followed) = self.followed(task_id)
        {
            followed.is_gap_announced = true;
        }
        if let Some(position) = received.notification.position() {
            let is_end = matches!(received.notification, Notification::Completed(_));
            self.advance(position, is_end, &mut events)?;
        }
        events.push(SessionEvent::Notification(received));
        Ok(events)
    }

    fn followed(&mut self, task_id: &str) -> Option<&mut Followed> {
        self.own.iter_mut().chain(&mut self.attached).find(|task| task.task_id == task_id)
    }

    fn advance(
        &mut self,
        position: &Position,
        is_end: bool,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), Error> {
        let Position { task_id, seq } = position;
        if self.start.as_ref().is_some_and(|start| start.shown.as_ref() == Some(task_id)) {
            events.push(self.answered(Ok(StartedTask { task_id: task_id.clone(), pid: None })));
        }
        let Some(followed) = self.followed(task_id) else {
            let what = format!("event {seq} of task {task_id}, which is not followed here");
            return Err(Error::Protocol(what));
        };
        let due = followed.last_seq.saturating_add(1);
        let is_due = *seq == due || (*seq > due && followed.is_gap_announced);
        if !is_due || followed.is_ended {
            let what =
                if followed.is_ended { "nothing".to_owned() } else { format!("event {due}") };
            let what = format!("event {seq} of task {task_id} came where {what} was due");
            return Err(Error::Protocol(what));
        }
        followed.last_seq = *seq;
        followed.is_ended = is_end;
        followed.is_gap_announced = false;
        if is_end {
            self.attached.retain(|followed| !followed.is_ended);
        }
        Ok(())
    }

    /// The session has another connection: what is to be done about what the old one lost.
    pub(crate) fn resumed(&mut self, tasks: &[TaskSummary]) -> Recovery {
        let mut recovery = Recovery::default();
        let last = self.own.as_ref().map(|own| own.task_id.clone());
        let shown = self.start.as_ref().and_then(|start| start.shown.clone());
        let answer = match &shown {
            Some(shown) => tasks.iter().rfind(|task| task.task_id == *shown),
            None => tasks.iter().rfind(|task| Some(&task.task_id) != last.as_ref()),
        };
        match (&self.start, answer) {
            (Some(_), Some(task)) => self.looked(task, &mut recovery),
            (Some(Start { shown: Some(task_id), .. }), None) => {
                recovery.look = Some(task_id.clone())
            }
            (Some(start), None) => recovery.requests.push(Request::Start(start.execute.clone())),
            (None, Some(_) | None) => {}
        }
        let current = self.own.as_ref().map(|own| &own.task_id);
        let is_over = self.start.is_none()
            && tasks
                .iter()
                .any(|task| Some(&task.task_id) == current && task.state == TaskState::Ended);
        self.repeat(is_over, &mut recovery);
        recovery
    }

    /// The session is lost, and nothing with it; there is a new one.
    pub(crate) fn renewed(&mut self) -> Recovery {
        let mut recovery = Recovery::default();
        self.own = None;
        self.repeat(true, &mut recovery);
        recovery
    }

    fn repeat(&mut self, is_over: bool, recovery: &mut Recovery) {
        if is_over {
            for (id, _) in std::mem::take(&mut self.controls) {
                let error = ErrorObject::new(ErrorCode::NoProcess, "the task has ended");
                recovery.events.push(SessionEvent::Controlled { id, outcome: Err(error) });
            }
        }
        let controls = self.controls.iter().map(|(id, control)| Request::Control(*id, *control));
        recovery.requests.extend(controls);
        recovery.requests.extend(self.attached.iter().map(Followed::attach));
    }

    /// The server does not know the task that was asked for.
    pub(crate) fn look_refused(&mut self, error: ErrorObject) -> Option<SessionEvent> {
        self.start.is_some().then(|| self.answered(Err(error)))
    }

    /// The task that was asked for, as the server shows it: has it been started?
    pub(crate) fn looked(&mut self, task: &TaskSummary, recovery: &mut Recovery) {
        let Some(start) = &mut self.start else { return };
        // Its end is all there is of it: it never ran.
        let is_failure = task.state == TaskState::Ended
            && (task.verdict == Some(Verdict::SpawnFailed) || task.last_seq <= 1);
        if is_failure {
            recovery.events.push(self.answered(Err(spawn_failure(task))));
        } else if task.state == TaskState::Starting {
            start.shown = Some(task.task_id.clone());
            // Should the connection break again, the resume must show this task.
            self.own = Some(Followed::new(&task.task_id, 0));
            recovery.look = Some(task.task_id.clone());
        } else {
            let started = StartedTask { task_id: task.task_id.clone(), pid: task.pid };
            recovery.events.push(self.answered(Ok(started)));
        }
    }
}

/// The error of a lost answer, rebuilt from the task's summary.
fn spawn_failure(task: &TaskSummary) -> ErrorObject {
    let message = "the task could not be started; its log says why".to_owned();
    let error =
        ErrorObject::new(ErrorCode::SpawnFailed, message).with("task_id", task.task_id.as_str());
    match task.exit_code {
        Some(code) => error.with("exit_code", code),
        None => error,
    }
}

/// The lines of a batch, as they would have come alone.
fn unpack(batch: OutputBatch<'static>) -> impl Iterator<Item = ProcessOutput<'static>> {
    let OutputBatch { task_id, items } = batch;
    items.into_iter().map(move |item| ProcessOutput {
        stream: item.stream,
        data: item.data,
        truncated: item.truncated,
        chunk_index: item.chunk_index,
        total_chunks: None,
        last_chunk: item.last_chunk,
        position: Position { task_id: task_id.clone(), seq: item.seq },
    })
}

#[cfg(test)]
mod tests;
