//! The processes that run tasks: how a worker is started, adopted, spoken to and ended.
//!
//! The room owns the worker processes and their keepers, which are their parents. It knows nothing of tasks: what a worker
//! says is judged by `crate::task::owner`, and what follows from an adoption by [`crate::task::recover`].
//!
//! In reading order, each file above those that it uses:
//! - `cgroup`: whether tasks get cgroups, tried once at the start
//! - `spawner`: starts workers
//! - `adopt`: asks a worker of an earlier supervisor to serve this one
//! - `link`: a running worker: control lines go in, records come out
//! - `keeper`: this supervisor's keeper, which forks workers on request
//! - `keepers`: all keepers, with those of earlier supervisors: how did a worker end, and is all that it left ended?
//! - `supervision`: counts workers and keepers that end as they should not, and says when there are too many
//! - `start_guard`, `breaker`: refuse starts while the worker program is broken
//! - `sweeper`: kills what dead workers left and no keeper has ended
//! - `process`: a process by its pidfd: signals, and the wait for its exit
//! - `unix_socket`: a connection to a socket with a long path
//!
//! A process tree is killed by its worker while that lives, and otherwise by the worker's keeper and by
//! `sweeper::Sweeper::sweep`, which [`crate::task::worker_lost`] calls. All of them use `cc_proctree::kill`.

pub(crate) mod cgroup;

pub(crate) mod spawner;

pub(crate) mod adopt;

pub(crate) mod link;

mod keeper;

pub(crate) mod keepers;

pub(crate) mod sweeper;

pub(crate) mod supervision;

pub(crate) mod start_guard;

mod breaker;

pub(crate) mod process;

mod unix_socket;
