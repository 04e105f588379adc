//! A supervisor for the duration of one command, with its own port and state directory.
//!
//! It cannot outlive `ccx`: its standard input is a pipe that only `ccx` holds, and it stops when
//! that closes, however `ccx` ended. It is started in its own process group, so that a Ctrl-C at
//! the terminal reaches `ccx` alone and the task gets its grace period.

use std::{
    collections::VecDeque, fs::Permissions, io, os::unix::fs::PermissionsExt as _, process::Stdio,
    time::Duration,
};

use cc_proctree::pidfd::Pidfd;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time,
};

use crate::{connect::programs, error::CommandError};

/// From its start to the line that says where it listens.
const START_LIMIT: Duration = Duration::from_secs(15);
/// From SIGTERM to its exit, the grace period of its tasks included.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Between the two signals of a stop that does not wait for tasks.
const SECOND_SIGNAL_AFTER: Duration = Duration::from_millis(500);
/// Lines of its stderr that are kept to explain a failure.
const STDERR_LINES_KEPT: usize = 20;
/// Longest line of its stdout and stderr that is read as one.
const LINE_BYTES_LIMIT: u64 = 4096;
/// What its first line begins with.
const LISTENING: &str = "listening on ";

/// How to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// With the grace period for running tasks.
    Polite,
    /// Without a grace period.
    AtOnce,
}

#[derive(Debug)]
pub(crate) struct PrivateSupervisor {
    child: Child,
    /// Unlike the pid, it never refers to another process.
    pidfd: Pidfd,
    url: String,
    stderr_tail: JoinHandle<VecDeque<String>>,
    /// The supervisor stops when this closes.
    stdin: ChildStdin,
    /// Kept open so that a late line of the supervisor does not fail with a broken pipe.
    _stdout: BufReader<ChildStdout>,
    /// Removed when this is dropped.
    _state_folder: TempDir,
}

impl PrivateSupervisor {
    /// Starts `cc-supervisor` with these further arguments and waits until it listens.
    pub(crate) async fn start(arguments: &[String]) -> Result<Self, CommandError> {
        let program = programs::find_companion("cc-supervisor")?;
        let worker = programs::find_companion("cc-worker")?;
        let state_folder = tempfile::Builder::new()
            .prefix("ccx-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(CommandError::io("cannot make a temporary folder"))?;
        let mut child = Command::new(&program)
            // Of the files of the user and the system it takes what is said about tasks and batches: where a service
            // listens, whom it lets in and where its state is concerns that service.
            .args(["--private", "--listen", "127.0.0.1:0", "--stop-on-stdin-eof"])
            // No other client can attach to these tasks: they end with `ccx` or its supervisor.
            .args(["--resume-grace", "0", "--on-supervisor-loss", "kill"])
            .arg("--state-dir")
            .arg(state_folder.path())
            .arg("--worker")
            .arg(worker)
            .args(arguments)
            // The token protects a supervisor that other users reach; this one serves its own user.
            .env_remove("CC_EXECUTOR_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(CommandError::io(format!("cannot start {}", program.display())))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(CommandError::failed("cc-supervisor was started without its pipes"));
        };
        // If this fails, the supervisor stops because its standard input closes.
        let pidfd = pidfd_of(&child).map_err(CommandError::io("cannot watch cc-supervisor"))?;
        let stderr_tail = tokio::spawn(keep_tail(BufReader::new(stderr)));
        let mut stdout = BufReader::new(stdout);
        let first_line = time::timeout(START_LIMIT, read_line(&mut stdout)).await;
        let url = match &first_line {
            Ok(Some(line)) => line.strip_prefix(LISTENING).map(str::to_owned),
            Ok(None) | Err(_) => None,
        };
        let Some(url) = url else {
            let what = match first_line {
                Ok(Some(line)) => format!("its first line is {line:?}"),
                Ok(None) => "it ended".to_owned(),
                Err(_) => format!("it printed nothing for {} s", START_LIMIT.as_secs()),
            };
            return Err(Self::explain(child, stdin, stderr_tail, &what).await);
        };
        Ok(Self {
            child,
            pidfd,
            url,
            stderr_tail,
            stdin,
            _stdout: stdout,
            _state_folder: state_folder,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops it and waits for its exit. `Err` is a supervisor that failed.
    pub(crate) async fn stop(mut self, urgency: Urgency) -> Result<(), CommandError> {
        self.signal(Signal::TERM);
        if urgency == Urgency::AtOnce
            && time::timeout(SECOND_SIGNAL_AFTER, self.child.wait()).await.is_err()
        {
            self.signal(Signal::TERM);
        }
        let Ok(status) = time::timeout(STOP_LIMIT, self.child.wait()).await else {
            // Its workers find the connection closed and end their tasks.
            self.signal(Signal::KILL);
            drop(self.child.wait().await);
            return Err(CommandError::failed(format!(
                "cc-supervisor did not stop within {} s and was killed",
                STOP_LIMIT.as_secs()
            )));
        };
        drop(self.stdin);
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let tail = tail_text(self.stderr_tail).await;
                Err(CommandError::failed(format!("cc-supervisor ended with {status}{tail}")))
            }
            Err(error) => Err(CommandError::io("cannot wait for cc-supervisor")(error)),
        }
    }

    /// A supervisor that has exited already needs no signal.
    fn signal(&self, signal: Signal) {
        self.pidfd.signal(signal).ok();
    }

    /// Kills a supervisor that did not start, and quotes its stderr.
    async fn explain(
        mut child: Child,
        stdin: ChildStdin,
        stderr_tail: JoinHandle<VecDeque<String>>,
        what: &str,
    ) -> CommandError {
        drop(stdin);
        drop(child.kill().await);
        let tail = tail_text(stderr_tail).await;
        CommandError::failed(format!("cc-supervisor did not start: {what}{tail}"))
    }
}

/// Called before the child is reaped, so its pid was not reused.
fn pidfd_of(child: &Child) -> io::Result<Pidfd> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    Pidfd::open(pid)
}

/// The kept lines as they are appended to an error.
async fn tail_text(stderr_tail: JoinHandle<VecDeque<String>>) -> String {
    const LIMIT: Duration = Duration::from_secs(2);
    let Ok(Ok(lines)) = time::timeout(LIMIT, stderr_tail).await else { return String::new() };
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("\n  | {line}")).collect();
    format!("; its last lines:{}", lines.concat())
}

/// Reads to the end, so that the writer never blocks, and keeps the last lines.
async fn keep_tail<R: AsyncRead + Unpin>(mut reader: BufReader<R>) -> VecDeque<String> {
    let mut lines = VecDeque::with_capacity(STDERR_LINES_KEPT);
    while let Some(line) = read_line(&mut reader).await {
        if lines.len() == STDERR_LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    lines
}

/// A line without its newline, or a piece of a very long one; `None` at the end.
async fn read_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Option<String> {
    let mut line = Vec::new();
    let read = reader.take(LINE_BYTES_LIMIT).read_until(b'\n', &mut line).await;
    match read {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
    }
}
