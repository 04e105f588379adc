//! A client with one task which loses its server and comes back: what it heard, on however many
//! connections, is checked as one transcript.

use serde_json::Value;

use crate::{
    Client, Session, Supervisor, Transcript,
    processes::{self, Process},
    requests::{last_seq, log_path, pid, task_id},
    task_log::TaskLog,
};

/// One task and its client.
pub struct Follower {
    /// The connection of this moment.
    pub client: Client,
    pub session: Session,
    pub answer: Value,
    pub events: Vec<Value>,
    worker: Option<Process>,
}

impl Follower {
    /// Starts a task on a session of its own.
    #[must_use]
    pub fn start(supervisor: &Supervisor, params: &Value) -> Self {
        let mut client = supervisor.connect();
        let session = client.session();
        let answer = client.execute(params).expect("execute is accepted");
        let worker = processes::parent(pid(&answer)).and_then(Process::open);
        Self { client, session, answer, events: Vec::new(), worker }
    }

    /// Starts a task and reads until it has printed `text`.
    #[must_use]
    pub fn start_until(supervisor: &Supervisor, params: &Value, text: &str) -> Self {
        let mut follower = Self::start(supervisor, params);
        follower.events = follower.client.recv_until_output(text);
        follower
    }

    /// The id of its task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        task_id(&self.answer)
    }

    #[must_use]
    pub fn worker(&self) -> &Process {
        self.worker.as_ref().expect("the task runs, and so its worker does")
    }

    /// Reads what was sent before the connection was lost.
    ///
    /// # Panics
    /// When it is not lost: the end of the task came.
    pub fn lose(&mut self) {
        let is_ended = self.client.follow(&mut self.events);
        assert!(!is_ended, "the task ended before the connection: {:?}", self.events.last());
    }

    /// Connects again and takes the session over; returns the server's answer.
    ///
    /// # Panics
    /// When the server refuses, or does not know the task.
    pub fn come_back(&mut self, supervisor: &Supervisor) -> Value {
        self.client = supervisor.connect();
        let after = Some((task_id(&self.answer), last_seq(&self.events)));
        let answer = self.client.resume(&self.session, after).expect("the session is resumed");
        assert_eq!(answer["tasks"][0]["task_id"], self.answer["task_id"], "{answer}");
        answer
    }

    /// Reads to the end of the task, and checks what was heard and what the log holds.
    #[must_use]
    pub fn finish(mut self, supervisor: &Supervisor) -> Transcript {
        let transcript = self.client.collect_after(self.answer, self.events);
        let path = log_path(&supervisor.state_directory(), transcript.task_id());
        let log = TaskLog::read(&path);
        assert_eq!(log.records.len(), transcript.events.len(), "events in the log and on the wire");
        assert_eq!(log.completed().reason.as_str(), transcript.end().0);
        transcript
    }
}
