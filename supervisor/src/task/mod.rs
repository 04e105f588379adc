//! One task, from its request to its terminal event.
//!
//! An accepted task runs to its terminal event, whatever happens to the client that asked for it. The room owns every
//! task that is not over, its records for all that follow it, and the list of ended tasks whose logs are kept. It never
//! speaks to a client, never waits for one, and never handles a task's bytes before a worker has bounded them.
//!
//! In reading order, each file above those that it uses:
//! - `accept` (here): a task gets a handle, a place in the registry, and an owner
//! - `allowance`: in which directory a task may run, and what its token may still spend
//! - `spec`: the parameters of `execute` become a task spec
//! - `lookup`: tasks as clients see them, running or over
//! - `recover`: tasks of earlier supervisors get an owner, or their end
//! - `owner`: the one tokio task that owns everything about a task
//! - `worker_lost`: a worker is gone without a terminal event: what it left is killed, and the event is written here
//! - `claim`: the log of a task that never began
//! - `worker_error`, `not_started`: why a worker was given up, or why there was none
//! - `processes`: whether processes can be made for tasks
//! - `state`: the owner's state machine
//! - `watchdog`: the clocks by which it watches its worker
//! - `relay`: from a worker's bytes to the feed
//! - `context`: what all tasks of a supervisor have in common
//! - `registry`: the tasks that are not over
//! - `retention`: the logs of ended tasks, of which the oldest are removed first
//! - `handle`: what all others hold of a task, and all messages to it
//! - `info`: what is known of a task before it runs
//! - `feed`: the records of a task, for any number of readers

pub(crate) mod allowance;

pub(crate) mod spec;

pub(crate) mod lookup;

pub(crate) mod recover;

mod owner;

pub(crate) mod worker_lost;

mod claim;

mod worker_error;

mod not_started;

mod processes;

mod state;

mod isolation;

mod watchdog;

pub(crate) mod workers;

mod relay;

pub(crate) mod context;

pub(crate) mod registry;

pub(crate) mod retention;

pub(crate) mod handle;

mod info;

mod worker_card;

pub(crate) mod feed;

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
use crate::{config::limits, worker::start_guard::WorkerBroken};

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
    let broken = |WorkerBroken { retry_after }| Refusal::WorkerBroken { retry_after };
    context.spawner.guard().check().map_err(broken)?;
    let grant = context.tokens.named(handle.info().token.as_deref());
    let limit = grant.and_then(|grant| grant.tasks_limit);
    context.registry.insert(handle.clone(), limit, context.health.keeps_from_recording())?;
    let (sender, receiver) = oneshot::channel();
    let owner = Owner::of_new_task(context, side, &spec, sender);
    tokio::spawn(owner.lifeline().hold(owner.start(spec, session)));
    Ok((handle, receiver))
}
