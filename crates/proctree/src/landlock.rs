//! Landlock (landlock(7)): what a task may do to the rest of the machine, beside what its user may.
//!
//! A [`Ruleset`] is prepared before the task's birth. The child takes it upon itself right before its exec, and no process
//! of the task can take it off. It binds root too.
//!
//! The three system calls are made directly: between birth and exec nothing else may run.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
};

use nix::errno::Errno;

/// The version of the interface that has scopes (Linux 6.12).
const SCOPES_ABI: i64 = 6;

// From `linux/landlock.h`.
const CREATE_RULESET_VERSION: libc::c_uint = 1;
const RULE_PATH_BENEATH: libc::c_uint = 1;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;
const FS_WRITE_FILE: u64 = 1 << 1;
const FS_REMOVE_DIR: u64 = 1 << 4;
const FS_REMOVE_FILE: u64 = 1 << 5;
/// `MAKE_CHAR` to `MAKE_SYM`.
const FS_MAKE_ANY: u64 = 0b111_1111 << 6;
/// Renames and links between directories. Since the second version.
const FS_REFER: u64 = 1 << 13;
/// Since the third version.
const FS_TRUNCATE: u64 = 1 << 14;
/// Everything that changes a file or a directory.
const FS_WRITE: u64 =
    FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_ANY | FS_REFER | FS_TRUNCATE;
/// Of [`FS_WRITE`], what can be said of something that is no directory.
const FS_WRITE_OF_FILE: u64 = FS_WRITE_FILE | FS_TRUNCATE;

/// As the kernel has it.
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// As the kernel has it.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// What a task is to be kept from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'a, P> {
    /// Signals, traces and abstract sockets reach nothing but the task's own processes.
    pub is_scoped: bool,
    /// Writing is allowed below these alone. Those that do not exist are left out.
    pub writable: Option<&'a [P]>,
}

/// What a task is kept from.
#[derive(Debug)]
pub struct Ruleset {
    descriptor: OwnedFd,
    /// As in [`Wanted`].
    pub is_scoped: bool,
    pub is_confined: bool,
}

impl Ruleset {
    /// Prepares what is wanted, as far as the kernel has it. `None`: it has nothing of that.
    ///
    /// # Errors
    /// When the kernel refuses: it lacks memory, or descriptors.
    pub fn prepare<P: AsRef<Path>>(wanted: Wanted<'_, P>) -> io::Result<Option<Self>> {
        let version = version();
        let is_scoped = wanted.is_scoped && version >= SCOPES_ABI;
        let handled_access_fs = match wanted.writable {
            Some(_) => FS_WRITE & known_rights(version),
            None => 0,
        };
        if !is_scoped && handled_access_fs == 0 {
            return Ok(None);
        }
        let scoped = if is_scoped { SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL } else { 0 };
        let attributes = RulesetAttributes { handled_access_fs, handled_access_net: 0, scoped };
        // SAFETY: the kernel reads a live value of the size that is given; members that it does not know are 0.
        let descriptor = Errno::result(unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const attributes,
                size_of::<RulesetAttributes>(),
                0,
            )
        })?;
        // SAFETY: the call has just made this descriptor (close-on-exec), and nothing else knows it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        let ruleset = Self { descriptor, is_scoped, is_confined: handled_access_fs != 0 };
        for path in wanted.writable.unwrap_or_default() {
            ruleset.allow(path.as_ref(), handled_access_fs)?;
        }
        Ok(Some(ruleset))
    }

    fn allow(&self, path: &Path, rights: u64) -> io::Result<()> {
        let opening = File::options().read(true).custom_flags(libc::O_PATH).open(path);
        let Ok(file) = opening else { return Ok(()) };
        let is_directory = file.metadata()?.is_dir();
        let allowed_access = if is_directory { rights } else { rights & FS_WRITE_OF_FILE };
        let rule = PathBeneath { allowed_access, parent_fd: file.as_raw_fd() };
        // SAFETY: the kernel reads a live value of the kind that is named.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.descriptor.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        Errno::result(result)?;
        Ok(())
    }

    pub(crate) fn number(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}

/// Binds the calling thread, and all that it starts, to a ruleset. System calls only.
pub(crate) fn restrict_self(ruleset: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) };
    Errno::result(result).map(drop)
}

/// The version of the kernel's interface; 0 or less where it has none.
fn version() -> i64 {
    // SAFETY: with this flag the call takes no attributes and answers a number.
    unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<RulesetAttributes>(),
            0,
            CREATE_RULESET_VERSION,
        )
    }
}

/// The rights that a version knows. The first one has no renames between directories at all.
fn known_rights(version: i64) -> u64 {
    match version {
        ..=0 => 0,
        1 => FS_WRITE & !FS_REFER & !FS_TRUNCATE,
        2 => FS_WRITE & !FS_TRUNCATE,
        3.. => FS_WRITE,
    }
}
