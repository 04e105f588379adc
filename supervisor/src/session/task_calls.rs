//! `task.*`: what a client may ask about any task, and do to it, by its id.
//!
//! Every client that is admitted is the same user, so every task is its own.

use cc_events::EndReason;
use cc_protocol::{
    control::ControlType,
    error::{ErrorCode, ErrorObject},
    task::{TaskAttach, TaskList, TaskListResult, TaskNamed, TaskOutput, TaskOutputResult},
};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::{
    config::limits,
    delivery::{
        Outgoing, notification::Translator, pending::PendingRecords, socket::MessageBuffer,
    },
    session::{After, CallResult, Gone, Handler, no_process},
    task::{
        Request, TaskHandle,
        feed::{Cursor, Item},
        lookup::{self, TaskRef},
    },
};

impl Handler {
    /// Answers `task.get`.
    pub(crate) async fn task_get(&self, params: &Map<String, Value>) -> CallResult {
        let TaskNamed { task_id } = TaskNamed::from_params(params)?;
        let known = TaskRef::find(&self.services.tasks, &task_id).await?;
        Ok(json!(known.summary(&self.services.tasks)))
    }

    /// Answers `task.list`.
    pub(crate) async fn task_list(&self, params: &Map<String, Value>) -> CallResult {
        let TaskList { state, limit, before } = TaskList::from_params(params)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (tasks, has_more) = lookup::list(&self.services.tasks, state, before, limit).await?;
        Ok(json!(TaskListResult { tasks, has_more }))
    }

    /// Answers `task.output`: a page of what is there now, which waits for nothing.
    pub(crate) async fn task_output(&self, params: &Map<String, Value>) -> CallResult {
        let TaskOutput { task_id, after_seq, limit } = TaskOutput::from_params(params)?;
        let known = TaskRef::find(&self.services.tasks, &task_id).await?;
        check_position(&known, after_seq)?;
        let last_seq = known.last_seq();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut translator = Translator::new(task_id.clone(), known.pid().unwrap_or(0), after_seq);
        let mut cursor = Cursor::over_log(self.services.tasks.log_path(&task_id), after_seq);
        let mut page = Page { events: Vec::new(), bytes: 0, last_seq: after_seq, is_end: false };
        // Never further than what is published: the log may hold more already.
        let mut pending = PendingRecords::default();
        while page.last_seq < last_seq && page.events.len() < limit {
            let mut texts = MessageBuffer::default();
            if pending.is_empty() {
                match cursor.next(limits::WRITER_TAKE_BYTES).await {
                    Some(Item::Frames(frames)) => pending = PendingRecords::new(frames),
                    Some(Item::Lost { bytes, error }) => {
                        page.last_seq = last_seq;
                        texts.push(&translator.lost(bytes, &error));
                        if let Some((completed, seq)) = known.stored_end() {
                            texts.push(&translator.terminal(&completed, seq));
                        }
                    }
                    None => break,
                }
            }
            translator.translate_or_report(&mut pending, false, &mut texts);
            if !page.add(&texts, limit, last_seq) {
                break;
            }
        }
        let is_end = page.is_end || (page.last_seq == last_seq && is_over(&known));
        Ok(json!(TaskOutputResult { events: page.events, last_seq: page.last_seq, is_end }))
    }

    /// Answers `task.attach`.
    pub(crate) async fn task_attach(
        &mut self,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> CallResult {
        let TaskAttach { task_id, after_seq } = TaskAttach::from_params(params)?;
        let known = TaskRef::find(&self.services.tasks, &task_id).await?;
        check_position(&known, after_seq)?;
        if is_over(&known) {
            self.delivered_of(&task_id).await;
        }
        self.attached.retain(|_, delivery| is_under_way(delivery));
        if self.attached.contains_key(&task_id) || self.is_sent_anyway(&task_id) {
            let message =
                "Invalid params: task_id is a task whose events this connection gets already";
            return Err(ErrorObject::new(ErrorCode::InvalidParams, message)
                .with("field", "task_id")
                .with("task_id", task_id));
        }
        if self.attached.len() >= limits::ATTACHED_TASKS {
            let limit = limits::ATTACHED_TASKS;
            let message =
                format!("a connection can be attached to {limit} tasks: detach one first");
            return Err(ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit));
        }
        let (delivered, delivery) = oneshot::channel();
        after.push(After::Attach(self.follow(&task_id, &known, after_seq, delivered)));
        self.attached.insert(task_id, delivery);
        Ok(json!(known.summary(&self.services.tasks)))
    }

    /// Answers `task.detach`. Nothing of the task is sent after the answer.
    pub(crate) async fn task_detach(
        &mut self,
        params: &Map<String, Value>,
    ) -> Result<CallResult, Gone> {
        let TaskNamed { task_id } = match TaskNamed::from_params(params) {
            Ok(named) => named,
            Err(error) => return Ok(Err(error)),
        };
        if self.attached.remove(&task_id).is_none() {
            if let Err(error) = TaskRef::find(&self.services.tasks, &task_id).await {
                return Ok(Err(error));
            }
            let message =
                "Invalid params: task_id is a task that this connection is not attached to";
            return Ok(Err(ErrorObject::new(ErrorCode::InvalidParams, message)
                .with("field", "task_id")
                .with("task_id", task_id)));
        }
        self.send(Outgoing::Detach(task_id)).await?;
        Ok(Ok(json!({"status": "detached"})))
    }

    /// Answers `task.cancel`, `task.pause` and `task.resume`.
    pub(crate) async fn task_control(
        &mut self,
        control: ControlType,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> Result<CallResult, Gone> {
        let found = match TaskNamed::from_params(params) {
            Ok(named) => self.living(&named.task_id).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(handle) => self.steer(handle, control, after).await,
            Err(error) => Ok(Err(error)),
        }
    }

    /// Waits until this connection has been sent the end of a task that is over, if it is being sent: a client
    /// that has read it may ask for the task again at once.
    async fn delivered_of(&mut self, task_id: &str) {
        if let Some(delivery) = self.attached.remove(task_id) {
            // An error is an end as well.
            drop(delivery.await);
        }
        if self.is_sent_anyway(task_id) {
            self.delivered().await;
        }
    }

    async fn living(&self, task_id: &str) -> Result<TaskHandle, ErrorObject> {
        match TaskRef::find(&self.services.tasks, task_id).await? {
            TaskRef::Live(handle) if !handle.is_done() => Ok(handle),
            TaskRef::Live(_) | TaskRef::Stored(_) => Err(no_process().with("task_id", task_id)),
        }
    }

    /// Asks a task's owner for what `control` says, and answers as soon as that is certain.
    pub(crate) async fn steer(
        &mut self,
        handle: TaskHandle,
        control: ControlType,
        after: &mut Vec<After>,
    ) -> Result<CallResult, Gone> {
        let (answer, answered) = oneshot::channel();
        let request = match control {
            ControlType::Cancel => Request::Cancel(EndReason::Canceled, Some(answer)),
            ControlType::Pause => Request::Pause(answer),
            ControlType::Resume => Request::Resume(answer),
        };
        // The event may be there before the answer is; until then the writer must not see it.
        self.send(Outgoing::Hold).await?;
        after.push(After::Release);
        handle.request(request).await;
        Ok(crate::session::control_answer(control, answered).await)
    }
}

fn check_position(known: &TaskRef, after_seq: u64) -> Result<(), ErrorObject> {
    let last_seq = known.last_seq();
    if after_seq <= last_seq {
        return Ok(());
    }
    let message = format!(
        "Invalid params: after_seq is {after_seq}, and the last event of this task is {last_seq}"
    );
    Err(ErrorObject::new(ErrorCode::InvalidParams, message)
        .with("field", "after_seq")
        .with("last_seq", last_seq))
}

fn is_over(known: &TaskRef) -> bool {
    match known {
        TaskRef::Live(handle) => handle.is_done(),
        TaskRef::Stored(row) => row.ended.is_some(),
    }
}

/// Whether the terminal event of an attached task is still to be sent.
fn is_under_way(delivery: &mut oneshot::Receiver<()>) -> bool {
    matches!(delivery.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

/// Stands for an event that is a legal message of its own and does not fit into an answer.
fn too_long(event: &Value) -> Value {
    let params = &event["params"];
    let error = format!("event {} is too long for task.output: attach to the task", params["seq"]);
    json!({"jsonrpc": "2.0", "method": "process.error",
           "params": {"error": error, "task_id": params["task_id"]}})
}

/// An answer to `task.output` that grows up to what a message can hold.
struct Page {
    events: Vec<Value>,
    bytes: usize,
    last_seq: u64,
    is_end: bool,
}

impl Page {
    /// False when it is full.
    fn add(&mut self, texts: &MessageBuffer, limit: usize, last_seq: u64) -> bool {
        for text in texts.iter() {
            self.bytes += text.len();
            let has_room = self.bytes <= limits::LIST_BYTES && self.events.len() < limit;
            if !has_room && !self.events.is_empty() {
                return false;
            }
            let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
            if let Some(seq) = event["params"]["seq"].as_u64() {
                if seq > last_seq {
                    return false;
                }
                self.last_seq = seq;
            }
            self.is_end |= event["method"] == "process.completed";
            self.events.push(if has_room { event } else { too_long(&event) });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page { events: Vec::new(), bytes: 0, last_seq: 0, is_end: false }
    }

    fn output(seq: u64, data_bytes: usize) -> String {
        let data = "x".repeat(data_bytes);
        json!({"jsonrpc": "2.0", "method": "process.output",
               "params": {"task_id": "t", "seq": seq, "data": data}})
        .to_string()
    }

    fn texts(each: impl IntoIterator<Item = String>) -> MessageBuffer {
        let mut texts = MessageBuffer::default();
        each.into_iter().for_each(|text| texts.push(&text));
        texts
    }

    #[test]
    fn a_page_ends_before_what_would_make_the_answer_too_long() {
        let mut page = page();
        let texts = texts((1..=20).map(|seq| output(seq, limits::LIST_BYTES / 10)));
        assert!(!page.add(&texts, 1000, 20));
        assert_eq!((page.events.len(), page.last_seq), (9, 9));
        assert!(serde_json::to_string(&page.events).unwrap().len() <= limits::LIST_BYTES);
    }

    #[test]
    fn an_event_that_no_answer_can_hold_is_named_and_passed_over() {
        let mut page = page();
        page.add(&texts([output(1, limits::LIST_BYTES), output(2, 1)]), 1000, 2);
        assert_eq!((page.events.len(), page.last_seq), (1, 1));
        assert_eq!(page.events[0]["method"], "process.error");
        assert!(page.events[0]["params"]["error"].as_str().unwrap().contains("event 1 "));
    }

    #[test]
    fn a_page_never_shows_what_is_not_published() {
        let mut page = page();
        assert!(!page.add(&texts((1..=5).map(|seq| output(seq, 1))), 1000, 3));
        assert_eq!((page.events.len(), page.last_seq), (3, 3));
    }
}
