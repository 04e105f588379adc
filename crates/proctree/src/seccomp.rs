//! A filter of system calls (seccomp(2)): what a task could do to other programs of its user where signals do not reach them.
//!
//! Landlock's scope of signals says nothing of prlimit(2): with it any program may take the open files, or the length of all
//! files, from another one of its user, which then fails or dies. So a task changes no limits but its own, and sets the
//! priority of no user as a whole. Its threads and its children are its own to place: their scheduling is not touched.
//!
//! A [`Filter`] is prepared before the task's birth. The child takes it upon itself right before its exec, and no process of
//! the task can take it off. For all other calls the kernel knows in advance that they are allowed, and runs no filter.

use std::mem::offset_of;

use libc::{sock_filter, sock_fprog};
use nix::errno::Errno;

/// The number that x32 adds to those of x86-64, whose architecture it shares.
const X32: u32 = 0x4000_0000;
/// From `linux/ioprio.h`.
const IOPRIO_WHO_USER: u32 = 3;
const PRIO_USER: u32 = 2;

/// An architecture as the kernel names it (`linux/audit.h`), and its numbers of the calls that are looked at.
struct Architecture {
    name: u32,
    prlimit64: u32,
    setpriority: u32,
    ioprio_set: u32,
}

/// This program's own, and that of the 32-bit programs which such a machine runs, too.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: 0xC000_003E, prlimit64: 302, setpriority: 141, ioprio_set: 251 },
    Architecture { name: 0x4000_0003, prlimit64: 340, setpriority: 97, ioprio_set: 289 },
];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: 0xC000_00B7, prlimit64: 261, setpriority: 140, ioprio_set: 30 },
    Architecture { name: 0x4000_0028, prlimit64: 369, setpriority: 97, ioprio_set: 314 },
];
#[cfg(target_arch = "riscv64")]
const ARCHITECTURES: &[Architecture] =
    &[Architecture { name: 0xC000_00F3, prlimit64: 261, setpriority: 140, ioprio_set: 30 }];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const ARCHITECTURES: &[Architecture] = &[];

const ALLOW: sock_filter = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
const REFUSE: sock_filter =
    statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);

/// What a task is kept from by its system calls.
#[derive(Debug)]
pub struct Filter {
    program: Vec<sock_filter>,
}

impl Filter {
    /// Prepares it. `None`: the kernel has no filters, or this architecture's numbers are not known here.
    #[must_use]
    pub fn prepare() -> Option<Self> {
        let action = libc::SECCOMP_RET_ERRNO;
        // SAFETY: the kernel reads a live number.
        let answer = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
        };
        (answer == 0 && !ARCHITECTURES.is_empty()).then(|| Self { program: program() })
    }

    /// Binds the calling thread, and all that it starts. System calls only.
    pub(crate) fn restrict_self(&self) -> Result<(), Errno> {
        let program =
            sock_fprog { len: self.program.len() as u16, filter: self.program.as_ptr().cast_mut() };
        // SAFETY: the kernel reads a live program of the length that is given, and changes nothing.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                // Old kernels slow a filtered program down by more than this filter is for.
                libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                &raw const program,
            )
        };
        Errno::result(result).map(drop)
    }
}

/// A block for each architecture, which ends every way through it.
fn program() -> Vec<sock_filter> {
    let mut program = Vec::new();
    for architecture in ARCHITECTURES {
        let block = block(architecture);
        program.push(load(offset_of!(libc::seccomp_data, arch)));
        program.push(unless_equal(architecture.name, block.len()));
        program.extend(block);
    }
    program.push(ALLOW);
    program
}

fn block(architecture: &Architecture) -> Vec<sock_filter> {
    let limits = [
        // 0 is the caller.
        load(argument(0)),
        unless_equal(0, 1),
        ALLOW,
        // Without new limits it is a question. A pointer has two halves.
        load(argument(2)),
        unless_equal(0, 3),
        load(argument(2) + 4),
        unless_equal(0, 1),
        ALLOW,
        REFUSE,
    ];
    let of_user = |user: u32| [load(argument(0)), unless_equal(user, 1), REFUSE, ALLOW];
    let mut block = vec![
        load(offset_of!(libc::seccomp_data, nr)),
        statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, !X32),
    ];
    for (number, rule) in [
        (architecture.prlimit64, limits.as_slice()),
        (architecture.setpriority, &of_user(PRIO_USER)),
        (architecture.ioprio_set, &of_user(IOPRIO_WHO_USER)),
    ] {
        block.push(unless_equal(number, rule.len()));
        block.extend_from_slice(rule);
    }
    block.push(ALLOW);
    block
}

/// Where an argument's lower half is: all these architectures are little-endian.
const fn argument(index: usize) -> usize {
    offset_of!(libc::seccomp_data, args) + index * size_of::<u64>()
}

const fn load(offset: usize) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32)
}

/// Continues where what is loaded is this, and else behind so many more statements.
const fn unless_equal(value: u32, skipped: usize) -> sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    sock_filter { code, jt: 0, jf: skipped as u8, k: value }
}

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}
