//! All keepers whose sockets are in the state directory: this supervisor's own, those of earlier supervisors that still
//! have workers, and those whose program was replaced.
//!
//! A keeper is the parent of its workers and ends what a dead one leaves. Here it is asked whether it has, and its exit is
//! waited for. A keeper that exits by itself removes its socket. A socket without a listener is that of a keeper that was
//! killed: what its workers leave has lost its parent, and [`crate::worker::sweeper::Sweeper::sweep`] must find it.

use std::{
    fmt, fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use cc_link::{
    exit::Exit,
    keeper::{QUESTION_BYTES_LIMIT, Question, Settled, WorkerEnd, from_line, to_line},
    key::Key,
};
use cc_proctree::{
    kill::Swept,
    procfs::{self, Process},
};
use rustix::{
    fs::Dir,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    process::{Signal, geteuid},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Semaphore,
};

use crate::{
    config::limits,
    ops::uptime,
    storage::directory::Directory,
    worker::{process::ProcessHandle, unix_socket},
};

const SUFFIX: &str = ".sock";
/// Connections that the kernel queues for a keeper.
const BACKLOG: i32 = 32;

/// The keepers whose sockets are in one directory.
#[derive(Clone, Debug)]
pub(crate) struct Keepers {
    directory: Directory,
    /// What they want to see before they answer.
    key: Key,
    /// Of more callers at a time a keeper forgets the oldest, which would be taken for its exit.
    questions: Arc<Semaphore>,
}

/// How a worker ended, and what became of what it left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerExit {
    /// `None`: no keeper knows.
    pub end: Option<WorkerEnd>,
    /// What the keeper has killed.
    pub swept: Swept,
    /// A keeper has died, and may have been the worker's: then what the worker left has another parent.
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

/// What became of a question to a keeper.
enum Asked {
    Answered(Settled),
    /// It has exited, or is about to: it has no worker left, and nothing of one.
    Gone,
    /// Its socket is there and has no listener.
    Dead,
    /// It lives and does not answer.
    Silent,
}

impl Keepers {
    /// The keepers whose sockets are in `directory`.
    #[must_use]
    pub(crate) fn new(directory: Directory, key: Key) -> Self {
        Self { directory, key, questions: Arc::new(Semaphore::new(limits::KEEPER_QUESTIONS)) }
    }

    /// Makes the socket of a new keeper, to which only this user can connect; returns it with its path. It listens
    /// already: a connection that is made before the keeper accepts waits.
    ///
    /// # Errors
    /// When the directory cannot be written, or descriptors are missing.
    pub(crate) fn listen(&self) -> io::Result<(OwnedFd, PathBuf)> {
        let name = format!("{}{SUFFIX}", uuid::Uuid::now_v7().simple());
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // A socket's address has 108 bytes, a path up to 4096: the descriptor is a short name for the directory.
        let short = format!("/proc/self/fd/{}/{name}", self.directory.descriptor().as_raw_fd());
        bind(&listener, &SocketAddrUnix::new(&*short)?)?;
        let path = self.directory.path().join(name);
        let listening = fs::set_permissions(short, fs::Permissions::from_mode(0o600))
            .and_then(|()| Ok(listen(&listener, BACKLOG)?));
        listening.inspect_err(|_| Self::forget(&path))?;
        Ok((listener, path))
    }

    /// Removes the socket of a keeper that is gone.
    pub(crate) fn forget(path: &Path) {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "removing a keeper's socket");
        }
    }

    /// Waits until the keeper of a worker that has ended has killed what the worker left. All keepers are asked, because
    /// it is not known which one forked a worker of an earlier supervisor.
    pub(crate) async fn settle(&self, worker: i32) -> WorkerExit {
        let mut exit = WorkerExit::default();
        for path in self.sockets() {
            let question = Question::Settle { worker, key: Some(self.key.clone()) };
            match self.ask(&path, question).await {
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
        // It is never closed.
        let _permit = self.questions.acquire().await;
        let asking = async {
            let Some(mut connection) = self.connect(path).await? else {
                return Ok(if path.exists() { Asked::Dead } else { Asked::Gone });
            };
            let credentials = connection.peer_cred()?;
            if credentials.uid() != geteuid().as_raw() {
                return Err(io::Error::other("it is another user's"));
            }
            // A stopped keeper could not answer.
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
                // It exited before it had read the question, so it has no worker left.
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
        unix_socket::connect_in(self.directory.descriptor(), name).await
    }

    /// Removes the sockets of keepers that were killed. To be called when no task of an earlier supervisor is waiting for
    /// [`Keepers::settle`] and no keeper is being started.
    pub(crate) async fn remove_dead(&self) {
        for path in self.sockets() {
            if matches!(self.connect(&path).await, Ok(None)) {
                Self::forget(&path);
            }
        }
    }

    /// Waits for the exit of the keepers that their supervisors have left: of all where `are_tasks_over`, else of those
    /// that have no worker. A keeper without a worker that does not exit is killed.
    pub(crate) async fn ended(&self, are_tasks_over: bool) {
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
            // A keeper does not exit while it has a connection.
            drop(connection);
            if uptime::timeout(limits::WORKER_EXIT, process.ended()).await.is_ok() {
                continue;
            }
            if is_idle(pid) {
                tracing::warn!(pid, "a keeper did not exit: killed");
                process.kill().await;
                Self::forget(&path);
            } else {
                tracing::warn!(pid, "a keeper still has a worker, or what one left");
            }
        }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        // By its descriptor: the path may be another supervisor's by now.
        let Ok(entries) = Dir::read_from(self.directory.descriptor()) else { return Vec::new() };
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        names
            .filter(|name| name.ends_with(SUFFIX))
            .map(|name| self.directory.path().join(name))
            .collect()
    }
}

/// Whether it is certain that a keeper has no worker, and nothing that one left.
#[must_use]
pub(crate) fn is_idle(pid: i32) -> bool {
    let is_gone = |pid: &i32| Process::read(*pid).is_none_or(|process| process.is_dead());
    procfs::children(pid).is_some_and(|children| children.iter().all(is_gone))
}

/// Until a keeper has called listen(2), the peer of a connection to its socket is the supervisor that made the socket.
fn is_own(pid: i32) -> bool {
    u32::try_from(pid).is_ok_and(|pid| pid == std::process::id())
}
