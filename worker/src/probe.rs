//! Finds out, once for a supervisor, whether tasks can be contained by cgroups below a directory: by
//! doing with a child of its own what will be done with tasks.
//!
//! `CLONE_INTO_CGROUP` is tried first. It can fail in a quiet way (measured on Linux 6.18): the child is
//! killed at birth when its parent's cgroup and the leaf have seen different numbers of `cgroup.kill`
//! writes. A child that is not there after its start is how that shows.

use std::{
    env,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
};

use anyhow::{Context, bail};
use cc_proctree::{
    cgroup::{self, CgroupError, Leaf},
    start::{self, Start},
    subreaper::{self, Children, ExitStatus},
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};

use crate::signals::Signals;

/// Makes this program the child of a probe.
pub(crate) const CHILD_ARGUMENT: &str = "--probe-child";
/// How long the child may take to die.
const KILL_MS_LIMIT: u16 = 2_000;

/// How a task is put into its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Born there.
    CloneInto,
    /// By writing to `cgroup.procs`, about 0.5 ms slower.
    Procs,
}

impl Joining {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CloneInto => "clone-into",
            Self::Procs => "procs",
        }
    }
}

/// Waits until the probe is over.
pub(crate) fn be_child() {
    let mut byte = [0];
    // Ends when the probe's end of the pipe is closed, if it was not killed before.
    drop(io::stdin().read(&mut byte));
}

/// Tries both ways of joining and both powers of a leaf.
pub(crate) fn probe(directory: &Path) -> anyhow::Result<Joining> {
    // Elsewhere a leaf is an ordinary directory, and the first thing amiss would be that it has no files.
    if let Err(error @ CgroupError::NotCgroup2(_)) = cgroup::check_hierarchy(directory) {
        return Err(error.into());
    }
    match try_joining(directory, Joining::CloneInto) {
        Ok(()) => Ok(Joining::CloneInto),
        Err(_) => try_joining(directory, Joining::Procs).map(|()| Joining::Procs),
    }
}

fn try_joining(directory: &Path, joining: Joining) -> anyhow::Result<()> {
    let name = format!("probe-{}-{}", joining.as_str(), std::process::id());
    let leaf = Leaf::create(directory.join(name))?;
    let result = try_leaf(&leaf, joining);
    leaf.remove();
    result
}

fn try_leaf(leaf: &Leaf, joining: Joining) -> anyhow::Result<()> {
    let signals = Signals::install().context("signal handlers")?;
    let (stdin, keep_open) = pipe2(OFlag::O_CLOEXEC)?;
    let null =
        || -> io::Result<OwnedFd> { Ok(File::options().write(true).open("/dev/null")?.into()) };
    let program = env::current_exe().context("own program")?;
    let argv = [program.to_string_lossy().into_owned(), CHILD_ARGUMENT.to_owned()];
    let born = start::start(Start {
        argv: &argv,
        env: &[],
        cwd: None,
        stdio: [stdin, null()?, null()?],
        umask: 0o022,
        limits: Default::default(),
        user: None,
        ruleset: None,
        filter: None,
        no_new_privs: true,
        cgroup: Some((leaf, joining == Joining::CloneInto)),
    })?;
    let is_there = leaf.members().iter().any(|member| member.pid == born.pid);
    let outcome = match born.outside {
        Some(error) => Err(error.into()),
        None if is_there => try_powers(leaf, &signals),
        None => Err(anyhow::anyhow!("the child is not in its leaf")),
    };
    // Whatever happened, the child ends when its stdin does.
    drop(keep_open);
    if outcome.is_err() {
        let _status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(born.pid), None);
    }
    outcome
}

fn try_powers(leaf: &Leaf, signals: &Signals) -> anyhow::Result<()> {
    if !leaf.freeze()? {
        bail!("{}: cgroup.freeze has no effect", leaf.path().display());
    }
    leaf.thaw()?;
    leaf.kill()?;
    let mut fds = [PollFd::new(signals.child(), PollFlags::POLLIN)];
    // The signal that is waited for may also interrupt the wait.
    match poll(&mut fds, PollTimeout::from(KILL_MS_LIMIT)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    match subreaper::next_ended()? {
        Children::Ended(ended) if ended.status == ExitStatus::Signal(9) => Ok(()),
        other @ (Children::Ended(_) | Children::Alive | Children::None) => {
            bail!("{}: cgroup.kill had no effect: {other:?}", leaf.path().display())
        }
    }
}
