//! A session through broken connections: whatever breaks where, its caller hears everything once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scripted;
mod world;

mod batches;
mod cuts;
mod ends;

use std::time::Duration;

use cc_client::Reconnect;
use cc_protocol::execute::{Execute, Program};

/// Tests do not wait for politeness.
const QUICK: Reconnect = Reconnect {
    delay_least: Duration::from_millis(1),
    delay_most: Duration::from_millis(5),
    patience: None,
};
fn task() -> Execute {
    Execute { program: Program::Argv { argv: vec!["x".to_owned()] }, ..Execute::default() }
}
