//! The harness of the black-box suites: real binaries, real sockets, real processes.
//!
//! Owns everything that more than one suite needs. Never looks inside the product: a suite sees what
//! a client, an operator with `/proc` and a reader of exit codes can see. Called by `tests/e2e`.
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
pub mod transcript;

use std::time::{Duration, Instant};

pub use client::{Client, Session};
pub use follower::Follower;
pub use ledger::Ledger;
pub use options::Options;
pub use proxy::{Cut, Proxy};
pub use supervisor::Supervisor;
pub use terminal::Terminal;
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

/// Waits for something that nothing announces: asks again and again.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
