//! Trees of processes: start one, stop it, signal it, kill it, prove that nothing is left.
//!
//! In the order of a task's life, and each above all that it uses:
//! - [`fork`] makes the worker.
//! - [`keeper`] looks after the workers and ends what dead ones have left.
//! - [`start`] starts the main process of a task.
//! - [`inherit`] resets what a process was started with.
//! - [`tree`] stops, resumes and ends what came of the main process.
//! - [`kill`] is how processes are killed, by the worker, the keeper and the supervisor.
//! - [`subreaper`] makes every orphan a child, so that "no child is left" is a proof.
//! - [`cgroup`] makes a leaf for the task where there is a hierarchy.
//! - [`pidfd`] sends signals.
//! - [`procfs`] is how all of them see processes.
//! - [`shortage`] says which errors are the machine's.
//!
//! **All `unsafe` code of the workspace is in [`start`], [`fork`] and [`inherit`]. All signals of the workspace are sent by
//! [`pidfd`]**, so that they cannot hit a process that got a dead one's pid, and by the kernel for [`cgroup`].

#![allow(missing_docs, reason = "only crates that others use document every item")]
#![warn(unreachable_pub)]

#[expect(unsafe_code, reason = "fork, without handlers")]
pub mod fork;

pub mod keeper;

#[expect(unsafe_code, reason = "fork, clone3 and what runs between birth and exec")]
pub mod start;

#[expect(unsafe_code, reason = "signal and sched calls that nix and rustix lack")]
pub mod inherit;

pub mod tree;

pub mod kill;

pub mod subreaper;

pub mod cgroup;

pub mod pidfd;

pub mod procfs;

pub mod shortage;
