//! This supervisor's keeper: the process that forks its workers and is their parent (see [`cc_link::keeper`]).
//!
//! Owns the connection on which workers are requested. When that is closed, the keeper exits with its last worker.
//! Used by [`crate::worker::spawner`], one request at a time. The questions about a dead worker are in
//! [`crate::worker::keepers`].

use std::{
    fs, io,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::MetadataExt as _, net::UnixStream as StdUnixStream, process::ExitStatusExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cc_link::keeper::{
    ANSWER_BYTES, Answer, KEEPER_ARGUMENT, REQUEST, REQUEST_DESCRIPTORS, WorkerEnd,
};
use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
    process::Signal,
};
use tokio::{
    io::Interest,
    net::{UnixStream, unix::pipe},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use crate::{
    config::limits,
    ops::uptime,
    worker::{
        keepers::{Keepers, WorkerExit},
        process::ProcessHandle,
    },
};

/// The identity of a program file: another one means that the program was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Build {
    /// # Errors
    /// When there is no such program.
    pub(crate) fn of(program: &Path) -> io::Result<Self> {
        let file = fs::metadata(program)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// A worker that was just forked, and this process's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Forked {
    /// Reaped by the keeper, its parent.
    pub process: ProcessHandle,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
}

/// Why no worker was forked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForkError {
    /// The kernel refused the fork. The keeper can be used again.
    #[error(transparent)]
    Refused(#[from] io::Error),
    #[error("the keeper of the workers {0}")]
    Lost(#[from] KeeperLost),
}

/// Why a keeper must not be used again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperLost {
    #[error("did not answer in time")]
    Silent,
    #[error("{0}")]
    Ended(WorkerExit),
    #[error("closed its connection ({0})")]
    Closed(#[source] io::Error),
    #[error("sent no handle")]
    NoPidfd,
}

/// A running keeper. When it is dropped, it is asked for no more workers and exits with its last one.
#[derive(Debug)]
pub(crate) struct Keeper {
    process: ProcessHandle,
    socket: UnixStream,
    build: Build,
    path: PathBuf,
    has_forked: bool,
    /// How it has ended.
    status: watch::Receiver<Option<ExitStatus>>,
    is_expected_to_end: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts a keeper. `command` runs the worker program without arguments, `build` is the program's.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub(crate) fn start(mut command: Command, keepers: &Keepers, build: Build) -> io::Result<Self> {
        let (own, others) = StdUnixStream::pair()?;
        own.set_nonblocking(true)?;
        let socket = UnixStream::from_std(own)?;
        let (listener, path) = keepers.listen()?;
        let spawned = command
            .arg(KEEPER_ARGUMENT)
            .arg(&path)
            .stdin(Stdio::from(OwnedFd::from(others)))
            .stdout(Stdio::from(listener))
            .spawn();
        let process = spawned.and_then(|child| {
            // The child is not reaped before it is waited for, so the pid is its own.
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
            Ok((ProcessHandle::open(pid)?, child))
        });
        let (process, child) = process.inspect_err(|_| Keepers::forget(&path))?;
        let is_expected_to_end = Arc::default();
        let (ended, status) = watch::channel(None);
        tokio::spawn(wait(child, process.pid(), ended, Arc::clone(&is_expected_to_end)));
        Ok(Self { process, socket, build, path, has_forked: false, status, is_expected_to_end })
    }

    /// The build that its workers are copies of.
    #[must_use]
    pub(crate) fn build(&self) -> Build {
        self.build
    }

    /// Forks a worker. If the future is dropped, its answer would be taken for that to the next request: the keeper must
    /// not be used again.
    ///
    /// # Errors
    /// [`ForkError`].
    pub(crate) async fn fork(&mut self) -> Result<Forked, ForkError> {
        let (stdin, to_stdin) = io::pipe()?;
        let (from_stdout, stdout) = io::pipe()?;
        let to_stdin = pipe::Sender::from_owned_fd(to_stdin.into())?;
        let from_stdout = pipe::Receiver::from_owned_fd(from_stdout.into())?;
        let asking = async {
            self.ask([stdin.as_fd(), stdout.as_fd(), io::stderr().as_fd()]).await?;
            self.answer().await
        };
        let answer =
            uptime::timeout(limits::WORKER_FORK, asking).await.map_err(|_| KeeperLost::Silent)?;
        let (answer, pidfd) = match answer {
            Ok(answer) => answer,
            Err(error) => return Err(self.how_it_ended(error).await.into()),
        };
        let pid = answer.0?;
        let pidfd = pidfd.ok_or(KeeperLost::NoPidfd)?;
        self.has_forked = true;
        let process = ProcessHandle::received(pid, pidfd)?;
        Ok(Forked { process, stdin: to_stdin, stdout: from_stdout })
    }

    /// Why it no longer answers: how it has ended, where it has, else the error of the connection.
    async fn how_it_ended(&self, error: io::Error) -> KeeperLost {
        let mut status = self.status.clone();
        let ended = timeout(limits::KEEPER_EXIT, status.wait_for(Option::is_some)).await;
        let status = ended.ok().and_then(Result::ok).and_then(|status| *status);
        let code = status.and_then(|status| status.code()).map(WorkerEnd::Code);
        let signal = status.and_then(|status| status.signal()).map(WorkerEnd::Signal);
        match code.or(signal) {
            Some(end) => KeeperLost::Ended(WorkerExit { end: Some(end), ..WorkerExit::default() }),
            None => KeeperLost::Closed(error),
        }
    }

    async fn ask(&self, descriptors: [BorrowedFd<'_>; REQUEST_DESCRIPTORS]) -> io::Result<()> {
        let sending = || {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            let bytes = [IoSlice::new(&[REQUEST])];
            Ok(sendmsg(&self.socket, &bytes, &mut ancillary, SendFlags::NOSIGNAL)?)
        };
        self.socket.async_io(Interest::WRITABLE, sending).await.map(drop)
    }

    /// Receives an answer, and the pidfd that comes with a pid.
    async fn answer(&self) -> io::Result<(Answer, Option<OwnedFd>)> {
        let receiving = || {
            let mut answer = [0; ANSWER_BYTES];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [IoSliceMut::new(&mut answer)];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = recvmsg(&self.socket, &mut bytes, &mut ancillary, flags)?.bytes;
            let pidfd = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut received) => received.next(),
                RecvAncillaryMessage::ScmCredentials(_) | _ => None,
            });
            // So few bytes are sent, and arrive, whole.
            if received < ANSWER_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((Answer::from_bytes(answer), pidfd))
        };
        self.socket.async_io(Interest::READABLE, receiving).await
    }

    /// Closes the connection: the keeper exits with its last worker. A stopped one is continued, so that it can.
    pub(crate) fn dismiss(self) -> ProcessHandle {
        self.is_expected_to_end.store(true, Ordering::Relaxed);
        self.process.signal(Signal::CONT);
        self.process
    }

    /// Dismisses a keeper that is lost. If it is dead and has forked workers, its socket stays: that tells
    /// [`Keepers::settle`] that what they leave has lost its parent.
    pub(crate) fn give_up(self) {
        if self.process.has_ended() && !self.has_forked {
            Keepers::forget(&self.path);
        }
        drop(self.dismiss());
    }
}

/// Waits for a keeper. Logs the death of a keeper whose workers may live on, as children of init.
async fn wait(
    mut child: Child,
    pid: i32,
    ended: watch::Sender<Option<ExitStatus>>,
    is_expected_to_end: Arc<AtomicBool>,
) {
    let status = child.wait().await.ok();
    ended.send_replace(status);
    if !is_expected_to_end.load(Ordering::Relaxed) {
        tracing::warn!(
            keeper = pid,
            status = status.map(|status| status.to_string()),
            "the keeper of the workers has died; they and their tasks go on, but what one of them leaves if it is \
             killed is found by its cgroup and its marker alone"
        );
    }
}
