//! The life of a batch: one pure, total function on one value.
//!
//! A task:
//! ```text
//!              its turn       admitted       ended: Done, Never,
//!   Waiting ─▶ [Before] ─▶ Attempt ─────────── attempts used up ────▶ [After] ─▶ Over
//!      │          │        queued│running          ▲
//!      │          │           ▲  │ ended: Transient, Limit, Unavailable, (Lost, TimedOut, Auth)
//!      │          │           │  ▼                 │ the batch stops:
//!      │          │          RetryAt ──────────────┘ the last attempt's verdict stands
//!      ▼          ▼ the batch stops
//!   Skipped: a needed task failed, its model is not there, or the batch stops
//! ```
//! `[Before]` and `[After]` are its hooks, where the plan has them.
//!
//! The batch:
//! ```text
//!   Going ──halt, cost, time, cancel, auth, account, alike, unavailable, lost──▶ Stopping
//!     └─────── every task is Over or Skipped ──────────┴──▶ [AfterBatch] ──▶ Over
//! ```
//!
//! What holds for any inputs in any order: each task gets exactly one verdict or is skipped,
//! once; it is started again only after an end that is known (or where the plan says so for a lost
//! one); at most `jobs` tasks are under way; a task begins after all that it needs. An input about a job that is
//! not in the state that it assumes is ignored.
//!
//! Called by the supervisor's owner of the batch; the crate's header says how.

mod message;
mod state;

mod step;

mod clock;
mod ended;
mod progress;

pub use self::{
    message::{Effect, Fate, Input, Job},
    state::{
        Alike, Attempt, Batch, Cause, Counts, Ending, Head, LostModel, Phase, Run, Skip, Stop,
        TaskOutcome, TaskState,
    },
    step::Step,
};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
