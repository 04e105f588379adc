//! `task.output`: a page of a task's events, out of its log.

use cc_protocol::{
    CallError,
    task::{TaskOutput, TaskOutputResult},
};
use serde_json::{Value, json};

use crate::{
    config::limits,
    delivery::{notification::Translator, pending::PendingRecords, socket::MessageBuffer},
    session::{
        handler::Handler,
        position::{check_position, is_over},
        reply::Reply,
    },
    task::feed::{Cursor, Item},
};

impl Handler {
    /// A page of what is there: it waits for no event.
    pub(super) async fn task_output(
        &self,
        TaskOutput { task_id, after_seq, limit }: TaskOutput,
    ) -> Result<Reply, CallError> {
        let task = self.find_task(&task_id).await?;
        check_position(&task, "after_seq", after_seq)?;
        let last_seq = task.last_seq();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut translator = Translator::new(task_id.clone(), task.pid().unwrap_or(0), after_seq);
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
                        texts.push(&translator.lost(bytes, &error), after_seq);
                        if let Some((completed, seq)) = task.stored_end() {
                            texts.push(&translator.terminal(&completed, seq), seq);
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
        let is_end = page.is_end || (page.last_seq == last_seq && is_over(&task));
        Ok(Reply::new(TaskOutputResult { events: page.events, last_seq: page.last_seq, is_end }))
    }
}

/// Stands for an event that is a legal message of its own and does not fit into an answer.
fn too_long(event: &Value) -> Value {
    let params = &event["params"];
    let error = format!("event {} is too long for task.output: attach to the task", params["seq"]);
    json!({"jsonrpc": "2.0", "method": "process.error",
           "params": {"error": error, "task_id": params["task_id"]}})
}

/// The result of `task.output`, which grows up to what a message can hold.
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
        each.into_iter().for_each(|text| texts.push(&text, 0));
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
