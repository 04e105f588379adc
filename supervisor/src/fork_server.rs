//! The process that workers are forked by, as [`cc_link::fork`] says.
//!
//! Owns that process and the socket to it. It does not know what the workers are for; used by [`crate::spawn`], one
//! request at a time.

use std::{
    fs, io,
    io::IoSlice,
    mem::MaybeUninit,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{fs::MetadataExt as _, net::UnixStream as StdUnixStream},
    },
    path::Path,
    process::Stdio,
};

use cc_link::fork::{ANSWER_BYTES, Answer, FORK_SERVER_ARGUMENT, REQUEST};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::{
    io::{AsyncReadExt as _, Interest},
    net::{UnixStream, unix::pipe},
    process::{Child as Program, Command},
    time::timeout,
};

use crate::{child::Child, limits, uptime};

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
    /// A child of this process.
    pub child: Child,
    /// To its stdin.
    pub stdin: pipe::Sender,
    /// From its stdout.
    pub stdout: pipe::Receiver,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The kernel refused it now; the fork server is as good as before.
    #[error(transparent)]
    Refused(io::Error),
    /// The fork server does not answer, or not as it should: it is to be ended.
    #[error("the fork server {0}")]
    Lost(String),
}

/// A running fork server. Dropped, it is killed.
#[derive(Debug)]
pub struct ForkServer {
    pid: i32,
    program: Program,
    socket: UnixStream,
    build: Build,
}

impl ForkServer {
    /// Starts one. `command` runs the worker program without arguments, and `build` is that of the program.
    ///
    /// # Errors
    /// When the program cannot be started: it is missing, or processes, memory or descriptors are.
    pub fn start(mut command: Command, build: Build) -> io::Result<Self> {
        let (own, others) = StdUnixStream::pair()?;
        own.set_nonblocking(true)?;
        let socket = UnixStream::from_std(own)?;
        let program = command
            .arg(FORK_SERVER_ARGUMENT)
            .stdin(Stdio::from(OwnedFd::from(others)))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = program.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the fork server has no pid"))?;
        Ok(Self { pid, program, socket, build })
    }

    /// Its number: it is a child of this process, and no orphan.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What its workers are copies of.
    #[must_use]
    pub fn build(&self) -> Build {
        self.build
    }

    /// A new worker. When the future is dropped before its end, the answer to it would be taken for that to the next
    /// request: such a fork server must not be used again.
    ///
    /// # Errors
    /// [`ForkError`].
    pub async fn fork(&mut self) -> Result<Forked, ForkError> {
        let (stdin, to_stdin) = io::pipe().map_err(ForkError::Refused)?;
        let (from_stdout, stdout) = io::pipe().map_err(ForkError::Refused)?;
        let pipes = (
            pipe::Sender::from_owned_fd(to_stdin.into()).map_err(ForkError::Refused)?,
            pipe::Receiver::from_owned_fd(from_stdout.into()).map_err(ForkError::Refused)?,
        );
        let asking = async {
            self.ask([stdin.as_fd(), stdout.as_fd()]).await?;
            let mut answer = [0; ANSWER_BYTES];
            self.socket.read_exact(&mut answer).await?;
            Ok(Answer::from_bytes(answer))
        };
        let answer: io::Result<Answer> = uptime::timeout(limits::WORKER_FORK, asking)
            .await
            .map_err(|_| ForkError::Lost("did not answer in time".to_owned()))?;
        let answer = answer.map_err(|error| {
            ForkError::Lost(format!("ended ({error}): install both programs from one build"))
        })?;
        let child = answer.0.and_then(Child::of).map_err(ForkError::Refused)?;
        Ok(Forked { child, stdin: pipes.0, stdout: pipes.1 })
    }

    async fn ask(&self, descriptors: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        let sending = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            let bytes = [IoSlice::new(&[REQUEST])];
            Ok(sendmsg(&self.socket, &bytes, &mut ancillary, SendFlags::NOSIGNAL)?)
        };
        self.socket.async_io(Interest::WRITABLE, sending).await.map(drop)
    }

    /// Kills it, which harms none of its workers.
    pub async fn end(mut self) {
        if let Err(error) = self.program.start_kill() {
            tracing::debug!(%error, "killing the fork server");
        }
        if timeout(limits::WORKER_EXIT, self.program.wait()).await.is_err() {
            tracing::warn!("the fork server was killed and has not ended yet");
        }
    }
}
