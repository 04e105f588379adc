//! Parameters of tasks that several suites start, and what their transcripts must then hold.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    Transcript,
    binaries::misbehave_argv,
    fifo::Fifo,
    processes::{self, Process},
    spoken_output::{Stream, said, speech},
};

/// A task that prints at full speed on both streams; see [`assert_spoken`].
#[must_use]
pub fn speak(seed: u64, bytes: usize) -> Value {
    json!({"argv": misbehave_argv(&["speak", &seed.to_string(), &bytes.to_string()])})
}

/// Checks that a task of [`speak`] ended well and that all it said is there.
pub fn assert_spoken(transcript: &Transcript, seed: u64, bytes: usize) {
    let expected = speech(seed, bytes);
    assert_eq!(transcript.end(), ("exit", 0), "{}", transcript.completed());
    assert!(transcript.stdout() == said(&expected, Stream::Stdout), "stdout is not what was said");
    assert!(transcript.stderr() == said(&expected, Stream::Stderr), "stderr is not what was said");
}

/// A task that says `ready`, waits for its pipe to be released, and then runs a line of shell.
#[must_use]
pub fn gated(fifo: &Fifo, then: &str) -> Value {
    json!({"command": format!("echo ready; read go < {}; {then}", fifo.path())})
}

/// A task that prints on and on until its pipe is released.
#[must_use]
pub fn pour(stop: &Fifo) -> Value {
    json!({"argv": misbehave_argv(&["pour", stop.path()]), "max_output_bytes": 1_000_000_000})
}

/// The id in an answer or a task's summary.
#[must_use]
pub fn task_id(answer: &Value) -> &str {
    answer["task_id"].as_str().unwrap_or_else(|| panic!("no task_id: {answer}"))
}

/// The process in an answer to `execute`.
#[must_use]
pub fn pid(answer: &Value) -> i32 {
    i32::try_from(answer["pid"].as_i64().unwrap()).unwrap()
}

/// The worker of the task that was started with this answer.
#[must_use]
pub fn worker(answer: &Value) -> Process {
    Process::open(processes::parent(pid(answer)).unwrap()).unwrap()
}

/// The seq of the last of these events, 0 where there is none.
#[must_use]
pub fn last_seq(events: &[Value]) -> u64 {
    events.last().map_or(0, |event| event["params"]["seq"].as_u64().unwrap())
}

/// An `execute` answer for a task that was met in another way, so that its transcript can be checked.
#[must_use]
pub fn answer_for(events: &[Value]) -> Value {
    let started = &events[0]["params"];
    json!({"status": "started", "task_id": started["task_id"],
           "pid": started["pid"], "pgid": started["pgid"]})
}

/// The log below a state directory.
#[must_use]
pub fn log_path(state_directory: &Path, task_id: &str) -> std::path::PathBuf {
    state_directory.join("tasks").join(task_id).join("log")
}
