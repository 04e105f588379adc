//! From a spec to a running main process.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::OwnedFd,
    time::Instant,
};

use cc_link::{
    event::{Containment, Event, Started},
    spec::{ClaudeStream, Stdin, TaskSpec},
};
use cc_proctree::{
    cgroup::Leaf,
    start::{self, Start, StartError},
    tree::Tree,
};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::{adoption::AdoptionSocket, event_pipe::EventPipe, journal::Journal};

/// A task whose main process runs.
#[derive(Debug)]
pub struct Launched {
    pub facts: Started,
    pub tree: Tree,
    pub started: Instant,
    /// Reading ends, non-blocking.
    pub stdout: File,
    pub stderr: File,
}

/// What a launch leaves, whether the task runs or not.
#[derive(Debug)]
pub struct Launch {
    pub task: Result<Launched, StartError>,
    pub journal: Journal,
    /// Where the next supervisor finds this worker. To be kept until the log is complete: without it
    /// a worker is taken for dead. `None` only if it could not be made.
    pub adoption: Option<AdoptionSocket>,
}

/// Starts the task and records its start.
///
/// The socket comes before the log, and the log before the task: where a log is, the worker that made it can be
/// found or is dead, and a supervisor that finds neither makes the log itself, so that a worker which comes too
/// late does not start its task.
pub fn launch(spec: &TaskSpec, pipe: EventPipe) -> Launch {
    let adoption = AdoptionSocket::listen_beside(&spec.log_path);
    let mut journal = Journal::create(&spec.log_path, spec.fsync, spec.link_version, pipe);
    if let Some(failure) = journal.log_failure() {
        let error =
            io::Error::new(failure.kind(), format!("{}: {failure}", spec.log_path.display()));
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
    let task = try_launch(spec);
    if let Ok(launched) = &task {
        journal.event(Event::Started(launched.facts.clone()));
        journal.flush();
    }
    Launch { task, journal, adoption: Some(adoption) }
}

fn try_launch(spec: &TaskSpec) -> Result<Launched, StartError> {
    let stdin = open_stdin(&spec.stdin)
        .map_err(|error| StartError::System { step: "standard input", error })?;
    let (stdout, stdout_write) = output_pipe()?;
    let (stderr, stderr_write) = output_pipe()?;
    match spec.claude {
        ClaudeStream::No => {}
        ClaudeStream::Observed | ClaudeStream::Required => enlarge(&stdout),
    }
    let leaf = match &spec.cgroup {
        None => None,
        Some(parent) => Some((Leaf::create(parent.path.join(&spec.task_id))?, parent.clone_into)),
    };
    let started = Instant::now();
    let result = start::start(Start {
        argv: &spec.argv,
        env: &spec.env,
        cwd: spec.cwd.as_deref(),
        stdio: [stdin, stdout_write, stderr_write],
        umask: spec.umask,
        no_new_privs: spec.no_new_privs,
        cgroup: leaf.as_ref().map(|(leaf, clone_into)| (leaf, *clone_into)),
    });
    let leaf = leaf.map(|(leaf, _)| leaf);
    match result {
        Ok(pid) => {
            let containment =
                if leaf.is_some() { Containment::Cgroup } else { Containment::Subreaper };
            let facts = Started { pid, worker_pid: std::process::id() as i32, containment };
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

/// A pipe whose reading end does not block; the task's end does, as every program expects.
fn output_pipe() -> Result<(File, OwnedFd), StartError> {
    let system =
        |errno: nix::errno::Errno| StartError::System { step: "pipe2", error: errno.into() };
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
    fcntl(&reading, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(system)?;
    Ok((File::from(reading), writing))
}

/// Makes a pipe as large as the kernel allows this user, up to 1 MiB.
///
/// The Claude CLI does not wait for its last output when it exits: what does not fit into the pipe at that moment
/// is lost, its result line included (measured with 2.1.197: of 981 KB, runs with a pipe of 64 KiB were cut, none
/// with 1 MiB).
fn enlarge(pipe: &File) {
    for bytes in [1 << 20, 1 << 19, 1 << 18, 1 << 17] {
        // Refused where the user's pipes would hold too much together (pipe(7), pipe-user-pages-soft).
        if fcntl(pipe, FcntlArg::F_SETPIPE_SZ(bytes)).is_ok() {
            return;
        }
    }
}
