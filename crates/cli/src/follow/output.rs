//! The output of a task on this command's streams: stdout to stdout, stderr to stderr, in order, as it arrives.
//!
//! What is queued is bounded: while the reader of these streams is slow, nothing more is read from the supervisor, which
//! keeps it in the task's log.

use std::{collections::VecDeque, io};

use cc_client::Received;
use cc_protocol::notification::{Notification, ProcessOutput};
use tokio::io::{AsyncWrite, AsyncWriteExt as _, Stderr, Stdout};

use crate::{
    connect::interrupts::Interrupts,
    display::{agent_line::retry_line, text},
};

/// While more is queued, nothing is read from the supervisor.
const UNWRITTEN_BYTES_LIMIT: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Output,
    /// Of an agent, stderr and notices of its stream; its answer is printed at the end.
    Agent,
    /// Every notification as it arrived, one a line.
    Json,
}

/// What follows from a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Continue,
    /// Standard output is closed, so the task has no reader.
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    Stderr,
}

/// Consecutive bytes for one stream.
#[derive(Debug)]
struct Chunk {
    target: Target,
    bytes: Vec<u8>,
    written: usize,
}

/// The two streams and what is queued for them.
#[derive(Debug)]
pub(crate) struct RunOutput {
    mode: Mode,
    stdout: Stdout,
    stderr: Stderr,
    unwritten: VecDeque<Chunk>,
    unwritten_bytes: usize,
    stdout_error: Option<io::Error>,
    is_stderr_gone: bool,
}

impl RunOutput {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            stdout: tokio::io::stdout(),
            stderr: tokio::io::stderr(),
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            stdout_error: None,
            is_stderr_gone: false,
        }
    }

    /// The error that closed stdout.
    pub(crate) fn stdout_error(&self) -> Option<&io::Error> {
        self.stdout_error.as_ref()
    }

    /// Queues text for stdout.
    pub(crate) fn print(&mut self, text: &str) {
        self.push(Target::Stdout, text.as_bytes());
    }

    /// Writes what is queued, unless a signal comes first.
    pub(crate) async fn write_last_words(&mut self, interrupts: &mut Interrupts) {
        tokio::select! {
            biased;
            _ = interrupts.next() => {}
            _ = self.write() => {}
        }
    }

    fn push(&mut self, target: Target, bytes: &[u8]) {
        let is_gone = match target {
            Target::Stdout => self.stdout_error.is_some(),
            Target::Stderr => self.is_stderr_gone,
        };
        if is_gone || bytes.is_empty() {
            return;
        }
        self.unwritten_bytes += bytes.len();
        match self.unwritten.back_mut() {
            Some(chunk) if chunk.target == target => chunk.bytes.extend_from_slice(bytes),
            Some(_) | None => {
                self.unwritten.push_back(Chunk { target, bytes: bytes.to_vec(), written: 0 })
            }
        }
    }

    fn output(&mut self, output: &ProcessOutput<'_>) {
        let target = match (output.stream.as_ref(), self.mode) {
            ("stderr", _) => Target::Stderr,
            (_, Mode::Output) => Target::Stdout,
            (_, Mode::Agent | Mode::Json) => return,
        };
        self.push(target, output.data.as_bytes());
        if output.truncated {
            // The rest of the line was cut, with its newline.
            self.push(target, b"\n");
        }
    }

    fn give_up(&mut self, target: Target, error: io::Error) {
        self.unwritten.retain(|chunk| chunk.target != target);
        self.unwritten_bytes = self.unwritten.iter().map(|chunk| chunk.bytes.len()).sum();
        match target {
            Target::Stdout => self.stdout_error = Some(error),
            Target::Stderr => self.is_stderr_gone = true,
        }
    }

    /// Queues what a notification prints. Does not wait.
    pub(super) fn hear(&mut self, received: &Received) {
        if self.mode == Mode::Json {
            self.push(Target::Stdout, format!("{}\n", received.text()).as_bytes());
            return;
        }
        match &received.notification {
            Notification::Output(output) => self.output(output),
            Notification::OutputDropped(dropped) => self.note(&format!(
                "ccx: {} of output in {} are left out here, because the task printed more than its output limit",
                text::bytes(dropped.bytes),
                text::count(usize::try_from(dropped.lines).unwrap_or(usize::MAX), "line"),
            )),
            Notification::TaskRetrying(retry) => self.note(&retry_line(retry)),
            Notification::RateLimited(limit) => {
                self.note(&format!("claude: rate limit: {}", text::one_line(&limit.message, 300)));
            }
            Notification::TokenLimited(limit) => {
                self.note(&format!("claude: token limit: {}", text::one_line(&limit.message, 300)));
            }
            Notification::Error(problem) => self.note(&format!("ccx: {}", problem.error)),
            // Printed at the end, or not at all.
            Notification::Connected(_)
            | Notification::Started(_)
            | Notification::OutputBatch(_)
            | Notification::Paused(_)
            | Notification::Resumed(_)
            | Notification::Canceled(_)
            | Notification::Completed(_)
            | Notification::TaskResult(_)
            | Notification::BatchProgress(_)
            | Notification::BatchCompleted(_)
            | Notification::Alert(_) => {}
        }
    }

    /// Queues a line of `ccx` itself for stderr. Does not wait.
    pub(crate) fn note(&mut self, line: &str) {
        self.push(Target::Stderr, format!("{line}\n").as_bytes());
    }

    /// Whether [`RunOutput::write`] has something to do.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Whether the queue is full.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten_bytes >= UNWRITTEN_BYTES_LIMIT
    }

    /// Writes what is queued. Cancel safe: what was not written stays queued.
    pub(super) async fn write(&mut self) -> Wish {
        while let Some(chunk) = self.unwritten.front_mut() {
            let target = chunk.target;
            let written = match target {
                Target::Stdout => write_chunk(&mut self.stdout, chunk).await,
                Target::Stderr => write_chunk(&mut self.stderr, chunk).await,
            };
            match written {
                Ok(()) => {
                    let written = self.unwritten.pop_front();
                    self.unwritten_bytes -= written.map_or(0, |chunk| chunk.bytes.len());
                }
                Err(error) => {
                    self.give_up(target, error);
                    if target == Target::Stdout {
                        return Wish::Cancel;
                    }
                }
            }
        }
        Wish::Continue
    }
}

/// Writes the rest of a chunk and flushes, because an error of the last write shows only then.
async fn write_chunk(stream: &mut (impl AsyncWrite + Unpin), chunk: &mut Chunk) -> io::Result<()> {
    while let Some(rest) = chunk.bytes.get(chunk.written..).filter(|rest| !rest.is_empty()) {
        chunk.written += stream.write(rest).await?;
    }
    stream.flush().await
}
