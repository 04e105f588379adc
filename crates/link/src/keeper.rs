//! The keeper: the process of the worker program that forks a supervisor's workers and stays their parent. It is also
//! their subreaper, so a child of it that is no worker was left by a worker that has died.
//!
//! It is started with [`KEEPER_ARGUMENT`] and the path of its socket, `STATE/keepers/ID.sock`. Its standard input is a stream socket on which the
//! supervisor requests workers: the byte [`REQUEST`], sent together with three descriptors, the worker's stdin, stdout and
//! stderr. The answer is an [`Answer`]; a new worker sends it itself, with a pidfd of itself. A supervisor waits for the
//! answer before it sends the next request.
//!
//! Its standard output is a listening socket, bound to that path. Every supervisor of the same state directory, as its key shows, can send one
//! [`Question`] on each connection, a line of JSON, and gets one [`Settled`], another line. A keeper outlives its
//! supervisor, and exits when it has neither a supervisor nor a worker.

use std::io;

use serde::{Deserialize, Serialize};

use crate::key::Key;

/// The argument that makes the worker program a keeper; the path of its socket follows.
pub const KEEPER_ARGUMENT: &str = "--keeper";
/// The byte of a request: descriptors cannot be sent without one.
pub const REQUEST: u8 = b'w';
/// Descriptors of a request.
pub const REQUEST_DESCRIPTORS: usize = 3;
/// Length of an [`Answer`].
pub const ANSWER_BYTES: usize = 4;
/// File name of the key, in the state directory. A keeper reads it at its start: its socket is in a directory there.
pub const KEY_NAME: &str = "key";
/// Longest question, its newline included. A keeper closes a connection that sends more without one.
pub const QUESTION_BYTES_LIMIT: usize = 256;

/// The outcome of a request: the worker's pid, or why there is none.
#[derive(Debug)]
pub struct Answer(pub io::Result<i32>);

impl Answer {
    /// The bytes to send: the pid, or a negated errno(3), little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ANSWER_BYTES] {
        let number = match &self.0 {
            Ok(pid) => *pid,
            // An error of fork(2) has a number; any other would be a bug.
            Err(error) => -error.raw_os_error().unwrap_or(1),
        };
        number.to_le_bytes()
    }

    /// Reads what was received.
    #[must_use]
    pub fn from_bytes(bytes: [u8; ANSWER_BYTES]) -> Self {
        let number = i32::from_le_bytes(bytes);
        Self(if number > 0 {
            Ok(number)
        } else {
            Err(io::Error::from_raw_os_error(number.saturating_neg()))
        })
    }
}

/// A question on a keeper's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Answer when this worker and everything that it left have ended. A worker that the keeper does not know has ended.
    Settle {
        /// The worker's pid.
        worker: i32,
        /// That of the state directory. A keeper closes a connection that shows another one, or none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
}

/// The answer to [`Question::Settle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How the worker ended; `None` where the keeper does not know.
    pub end: Option<WorkerEnd>,
    /// Processes that it left and that were killed.
    pub killed: u64,
    /// Processes that it left and that could not be killed within the bound.
    pub unkillable: u64,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerEnd {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A message as a line of JSON, with its newline.
///
/// # Errors
/// Never for the types of this module: they have no map keys but strings.
pub fn to_line(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a line, with or without its newline.
///
/// # Errors
/// When it is no such message.
pub fn from_line<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_and_an_error_arrive_as_they_were_sent() {
        let pid = Answer::from_bytes(Answer(Ok(4711)).to_bytes());
        assert_eq!(pid.0.unwrap(), 4711);
        let error = Answer(Err(io::Error::from_raw_os_error(11))).to_bytes();
        assert_eq!(Answer::from_bytes(error).0.unwrap_err().raw_os_error(), Some(11));
    }

    #[test]
    fn a_question_and_its_answer_are_lines_that_another_build_understands() {
        let line = to_line(&Question::Settle { worker: 7, key: None }).unwrap();
        assert_eq!(line, b"{\"settle\":{\"worker\":7}}\n");
        assert!(line.len() < QUESTION_BYTES_LIMIT);
        let settled = Settled { end: Some(WorkerEnd::Signal(9)), killed: 2, unkillable: 0 };
        assert_eq!(from_line::<Settled>(&to_line(&settled).unwrap()).unwrap(), settled);
        let of_a_newer_build = b"{\"end\":{\"code\":2},\"killed\":0,\"unkillable\":0,\"more\":1}";
        assert_eq!(from_line::<Settled>(of_a_newer_build).unwrap().end, Some(WorkerEnd::Code(2)));
    }
}
