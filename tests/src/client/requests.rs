//! The requests of the wire, by name.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Client, Session};
use crate::Transcript;

impl Client {
    /// The session that this connection began with.
    #[must_use]
    pub fn session(&self) -> Session {
        let text = |name: &str| {
            let text = self.connected[name].as_str().filter(|text| !text.is_empty());
            text.unwrap_or_else(|| panic!("connected has no {name}: {}", self.connected)).to_owned()
        };
        Session { id: text("session_id"), token: text("resume_token") }
    }

    /// `session.resume` from after this task and seq, or from the beginning.
    pub fn resume(
        &mut self,
        session: &Session,
        after: Option<(&str, u64)>,
    ) -> Result<Value, Value> {
        self.try_resume(session, after).expect("the connection lives until the answer has come")
    }

    /// The same on a connection that may be lost; `None` when it is.
    pub fn try_resume(
        &mut self,
        session: &Session,
        after: Option<(&str, u64)>,
    ) -> Option<Result<Value, Value>> {
        let mut params = json!({"session_id": session.id, "resume_token": session.token});
        if let Some((task_id, seq)) = after {
            params["after"] = json!({"task_id": task_id, "seq": seq});
        }
        self.try_call("session.resume", &params)
    }

    /// Connects and takes the session over.
    #[must_use]
    pub fn resumed(address: SocketAddr, session: &Session, after: Option<(&str, u64)>) -> Self {
        let mut client = Self::connect(address);
        let answer = client.resume(session, after).expect("the session is resumed");
        assert_eq!(answer["session_id"], session.id.as_str(), "{answer}");
        client
    }

    /// A call about one task, which is named by its id.
    pub fn by_id(&mut self, method: &str, task_id: &str) -> Result<Value, Value> {
        self.call(method, &json!({ "task_id": task_id }))
    }

    /// Checks that the server answers.
    pub fn assert_alive(&mut self) {
        assert!(self.call("ping", &json!({})).is_ok());
    }

    /// `execute`; the error is the `error` member of the response.
    pub fn execute(&mut self, params: &Value) -> Result<Value, Value> {
        self.call("execute", params)
    }

    pub fn control(&mut self, kind: &str) -> Result<Value, Value> {
        self.call("control", &json!({"type": kind}))
    }

    /// Runs a task to its end and checks the invariants of every transcript.
    #[must_use]
    pub fn run_to_end(&mut self, params: &Value) -> Transcript {
        let answer = self.execute(params).expect("execute is accepted");
        self.collect(answer)
    }

    /// Runs a line of shell to its end.
    #[must_use]
    pub fn run_shell(&mut self, command: &str) -> Transcript {
        self.run_to_end(&json!({"command": command}))
    }

    /// `task.attach` from after this seq on.
    pub fn attach(&mut self, task_id: &str, after_seq: u64) -> Result<Value, Value> {
        self.call("task.attach", &json!({"task_id": task_id, "after_seq": after_seq}))
    }

    /// Attaches to a task and reads its events from after this seq on to the terminal one.
    ///
    /// # Panics
    /// When the server refuses, or the terminal event does not come.
    #[must_use]
    pub fn watch(&mut self, task_id: &str, after_seq: u64) -> Vec<Value> {
        self.attach(task_id, after_seq).expect("the task is attached to");
        let mut events = Vec::new();
        assert!(self.follow(&mut events), "the task {task_id} did not end: {:?}", events.last());
        events
    }

    pub fn task(&mut self, task_id: &str) -> Result<Value, Value> {
        self.call("task.get", &json!({ "task_id": task_id }))
    }

    /// Waits until `task.get` says that the task has ended; returns what it says.
    pub fn wait_for_end(&mut self, task_id: &str) -> Value {
        let mut task = Value::Null;
        crate::wait_until("the task ends", || {
            task = self.task(task_id).expect("the task is known");
            task["state"] == "ended"
        });
        task
    }
}
