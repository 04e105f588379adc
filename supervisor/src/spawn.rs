//! Starts workers, and sweeps up after those that died.
//!
//! Owns the list of live workers. Starting and sweeping exclude each other, because a sweep takes every child
//! that is not on the list for an orphan. Workers are started by `posix_spawn` (no `pre_exec`, no fork): its
//! cost does not grow with this process.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};

use bytes::BytesMut;
use cc_link::{control::Control, spec::MARKER_VARIABLE};
use cc_proctree::sweep::{Leftovers, Swept, end_leftovers};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::limits;

/// Starts workers.
#[derive(Debug)]
pub struct Spawner {
    program: PathBuf,
    /// Pids of workers that are not reaped yet.
    live: Arc<Mutex<BTreeSet<i32>>>,
}

impl Spawner {
    /// Of workers that run this program.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self { program, live: Arc::default() }
    }

    /// Starts a worker, which waits for its first control line.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub async fn spawn(&self) -> io::Result<Worker> {
        let mut live = self.live.lock().await;
        let mut child =
            self.command().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(
                |error| {
                    io::Error::new(error.kind(), format!("{}: {error}", self.program.display()))
                },
            )?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let (Some(pid), Some(stdin), Some(events)) = (pid, child.stdin.take(), child.stdout.take())
        else {
            return Err(io::Error::other("the worker has no pid or no pipes"));
        };
        live.insert(pid);
        let (control, lines) = mpsc::channel(limits::WORKER_CONTROL_QUEUE_LINES);
        tokio::spawn(write_control(stdin, lines));
        Ok(Worker { pid, child, control, events, live: Arc::clone(&self.live) })
    }

    /// A command that runs the worker program, cleanly.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir("/").process_group(0).stderr(Stdio::inherit());
        if let Some(value) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", value);
        }
        command
    }

    /// Kills what a dead worker's task has left. No worker is started meanwhile.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub async fn sweep(&self, task_id: &str, leaf: Option<&Path>) -> io::Result<Swept> {
        let live = Arc::clone(&self.live).lock_owned().await;
        let task_id = task_id.to_owned();
        let leaf = leaf.map(Path::to_owned);
        let sweeping = tokio::task::spawn_blocking(move || {
            let workers: Vec<i32> = live.iter().copied().collect();
            let marker = (MARKER_VARIABLE, task_id.as_str());
            end_leftovers(&Leftovers { marker, leaf, workers: &workers })
        });
        sweeping.await.map_err(io::Error::other)?
    }
}

/// Writes control lines in their order. A worker that does not read stops only this.
async fn write_control(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if let Err(error) = stdin.write_all(&line).await {
            tracing::debug!(%error, "a worker closed its control channel");
            return;
        }
    }
}

/// A running worker. Dropped, it is not killed (nobody would be there to end its tree): its control channel
/// closes, and then it ends its task itself and exits.
#[derive(Debug)]
pub struct Worker {
    /// For the log; signals go through the child handle.
    pub pid: i32,
    child: Child,
    control: mpsc::Sender<Vec<u8>>,
    events: ChildStdout,
    live: Arc<Mutex<BTreeSet<i32>>>,
}

impl Worker {
    /// Queues a control line. A line that finds no room is dropped: the worker has not read for so long that
    /// its health check will fail.
    pub fn tell(&self, control: &Control) {
        match control.to_line() {
            Ok(line) => {
                if let Err(error) = self.control.try_send(line) {
                    tracing::warn!(worker = self.pid, %error, "a control line was dropped");
                }
            }
            Err(error) => tracing::error!(%error, "a control message is no JSON"),
        }
    }

    /// Reads more of the event pipe into `buffer`; 0 is its end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As read(2).
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        // What is left of an allocation is used up before the next one: a small read must not pin a large
        // buffer.
        if buffer.capacity() - buffer.len() < limits::EVENT_READ_BYTES / 16 {
            buffer.reserve(limits::EVENT_READ_BYTES);
        }
        self.events.read_buf(buffer).await
    }

    /// Waits for a worker that has no more to say, kills it if it takes too long, and reaps it. Says how it
    /// ended.
    pub async fn end(mut self) -> String {
        drop(self.control);
        let text = match timeout(limits::WORKER_EXIT, self.child.wait()).await {
            Ok(outcome) => describe(outcome),
            Err(_) => {
                tracing::warn!(worker = self.pid, "a worker did not exit: killed");
                kill(&mut self.child).await
            }
        };
        self.live.lock().await.remove(&self.pid);
        text
    }

    /// Kills a worker that has failed, and reaps it. Says how it ended.
    pub async fn kill(mut self) -> String {
        let text = kill(&mut self.child).await;
        self.live.lock().await.remove(&self.pid);
        text
    }
}

async fn kill(child: &mut Child) -> String {
    if let Err(error) = child.start_kill() {
        tracing::debug!(%error, "killing a worker");
    }
    match timeout(limits::WORKER_EXIT, child.wait()).await {
        Ok(outcome) => describe(outcome),
        Err(_) => "was killed and has not ended yet (uninterruptible sleep)".to_owned(),
    }
}

fn describe(outcome: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let status = match outcome {
        Ok(status) => status,
        Err(error) => return format!("could not be waited for ({error})"),
    };
    match (status.signal(), status.code()) {
        (Some(number), _) => match Signal::try_from(number) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {number}"),
        },
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
