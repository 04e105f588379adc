//! A plan: what `batch.submit` sends, and everything that can be wrong with it.
//!
//! A plan is read whole and judged whole: a batch that stops at a typing error in task 40 after an
//! hour is worse than one that never started. Called by the supervisor for a request and by ccx for
//! a file; reads no file itself.
//!
//! ```
//! let plan: cc_batch::Plan = serde_json::from_str(r#"{
//!     "name": "nightly",
//!     "idempotency_key": "nightly-2026-11-21",
//!     "options": {
//!         "jobs": 2, "claude_jobs": 1,
//!         "halt": "soon,fail=3", "max_cost_usd": 20, "max_time_s": 28800,
//!         "on_lost": "stop", "auth": "fail_fast",
//!         "defaults": {"cwd": "/srv/project", "model": "sonnet", "timeout": "auto"},
//!         "hooks": {"after_batch": {"command": "notify-send done", "timeout": 10}}
//!     },
//!     "tasks": [
//!         {"name": "find", "prompt": "List the flaky tests, one a line."},
//!         {"name": "fix", "prompt": "Fix these:\n{{tasks.find.result}}", "retries": 3},
//!         {"name": "test", "command": "cargo test", "needs": ["fix"], "timeout": 900},
//!         {"argv": ["git", "commit", "-am", "{{tasks.fix.result}}"], "needs": ["test"]}
//!     ]
//! }"#)?;
//! assert_eq!(plan.tasks.len(), 4);
//! # Ok::<(), serde_json::Error>(())
//! ```

pub(crate) mod need;

mod arguments;
mod members;
mod options;
mod task;

mod check;
mod parse;
mod rest;

pub use self::{
    need::{Need, is_name},
    options::{Halt, Hook, Hooks, OPTION_MEMBERS, OnAuthRefused, OnLost, Options, UnknownWord},
    parse::{PLAN_MEMBERS, Plan},
    rest::RestError,
    task::{OWN_MEMBERS, PlanTask, Timeout},
};

#[cfg(test)]
mod tests;
