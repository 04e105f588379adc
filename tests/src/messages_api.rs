//! A stand-in for the Messages API, so that the real Claude CLI runs without a network or an account.
//!
//! Listens on loopback only, answers as many requests at once as come, and does what the prompt's
//! first line says (see [`script`]); calls no model. Used in process by `e2e/compat/real_*.rs`,
//! `stress_report.rs` and `canary.rs`, and as the program `messages-api` for trying things by hand.
//!
//! The way of a request: [`server`] → [`conversation`] → [`limit`] → [`script`] → [`events`] → [`server`].

pub mod conversation;
pub mod events;
pub mod limit;
pub mod real_cli;
pub mod script;
pub mod server;

pub use real_cli::RealCli;
pub use server::MessagesApi;
