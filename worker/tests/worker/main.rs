//! Promises of the real worker to the supervisors that come and go.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests: a broken assumption ends them where it is noticed"
)]

mod adoption;
mod flood;
mod full_disk;
mod old_cli;
mod support;
