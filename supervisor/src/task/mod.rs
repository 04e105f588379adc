//! One task, from its request to its terminal event.
//!
//! An accepted task runs to its terminal event, whatever happens to the client that asked for it. The room owns every
//! task that is not over, its records for those who follow it, and the list of ended tasks whose logs are kept. It never
//! speaks to a client, never handles a task's bytes before a worker has bounded them, and never waits for a client.
//!
//! In the order in which a task meets them:
//! - [`spec`]: the parameters of `execute` become a task spec
//! - [`accept`] (here): a task gets a handle, a place in the registry, and an owner
//! - [`owner`]: the one tokio task that owns everything about a task; [`state`] is its state machine, [`watchdog`] its
//!   clocks, [`relay`] its way from the worker's bytes to the feed
//! - [`feed`]: the records, for any number of readers
//! - [`worker_lost`]: a worker is gone without a terminal event: what it left is killed, and the event is written here.
//!   [`worker_error`] and [`not_started`] say why
//! - [`recover`]: tasks of earlier supervisors get an owner, or their end
//! - [`retention`]: the logs of ended tasks, the oldest removed first
//!
//! Used from above: [`handle`] (what others hold of a task, with [`info`]), [`lookup`] (tasks as clients see them), and
//! [`context`] (what all tasks of a supervisor have in common, with the [`registry`] of those that are not over).

pub(crate) mod spec;

pub(crate) mod owner;
mod relay;
mod state;
mod watchdog;

pub(crate) mod feed;

mod not_started;
mod worker_error;
pub(crate) mod worker_lost;

pub(crate) mod recover;
pub(crate) mod retention;

pub(crate) mod context;
pub(crate) mod handle;
mod info;
pub(crate) mod lookup;
pub(crate) mod registry;

use std::sync::Arc;

use cc_link::spec::TaskSpec;
use cc_protocol::task::TaskState;
use cc_state::Change;
use tokio::sync::oneshot;

use self::{context::TaskContext, feed::Feed, handle::TaskStatus, owner::Owner, registry::Refusal};
pub(crate) use self::{
    handle::{ControlReply, Request, StartOutcome, TaskHandle},
    info::TaskInfo,
};
use crate::config::limits;

/// Accepts a task and starts it. The receiver hears how its start went. `session` is the change that records its session,
/// where the database does not have it yet.
///
/// # Errors
/// When no task may be started: then there is none.
pub(crate) fn accept(
    context: &Arc<TaskContext>,
    spec: TaskSpec,
    info: TaskInfo,
    session: Option<Change>,
) -> Result<(TaskHandle, oneshot::Receiver<StartOutcome>), Refusal> {
    let feed = Feed::new(spec.log_path.clone(), limits::RING_BYTES);
    let status = TaskStatus { state: TaskState::Starting, pid: None, is_canceled: false };
    let (handle, side) = TaskHandle::new(info, feed, status, spec.on_supervisor_loss);
    context.registry.insert(handle.clone())?;
    let (sender, receiver) = oneshot::channel();
    let owner = Owner::of_new_task(context, side, &spec, sender);
    tokio::spawn(owner.lifeline().hold(owner.start(spec, session)));
    Ok((handle, receiver))
}
