//! Limits of one process that every child of it inherits (setrlimit(2)): what stands in for a cgroup's controllers.

use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit},
};

/// What a task's main process gets; `None`: as its starter has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Of each process: what it may write to and shares with no other (`RLIMIT_DATA`).
    pub memory_bytes: Option<u64>,
    /// All processes and threads of the user, not the task's alone; root has no such limit (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Of each process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

/// A limit as the child sets it.
pub(crate) struct Prepared {
    resource: Resource,
    limit: libc::rlimit,
}

impl ResourceLimits {
    /// Never above what is in force: an unprivileged process cannot go there.
    pub(crate) fn prepare(self) -> Result<Vec<Prepared>, Errno> {
        let wanted = [
            (Resource::RLIMIT_DATA, self.memory_bytes),
            (Resource::RLIMIT_NPROC, self.processes),
            (Resource::RLIMIT_NOFILE, self.open_files),
        ];
        let wanted = wanted.into_iter().filter_map(|(resource, limit)| Some((resource, limit?)));
        wanted
            .map(|(resource, wanted)| {
                let (_, most) = getrlimit(resource)?;
                let most = most.min(wanted);
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                Ok(Prepared { resource, limit })
            })
            .collect()
    }
}

impl Prepared {
    /// System calls only.
    pub(crate) fn set(&self) -> Result<(), Errno> {
        // SAFETY: the kernel reads a live value, and writes none.
        let result = unsafe {
            libc::syscall(
                libc::SYS_prlimit64,
                0,
                self.resource as libc::c_int,
                &raw const self.limit,
                std::ptr::null_mut::<libc::rlimit>(),
            )
        };
        Errno::result(result).map(drop)
    }
}
