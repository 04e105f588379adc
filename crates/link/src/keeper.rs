//! How a supervisor has its workers forked and kept: by one process of the worker program that is ready to be a
//! worker and never becomes one itself, the keeper. It is the parent and the subreaper of all workers that it makes,
//! so whoever is its child and no worker was left by a worker that has died.
//!
//! It is started with [`KEEPER_ARGUMENT`] and the path of its socket. Its stdin is a stream socket on which a
//! supervisor asks for workers: the byte [`REQUEST`], sent together with three descriptors, the worker's stdin, stdout
//! and stderr. The answer is an [`Answer`], from the worker itself where there is one now, with a pidfd of it. One
//! request is answered before the next is sent.
//!
//! Its stdout is a listening socket, bound to that path, on which every supervisor of the same user can ask one
//! [`Question`] for each connection, a line of JSON, and gets one [`Settled`], another line. A keeper outlives its
//! supervisor, and goes when it has neither that nor a worker.

use std::io;

use serde::{Deserialize, Serialize};

/// What makes the worker program a keeper; the path of its socket follows.
pub const KEEPER_ARGUMENT: &str = "--keeper";
/// What a request has beside its descriptors: these cannot travel alone.
pub const REQUEST: u8 = b'w';
/// Descriptors of a request.
pub const REQUEST_DESCRIPTORS: usize = 3;
/// Length of an [`Answer`].
pub const ANSWER_BYTES: usize = 4;
/// Longest question, its newline included. A keeper hangs up on who says more without one.
pub const QUESTION_BYTES_LIMIT: usize = 256;

/// What became of a request: a worker's pid, or why there is none.
#[derive(Debug)]
pub struct Answer(pub io::Result<i32>);

impl Answer {
    /// As it is sent: a pid, or a negative number of an error as in errno(3), little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ANSWER_BYTES] {
        let number = match &self.0 {
            Ok(pid) => *pid,
            // An error that the kernel did not make is none of a fork.
            Err(error) => -error.raw_os_error().unwrap_or(1),
        };
        number.to_le_bytes()
    }

    /// From what was received.
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

/// What is asked on a keeper's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Answer when this worker has ended and what it left is ended too. One that the keeper does not know has ended.
    Settle {
        /// Its pid.
        worker: i32,
    },
}

/// The answer to [`Question::Settle`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How the worker ended, where the keeper knows it.
    pub end: Option<WorkerEnd>,
    /// Processes that it left alive and that are dead now.
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
        let line = to_line(&Question::Settle { worker: 7 }).unwrap();
        assert_eq!(line, b"{\"settle\":{\"worker\":7}}\n");
        assert!(line.len() < QUESTION_BYTES_LIMIT);
        let settled = Settled { end: Some(WorkerEnd::Signal(9)), killed: 2, unkillable: 0 };
        assert_eq!(from_line::<Settled>(&to_line(&settled).unwrap()).unwrap(), settled);
        let of_a_newer_build = b"{\"end\":{\"code\":2},\"killed\":0,\"unkillable\":0,\"more\":1}";
        assert_eq!(from_line::<Settled>(of_a_newer_build).unwrap().end, Some(WorkerEnd::Code(2)));
    }
}
