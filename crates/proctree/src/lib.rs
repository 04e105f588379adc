//! Trees of processes: start one, stop it, signal it, kill it, prove that nothing is left.
//!
//! Modules in the order of a task's life: [`inherit`] washes off what the worker's program was started with,
//! [`fork`] makes the worker, [`subreaper`] makes every orphan its child, [`cgroup`] makes a leaf where there is a
//! hierarchy, [`start`] starts the main process, [`tree`] controls and kills what came of it. [`keeper`] ends what
//! dead workers have left, [`kill`] is what a supervisor does then. [`procfs`] is how all of them see processes,
//! [`shortage`] which errors are the machine's.
//!
//! **All `unsafe` code of the workspace is in [`start`], [`fork`] and [`inherit`].** Signals go through pidfds, so
//! that they cannot hit a process that got a dead one's number.

pub mod cgroup;
#[expect(unsafe_code, reason = "fork, without handlers")]
pub mod fork;
#[expect(unsafe_code, reason = "signal and sched calls that nix and rustix lack")]
pub mod inherit;
pub mod keeper;
pub mod kill;
pub mod procfs;
pub mod shortage;
#[expect(unsafe_code, reason = "fork, clone3 and what runs between birth and exec")]
pub mod start;
pub mod subreaper;
pub mod tree;
