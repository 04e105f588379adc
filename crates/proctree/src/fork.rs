//! fork(2), by which a keeper makes workers.
//!
//! Starting a program costs a millisecond, forking a small process a tenth of that: nothing is loaded, linked or
//! asked of the processor (in a virtual machine the CPUID instructions of a dynamic linker alone take half a
//! millisecond, measured). All that are forked have the same memory layout, so address space randomization protects no worker from
//! its task; the task runs as the same user and could trace its worker anyway.

use std::io;

use nix::errno::Errno;

/// Which of the two processes this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    Child,
    /// The process that called.
    Parent {
        /// The pid of the new process.
        child: i32,
    },
}

#[cfg(target_arch = "s390x")]
compile_error!("clone(2) takes its arguments in another order here");

/// Forks a child. The caller must have one thread only.
///
/// # Errors
/// As fork(2): too many processes, or no memory.
pub fn fork() -> io::Result<Forked> {
    let none: libc::c_long = 0;
    let flags = libc::c_long::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM and without a stack of its own this is fork(2): the child continues with a copy of this
    // memory, in which, with a single thread, no lock is held and nothing is half done. libc's own fork
    // would run handlers, of which there are none here, and renew the thread's number that libc remembers; that is
    // used only for locks between threads.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match Errno::result(result)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { child: pid as i32 }),
    }
}
