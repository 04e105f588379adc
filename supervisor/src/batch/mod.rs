//! Batches: lists of tasks that run by themselves, whatever becomes of their clients and of this supervisor.
//!
//! What happens next in a batch is decided by the pure state machine of [`cc_batch`]. Here it is driven: each batch
//! that is not over has one `owner`, which `submit` or [`restore`] begins. It stores every step before it carries
//! it out, starts tasks as `start` says, and hears of their ends from a `watch` each. `gates` lets Claude tasks
//! pass, one credential at a time, over all batches. A `snapshot` is what everybody else sees of a batch; `tail` keeps the last words of
//! an attempt; `record` and `show` put all that into the words of the wire, `follow` tells the clients that are attached, `whole_result` gives
//! the long texts.
//!
//! The database is the truth about a batch, as the task logs are about its tasks: nothing is done before the state
//! that follows from it is stored. Called by [`crate::session::batch_calls`] and [`crate::daemon`].

mod attach;
mod attempt_end;
mod attempts;
mod batches;
mod cancel;
mod gatekeeper;
mod gates;
mod hooks;
mod last_words;
mod launch;
mod messages;
mod money;
mod observe;
mod owner;
mod preconditions;
mod query;
mod render;
mod restore;
mod result;
mod run_state;
mod snapshot;
mod stored;
mod submit;
mod time_zone;
mod wall_clock;

pub use self::{
    attach::{Attachment, Following, attach},
    batches::Batches,
    cancel::cancel,
    gatekeeper::open_gates,
    launch::shape,
    query::{get, list, rows},
    restore::restore,
    result::result,
    submit::{resume, submit},
};
