//! Batches as pure data: what `batch.submit` sends, whether it is sound, and what happens next.
//!
//! How a supervisor drives one:
//! 1. [`Plan::from_params`] reads a request or reports every mistake in it; [`Rules::of`] takes from the plan what
//!    decides *when*; [`Batch::begin`] makes the state.
//! 2. Every [`Step`] has a state, which is stored first (its head, and the tasks in `changed`), and effects, which are
//!    carried out then. So a crash loses effects and never a state.
//! 3. [`Effect::Enqueue`] asks for a place: for a Claude task at the [`Gate`] of its credential, for a hook at once.
//!    [`Input::Admitted`] grants it with a new task id; the next [`Effect::Start`] starts the job, as [`Plan::execute`]
//!    says (with results of others filled in) and with the timeout of [`timeout_auto`] where the plan says `auto`.
//! 4. [`AttemptEnd::of`] reads its end, and after [`Gate::leave`] [`Input::Ended`] reports it.
//! 5. [`Effect::WakeAt`] is the batch's one timer, [`Gate::wake_at_ms`] the gate's.
//! 6. After a restart [`Input::Restarted`] asks for everything again; for each job that ran it asks
//!    [`Effect::AskFate`], and gets [`Input::Fate`] or [`Input::Ended`].
//! 7. [`Effect::Over`] is the end. Everything else (reports, progress) is read from [`Batch`].
//!
//! Modules in the order of a batch's life:
//! - [`limits`] has every limit and default, and [`mistake`] what can be wrong with a plan.
//! - [`plan`] reads a plan; [`template`] fills results into what a task runs, in a line for a shell within the rules of
//!   [`shell_line`].
//! - [`order`] sorts tasks by their needs, and [`rules`] keeps what of a plan decides when.
//! - [`life`] is the state machine of a batch.
//! - [`gate`] admits the Claude tasks of one credential; [`retry`] decides whether an attempt follows another, and when;
//!   [`timeout_auto`] chooses a timeout by experience; `jitter` spreads what would come at once.
//!
//! Architecture invariants: no I/O, no clock (times come in, as milliseconds since the epoch), no randomness but from a
//! seed that is passed in, no runtime.

#![allow(
    missing_docs,
    reason = "internal to the workspace: an item is documented where there is something to say"
)]
#![warn(unreachable_pub)]

pub mod limits;
pub mod mistake;

pub mod plan;
pub mod shell_line;
pub mod template;

pub mod order;
pub mod rules;

pub mod life;

pub mod gate;
mod jitter;
pub mod retry;
pub mod timeout_auto;

pub use gate::{Gate, Scope, Ticket};
pub use life::{Batch, Effect, Input, Job, Step};
pub use mistake::{Mistake, Mistakes};
pub use plan::Plan;
pub use retry::{AttemptEnd, Evidence};
pub use rules::Rules;
