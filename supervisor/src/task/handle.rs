//! A task as everybody but its owner sees it: what it is, how far it is, and how to ask for something.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use cc_events::{Completed, EndReason};
use cc_link::spec::{Deadlines, OnSupervisorLoss};
use cc_protocol::task::TaskState;
use cc_state::{Change, TaskAccepted};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{config::limits, task::feed::Feed, worker::link::ControlReply};

/// What may be asked of a task.
#[derive(Debug)]
pub enum Request {
    /// Stop the tree; answered when it is stopped.
    Pause(oneshot::Sender<ControlReply>),
    /// Let the tree go on; answered when it does.
    Resume(oneshot::Sender<ControlReply>),
    /// End the task. Whoever asks for a client is answered when the worker has it in its pipe: then the task ends,
    /// whatever becomes of this supervisor.
    Cancel(EndReason, Option<oneshot::Sender<ControlReply>>),
    /// End the task with SIGKILL.
    Kill(EndReason),
}

/// What is known of a task before it runs.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// uuid v7.
    pub task_id: String,
    /// The name that its request gave it.
    pub label: Option<String>,
    /// The beginning of what it runs, for people.
    pub command: String,
    /// The session that it belongs to; none for a detached one.
    pub session_id: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: u64,
    /// It was given as a prompt.
    pub is_prompt: bool,
    /// The batch that it is an attempt, or a hook, of.
    pub batch_id: Option<String>,
    /// What a prompt has in common with others of its kind.
    pub shape: Option<String>,
}

impl TaskInfo {
    /// What the database is told of the task before its worker hears of it.
    #[must_use]
    pub fn record(
        &self,
        is_claude: bool,
        leaf: Option<PathBuf>,
        deadlines: Option<Deadlines>,
    ) -> Change {
        Change::TaskAccepted(Box::new(TaskAccepted {
            id: self.task_id.clone(),
            session_id: self.session_id.clone(),
            label: self.label.clone(),
            command: self.command.clone(),
            accepted_ms: self.accepted_ms,
            is_claude,
            is_prompt: self.is_prompt,
            leaf,
            deadlines,
            batch_id: self.batch_id.clone(),
            shape: self.shape.clone(),
        }))
    }
}

/// Where a task is in its life, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// Its state.
    pub state: TaskState,
    /// Its main process, once it runs.
    pub pid: Option<i32>,
    /// Somebody asked for its end, and was or will be told that it comes.
    pub is_canceled: bool,
}

/// How a task ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The terminal event.
    pub completed: Completed,
}

/// What sessions, the registry and the shutdown hold of a task.
#[derive(Clone, Debug)]
pub struct TaskHandle {
    info: Arc<TaskInfo>,
    feed: Arc<Feed>,
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<TaskStatus>,
    on_supervisor_loss: OnSupervisorLoss,
    ended: Arc<OnceLock<Ended>>,
}

/// The owner's end of a [`TaskHandle`].
#[derive(Debug)]
pub struct OwnerSide {
    /// What was known of the task before it ran.
    pub info: Arc<TaskInfo>,
    /// Its records.
    pub feed: Arc<Feed>,
    /// What is asked.
    pub requests: mpsc::Receiver<Request>,
    /// Where the task is in its life.
    pub progress: watch::Sender<TaskStatus>,
    /// Set when its end is published.
    pub ended: Arc<OnceLock<Ended>>,
}

impl TaskHandle {
    /// Both ends.
    #[must_use]
    pub fn new(
        info: TaskInfo,
        feed: Arc<Feed>,
        progress: TaskStatus,
        on_supervisor_loss: OnSupervisorLoss,
    ) -> (Self, OwnerSide) {
        let info = Arc::new(info);
        let ended = Arc::new(OnceLock::new());
        let (requests, queue) = mpsc::channel(limits::REQUEST_QUEUE_MESSAGES);
        let (to_progress, progress) = watch::channel(progress);
        let side = OwnerSide {
            info: Arc::clone(&info),
            feed: Arc::clone(&feed),
            requests: queue,
            progress: to_progress,
            ended: Arc::clone(&ended),
        };
        (Self { info, feed, requests, progress, on_supervisor_loss, ended }, side)
    }

    /// Its id.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.info.task_id
    }

    /// What was known of it before it ran.
    #[must_use]
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Where it is in its life.
    #[must_use]
    pub fn progress(&self) -> TaskStatus {
        *self.progress.borrow()
    }

    /// Whether its worker can be left without a supervisor.
    #[must_use]
    pub fn can_be_kept(&self) -> bool {
        match self.on_supervisor_loss {
            OnSupervisorLoss::Keep => true,
            OnSupervisorLoss::Kill => false,
        }
    }

    /// Its records.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Whether its client has been told that it ends, which old clients take for its end.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.progress.borrow().is_canceled
    }

    /// Whether the terminal event is published.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.feed.position().is_done
    }

    /// How it ended, once it has and its owner is done.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// Returns when its start is decided.
    pub async fn is_decided(&self) {
        let mut progress = self.progress.clone();
        // An error means that its owner is gone: nothing is decided any more.
        drop(progress.wait_for(|progress| progress.state != TaskState::Starting).await);
    }

    /// Returns when its owner is done: the end is on record, the worker gone.
    pub async fn is_over(&self) {
        self.requests.closed().await;
    }

    /// Asks the task's owner. A task that is over does not mind.
    pub async fn request(&self, request: Request) {
        if self.requests.send(request).await.is_err() {
            tracing::debug!(task_id = self.task_id(), "a request came after the end");
        }
    }
}
