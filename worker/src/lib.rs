//! cc-worker: runs one task to its end, records what happens, and proves that nothing of it is left.
//!
//! One thread and one poll loop run one task, then the process exits. It reads a task spec and commands as JSON lines on
//! standard input and writes records on standard output (cc-link has both formats). On a terminal the records are shown as
//! text, so it can be tried in a shell. It never serves a second task, never outlives its task, and never holds more
//! output than its bounds allow.
//!
//! In the order in which a task passes through them:
//! - `keeper` forks the workers of a supervisor and looks after them.
//! - `stdio` takes the descriptors that a worker was started with.
//! - `control_channel` brings the spec and the commands.
//! - `launch` starts the task, printing into an `output_pipe`, kept from the rest of the machine as `isolation` says.
//! - `task_loop` turns until the main process has ended, and ends the tree.
//! - `readiness` is what the loop sleeps on, `gap` notices that it slept through a stop of the machine.
//! - `heartbeat` is when the supervisor gets a sign of life, and when the tree is recorded.
//! - `signals` makes signals readable, `clocks` are the deadlines.
//! - `capture` reads what the task prints.
//! - `journal` numbers what happens and writes it to the task log; `event_pipe` sends the same to the supervisor.
//! - `adoption` is the socket on which a later supervisor takes the worker over.
//! - `access` is who may connect there.
//! - `ending` says how the task ended.
//! - `probe` finds out, once for a supervisor, what a cgroup directory can do.
//!
//! How the tree of the task is killed is in [`cc_proctree::kill`].

#![warn(unreachable_pub)]

mod keeper;

mod stdio;

mod control_channel;

mod isolation;
mod launch;
mod output_pipe;

mod task_loop;

mod gap;
mod heartbeat;
mod readiness;

mod clocks;
mod signals;

mod capture;

mod event_pipe;
mod journal;

mod access;
mod adoption;

mod ending;

mod probe;

use std::{env, os::fd::OwnedFd, path::Path, process::ExitCode};

use anyhow::{Context, bail};
use cc_link::{
    exit::Exit,
    keeper::KEEPER_ARGUMENT,
    spec::{CORE_DUMPS_VARIABLE, OPEN_FILES_VARIABLE, Stdin},
};
use cc_proctree::procfs;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

const USAGE: &str = "\
cc-worker runs one task for cc-supervisor.

usage: cc-worker                       read a task spec and commands (JSON lines) on stdin,
                                       write records on stdout, exit when the task has ended
                                       (or when stdin ends without a task)
       cc-worker --keeper SOCKET       fork a worker, as above, for every request on the socket that
                                       is stdin, and reap them all; started by cc-supervisor
       cc-worker --probe-cgroup DIR    say whether tasks can be contained by cgroups below DIR
       cc-worker --version | --help";

/// The program: reads its arguments from the environment of the process.
#[must_use]
pub fn main() -> ExitCode {
    let exit = match dispatch() {
        Ok(()) => Exit::Done,
        Err(error) => {
            stdio::complain(format_args!("{error:#}"));
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
            serve(stdin, stdout, None)
        }
        [KEEPER_ARGUMENT, path] => {
            inherit_nothing()?;
            let (supervisor, listener) = stdio::take().context("stdin and stdout")?;
            let keeper = procfs::own_pid();
            match keeper::serve(supervisor, listener, Path::new(path))? {
                Some(pipes) => {
                    // The keeper's own may be that of a supervisor that is gone.
                    rustix::stdio::dup2_stderr(&pipes.stderr).context("stderr")?;
                    drop(pipes.stderr);
                    serve(pipes.stdin, pipes.stdout, Some(keeper))
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

/// A supervisor raises its limit of open files for its clients; a task gets the limit from before that.
fn restore_open_files() {
    let wanted = env::var(OPEN_FILES_VARIABLE).ok().and_then(|value| value.parse().ok());
    if let Some(current) = wanted {
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _lowering_is_never_refused =
            setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
    }
}

/// Resets what a supervisor, or a shell, passes on to every process that it starts. Closes this process, and the workers
/// that it forks, to all others of its user: they share it with the tasks. A task's exec opens the task again.
fn inherit_nothing() -> anyhow::Result<()> {
    cc_proctree::inherit::reset().context("inherited state")?;
    restore_open_files();
    if env::var_os(CORE_DUMPS_VARIABLE).is_none() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).context("PR_SET_DUMPABLE")?;
    }
    Ok(())
}

/// Runs one task, from the spec on stdin to the terminal event on stdout. `keeper` is the pid of the one that has forked
/// this process.
fn serve(stdin: OwnedFd, stdout: OwnedFd, keeper: Option<i32>) -> anyhow::Result<()> {
    cc_proctree::subreaper::enable().context("PR_SET_CHILD_SUBREAPER")?;
    let signals = signals::Signals::install().context("signal handlers")?;
    let mut control = control_channel::ControlChannel::new(stdin, Vec::new());
    // The supervisor went away before it had sent a task.
    let Some(mut spec) = control.read_spec()? else { return Ok(()) };
    let pipe = event_pipe::EventPipe::new(stdout).context("event pipe on stdout")?;
    launch::check_memory().context("memory for a task")?;
    let access = access::Access::new(spec.adoption_key.take(), keeper);
    let launch::Launch { task, mut journal, adoption } =
        launch::launch(&spec, access, &control, pipe);
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
