//! A worker as its task's owner sees it: control lines go in, records come out, and its end is waited for or
//! brought about. The same for one that this supervisor started and for one that it adopted.
//!
//! It never judges what a worker says; that is the owner's business. Made by [`crate::spawn`] and
//! [`crate::adopt`].

use std::{io, process::ExitStatus, sync::Arc};

use bytes::BytesMut;
use cc_link::control::Control;
use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, pipe},
    },
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

use crate::{
    child::Child, fork_server::Forked, limits, pidfd::Pidfd, spawn::Children, task::Answer,
};

/// A running worker. Dropped, it is not killed (nobody would be there to end its tree): its control channel
/// closes, and then it does what its spec says for the loss of its supervisor.
#[derive(Debug)]
pub struct Worker {
    /// For the log; signals go through the handle.
    pub pid: i32,
    process: Process,
    control: mpsc::Sender<Line>,
    events: Events,
}

/// A control line on its way.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    /// Hears when the worker has it.
    told: Option<oneshot::Sender<Answer>>,
}

#[derive(Debug)]
enum Process {
    /// This supervisor had it forked, and reaps it.
    Child { child: Child, siblings: Arc<Mutex<Children>> },
    /// An earlier supervisor did: whoever is its parent now reaps it.
    Adopted(Pidfd),
}

#[derive(Debug)]
enum Events {
    Pipe(pipe::Receiver),
    Socket(OwnedReadHalf),
}

impl Worker {
    /// One that was just forked and is on the list of these.
    #[must_use]
    pub fn started(forked: Forked, siblings: Arc<Mutex<Children>>) -> Self {
        let Forked { child, stdin, stdout } = forked;
        Self {
            pid: child.pid(),
            process: Process::Child { child, siblings },
            control: spawn_control(stdin),
            events: Events::Pipe(stdout),
        }
    }

    /// One that has accepted to be adopted on `connection`.
    #[must_use]
    pub fn adopted(process: Pidfd, connection: UnixStream) -> Self {
        let (events, control) = connection.into_split();
        Self {
            pid: process.pid(),
            process: Process::Adopted(process),
            control: spawn_control(control),
            events: Events::Socket(events),
        }
    }

    /// Queues a control line. A line that finds no room is dropped: the worker has not read for so long that
    /// its health check will fail.
    pub fn tell(&self, control: &Control) {
        self.tell_for(control, None);
    }

    /// The same; `told` hears [`Answer::Done`] when the line is in the worker's pipe, and nothing when it never will be.
    pub fn tell_for(&self, control: &Control, told: Option<oneshot::Sender<Answer>>) {
        match control.to_line() {
            Ok(bytes) => {
                if self.control.try_send(Line { bytes, told }).is_err() {
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
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &mut self.events {
            Events::Pipe(pipe) => read_more(pipe, buffer).await,
            Events::Socket(socket) => read_more(socket, buffer).await,
        }
    }

    /// Waits for a worker that has no more to say, kills it if it takes too long, and reaps it where it is
    /// ours. Says how it ended.
    pub async fn end(mut self) -> String {
        drop(self.control);
        let text = match timeout(limits::WORKER_EXIT, self.process.ended()).await {
            Ok(text) => text,
            Err(_) => {
                tracing::warn!(worker = self.pid, "a worker did not exit: killed");
                self.process.kill().await
            }
        };
        self.process.forget(self.pid).await;
        text
    }

    /// Kills a worker that has failed, and reaps it where it is ours. Says how it ended.
    pub async fn kill(mut self) -> String {
        let text = self.process.kill().await;
        self.process.forget(self.pid).await;
        text
    }
}

impl Process {
    /// Waits for the end and says how it was.
    async fn ended(&mut self) -> String {
        match self {
            Self::Child { child, .. } => describe(child.wait().await),
            Self::Adopted(process) => {
                process.ended().await;
                // Its status goes to its parent.
                "ended".to_owned()
            }
        }
    }

    async fn kill(&mut self) -> String {
        match self {
            Self::Child { child, .. } => child.kill(),
            Self::Adopted(process) => process.signal(Signal::KILL),
        }
        match timeout(limits::WORKER_EXIT, self.ended()).await {
            Ok(text) => text,
            Err(_) => "was killed and has not ended yet (uninterruptible sleep)".to_owned(),
        }
    }

    async fn forget(self, pid: i32) {
        match self {
            Self::Child { siblings, .. } => {
                siblings.lock().await.workers.remove(&pid);
            }
            Self::Adopted(_) => {}
        }
    }
}

async fn read_more(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    // What is left of an allocation is used up before the next one: a small read must not pin a large
    // buffer.
    if buffer.capacity() - buffer.len() < limits::EVENT_READ_BYTES / 16 {
        buffer.reserve(limits::EVENT_READ_BYTES);
    }
    from.read_buf(buffer).await
}

/// Writes control lines in their order, in the background. A worker that does not read stops only this.
fn spawn_control(mut to: impl AsyncWrite + Send + Unpin + 'static) -> mpsc::Sender<Line> {
    let (control, mut lines) = mpsc::channel::<Line>(limits::WORKER_CONTROL_QUEUE_LINES);
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            if let Err(error) = to.write_all(&line.bytes).await {
                tracing::debug!(%error, "a worker closed its control channel");
                return;
            }
            if let Some(told) = line.told {
                // Whoever asked may have gone.
                told.send(Answer::Done).ok();
            }
        }
    });
    control
}

fn describe(outcome: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let status = match outcome {
        Ok(status) => status,
        Err(error) => return format!("could not be waited for ({error})"),
    };
    match (status.signal(), status.code()) {
        (Some(number), _) => match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {number}"),
        },
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}
