//! What the suites of `ccx batch` with a supervisor share.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use cc_tests::{
    Supervisor,
    batches::{Notes, Over, options},
    binaries,
    fifo::Fifo,
};
use serde_json::{Value, json};

use super::output::{shown, stdout};

/// A supervisor, what its tasks note, and a folder for files.
pub(super) struct Desk {
    pub(super) supervisor: Supervisor,
    pub(super) notes: Notes,
}

impl Desk {
    pub(super) fn new() -> Self {
        let options = options().flag("--resume-grace", 0);
        let supervisor = Supervisor::start(&options);
        let notes = Notes::new(&supervisor);
        Self { supervisor, notes }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.supervisor.scratch().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn write_tasks(&self, tasks: impl IntoIterator<Item = Value>) {
        let lines: String = tasks.into_iter().map(|task| format!("{task}\n")).collect();
        fs::write(self.path("tasks.jsonl"), lines).unwrap();
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(&self.supervisor.url(), arguments)
    }

    pub(super) fn command_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = binaries::ccx_command(url);
        command.args(arguments).current_dir(self.supervisor.scratch());
        command
    }

    pub(super) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `ccx` to this exit code.
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
        output
    }

    /// Submits `tasks.jsonl` and leaves it; returns the id.
    pub(super) fn detach(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["batch", "tasks.jsonl", "--detach"], arguments].concat(), 0);
        let text = stdout(&output);
        let id = text.strip_suffix('\n').unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok(), "only the id: {text:?}");
        id.to_owned()
    }

    pub(super) fn over(&self, batch_id: &str) -> Over {
        Over::of(&mut self.supervisor.connect(), batch_id)
    }

    /// The id of the only batch.
    pub(super) fn only_batch(&self) -> String {
        let list = self.supervisor.connect().call("batch.list", &json!({"state": "all"})).unwrap();
        let batches = list["batches"].as_array().unwrap();
        assert_eq!(batches.len(), 1, "{list}");
        batches[0]["batch_id"].as_str().unwrap().to_owned()
    }

    /// A task that waits for the gate, between two others.
    pub(super) fn gated(&self, gate: &Fifo) -> [Value; 3] {
        [
            self.notes.prompt("first", ["say: 1"]),
            self.notes.shell("gated", &format!("read go < {}", gate.path())),
            self.notes.prompt("last", ["say: 3"]),
        ]
    }
}

pub(super) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
