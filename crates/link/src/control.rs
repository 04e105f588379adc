//! Supervisor to worker: one JSON text a line on the worker's standard input, so that it can be typed in a shell. After an
//! adoption the same lines travel on the worker's socket.

use cc_events::EndReason;
use serde::{Deserialize, Serialize};

use crate::{adopt::Adopt, spec::TaskSpec};

/// Longest control line: a spec with a 10 MB prompt, every byte of it escaped as `\u00xx`, fits.
pub const CONTROL_LINE_BYTES_LIMIT: usize = 96 * 1024 * 1024;

/// What a supervisor asks of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Run this task. Legal once, as the first line.
    Run(Box<TaskSpec>),
    /// Make the sender the worker's supervisor. Legal as the first line on a connection to the worker's socket.
    Adopt(Adopt),
    /// Stop the whole tree. Harmless when it is stopped.
    Pause,
    /// Resume the whole tree. Harmless when it runs.
    Resume,
    /// End the task: SIGTERM to the whole tree, the grace of the spec, SIGKILL. Harmless when it is ending.
    Cancel {
        /// Named in the terminal event, unless the task is ending for another reason already.
        reason: EndReason,
    },
    /// End the task with SIGKILL now, also in the middle of a grace period.
    Kill {
        /// Named in the terminal event, as for `Cancel`.
        reason: EndReason,
    },
    /// Answer with [`crate::notice::Notice::Pong`]: a health check of the worker's loop.
    Ping {
        /// The answer repeats it.
        nonce: u64,
    },
}

impl Control {
    /// The line to write, with its newline.
    ///
    /// # Errors
    /// Never for values made by this program: every map key is a string.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// Reads a line, with or without its newline.
    ///
    /// # Errors
    /// When the line is no known control message; the error says what is wrong and where.
    pub fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}
