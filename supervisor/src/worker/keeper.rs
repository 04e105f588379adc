//! The process that workers are forked by and that is their parent, as [`cc_link::keeper`] says: this supervisor's own.
//!
//! Owns the connection on which workers are asked for. Closing it is all that ends a keeper: it goes when its last worker
//! has gone. It does not know what the workers are for; used by [`crate::worker::spawner`], one request at a time. What is asked of
//! keepers after a worker's death is in [`crate::worker::keepers`].

use std::{
    fs, io,
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixStream as StdUnixStream},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cc_link::keeper::{ANSWER_BYTES, Answer, KEEPER_ARGUMENT, REQUEST, REQUEST_DESCRIPTORS};
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
    process::Command,
};

use crate::{
    config::limits,
    ops::uptime,
    worker::{keepers::Keepers, process::ProcessHandle},
};

/// Which file a program was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Build {
    /// Of the program that is there now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(program: &Path) -> io::Result<Self> {
        let file = fs::metadata(program)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// A worker that was just forked, and this end of its pipes.
#[derive(Debug)]
pub struct Forked {
    /// A child of the keeper, which reaps it.
    pub process: ProcessHandle,
    /// To its stdin.
    pub stdin: pipe::Sender,
    /// From its stdout.
    pub stdout: pipe::Receiver,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The kernel refused it now; the keeper is as good as before.
    #[error(transparent)]
    Refused(#[from] io::Error),
    /// The keeper does not answer, or not as it should: it is not to be asked again.
    #[error("the keeper of the workers {0}")]
    Lost(String),
}

/// A running keeper. Dropped, it is asked for no more workers, and goes when those that it has are gone.
#[derive(Debug)]
pub struct Keeper {
    process: ProcessHandle,
    socket: UnixStream,
    build: Build,
    path: PathBuf,
    has_forked: bool,
    is_expected_to_end: Arc<AtomicBool>,
}

impl Keeper {
    /// Starts one. `command` runs the worker program without arguments, and `build` is that of the program.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub fn start(mut command: Command, keepers: &Keepers, build: Build) -> io::Result<Self> {
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
            // Not reaped before this is done with, so the number is its. Then it is the runtime's to reap.
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
            ProcessHandle::open(pid)
        });
        let process = process.inspect_err(|_| Keepers::forget(&path))?;
        let is_expected_to_end = Arc::default();
        tokio::spawn(watch(process.clone(), Arc::clone(&is_expected_to_end)));
        Ok(Self { process, socket, build, path, has_forked: false, is_expected_to_end })
    }

    /// What its workers are copies of.
    #[must_use]
    pub fn build(&self) -> Build {
        self.build
    }

    /// A new worker. When the future is dropped before its end, the answer to it would be taken for that to the next
    /// request: such a keeper must not be used again.
    ///
    /// # Errors
    /// [`ForkError`].
    pub async fn fork(&mut self) -> Result<Forked, ForkError> {
        let (stdin, to_stdin) = io::pipe()?;
        let (from_stdout, stdout) = io::pipe()?;
        let to_stdin = pipe::Sender::from_owned_fd(to_stdin.into())?;
        let from_stdout = pipe::Receiver::from_owned_fd(from_stdout.into())?;
        let asking = async {
            self.ask([stdin.as_fd(), stdout.as_fd(), io::stderr().as_fd()]).await?;
            self.answer().await
        };
        let answer = uptime::timeout(limits::WORKER_FORK, asking)
            .await
            .map_err(|_| ForkError::Lost("did not answer in time".to_owned()))?;
        let (answer, handle) = answer.map_err(|error| {
            ForkError::Lost(format!("ended ({error}): install both programs from one build"))
        })?;
        let pid = answer.0?;
        let handle = handle.ok_or_else(|| ForkError::Lost("sent no handle".to_owned()))?;
        self.has_forked = true;
        let process = ProcessHandle::of(pid, handle)?;
        Ok(Forked { process, stdin: to_stdin, stdout: from_stdout })
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

    /// The answer, and the handle that comes with a pid.
    async fn answer(&self) -> io::Result<(Answer, Option<OwnedFd>)> {
        let receiving = || {
            let mut answer = [0; ANSWER_BYTES];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [IoSliceMut::new(&mut answer)];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = recvmsg(&self.socket, &mut bytes, &mut ancillary, flags)?.bytes;
            let handle = ancillary.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut received) => received.next(),
                RecvAncillaryMessage::ScmCredentials(_) | _ => None,
            });
            // So few bytes are sent, and arrive, whole.
            if received < ANSWER_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((Answer::from_bytes(answer), handle))
        };
        self.socket.async_io(Interest::READABLE, receiving).await
    }

    /// Asks it for no more. One that was stopped goes on, so that it can see to its workers and go.
    pub fn dismiss(self) -> ProcessHandle {
        self.is_expected_to_end.store(true, Ordering::Relaxed);
        self.process.signal(Signal::CONT);
        self.process
    }

    /// The same for one that does not answer as it should. If it is dead, its socket says so to whoever asks after one
    /// of its workers.
    pub fn give_up(self) {
        if self.process.has_ended() && !self.has_forked {
            Keepers::forget(&self.path);
        }
        drop(self.dismiss());
    }
}

/// Says so when a keeper dies whose workers may live on: they are init's children then.
async fn watch(process: ProcessHandle, is_expected_to_end: Arc<AtomicBool>) {
    process.ended().await;
    if !is_expected_to_end.load(Ordering::Relaxed) {
        tracing::warn!(
            keeper = process.pid(),
            "the keeper of the workers has died; they and their tasks go on, but what one of them leaves if it is \
             killed is found by its cgroup and its marker alone"
        );
    }
}
