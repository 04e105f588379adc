//! The harness of the black-box suites: real binaries, real sockets, real processes.
//!
//! Owns everything that more than one suite needs. Never looks inside the product: a suite sees what
//! a client, an operator with `/proc` and a reader of exit codes can see. Called by `tests/e2e`.
//!
//! - `binaries` are the programs under their real names, `options` how a test starts a `supervisor`, which must leave nothing
//!   behind; `proxy` is a network that fails on purpose.
//! - `client` speaks texts, `frames` and `http` what no library would send, `follower` loses its server and comes back,
//!   `terminal` is a person at a keyboard. `transcript` is all that was heard of a task.
//! - `tokens` are supervisors with tokens. `requests` and `batches` are what several suites ask for, `spoken_output` and `ledger` what tasks print and note;
//!   `fifo` tells a task to go on; `messages_api` stands in for the model.
//! - `processes`, `task_log` and `cgroup` are what an operator sees. `random` repeats itself, `waiting` waits.
//!
//! Its functions panic where what they promise is not so, which ends the test that called them.
//!
//! A wait is a wait for an event with a deadline ([`PATIENCE`]), or, where nothing announces it, asking
//! again until it is so ([`wait_until`]); nothing sleeps to let something happen, and no verdict depends
//! on how long anything took.

#![allow(missing_docs, reason = "test support, read with the test that uses it")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a broken assumption must end the test where it is noticed"
)]

pub mod batches;
pub mod binaries;
pub mod cgroup;
pub mod client;
pub mod fifo;
pub mod follower;
pub mod frames;
pub mod http;
pub mod ledger;
pub mod messages_api;
pub mod options;
pub mod processes;
pub mod proxy;
pub mod random;
pub mod requests;
pub mod spoken_output;
pub mod supervisor;
pub mod task_log;
pub mod terminal;
pub mod tokens;
pub mod transcript;
pub mod waiting;

pub use client::{Client, Session};
pub use follower::Follower;
pub use ledger::Ledger;
pub use options::Options;
pub use proxy::{Cut, Proxy};
pub use supervisor::Supervisor;
pub use terminal::Terminal;
pub use transcript::Transcript;
pub use waiting::{PATIENCE, unique_tag, wait_until};
