//! The life of the program: start, recovery of earlier tasks, signals, shutdown.
//!
//! Owns the order in which everything begins and ends. Never serves a client itself.
//!
//! In reading order:
//! - `runtime` makes the threads. `serve` is the whole life.
//! - `listen` opens the listening sockets (`socket_file`: those with a path), `build` makes everything that clients ask for.
//! - `recovery` gives the tasks of earlier supervisors owners or ends.
//! - `reaper` reaps children that were not started here.
//! - `service_manager` tells the service manager that it lives and what it does.
//! - `state_loss` is what is done when the state directory was removed.
//! - `signals` are what tells the supervisor to stop, `shutdown` is how it stops.
//!
//! Called by `main`.

pub(crate) mod runtime;

mod serve;

mod listen;

mod socket_file;

mod build;

mod recovery;

mod reaper;

mod state_loss;

pub(crate) mod signals;

mod service_manager;

mod shutdown;

pub(crate) use self::serve::serve;
