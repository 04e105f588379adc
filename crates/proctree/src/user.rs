//! Another user's identity for a task, taken on between birth and exec by system calls only.
//!
//! libc's own functions change every thread of a process; the child may share memory with its starter.

use nix::errno::Errno;

/// Whom a task runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// All groups beside that one.
    pub groups: Vec<u32>,
}

impl User {
    /// Makes this process one of the user, for good. The kernel takes back `PR_SET_PDEATHSIG` by that.
    pub(crate) fn become_self(&self) -> Result<(), Errno> {
        // SAFETY: takes a live array and its length.
        let result =
            unsafe { libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()) };
        Errno::result(result)?;
        // SAFETY: takes numbers only.
        Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, self.gid, self.gid, self.gid) })?;
        // SAFETY: takes numbers only.
        Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, self.uid, self.uid, self.uid) })?;
        Ok(())
    }
}
