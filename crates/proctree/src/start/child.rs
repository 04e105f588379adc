//! The child's side, from its birth to its exec: system calls only. It runs in its parent's memory, or in a copy of it.

use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

use nix::errno::Errno;

use crate::{inherit, landlock, limits, seccomp::Filter, user::User};

/// What a child that has failed says: the step, and the number of the error.
pub(super) const REPORT_BYTES: usize = 1 + size_of::<i32>();

/// The preparations of the child, as they report their failure to the parent.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Step {
    Session,
    JoinCgroup,
    Limits,
    User,
    ParentDeath,
    Cwd,
    Descriptors,
    Signals,
    NoNewPrivileges,
    Landlock,
    Seccomp,
    Exec,
}

impl Step {
    pub(super) const ALL: [Self; 12] = [
        Self::Session,
        Self::JoinCgroup,
        Self::Limits,
        Self::User,
        Self::ParentDeath,
        Self::Cwd,
        Self::Descriptors,
        Self::Signals,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Seccomp,
        Self::Exec,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Session => "setsid",
            Self::JoinCgroup => "cgroup.procs",
            Self::Limits => "setrlimit",
            Self::User => "setuid",
            Self::ParentDeath => "PR_SET_PDEATHSIG",
            Self::Cwd => "chdir",
            Self::Descriptors => "descriptors",
            Self::Signals => "signals",
            Self::NoNewPrivileges => "PR_SET_NO_NEW_PRIVS",
            Self::Landlock => "landlock_restrict_self",
            Self::Seccomp => "seccomp",
            Self::Exec => "execve",
        }
    }
}

/// Everything that the child needs, made before it is born.
pub(super) struct Prepared<'a> {
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Vec<*const libc::c_char>,
    pub(super) env: Vec<*const libc::c_char>,
    pub(super) cwd: Option<CString>,
    pub(super) stdio: [RawFd; 3],
    pub(super) umask: u32,
    pub(super) limits: Vec<limits::Prepared>,
    pub(super) user: Option<User>,
    pub(super) no_new_privs: bool,
    /// The number of a Landlock ruleset.
    pub(super) ruleset: Option<RawFd>,
    pub(super) filter: Option<&'a Filter>,
    pub(super) join: Option<File>,
    pub(super) report: OwnedFd,
    pub(super) parent: i32,
}

/// The child's side: never returns.
pub(super) fn become_task(prepared: &Prepared<'_>) -> ! {
    let (step, errno) = prepare_and_exec(prepared);
    report(prepared, step, errno);
    // SAFETY: takes a number; it runs nothing of the parent's.
    unsafe { libc::_exit(127) }
}

/// Tells the parent of a failure.
fn report(prepared: &Prepared<'_>, step: Step, errno: Errno) {
    let mut report = [step as u8; REPORT_BYTES];
    report[1..].copy_from_slice(&(errno as i32).to_le_bytes());
    // SAFETY: writes from a live array to a descriptor that is open until exec.
    unsafe {
        libc::write(prepared.report.as_raw_fd(), report.as_ptr().cast(), report.len());
    }
}

/// All preparations in order; returns only when one has failed.
fn prepare_and_exec(prepared: &Prepared<'_>) -> (Step, Errno) {
    // SAFETY: this whole block runs in the single-threaded child between fork and exec. Each call takes
    // numbers, or pointers to NUL-terminated strings and arrays in `prepared`, which lives until exec.
    unsafe {
        if libc::setsid() < 0 {
            return (Step::Session, Errno::last());
        }
        if let Some(join) = &prepared.join
            && libc::write(join.as_raw_fd(), b"0".as_ptr().cast(), 1) != 1
        {
            // Better outside of it than not at all.
            report(prepared, Step::JoinCgroup, Errno::last());
        }
        if let Err(failure) = become_another(prepared) {
            return failure;
        }
        // After a change of the user, which resets it.
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return (Step::ParentDeath, Errno::last());
        }
        // The parent may have died before the line above.
        if libc::getppid() != prepared.parent {
            libc::_exit(127);
        }
        if let Some(cwd) = &prepared.cwd
            && libc::chdir(cwd.as_ptr()) < 0
        {
            return (Step::Cwd, Errno::last());
        }
        libc::umask(prepared.umask);
        for (target, fd) in prepared.stdio.iter().enumerate() {
            if libc::dup2(*fd, target as RawFd) < 0 {
                return (Step::Descriptors, Errno::last());
            }
        }
        if let Err(errno) = close_others_at_exec() {
            return (Step::Descriptors, errno);
        }
        if inherit::reset_signals().is_err() {
            return (Step::Signals, Errno::last());
        }
        if prepared.no_new_privs && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
            return (Step::NoNewPrivileges, Errno::last());
        }
        if let Some(ruleset) = prepared.ruleset
            && let Err(errno) = landlock::restrict_self(ruleset)
        {
            return (Step::Landlock, errno);
        }
        if let Some(filter) = prepared.filter
            && let Err(errno) = filter.restrict_self()
        {
            return (Step::Seccomp, errno);
        }
        let mut found = Errno::ENOENT;
        for candidate in &prepared.candidates {
            libc::execve(candidate.as_ptr(), prepared.argv.as_ptr(), prepared.env.as_ptr());
            let errno = Errno::last();
            // As execvp(3): look on, but remember that something was there.
            if errno == Errno::EACCES {
                found = errno;
            } else if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
                return (Step::Exec, errno);
            }
        }
        (Step::Exec, found)
    }
}

/// The limits while the privileges for them are there, then the user.
fn become_another(prepared: &Prepared<'_>) -> Result<(), (Step, Errno)> {
    for limit in &prepared.limits {
        limit.set().map_err(|errno| (Step::Limits, errno))?;
    }
    match &prepared.user {
        Some(user) => user.become_self().map_err(|errno| (Step::User, errno)),
        None => Ok(()),
    }
}

/// Marks every descriptor above 2 to be closed at exec, those too that were inherited by accident.
fn close_others_at_exec() -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => {
            // Before Linux 5.11, or in a sandbox that does not know the call.
            let directory = std::fs::read_dir("/proc/self/fd").map_err(|_| Errno::ENOSYS)?;
            let numbers = directory.flatten().filter_map(|entry| {
                entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok())
            });
            for fd in numbers.filter(|fd| *fd > 2) {
                // SAFETY: takes numbers only; a descriptor that is closed by now is no harm.
                unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}
