//! Batches as pure data: what `batch.submit` sends, whether it is sound, and what happens next.
//!
//! How a supervisor drives one:
//! 1. [`Plan::from_params`] reads a request or says all that is wrong with it; [`Rules::of`] takes from the
//!    plan what decides *when*; [`Batch::begin`] makes the state.
//! 2. Every [`Step`] has a state, which is stored first (its head, and the tasks in `changed`), and
//!    effects, which are done then. So a crash loses effects and never a state.
//! 3. [`Effect::Enqueue`] asks for a place: a Claude task's at the [`Gate`] of its credential, a hook's
//!    at once. The place is told by [`Input::Admitted`] with a new task id; the next
//!    [`Effect::Start`] starts it, as [`Plan::execute`] says (with results of others filled in) and
//!    with the timeout of [`timeout_auto`] where the plan says `auto`.
//! 4. Its end is read by [`AttemptEnd::of`] and told by [`Input::Ended`], after [`Gate::leave`].
//! 5. [`Effect::WakeAt`] is the batch's one timer, [`Gate::wake_at_ms`] the gate's.
//! 6. After a restart [`Input::Restarted`] asks for everything again; for what ran it asks
//!    [`Effect::AskFate`], and each gets its [`Input::Fate`] or [`Input::Ended`].
//! 7. [`Effect::Over`] is the end. Everything else (reports, progress) is read from [`Batch`].
//!
//! Architecture invariants: no I/O, no clock (times come in, as milliseconds since the epoch), no
//! chance but from a seed that is passed in, no runtime.
//!
//! Modules in the order of a batch's life:
//! - `limits`: every limit and default. `mistake`: what is wrong with a plan, and where.
//! - `plan`: what `batch.submit` sends. `template`: references to the results of other tasks; `shell_line` says where one
//!   can stand in a command. `order`: every task after those that it needs.
//! - `rules`: what decides *when*. `life`: the state machine.
//! - `gate`: what the Claude tasks of one account pass. `retry`: whether an attempt is made again, and when, with chance
//!   from `jitter`. `timeout_auto`: a timeout from experience.

pub mod limits;
pub mod mistake;
pub mod plan;
pub mod template;

pub mod order;
pub mod rules;
pub mod shell_line;

pub mod life;

pub mod gate;
pub mod retry;
pub mod timeout_auto;

mod jitter;

pub use gate::{Gate, Scope, Ticket};
pub use life::{Batch, Effect, Input, Job, Step};
pub use mistake::{Mistake, Mistakes};
pub use plan::Plan;
pub use retry::{AttemptEnd, Evidence};
pub use rules::Rules;
