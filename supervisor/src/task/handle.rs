//! A task as all but its owner see it: what it is, how far it is, and how to send it a request. All messages between a
//! task and the rest of the supervisor are in this file.
//!
//! Held by sessions, batches, the registry and the shutdown. A handle decides nothing: [`crate::task::owner`] does.

use std::sync::{Arc, OnceLock};

use cc_events::{Completed, EndReason, Started};
use cc_link::spec::OnSupervisorLoss;
use cc_protocol::task::TaskState;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    config::limits,
    task::{feed::Feed, info::TaskInfo, worker_card::WorkerCard},
};

/// What may be asked of a task.
#[derive(Debug)]
pub(crate) enum Request {
    /// Stop the process tree. Answered when it is stopped.
    Pause(oneshot::Sender<ControlReply>),
    /// Continue the process tree. Answered when it runs.
    Resume(oneshot::Sender<ControlReply>),
    /// End the task. Answered when the worker has the order in its pipe: from then on the task ends even if this
    /// supervisor dies.
    Cancel(EndReason, Option<oneshot::Sender<ControlReply>>),
    /// End the task with SIGKILL.
    Kill(EndReason),
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlReply {
    Done,
    /// The task is over or being ended.
    NotRunning,
}

/// How the start of a task went.
#[derive(Debug)]
pub(crate) enum StartOutcome {
    /// The main process runs.
    Started(Started),
    /// The main process never ran. The log holds this terminal event, and nothing more is to be sent.
    NotStarted(Box<Completed>),
}

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskStatus {
    pub state: TaskState,
    /// The main process, once it runs.
    pub pid: Option<i32>,
    /// A cancel was requested. It was answered, or will be, which old clients take for the end.
    pub is_canceled: bool,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub completed: Completed,
}

#[derive(Clone, Debug)]
pub(crate) struct TaskHandle {
    info: Arc<TaskInfo>,
    feed: Arc<Feed>,
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<TaskStatus>,
    on_supervisor_loss: OnSupervisorLoss,
    started: Arc<OnceLock<Started>>,
    ended: Arc<OnceLock<Ended>>,
    worker: Arc<WorkerCard>,
}

/// The owner's end of a [`TaskHandle`].
#[derive(Debug)]
pub(crate) struct OwnerSide {
    pub info: Arc<TaskInfo>,
    pub feed: Arc<Feed>,
    pub requests: mpsc::Receiver<Request>,
    pub status: watch::Sender<TaskStatus>,
    /// Set when the main process runs.
    pub started: Arc<OnceLock<Started>>,
    /// Set before the terminal event is in the feed.
    pub ended: Arc<OnceLock<Ended>>,
    pub worker: Arc<WorkerCard>,
}

impl TaskHandle {
    #[must_use]
    pub(crate) fn new(
        info: TaskInfo,
        feed: Arc<Feed>,
        status: TaskStatus,
        on_supervisor_loss: OnSupervisorLoss,
    ) -> (Self, OwnerSide) {
        let info = Arc::new(info);
        let (started, ended) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let worker = Arc::<WorkerCard>::default();
        let (requests, queue) = mpsc::channel(limits::REQUEST_QUEUE_MESSAGES);
        let (status_sender, status) = watch::channel(status);
        let side = OwnerSide {
            info: Arc::clone(&info),
            feed: Arc::clone(&feed),
            requests: queue,
            status: status_sender,
            started: Arc::clone(&started),
            ended: Arc::clone(&ended),
            worker: Arc::clone(&worker),
        };
        (Self { info, feed, requests, status, on_supervisor_loss, started, ended, worker }, side)
    }

    #[must_use]
    pub(crate) fn task_id(&self) -> &str {
        &self.info.task_id
    }

    #[must_use]
    pub(crate) fn info(&self) -> &TaskInfo {
        &self.info
    }

    #[must_use]
    pub(crate) fn status(&self) -> TaskStatus {
        *self.status.borrow()
    }

    /// Whether the worker runs on when this supervisor ends.
    #[must_use]
    pub(crate) fn can_be_kept(&self) -> bool {
        match self.on_supervisor_loss {
            OnSupervisorLoss::Keep => true,
            OnSupervisorLoss::Kill => false,
        }
    }

    /// What operators are shown of its worker.
    #[must_use]
    pub(super) fn worker(&self) -> &WorkerCard {
        &self.worker
    }

    #[must_use]
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    #[must_use]
    pub(crate) fn is_canceled(&self) -> bool {
        self.status.borrow().is_canceled
    }

    /// Whether the terminal event is in the feed.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.feed.position().is_done
    }

    /// `None` until it runs.
    #[must_use]
    pub(crate) fn started(&self) -> Option<&Started> {
        self.started.get()
    }

    /// How it ended. Set before the terminal event is in the feed.
    #[must_use]
    pub(crate) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// Waits until the task has started or ended.
    pub(crate) async fn is_decided(&self) {
        let mut status = self.status.clone();
        // An error means that the owner is gone: the task is over.
        drop(status.wait_for(|status| status.state != TaskState::Starting).await);
    }

    /// Waits until the owner has finished: the end is on record, the worker is gone.
    pub(crate) async fn is_over(&self) {
        self.requests.closed().await;
    }

    /// Sends a request to the owner. For a task that is over this does nothing.
    pub(crate) async fn request(&self, request: Request) {
        if self.requests.send(request).await.is_err() {
            tracing::debug!(task_id = self.task_id(), "a request came after the end");
        }
    }
}
