//! One task, from its request to its terminal event.
//!
//! A task that is accepted runs to its terminal event whatever becomes of whoever asked for it; everything about it
//! belongs to its [`owner`], to whom a [`TaskHandle`] sends requests.

pub(crate) mod context;
pub(crate) mod feed;
pub(crate) mod handle;
pub(crate) mod lookup;
pub(crate) mod not_started;
pub(crate) mod owner;
pub(crate) mod recover;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod retention;
pub(crate) mod spec;
pub(crate) mod state;
pub(crate) mod watchdog;
pub(crate) mod worker_lost;

use std::sync::Arc;

use cc_events::{Completed, Started};
use cc_link::spec::TaskSpec;
use cc_protocol::task::TaskState;
use cc_state::Change;
use tokio::sync::oneshot;

pub(crate) use self::handle::{Ended, OwnerSide, Request, TaskHandle, TaskInfo, TaskStatus};
use self::{context::TaskContext, feed::Feed, owner::Owner, registry::Refusal};
use crate::config::limits;
pub(crate) use crate::worker::link::ControlReply;

/// How a start went.
#[derive(Debug)]
pub enum StartOutcome {
    /// The main process runs.
    Started(Started),
    /// It never did. The log holds this terminal event, and nothing more is to be sent.
    NotStarted(Box<Completed>),
}

/// Takes a task on. The receiver hears how its start went. `session` is what the database has to be told of its
/// session, for the case that it does not know it yet.
///
/// # Errors
/// When no task may be started now; then there is none.
pub fn accept(
    context: &Arc<TaskContext>,
    spec: TaskSpec,
    info: TaskInfo,
    session: Option<Change>,
) -> Result<(TaskHandle, oneshot::Receiver<StartOutcome>), Refusal> {
    let feed = Feed::new(spec.log_path.clone(), limits::RING_BYTES);
    let progress = TaskStatus { state: TaskState::Starting, pid: None, is_canceled: false };
    let (handle, side) = TaskHandle::new(info, feed, progress, spec.on_supervisor_loss);
    context.registry.insert(handle.clone())?;
    let (announce, announced) = oneshot::channel();
    let owner = Owner::of_new_task(context, side, &spec, announce);
    tokio::spawn(owner.lifeline().hold(owner.start(spec, session)));
    Ok((handle, announced))
}
