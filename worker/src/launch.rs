//! From a spec to a running main process.

use std::{
    collections::TryReserveError,
    fs::{self, File},
    io::{self, Seek, Write},
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use cc_events::{ClaudeStream, Containment, Event, Started};
use cc_link::spec::{Stdin, TaskSpec};
use cc_proctree::{
    cgroup::{CgroupError, Leaf},
    shortage::AtPath,
    start::{self, Born, Start, StartError},
    tree::Tree,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::{
    access::Access, adoption::AdoptionSocket, control_channel::ControlChannel,
    event_pipe::EventPipe, isolation, journal::Journal, output_pipe,
};

/// A task whose main process runs.
#[derive(Debug)]
pub(crate) struct Launched {
    pub facts: Started,
    pub tree: Tree,
    pub started: Instant,
    /// The reading end, non-blocking, as is that of stderr.
    pub stdout: File,
    pub stderr: File,
}

/// The result of a launch, whether the task runs or not.
#[derive(Debug)]
pub(crate) struct Launch {
    pub task: Result<Launched, StartError>,
    pub journal: Journal,
    /// Where the next supervisor finds this worker. Keep it until the log is complete: a worker without it is taken for
    /// dead. `None` only if it could not be made.
    pub adoption: Option<AdoptionSocket>,
}

/// What following a task takes at most, roughly: buffers of its output, its log and the pipe to the supervisor.
const WORKING_BYTES: usize = 4 * 1024 * 1024;

/// Whether there is memory for what follows. A worker that gets none later aborts while its task runs; before its log is
/// made it can still give up without harm.
pub(crate) fn check_memory() -> Result<(), TryReserveError> {
    let mut memory = Vec::<u8>::new();
    // Without a use the compiler may leave the allocation out.
    let outcome = memory.try_reserve_exact(WORKING_BYTES);
    std::hint::black_box(&mut memory);
    outcome
}

/// Starts the task and records its start.
///
/// The socket is made before the log, and the log before the task. So where there is a log, the worker that made it can be
/// found or is dead. A supervisor that finds neither makes the log itself, and then a worker that comes too late does not
/// start its task.
pub(crate) fn launch(
    spec: &TaskSpec,
    access: Access,
    control: &ControlChannel,
    pipe: EventPipe,
) -> Launch {
    let adoption = AdoptionSocket::listen_beside(&spec.log_path, access);
    let mut journal = Journal::create(&spec.log_path, spec.fsync, pipe);
    if let Some(failure) = journal.log_failure() {
        let source = match failure.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => failure.kind().into(),
        };
        let path = spec.log_path.clone();
        let error = io::Error::new(source.kind(), AtPath { path, source });
        let task = Err(StartError::System { step: "task log", error });
        return Launch { task, journal, adoption: None };
    }
    let adoption = match adoption {
        Ok(adoption) => adoption,
        Err(error) => {
            let task = Err(StartError::System { step: "adoption socket", error });
            return Launch { task, journal, adoption: None };
        }
    };
    let task = try_launch(spec, control);
    if let Ok(launched) = &task {
        journal.event(Event::Started(launched.facts.clone()));
        journal.flush();
    }
    Launch { task, journal, adoption: Some(adoption) }
}

fn try_launch(spec: &TaskSpec, control: &ControlChannel) -> Result<Launched, StartError> {
    let stdin = open_stdin(&spec.stdin)
        .map_err(|error| StartError::System { step: "standard input", error })?;
    let (stdout, stdout_write) = match spec.claude {
        ClaudeStream::No => output_pipe::plain()?,
        ClaudeStream::Observed | ClaudeStream::Required => {
            output_pipe::roomy(|step| is_silent_for(control, step))?
        }
    };
    let (stderr, stderr_write) = output_pipe::plain()?;
    let leaf = spec.cgroup.as_ref().and_then(|parent| {
        let created = Leaf::create(parent.path.join(&spec.task_id));
        let leaf = created.inspect_err(|error| say_outside(spec, error)).ok()?;
        Some((leaf, parent.clone_into))
    });
    let directory = held_directory(spec)?;
    let cwd = match &directory {
        Some(directory) => Some(directory.path.as_path()),
        None => spec.cwd.as_deref(),
    };
    let mut isolation = isolation::prepare(spec, leaf.as_ref().map(|(leaf, _)| leaf))?;
    isolation.give_to_user([&stdout_write, &stderr_write])?;
    let started = Instant::now();
    let result = start::start(Start {
        argv: &spec.argv,
        env: &spec.env,
        cwd,
        stdio: [stdin, stdout_write, stderr_write],
        umask: spec.umask,
        no_new_privs: spec.no_new_privs,
        limits: isolation.limits,
        user: isolation.user.take(),
        ruleset: isolation.ruleset.as_ref(),
        filter: isolation.filter.as_ref(),
        cgroup: leaf.as_ref().map(|(leaf, clone_into)| (leaf, *clone_into)),
    });
    let leaf = leaf.map(|(leaf, _)| leaf);
    match result {
        Ok(Born { pid, outside }) => {
            let leaf = match outside {
                None => leaf,
                Some(error) => {
                    say_outside(spec, &error);
                    leaf.iter().for_each(Leaf::remove);
                    isolation.is_outside_of_leaf();
                    None
                }
            };
            let containment =
                if leaf.is_some() { Containment::Cgroup } else { Containment::Subreaper };
            let facts = Started {
                pid,
                worker_pid: std::process::id() as i32,
                containment,
                isolation: isolation.in_force,
            };
            let tree = Tree::new(pid, leaf);
            Ok(Launched { facts, tree, started, stdout, stderr })
        }
        Err(error) => {
            if let Some(leaf) = leaf {
                leaf.remove();
            }
            Err(error)
        }
    }
}

/// A directory that nobody can replace any more, and the path by which a child of this process reaches it.
struct HeldDirectory {
    path: PathBuf,
    /// Keeps the path working.
    _descriptor: OwnedFd,
}

/// Opens the working directory where it is limited, and checks that it is the one that was allowed: a part of its path may
/// have become a symbolic link since.
fn held_directory(spec: &TaskSpec) -> Result<Option<HeldDirectory>, StartError> {
    let Some(cwd) = spec.cwd.as_deref().filter(|_| spec.is_cwd_resolved) else { return Ok(None) };
    let open = || -> io::Result<HeldDirectory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(cwd, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
        if fs::read_link(&path)? != cwd {
            return Err(io::Error::other("it was replaced while the task was started"));
        }
        Ok(HeldDirectory { path, _descriptor: descriptor })
    };
    open().map(Some).map_err(|source| {
        let error = io::Error::new(source.kind(), AtPath { path: cwd.to_owned(), source });
        StartError::System { step: "working directory", error }
    })
}

/// Sleeps so long. Returns false at once when the supervisor sends something or is gone.
fn is_silent_for(control: &ControlChannel, step: Duration) -> bool {
    let Some(fd) = control.fd() else { return false };
    let timeout = PollTimeout::try_from(step).unwrap_or(PollTimeout::ZERO);
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout).is_ok_and(|ready| ready == 0)
}

/// A cgroup that cannot be used is not the task's fault: it is contained less well, and its start says so.
fn say_outside(spec: &TaskSpec, error: &CgroupError) {
    let task_id = &spec.task_id;
    crate::stdio::complain(format_args!(
        "task {task_id}: contained by the subreaper alone: {error}"
    ));
}

/// `/dev/null`, or a memory file: a prompt can be longer than any argument may be, and a pipe would have
/// to be fed while the task is watched.
fn open_stdin(stdin: &Stdin) -> io::Result<OwnedFd> {
    match stdin {
        Stdin::Null => Ok(File::open("/dev/null")?.into()),
        Stdin::Text(text) => {
            let mut file =
                File::from(memfd_create("stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
            file.write_all(text.as_bytes())?;
            file.rewind()?;
            let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
            fcntl_add_seals(&file, all)?;
            Ok(file.into())
        }
    }
}
