//! Everything that a client heard of one task, with the invariants that hold for every task.

use serde_json::Value;

/// The answer to `execute` and all notifications of the task, in order.
#[derive(Debug)]
pub struct Transcript {
    pub answer: Value,
    pub events: Vec<Value>,
}

impl Transcript {
    /// Checks what must be true of every transcript, also of one that several connections brought.
    #[must_use]
    pub fn checked(answer: Value, events: Vec<Value>) -> Self {
        let transcript = Self { answer, events };
        transcript.check_answer();
        transcript.check_numbers();
        transcript.check_end();
        transcript
    }

    fn check_answer(&self) {
        assert_eq!(self.answer["status"], "started");
        assert!(self.answer["pid"].is_i64() && self.answer["pgid"].is_i64(), "{}", self.answer);
        assert!(self.answer["pid"].as_i64().unwrap() > 0);
        let first = &self.events[0];
        assert_eq!(first["method"], "process.started", "before anything else of the task: {first}");
        assert_eq!(first["params"]["pid"], self.answer["pid"]);
        assert_eq!(first["params"]["pgid"], self.answer["pgid"]);
    }

    fn check_numbers(&self) {
        for (index, event) in self.events.iter().enumerate() {
            assert_eq!(event["jsonrpc"], "2.0", "{event}");
            assert!(event.get("id").is_none(), "a notification has no id: {event}");
            let params = &event["params"];
            assert_eq!(params["task_id"], self.answer["task_id"], "{event}");
            assert_eq!(params["seq"], index + 1, "seq has a gap or a repetition: {event}");
        }
    }

    fn check_end(&self) {
        let ends = self.events.iter().filter(|event| event["method"] == "process.completed");
        assert_eq!(ends.count(), 1, "exactly one terminal event");
        assert_eq!(self.methods().last(), Some(&"process.completed"), "the terminal event is last");
        let completed = self.completed();
        assert!(completed["pid"].is_i64() && completed["pgid"].is_i64(), "{completed}");
        assert!(completed["exit_code"].is_i64(), "{completed}");
        let status = if completed["exit_code"] == 0 { "completed" } else { "failed" };
        assert_eq!(completed["status"], status, "{completed}");
        assert_eq!(completed["unkillable"], 0, "{completed}");
        // What was not dropped has arrived.
        if completed["reason"] != "worker_died" && self.outputs().all(|output| !is_changed(output))
        {
            let arrived: usize = self.outputs().map(|output| text_of(output).len()).sum();
            let counts = &completed["output"];
            let kept =
                counts["bytes"].as_u64().unwrap() - counts["dropped_bytes"].as_u64().unwrap();
            assert_eq!(arrived as u64, kept, "{completed}");
        }
    }

    #[must_use]
    pub fn methods(&self) -> Vec<&str> {
        self.events.iter().map(|event| event["method"].as_str().unwrap()).collect()
    }

    /// The params of the terminal event.
    #[must_use]
    pub fn completed(&self) -> &Value {
        &self.events.last().unwrap()["params"]
    }

    /// The params of all notifications of one method.
    pub fn params_of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events
            .iter()
            .filter(move |event| event["method"] == method)
            .map(|event| &event["params"])
    }

    /// The params of all output.
    pub fn outputs(&self) -> impl Iterator<Item = &Value> {
        self.params_of("process.output")
    }

    #[must_use]
    pub fn stdout(&self) -> String {
        self.stream("stdout")
    }

    #[must_use]
    pub fn stderr(&self) -> String {
        self.stream("stderr")
    }

    fn stream(&self, name: &str) -> String {
        self.outputs().filter(|output| output["type"] == name).map(text_of).collect()
    }

    /// `reason` and `exit_code` of the end.
    #[must_use]
    pub fn end(&self) -> (&str, i64) {
        let completed = self.completed();
        (completed["reason"].as_str().unwrap(), completed["exit_code"].as_i64().unwrap())
    }

    /// The id of the task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        self.answer["task_id"].as_str().unwrap()
    }
}

/// The text of an output.
#[must_use]
pub fn text_of(output: &Value) -> &str {
    output["data"].as_str().unwrap()
}

/// Whether the text has other bytes than the task wrote: the mark of a cut line, replaced bytes.
fn is_changed(output: &Value) -> bool {
    output["truncated"] == true || text_of(output).contains('\u{fffd}')
}
