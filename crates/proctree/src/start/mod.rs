//! Starts a task's main process: a new session, three descriptors, and nothing inherited by accident.
//!
//! Between the birth of the child and its exec only system calls run. The caller must be
//! single-threaded (the worker is): the child runs in its memory while it waits, or in a copy of it.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::{SigSet, SigmaskHow, sigprocmask},
    unistd::pipe2,
};

use crate::{
    cgroup::{CgroupError, Leaf},
    inherit, shortage,
};

/// Looked through for a program without a slash when the environment has no `PATH` (execvp(3)).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// For a few calls and, where close_range(2) is missing, a look at a directory.
const CHILD_STACK_BYTES: usize = 64 * 1024;

/// What a child that has failed says: the step, and the number of the error.
const REPORT_BYTES: usize = 1 + size_of::<i32>();

/// From `linux/sched.h`; libc's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Everything that the main process starts with.
#[derive(Debug)]
pub struct Start<'a> {
    /// Program and arguments; at least the program.
    pub argv: &'a [String],
    /// The whole environment.
    pub env: &'a [(String, String)],
    /// Working directory; the caller's own where there is none.
    pub cwd: Option<&'a Path>,
    /// Descriptors 0, 1 and 2.
    pub stdio: [OwnedFd; 3],
    /// File mode creation mask.
    pub umask: u32,
    /// Set `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// The cgroup to be born in, and whether `CLONE_INTO_CGROUP` works for it.
    pub cgroup: Option<(&'a Leaf, bool)>,
}

/// Why the main process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An argument or variable has a NUL byte in it.
    #[error("{0} contains a NUL byte")]
    Nul(String),
    /// The program is not there.
    #[error("program {0:?} was not found{1}")]
    ProgramNotFound(String, &'static str),
    /// The working directory cannot be entered.
    #[error("working directory {path:?}: {error}")]
    Cwd {
        /// As given.
        path: PathBuf,
        /// What chdir(2) said.
        error: io::Error,
    },
    /// Arguments and environment together are over the kernel's limit.
    #[error(
        "the arguments and environment are too long ({bytes} bytes); give long text on standard input \
         or in a file"
    )]
    TooLong {
        /// All strings with their ends.
        bytes: usize,
    },
    /// The program is there and cannot be executed.
    #[error("program {program:?} cannot be executed: {error}")]
    Exec {
        /// As given.
        program: String,
        /// What execve(2) said.
        error: io::Error,
    },
    /// The machine is out of something, or a preparation failed.
    #[error("{step}: {error}")]
    System {
        /// Which preparation.
        step: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

impl StartError {
    /// Whether it is the machine's trouble and not the task's: it was out of something, or somebody was just replacing a
    /// file (see [`shortage`]). The same start may well succeed later.
    #[must_use]
    pub fn is_environmental(&self) -> bool {
        match self {
            Self::Cwd { error, .. } | Self::Exec { error, .. } | Self::System { error, .. } => {
                shortage::is_environmental(error)
            }
            Self::Nul(_) | Self::ProgramNotFound(..) | Self::TooLong { .. } => false,
        }
    }

    /// Whether the program, the interpreter in its first line, or the working directory is not there. Whether that is the
    /// task's mistake, or somebody is just replacing it, cannot be told from one start.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::ProgramNotFound(..) => true,
            Self::Cwd { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Self::Nul(_) | Self::TooLong { .. } | Self::Exec { .. } | Self::System { .. } => false,
        }
    }
}

/// The preparations of the child, as they report their failure to the parent.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Step {
    Session,
    JoinCgroup,
    ParentDeath,
    Cwd,
    Descriptors,
    Signals,
    NoNewPrivileges,
    Exec,
}

impl Step {
    const ALL: [Self; 8] = [
        Self::Session,
        Self::JoinCgroup,
        Self::ParentDeath,
        Self::Cwd,
        Self::Descriptors,
        Self::Signals,
        Self::NoNewPrivileges,
        Self::Exec,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Session => "setsid",
            Self::JoinCgroup => "cgroup.procs",
            Self::ParentDeath => "PR_SET_PDEATHSIG",
            Self::Cwd => "chdir",
            Self::Descriptors => "descriptors",
            Self::Signals => "signals",
            Self::NoNewPrivileges => "PR_SET_NO_NEW_PRIVS",
            Self::Exec => "execve",
        }
    }
}

/// Everything that the child needs, made before it is born.
struct Prepared {
    candidates: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    cwd: Option<CString>,
    stdio: [RawFd; 3],
    umask: u32,
    no_new_privs: bool,
    join: Option<File>,
    report: OwnedFd,
    parent: i32,
}

/// A main process that was started.
#[derive(Debug)]
pub struct Born {
    /// Its number, which is also its session and process group.
    pub pid: i32,
    /// Why it is not in the cgroup that it was to be in.
    pub outside: Option<CgroupError>,
}

/// Starts the main process. It is dead when its starter dies (`PR_SET_PDEATHSIG`).
///
/// Where the cgroup cannot be used, because somebody has removed it or forbids it, the process is started outside of it:
/// that contains it less well, and is not the task's fault.
///
/// The caller must have one thread only: the child continues as a copy of it.
///
/// # Errors
/// [`StartError`]; no child is left then.
pub fn start(start: Start<'_>) -> Result<Born, StartError> {
    let strings_argv = c_strings(start.argv.iter().map(|argument| argument.as_bytes().to_vec()))
        .map_err(|text| StartError::Nul(format!("argument {text:?}")))?;
    let strings_env = c_strings(
        start.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()),
    )
    .map_err(|text| StartError::Nul(format!("variable {text:?}")))?;
    let system = |step| move |errno: Errno| StartError::System { step, error: errno.into() };
    let (reading, report) = pipe2(OFlag::O_CLOEXEC).map_err(system("pipe2"))?;
    let stdio = start.stdio.map(above_stdio);
    let [stdin, stdout, stderr] = stdio;
    let stdio = [
        stdin.map_err(system("F_DUPFD"))?,
        stdout.map_err(system("F_DUPFD"))?,
        stderr.map_err(system("F_DUPFD"))?,
    ];
    let (target, join, mut outside) = match start.cgroup.map(open_cgroup) {
        None => (None, None, None),
        Some(Ok((target, join))) => (target, join, None),
        Some(Err(error)) => (None, None, Some(error)),
    };
    let leaf_path = start.cgroup.map(|(leaf, _)| leaf.path()).unwrap_or(Path::new(""));
    let prepared = Prepared {
        candidates: candidates(start.argv, start.env),
        argv: pointers(&strings_argv),
        env: pointers(&strings_env),
        cwd: start.cwd.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok()),
        stdio: [stdio[0].as_raw_fd(), stdio[1].as_raw_fd(), stdio[2].as_raw_fd()],
        umask: start.umask,
        no_new_privs: start.no_new_privs,
        join,
        report,
        parent: std::process::id() as i32,
    };
    if prepared.candidates.is_empty() {
        return Err(not_found(start.argv, start.env));
    }
    let pid = match target.map(|directory| birth_in(&directory, &prepared)) {
        Some(Ok(pid)) => pid,
        refused => {
            if let Some(Err(errno)) = refused {
                outside = Some(CgroupError::of(leaf_path, errno.into()));
            }
            birth(&prepared).map_err(system("clone"))?
        }
    };
    drop(prepared);
    loop {
        match read_report(&reading)? {
            None => return Ok(Born { pid, outside }),
            // It goes on without.
            Some((Step::JoinCgroup, errno)) => {
                outside = Some(CgroupError::of(leaf_path, errno.into()));
            }
            Some((step, errno)) => {
                // The child is on its way out; it must not be mistaken for a part of the task.
                let _status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
                let program = &start.argv[0];
                return Err(explain(step, errno, program, start.cwd, &strings_argv, &strings_env));
            }
        }
    }
}

/// What a birth into the leaf needs: its directory for `CLONE_INTO_CGROUP`, or its `cgroup.procs`.
fn open_cgroup(
    (leaf, clone_into): (&Leaf, bool),
) -> Result<(Option<File>, Option<File>), CgroupError> {
    if clone_into { Ok((Some(leaf.directory()?), None)) } else { Ok((None, Some(leaf.joining()?))) }
}

/// A child that becomes the task, born into the cgroup with this directory.
fn birth_in(directory: &File, prepared: &Prepared) -> Result<i32, Errno> {
    // SAFETY: `clone_args` is plain numbers, for which zero is valid and means "not used".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = directory.as_raw_fd() as u64;
    // SAFETY: without CLONE_VM and without a stack this is fork(2): the child gets a copy of this
    // single-threaded process. It only makes system calls and never returns to code that depends on
    // what libc caches about the process.
    let result = unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    };
    let pid = Errno::result(result)? as i32;
    if pid == 0 {
        become_task(prepared);
    }
    Ok(pid)
}

/// A child that becomes the task, in this process's memory, which waits until the child has a program of its own, as
/// vfork(2) does. A copy of the memory would cost more than all the rest of a start.
fn birth(prepared: &Prepared) -> Result<i32, Errno> {
    let mut stack: Vec<u128> = Vec::with_capacity(CHILD_STACK_BYTES / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    // A handler of ours that ran in the child would write to our memory, from another process. The child lets
    // signals in again when none is handled any more.
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
    // SAFETY: this process has one thread (the contract of `start`), which does not run while the child uses its
    // memory. The child has a stack of its own, whose upper end is aligned as ABIs ask for; that and `prepared`
    // live until clone(2) returns here. It only makes system calls, and leaves by execve(2) or _exit(2).
    let result = unsafe {
        libc::clone(
            child_main,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            std::ptr::from_ref(prepared).cast_mut().cast(),
        )
    };
    let result = Errno::result(result);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    result
}

extern "C" fn child_main(prepared: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `birth` passes a pointer to its `prepared`, which nobody changes.
    become_task(unsafe { &*prepared.cast::<Prepared>() })
}

/// The child's side: never returns.
fn become_task(prepared: &Prepared) -> ! {
    let (step, errno) = prepare_and_exec(prepared);
    report(prepared, step, errno);
    // SAFETY: takes a number; it runs nothing of the parent's.
    unsafe { libc::_exit(127) }
}

/// Tells the parent of a failure.
fn report(prepared: &Prepared, step: Step, errno: Errno) {
    let mut report = [step as u8; REPORT_BYTES];
    report[1..].copy_from_slice(&(errno as i32).to_le_bytes());
    // SAFETY: writes from a live array to a descriptor that is open until exec.
    unsafe {
        libc::write(prepared.report.as_raw_fd(), report.as_ptr().cast(), report.len());
    }
}

/// All preparations in order; returns only when one has failed.
fn prepare_and_exec(prepared: &Prepared) -> (Step, Errno) {
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

fn explain(
    step: Step,
    errno: Errno,
    program: &str,
    cwd: Option<&Path>,
    argv: &[CString],
    env: &[CString],
) -> StartError {
    match (step, errno) {
        (Step::Exec, Errno::ENOENT) if program.contains('/') => StartError::ProgramNotFound(
            program.to_owned(),
            if Path::new(program).exists() {
                " (the interpreter in its first line is missing)"
            } else {
                ""
            },
        ),
        (Step::Exec, Errno::ENOENT) => {
            StartError::ProgramNotFound(program.to_owned(), " in the PATH of the task")
        }
        (Step::Exec, Errno::E2BIG) => StartError::TooLong {
            bytes: argv.iter().chain(env).map(|text| text.as_bytes_with_nul().len()).sum(),
        },
        (Step::Exec, errno) => {
            StartError::Exec { program: program.to_owned(), error: errno.into() }
        }
        (Step::Cwd, errno) => StartError::Cwd {
            path: cwd.map(Path::to_owned).unwrap_or_default(),
            error: errno.into(),
        },
        (
            Step::Session
            | Step::JoinCgroup
            | Step::ParentDeath
            | Step::Descriptors
            | Step::Signals
            | Step::NoNewPrivileges,
            errno,
        ) => StartError::System { step: step.name(), error: errno.into() },
    }
}

/// The paths to try, in order. A program with a slash is tried as it is (execvp(3)).
fn candidates(argv: &[String], env: &[(String, String)]) -> Vec<CString> {
    let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
        return Vec::new();
    };
    if program.contains('/') {
        return CString::new(program.as_bytes()).into_iter().collect();
    }
    let path =
        env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
    path.split(':')
        // An empty element would mean the working directory: a program there is asked for as ./program.
        .filter(|directory| !directory.is_empty())
        .filter_map(|directory| CString::new(format!("{directory}/{program}")).ok())
        .collect()
}

fn not_found(argv: &[String], env: &[(String, String)]) -> StartError {
    let has_path = env.iter().any(|(name, _)| name == "PATH");
    let hint = if has_path { " in the PATH of the task" } else { "" };
    StartError::ProgramNotFound(argv.first().cloned().unwrap_or_default(), hint)
}

/// The same open file under a number above 2, so that the order of the `dup2` calls cannot matter.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    let number = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: F_DUPFD_CLOEXEC has just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// NUL-terminated copies, or the beginning of the first text that has a NUL byte in it.
fn c_strings(texts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, String> {
    texts
        .map(|text| {
            CString::new(text).map_err(|error| {
                String::from_utf8_lossy(&error.into_vec()).chars().take(40).collect()
            })
        })
        .collect()
}

/// A NULL-terminated array of pointers, valid as long as `strings` is.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| CStr::as_ptr(text)).chain(std::iter::once(std::ptr::null())).collect()
}

#[cfg(test)]
mod tests;
