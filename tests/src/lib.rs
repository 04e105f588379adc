//! The harness of the black-box suites: real binaries, real sockets, real processes.
//!
//! Owns everything that more than one suite needs. Never looks inside the product: a suite sees what
//! a client, an operator with `/proc` and a reader of exit codes can see. Called by `tests/tests/*`.
//!
//! A wait is a wait for an event with a deadline ([`PATIENCE`]); nothing sleeps to let something
//! happen, and no verdict depends on how long anything took.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a broken assumption must end the test where it is noticed"
)]

pub mod cgroup;
pub mod client;
pub mod fifo;
pub mod frames;
pub mod http;
pub mod installed;
pub mod messages_api;
pub mod options;
pub mod processes;
pub mod proxy;
pub mod random;
pub mod speech;
pub mod supervisor;
pub mod task_log;
pub mod transcript;

use std::time::Duration;

pub use client::Client;
pub use options::Options;
pub use proxy::{Cut, Proxy};
pub use supervisor::Supervisor;
pub use transcript::Transcript;

/// How long a test waits for an event before it fails. Far longer than anything takes and far
/// shorter than a fixture lives, so that it decides nothing but "never".
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A text that no other test of any process uses: goes into the arguments of fixtures, so that they
/// can be counted.
#[must_use]
pub fn unique_tag(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}
