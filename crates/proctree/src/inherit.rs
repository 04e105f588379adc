//! What a worker was born with and must not pass on: the signal mask, ignored signals, the OOM score
//! and the scheduling class of a supervisor, or of the shell that started it.

use std::{fs, io};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

/// Highest signal number on Linux, real-time signals included (signal(7)).
const SIGNAL_MAX: i32 = 64;

/// Gives this process, and so all that it starts, the state of a process that a login shell starts.
/// What needs a privilege to be lowered (a raised OOM score, a raised nice value) stays as it is for
/// unprivileged users: it then makes the task weaker, never stronger.
///
/// # Errors
/// When the signal mask cannot be set, which the kernel never refuses.
pub fn reset() -> io::Result<()> {
    reset_signals()?;
    // SAFETY: ignoring a signal installs no handler. A broken pipe must be an error to this process, as
    // Rust's runtime has it; the task gets the default back when it is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    ignore_file_size_signal();
    if fs::read_to_string("/proc/self/oom_score_adj").is_ok_and(|score| score.trim() != "0") {
        drop(fs::write("/proc/self/oom_score_adj", "0"));
    }
    reset_scheduling();
    Ok(())
}

/// A file that may not become longer (RLIMIT_FSIZE) is an error to this process, and not its end.
pub fn ignore_file_size_signal() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Default dispositions and an empty mask.
///
/// By the system call itself: libc's functions refuse the two real-time signals that it keeps for its threads
/// (nptl(7)), but a parent can have ignored these too, and a task would inherit that.
pub(crate) fn reset_signals() -> io::Result<()> {
    // The kernel's `struct sigaction` with every member 0: SIG_DFL, no flags, an empty mask. No architecture
    // has a longer one.
    let default_action = [0u64; 4];
    let set_bytes: libc::size_t = 8;
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the kernel reads at most 32 bytes from a live array, and the default action installs no
        // handler, so no code of ours can run in a signal context; for SIGKILL and SIGSTOP it fails without
        // effect.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default_action.as_ptr(),
                std::ptr::null_mut::<u64>(),
                set_bytes,
            )
        };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

fn reset_scheduling() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live, initialised value for the duration of the call.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) };
    // SAFETY: takes numbers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) };
    const IOPRIO_WHO_PROCESS: libc::c_long = 1;
    // SAFETY: takes numbers only; priority 0 is IOPRIO_CLASS_NONE: derived from the nice value.
    unsafe {
        libc::syscall(
            libc::SYS_ioprio_set,
            IOPRIO_WHO_PROCESS,
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
}
