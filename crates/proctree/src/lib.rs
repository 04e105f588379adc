//! Trees of processes: start one, stop it, signal it, kill it, prove that nothing is left.
//!
//! In the order of a task's life, and each above all that it uses:
//! - [`fork`] makes the worker.
//! - [`keeper`] looks after the workers and ends what dead ones have left.
//! - [`start`] starts the main process of a task.
//! - [`landlock`], [`seccomp`], [`limits`] and [`user`] are what the main process is bound by beside that.
//! - [`inherit`] resets what a process was started with, [`environment`] wipes a secret out of it.
//! - [`tree`] stops, resumes and ends what came of the main process.
//! - [`kill`] is how processes are killed, by the worker, the keeper and the supervisor.
//! - [`subreaper`] makes every orphan a child, so that "no child is left" is a proof.
//! - [`cgroup`] makes a leaf for the task where there is a hierarchy.
//! - [`pidfd`] sends signals.
//! - [`tree_record`] is what is left of a worker's knowledge when it is killed.
//! - [`procfs`] is how all of them see processes.
//! - [`usage`] is what trees use, for operators.
//! - [`shortage`] says which errors are the machine's.
//! - [`allocator`] has memory given back to the machine; it is here for its `unsafe` calls.
//!
//! **All `unsafe` code of the workspace is in [`start`], [`fork`], [`landlock`], [`seccomp`], [`limits`], [`user`],
//! [`inherit`], [`environment`] and [`allocator`]. Signals are sent by [`pidfd`]**, and by
//! the kernel for [`cgroup`], so that they cannot hit a process that got a dead one's pid. A program kills a child of its
//! own that it has not yet reaped by the `Child::kill` or `kill_on_drop` of std and tokio, which cannot do that either.

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

#[expect(unsafe_code, reason = "fork, without handlers")]
pub mod fork;

pub mod keeper;

#[expect(unsafe_code, reason = "fork, clone3 and what runs between birth and exec")]
pub mod start;

#[expect(unsafe_code, reason = "system calls that nix and rustix lack")]
pub mod landlock;

#[expect(unsafe_code, reason = "the system call that nix and rustix lack")]
pub mod seccomp;

#[expect(unsafe_code, reason = "setrlimit for the child that shares its starter's memory")]
pub mod limits;

#[expect(unsafe_code, reason = "the set*id system calls for one process alone")]
pub mod user;

#[expect(unsafe_code, reason = "signal and sched calls that nix and rustix lack")]
pub mod inherit;

#[expect(unsafe_code, reason = "the environment is written in place, which std cannot")]
pub mod environment;

pub mod tree;

pub mod kill;

pub mod subreaper;

pub mod cgroup;

pub mod pidfd;

pub mod procfs;

pub mod tree_record;

pub mod usage;

pub mod shortage;

#[expect(unsafe_code, reason = "mallopt and malloc_trim, which nix and rustix lack")]
pub mod allocator;
