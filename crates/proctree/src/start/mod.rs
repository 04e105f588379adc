//! Starts a task's main process: a new session, three descriptors, and nothing inherited by accident.
//!
//! Between the birth of the child and its exec only system calls run. The caller must be
//! single-threaded (the worker is): the child runs in its memory while it waits, or in a copy of it.
//!
//! - [`start`] prepares everything that the child needs, and hears from it why it could not become the task.
//! - `birth` makes the child.
//! - `child` is the child's side, from its birth to its exec.
//! - `strings` are arguments, environment and paths as execve(2) takes them.
//! - `error` says why a main process did not start.

mod birth;

mod child;

mod strings;

mod error;

use std::{
    ffi::CString,
    fs::File,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};

use crate::{
    cgroup::{CgroupError, Leaf},
    landlock::Ruleset,
    limits::ResourceLimits,
    seccomp::Filter,
    user::User,
};

use birth::{birth, birth_in};
use child::{Prepared, REPORT_BYTES, Step};
pub use error::StartError;
use error::{explain, not_found, system};
use strings::{c_strings, candidates, pointers};

/// Everything that the main process starts with.
#[derive(Debug)]
pub struct Start<'a> {
    /// Program and arguments; at least the program.
    pub argv: &'a [String],
    pub env: &'a [(String, String)],
    /// Working directory; the caller's own where there is none.
    pub cwd: Option<&'a Path>,
    /// Descriptors 0, 1 and 2.
    pub stdio: [OwnedFd; 3],
    /// File mode creation mask.
    pub umask: u32,
    /// Set `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    pub limits: ResourceLimits,
    /// Whom it runs as; `None`: as the caller.
    pub user: Option<User>,
    /// What it is kept from. Without `no_new_privs` only a privileged caller can ask for this.
    pub ruleset: Option<&'a Ruleset>,
    /// The system calls that it is kept from. As for `ruleset`.
    pub filter: Option<&'a Filter>,
    /// The cgroup to be born in, and whether `CLONE_INTO_CGROUP` works for it.
    pub cgroup: Option<(&'a Leaf, bool)>,
}

/// A main process that was started.
#[derive(Debug)]
pub struct Born {
    /// Also its session and process group.
    pub pid: i32,
    /// Why it is not in the cgroup that it was to be in.
    pub outside: Option<CgroupError>,
}

/// Starts the main process. It is dead when its starter dies (`PR_SET_PDEATHSIG`).
///
/// Where the cgroup cannot be used, because it was removed or may not be entered, the process is started outside of it: that
/// contains it less well, and is not the task's fault.
///
/// The caller must have one thread only: the child continues as a copy of it.
///
/// # Errors
/// [`StartError`]; no child is left then.
pub fn start(start: Start<'_>) -> Result<Born, StartError> {
    let bytes = |argument: &String| argument.as_bytes().to_vec();
    let argv = c_strings("argument", start.argv.iter().map(bytes))?;
    let assignment =
        |(name, value): &(String, String)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let env = c_strings("variable", start.env.iter().map(assignment))?;
    let (reading, report) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe2"))?;
    let [stdin, stdout, stderr] = start.stdio.map(above_stdio);
    let stdio = [stdin?, stdout?, stderr?];
    let (target, join, outside) = match start.cgroup.map(open_cgroup) {
        None => (None, None, None),
        Some(Ok((target, join))) => (target, join, None),
        Some(Err(error)) => (None, None, Some(error)),
    };
    let prepared = Prepared {
        candidates: candidates(start.argv, start.env),
        argv: pointers(&argv),
        env: pointers(&env),
        cwd: start.cwd.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok()),
        stdio: [stdio[0].as_raw_fd(), stdio[1].as_raw_fd(), stdio[2].as_raw_fd()],
        umask: start.umask,
        limits: start.limits.prepare().map_err(system("getrlimit"))?,
        user: start.user,
        no_new_privs: start.no_new_privs,
        ruleset: start.ruleset.map(Ruleset::number),
        filter: start.filter,
        join,
        report,
        parent: std::process::id() as i32,
    };
    if prepared.candidates.is_empty() {
        return Err(not_found(start.argv, start.env));
    }
    let leaf_path = start.cgroup.map(|(leaf, _)| leaf.path()).unwrap_or(Path::new(""));
    let mut born = Born { pid: 0, outside };
    born.pid = match target.map(|directory| birth_in(&directory, &prepared)) {
        Some(Ok(pid)) => pid,
        refused => {
            if let Some(Err(errno)) = refused {
                born.outside = Some(CgroupError::io(leaf_path, errno.into()));
            }
            birth(&prepared).map_err(system("clone"))?
        }
    };
    // The child alone can report now: the pipe ends with its exec.
    drop(prepared);
    while let Some((step, errno)) = read_report(&reading)? {
        if matches!(step, Step::JoinCgroup) {
            // The child continues outside of it.
            born.outside = Some(CgroupError::io(leaf_path, errno.into()));
            continue;
        }
        // The child is on its way out; it must not be mistaken for a part of the task.
        let _status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(born.pid), None);
        return Err(explain(step, errno, &start.argv[0], start.cwd, &argv, &env));
    }
    Ok(born)
}

/// What a birth into the leaf needs: its directory for `CLONE_INTO_CGROUP`, or its `cgroup.procs`.
fn open_cgroup(
    (leaf, clone_into): (&Leaf, bool),
) -> Result<(Option<File>, Option<File>), CgroupError> {
    if clone_into { Ok((Some(leaf.directory()?), None)) } else { Ok((None, Some(leaf.joining()?))) }
}

/// The next thing that the child reports, or `None` if its exec has closed the pipe.
fn read_report(reading: &OwnedFd) -> Result<Option<(Step, Errno)>, StartError> {
    // A pipe takes so few bytes whole, and gives them whole.
    let mut report = [0; REPORT_BYTES];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(reading, &mut report))
        .map_err(|errno| StartError::System { step: "start report", error: errno.into() })?;
    if length == 0 {
        return Ok(None);
    }
    let [step, errno @ ..] = report;
    let errno = i32::from_le_bytes(errno);
    let step = Step::ALL.get(usize::from(step)).copied().unwrap_or(Step::Exec);
    Ok(Some((step, Errno::from_raw(errno))))
}

/// The same open file under a number above 2, so that the order of the `dup2` calls cannot matter.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, StartError> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    let number = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3)).map_err(system("F_DUPFD"))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
