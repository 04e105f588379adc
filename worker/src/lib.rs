//! cc-worker: runs one task to its end, records what happens, and proves that nothing of it is left.
//!
//! One poll loop, one thread, one task, then exit. It reads a task spec and commands as JSON lines on
//! stdin and writes records on stdout (cc-link has both formats), so it can be tried in a shell:
//! on a terminal the records are shown as text. A supervisor that comes later takes over on a socket. It
//! never serves a second task, never outlives its task, and never holds more output than its bounds allow.
//!
//! Modules in the order in which data travels: `control_channel` brings the spec, `launch` starts
//! the task, printing into an `output_pipe`, `task_loop` turns until the main process has ended, sleeping in `readiness`, reading with
//! `capture`, watching `clocks`, numbering and recording with `journal`, which sends through
//! `event_pipe`; `adoption` listens for the next supervisor; `ending` says in words how the task ended.
//! `probe` finds out once, for the supervisor, what a cgroup directory can do.
//!
//! A supervisor does not start this program for every task: its `keeper` is started once, forks workers, and looks after
//! them.

mod adoption;
mod capture;
mod clocks;
mod control_channel;
mod ending;
mod event_pipe;
mod gap;
mod journal;
mod keeper;
mod launch;
mod output_pipe;
mod probe;
mod readiness;
mod signals;
mod stdio;
mod task_loop;

use std::{
    env,
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use cc_link::{
    exit::Exit,
    keeper::KEEPER_ARGUMENT,
    spec::{OPEN_FILES_VARIABLE, Stdin},
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const USAGE: &str = "\
cc-worker runs one task for cc-supervisor.

usage: cc-worker                       read a task spec and commands (JSON lines) on stdin,
                                       write records on stdout, exit when the task has ended
                                       (or when stdin ends without a task)
       cc-worker --keeper SOCKET       make a worker, as above, for every request on the socket that
                                       is stdin, and look after them all; for a supervisor
       cc-worker --probe-cgroup DIR    say whether tasks can be contained by cgroups below DIR
       cc-worker --version | --help";

/// The program: reads its arguments from the environment of the process.
#[must_use]
pub fn main() -> ExitCode {
    let exit = match dispatch() {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(format_args!("{error:#}"));
            Exit::Failed
        }
    };
    ExitCode::from(exit.code())
}

fn dispatch() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            inherit_nothing()?;
            let (stdin, stdout) = stdio::take().context("stdin and stdout")?;
            serve(stdin, stdout)
        }
        [KEEPER_ARGUMENT, path] => {
            inherit_nothing()?;
            let (supervisor, listener) = stdio::take().context("stdin and stdout")?;
            match keeper::serve(supervisor, listener, Path::new(path))? {
                Some(pipes) => {
                    // The keeper's own may be that of a supervisor that is gone.
                    rustix::stdio::dup2_stderr(&pipes.stderr).context("stderr")?;
                    drop(pipes.stderr);
                    serve(pipes.stdin, pipes.stdout)
                }
                None => Ok(()),
            }
        }
        ["--probe-cgroup", directory] => {
            cc_proctree::inherit::reset().context("inherited state")?;
            println!("{}", probe::probe(Path::new(directory))?.as_str());
            Ok(())
        }
        [probe::CHILD_ARGUMENT] => {
            probe::be_child();
            Ok(())
        }
        ["--version" | "-V"] => {
            println!("cc-worker {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown arguments {arguments:?}\n{USAGE}"),
    }
}

/// Says something on stderr, which may be closed or full: then nobody wants to know. (`eprintln!` would
/// panic, and a worker that panics leaves its tree to others.)
fn complain(what: std::fmt::Arguments<'_>) {
    let stderr = std::io::stderr();
    // An adopted worker has the stderr of a supervisor that is gone: a pipe that nobody empties must not stop it.
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut room, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        drop(writeln!(&stderr, "cc-worker: {what}"));
    }
}

/// A supervisor may have raised its limit of open files for its clients' sake; a task gets the one from before.
fn restore_open_files() {
    let wanted = env::var(OPEN_FILES_VARIABLE).ok().and_then(|value| value.parse().ok());
    if let Some(current) = wanted {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _lowering_is_never_refused =
            setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
    }
}

/// Lets go of what the supervisor, or the shell, passes on to all that it starts.
fn inherit_nothing() -> anyhow::Result<()> {
    cc_proctree::inherit::reset().context("inherited state")?;
    restore_open_files();
    Ok(())
}

/// One task, from the spec on stdin to the terminal event on stdout. The spec may be long in coming.
fn serve(stdin: OwnedFd, stdout: OwnedFd) -> anyhow::Result<()> {
    cc_proctree::subreaper::enable().context("PR_SET_CHILD_SUBREAPER")?;
    let signals = signals::Signals::install().context("signal handlers")?;
    let mut control = control_channel::ControlChannel::new(stdin, Vec::new());
    // A worker that was started ahead of its task, and never got one, has nothing to say.
    let Some(mut spec) = control.read_spec()? else { return Ok(()) };
    let pipe = event_pipe::EventPipe::new(stdout).context("event pipe on stdout")?;
    launch::check_memory().context("memory for a task")?;
    let launch::Launch { task, mut journal, adoption } = launch::launch(&spec, &control, pipe);
    // A prompt can have megabytes; the task has its own copy now.
    spec.stdin = Stdin::Null;
    match task {
        Ok(launched) => {
            let channels = task_loop::Channels { control, adoption, signals };
            task_loop::TaskLoop::new(&spec, launched, journal, channels).run()
        }
        Err(failure) => {
            journal.event(ending::spawn_failed(&failure));
            journal.seal();
            drop(adoption);
            journal.leave();
            Ok(())
        }
    }
}
