//! The keepers whose sockets are in the state directory: this supervisor's own, those of earlier supervisors that still
//! have workers, and those whose program was replaced.
//!
//! Each is the parent of its workers and ends what a dead one leaves. Here it is asked whether it has, and they are waited
//! for at the end. A keeper that goes by itself takes its socket along; one that was killed leaves it behind, which says
//! that what its workers leave can only be looked for.

use std::{
    fmt, fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use cc_link::{
    exit::Exit,
    keeper::{QUESTION_BYTES_LIMIT, Question, Settled, WorkerEnd, from_line, to_line},
};
use cc_proctree::{
    kill::Swept,
    procfs::{self, Process},
};
use rustix::{
    fs::{Mode, OFlags, open},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    process::{Signal, geteuid},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{
    config::limits,
    ops::uptime,
    worker::{process::ProcessHandle, unix_socket},
};

const SUFFIX: &str = ".sock";
/// Connections that the kernel holds for a keeper.
const BACKLOG: i32 = 32;

/// The directory of their sockets.
#[derive(Clone, Debug)]
pub struct Keepers {
    directory: PathBuf,
}

/// What keepers say of a worker that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct WorkerExit {
    /// How it ended, where its keeper knows.
    pub end: Option<WorkerEnd>,
    /// What it left.
    pub swept: Swept,
    /// A keeper has died, which may have been its: what it left may be anywhere.
    pub is_keeper_lost: bool,
}

/// How the worker ended, for people; it follows "the worker".
impl fmt::Display for WorkerExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(WorkerEnd::Signal(number)) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(formatter, "was killed by {signal}"),
                Err(_) => write!(formatter, "was killed by signal {number}"),
            },
            Some(WorkerEnd::Code(code)) => match Exit::of_code(code) {
                Some(Exit::Done) | None => write!(formatter, "exited with code {code}"),
                Some(Exit::Failed) => write!(
                    formatter,
                    "exited with code {code}, the supervisor's standard error has its message"
                ),
                Some(Exit::Panicked) => write!(formatter, "panicked (exit code {code})"),
            },
            None => formatter.write_str("ended"),
        }
    }
}

impl WorkerExit {
    fn add(&mut self, settled: &Settled) {
        self.end = self.end.or(settled.end);
        let Settled { killed, unkillable, .. } = *settled;
        self.swept = self.swept + Swept { killed, unkillable };
    }
}

/// What became of a question.
enum Asked {
    Answered(Settled),
    /// It has gone, or is going: it has nobody left to look after.
    Gone,
    /// Its socket is there and nobody listens.
    Dead,
    /// It lives and says nothing.
    Silent,
}

impl Keepers {
    /// Those in this directory, which exists.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A socket for a new one, which only this user can connect to, and its path. It listens already: until the keeper
    /// does, who connects waits.
    ///
    /// # Errors
    /// When the directory cannot be written, or descriptors are missing.
    pub fn listen(&self) -> io::Result<(OwnedFd, PathBuf)> {
        let name = format!("{}{SUFFIX}", uuid::Uuid::now_v7().simple());
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // A socket's address has 108 bytes, a path up to 4096: the descriptor is a short name for the directory.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open(&self.directory, flags, Mode::empty())?;
        let short = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        bind(&listener, &SocketAddrUnix::new(short)?)?;
        let path = self.directory.join(name);
        let listening = fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .and_then(|()| Ok(listen(&listener, BACKLOG)?));
        listening.inspect_err(|_| Self::forget(&path))?;
        Ok((listener, path))
    }

    /// Removes the socket of one that is gone.
    pub fn forget(path: &Path) {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "removing a keeper's socket");
        }
    }

    /// Waits until what a worker that has ended has left is ended too. The question goes to all: whose it was is not
    /// known of a worker of an earlier supervisor.
    pub async fn settle(&self, worker: i32) -> WorkerExit {
        let mut exit = WorkerExit::default();
        for path in self.sockets() {
            match self.ask(&path, Question::Settle { worker }).await {
                Asked::Answered(settled) => exit.add(&settled),
                Asked::Gone => {}
                Asked::Dead => exit.is_keeper_lost = true,
                Asked::Silent => {
                    tracing::warn!(path = %path.display(), "a keeper does not answer");
                    exit.is_keeper_lost = true;
                }
            }
        }
        exit
    }

    async fn ask(&self, path: &Path, question: Question) -> Asked {
        let asking = async {
            let Some(mut connection) = self.connect(path).await? else {
                return Ok(if path.exists() { Asked::Dead } else { Asked::Gone });
            };
            let credentials = connection.peer_cred()?;
            if credentials.uid() != geteuid().as_raw() {
                return Err(io::Error::other("it is another user's"));
            }
            // One that somebody has stopped could not answer.
            if let Some(pid) = credentials.pid().filter(|pid| !is_own(*pid))
                && let Ok(process) = ProcessHandle::open(pid)
            {
                process.signal(Signal::CONT);
            }
            connection.write_all(&to_line(&question)?).await?;
            let mut line = Vec::with_capacity(QUESTION_BYTES_LIMIT);
            let most = QUESTION_BYTES_LIMIT as u64;
            (&mut connection).take(most).read_to_end(&mut line).await?;
            Ok::<Asked, io::Error>(match from_line(&line) {
                Ok(settled) => Asked::Answered(settled),
                // It went before it had read the question: there is nobody left.
                Err(_) => Asked::Gone,
            })
        };
        match uptime::timeout(limits::KEEPER_ANSWER, asking).await {
            Ok(Ok(asked)) => asked,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Asked::Gone,
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "asking a keeper");
                Asked::Silent
            }
            Err(_) => Asked::Silent,
        }
    }

    async fn connect(&self, path: &Path) -> io::Result<Option<UnixStream>> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        unix_socket::connect(&self.directory, name).await
    }

    /// Removes the sockets of those that were killed. To be called when nobody asks any more what their workers left, and
    /// none is being started.
    pub async fn remove_dead(&self) {
        for path in self.sockets() {
            if matches!(self.connect(&path).await, Ok(None)) {
                Self::forget(&path);
            }
        }
    }

    /// Waits for those to go that have been left by their supervisor: for all where `are_tasks_over`, else for those that
    /// have nobody to look after. One of these that does not go is killed.
    pub async fn ended(&self, are_tasks_over: bool) {
        for path in self.sockets() {
            let connection = match self.connect(&path).await {
                Ok(Some(connection)) => connection,
                Ok(None) => {
                    Self::forget(&path);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "waiting for a keeper");
                    continue;
                }
            };
            let pid = connection.peer_cred().ok().and_then(|credentials| credentials.pid());
            let Some(pid) = pid.filter(|pid| !is_own(*pid)) else { continue };
            let Ok(process) = ProcessHandle::open(pid) else { continue };
            if !are_tasks_over && !is_idle(pid) {
                continue;
            }
            process.signal(Signal::CONT);
            // It waits for its callers.
            drop(connection);
            if uptime::timeout(limits::WORKER_EXIT, process.ended()).await.is_ok() {
                continue;
            }
            if is_idle(pid) {
                tracing::warn!(pid, "a keeper did not go: killed");
                process.kill().await;
                Self::forget(&path);
            } else {
                tracing::warn!(pid, "a keeper has still somebody to look after");
            }
        }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect()
    }
}

/// Whether it is known that a keeper has no worker, and nothing of one.
#[must_use]
pub fn is_idle(pid: i32) -> bool {
    let is_gone = |pid: &i32| Process::read(*pid).is_none_or(|process| process.is_dead());
    procfs::children(pid).is_some_and(|children| children.iter().all(is_gone))
}

/// Until a keeper has called listen(2), whoever connects sees the supervisor that started it as the peer.
fn is_own(pid: i32) -> bool {
    u32::try_from(pid).is_ok_and(|pid| pid == std::process::id())
}
