//! How the child is born: into a cgroup with clone3(2), or as by vfork(2).

use std::{fs::File, os::fd::AsRawFd};

use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow, sigprocmask},
};

use super::child::{Prepared, become_task};

/// For a few calls and, where close_range(2) is missing, a look at a directory.
const CHILD_STACK_BYTES: usize = 64 * 1024;

/// From `linux/sched.h`; libc's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child that becomes the task, born into the cgroup with this directory.
pub(super) fn birth_in(directory: &File, prepared: &Prepared) -> Result<i32, Errno> {
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
pub(super) fn birth(prepared: &Prepared) -> Result<i32, Errno> {
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
    // SAFETY: `birth` passes a pointer to its `prepared`, which nothing changes.
    become_task(unsafe { &*prepared.cast::<Prepared>() })
}
