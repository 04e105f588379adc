//! Batches: lists of tasks that run to their ends, whatever happens to their clients and to this supervisor.
//!
//! This room owns every batch that is not over, and the gates that the Claude tasks of all batches pass. What happens
//! next in a batch is decided by [`cc_batch`], a pure state machine; this room drives it: it stores each step, then
//! carries out its effects. The database is the truth about a batch, as the task logs are about its tasks.
//!
//! It never acts on a step that is not stored, never starts a process (the room `task` does), and never waits for a
//! client. [`crate::session`] and [`crate::daemon`] call it.
//!
//! The modules stand in reading order: each imports only from modules below it in this list.

/// `batch.submit` and `batch.resume`: a plan becomes a batch.
mod submit;

/// Batches of an earlier supervisor continue.
mod restore;

/// The owner of one batch: drives its state machine.
mod owner;

/// `batch.attach`: sends the changes of a batch to a client.
mod attach;

/// `batch.result`: the whole text of one task's result.
mod result;

/// `batch.get`, `batch.list`, `batch.rows`.
mod query;

/// `batch.cancel`.
mod cancel;

/// The one timer of the gates; `gate.open`.
mod gatekeeper;

/// Follows one running job and reports to its owner.
mod observe;

/// Starts one job as a task, and chooses its timeout.
mod launch;

/// The commands around the tasks, and the facts they get.
mod hooks;

/// Batches as the database has them.
mod stored;

/// The table of the batches that are not over.
mod batches;

/// Every message to an owner.
mod messages;

/// A batch as everything but its owner sees it.
mod snapshot;

/// Batches and tasks as the types of the wire.
mod render;

/// The gates of all credentials: which Claude task may begin.
mod gates;

/// The data of a batch.
mod run_state;

/// The attempts of one task, as they are stored.
mod attempts;

/// How an attempt or a hook ended, judged from its log.
mod attempt_end;

/// Whether what a start needs has ever existed.
mod preconditions;

/// What an attempt has cost.
mod money;

/// The end of an output, safe to show.
mod last_words;

/// Jumps of the wall clock.
mod wall_clock;

/// The machine's time zone.
mod time_zone;

/// Why a call is refused.
mod error;

pub(crate) use self::{
    attach::{Attachment, Following, attach},
    batches::Batches,
    cancel::cancel,
    gatekeeper::open_gates,
    launch::shape,
    query::{get, list, progress, rows, token_of},
    restore::restore,
    result::result,
    submit::{resume, submit},
};
