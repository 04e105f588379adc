//! A running worker as its task's owner sees it: control lines go in, records come out, and its end is waited for or
//! brought about. A worker of this supervisor is connected by pipes, an adopted one by a socket.
//!
//! It never judges what a worker says. Made by [`crate::worker::spawner`] and [`crate::worker::adopt`].

use std::io;

use bytes::BytesMut;
use cc_link::control::Control;
use cc_proctree::procfs::{self, Process};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, pipe},
    },
    sync::mpsc,
    task::spawn_blocking,
    time::timeout,
};

use crate::{config::limits, worker::process::ProcessHandle};

/// A running worker. When it is dropped the process is not killed (its tree would be left): its control channel closes,
/// and then it does what its spec says for the loss of its supervisor.
#[derive(Debug)]
pub(crate) struct Worker {
    /// For messages. Signals go through `process`.
    pub pid: i32,
    process: ProcessHandle,
    control: mpsc::Sender<ControlLine>,
    events: Events,
}

/// Called when a control line is in the worker's pipe.
pub(crate) type OnWritten = Box<dyn FnOnce() + Send>;

/// A control line that waits to be written.
struct ControlLine {
    bytes: Vec<u8>,
    on_written: Option<OnWritten>,
}

#[derive(Debug)]
enum Events {
    Pipe(pipe::Receiver),
    Socket(OwnedReadHalf),
}

impl Worker {
    /// A worker that this supervisor has started.
    #[must_use]
    pub(super) fn over_pipes(
        process: ProcessHandle,
        stdin: pipe::Sender,
        stdout: pipe::Receiver,
    ) -> Self {
        Self {
            pid: process.pid(),
            process,
            control: spawn_control(stdin),
            events: Events::Pipe(stdout),
        }
    }

    /// A worker of an earlier supervisor that has accepted its adoption on `connection`.
    #[must_use]
    pub(super) fn over_socket(process: ProcessHandle, connection: UnixStream) -> Self {
        let (events, control) = connection.into_split();
        Self {
            pid: process.pid(),
            process,
            control: spawn_control(control),
            events: Events::Socket(events),
        }
    }

    /// A handle that can end the process even when this is gone.
    #[must_use]
    pub(crate) fn handle(&self) -> ProcessHandle {
        self.process.clone()
    }

    /// Queues a control line. A line that finds no room is dropped: the worker has not read for so long that its health
    /// check will fail.
    pub(crate) fn tell(&self, control: &Control) {
        self.tell_then(control, None);
    }

    /// As [`Worker::tell`], and calls `on_written` when the line is in the worker's pipe. If the line never gets there,
    /// `on_written` is dropped.
    pub(crate) fn tell_then(&self, control: &Control, on_written: Option<OnWritten>) {
        match control.to_line() {
            Ok(bytes) => {
                if self.control.try_send(ControlLine { bytes, on_written }).is_err() {
                    tracing::warn!(worker = self.pid, "a control line was dropped");
                }
            }
            Err(error) => tracing::error!(%error, "a control message is no JSON"),
        }
    }

    /// Reads more records into `buffer`; 0 is their end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As read(2).
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &mut self.events {
            Events::Pipe(pipe) => read_more(pipe, buffer).await,
            Events::Socket(socket) => read_more(socket, buffer).await,
        }
    }

    /// Waits for the exit of a worker that has closed its pipe or sent the terminal event. Kills one that takes too long.
    pub(crate) async fn end(self) {
        drop(self.control);
        if timeout(limits::WORKER_EXIT, self.process.ended()).await.is_err() {
            tracing::warn!(worker = self.pid, "a worker did not exit: killed");
            kill(&self.process).await;
        }
    }

    /// Kills a worker that has failed. Returns the processes below it at that time: if its keeper is gone too, they are
    /// not found by their parent any more.
    pub(crate) async fn kill(self) -> Vec<Process> {
        let pid = self.pid;
        let looking = spawn_blocking(move || procfs::descendants(pid)).await;
        kill(&self.process).await;
        looking.ok().and_then(Result::ok).unwrap_or_default()
    }
}

async fn kill(process: &ProcessHandle) {
    if !process.kill().await {
        let worker = process.pid();
        tracing::error!(
            worker,
            "a worker was killed and has not ended yet (uninterruptible sleep)"
        );
    }
}

async fn read_more(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    // The rest of an allocation is used up before the next one: a small read must not pin a large buffer.
    if buffer.capacity() - buffer.len() < limits::EVENT_READ_BYTES / 16 {
        buffer.reserve(limits::EVENT_READ_BYTES);
    }
    from.read_buf(buffer).await
}

/// Writes control lines in their order, in a tokio task: a worker that does not read blocks nothing else.
fn spawn_control(mut to: impl AsyncWrite + Send + Unpin + 'static) -> mpsc::Sender<ControlLine> {
    let (control, mut lines) = mpsc::channel::<ControlLine>(limits::WORKER_CONTROL_QUEUE_LINES);
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            if let Err(error) = to.write_all(&line.bytes).await {
                tracing::debug!(%error, "a worker closed its control channel");
                return;
            }
            if let Some(on_written) = line.on_written {
                on_written();
            }
        }
    });
    control
}
