//! What sees to a task whose owner has failed. A panic is a mistake of this program, and must not leave a task without
//! an end, nor its place taken.

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use cc_protocol::task::TaskState;
use cc_tasklog::Summary;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};

use crate::task::owner::{Announce, DeadWorker, Owner};
use crate::{
    task::{Ended, OwnerSide, TaskInfo, TaskStatus, context::TaskContext, feed::Feed},
    worker::process::ProcessHandle,
};

/// Said of a task whose owner has failed.
const FAILED: &str = "the supervisor failed while it followed the task, which is a mistake of its own: its log has the \
                      details";

/// What has to be known of a task to end it without its owner.
#[derive(Debug)]
pub struct Lifeline {
    context: Arc<TaskContext>,
    info: Arc<TaskInfo>,
    feed: Arc<Feed>,
    ended: Arc<OnceLock<Ended>>,
    leaf: Option<PathBuf>,
    announce: Announce,
    /// Its worker, once there is one.
    worker: Arc<OnceLock<ProcessHandle>>,
}

impl Owner {
    /// To be taken before the owner begins.
    #[must_use]
    pub fn lifeline(&self) -> Lifeline {
        Lifeline {
            context: Arc::clone(&self.context),
            info: Arc::clone(&self.side.info),
            feed: Arc::clone(&self.side.feed),
            ended: Arc::clone(&self.side.ended),
            leaf: self.leaf.clone(),
            announce: Arc::clone(&self.announce),
            worker: Arc::clone(&self.worker),
        }
    }
}

impl Lifeline {
    /// Runs the owner, and ends its task should it panic.
    pub async fn hold(self, owner: impl Future<Output = ()>) {
        if AssertUnwindSafe(owner).catch_unwind().await.is_ok() {
            return;
        }
        let (context, info) = (Arc::clone(&self.context), Arc::clone(&self.info));
        tracing::error!(task_id = info.task_id, "the owner of a task failed: the task is ended");
        if AssertUnwindSafe(self.end()).catch_unwind().await.is_err() {
            tracing::error!(task_id = info.task_id, "ending the task failed, too");
            context.registry.remove(&info.task_id);
        }
    }

    async fn end(self) {
        let worker = self.worker.get();
        if let Some(worker) = worker {
            worker.kill().await;
        }
        let dead = DeadWorker { pid: worker.map(ProcessHandle::pid), known: Vec::new() };
        let is_done = self.feed.position().is_done;
        // Whoever asks it anything finds that it is over.
        let (_, requests) = mpsc::channel(1);
        let state = TaskStatus { state: TaskState::Ending, pid: None, is_canceled: false };
        let side = OwnerSide {
            info: self.info,
            feed: self.feed,
            requests,
            progress: watch::Sender::new(state),
            ended: self.ended,
        };
        let ended = side.ended.get().map(|ended| Box::new(ended.completed.clone()));
        let mut owner = Owner::of_found_task(&self.context, side, self.leaf, Summary::default());
        owner.announce = self.announce;
        match ended {
            Some(completed) if is_done => owner.finish(completed).await,
            Some(_) | None if is_done => self.context.registry.remove(owner.task_id()),
            Some(_) | None => owner.end_lost(dead, Some(FAILED.to_owned())).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use cc_events::{EndReason, Verdict};
    use cc_link::spec::{OnSupervisorLoss, TaskSpec};
    use serde_json::{Value, json};
    use tempfile::TempDir;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        config::limits,
        storage::state_dir,
        task::{StartOutcome, TaskHandle, spec::Setting},
    };

    fn spec(context: &TaskContext, task_id: &str) -> TaskSpec {
        let Value::Object(params) = json!({"argv": ["true"]}) else { panic!("no object") };
        let execute = cc_protocol::execute::Execute::from_params(params).unwrap();
        let setting =
            Setting { config: &context.config, environment: &context.environment, cgroup: None };
        let log_path = state_dir::log_path(&context.tasks_dir.join(task_id));
        setting.spec(execute, task_id, log_path).unwrap()
    }

    /// A task that is counted, with its owner and whoever waits for its start.
    fn accepted(
        context: &Arc<TaskContext>,
        task_id: &str,
    ) -> (TaskHandle, Owner, oneshot::Receiver<StartOutcome>) {
        let spec = spec(context, task_id);
        std::fs::create_dir_all(context.tasks_dir.join(task_id)).unwrap();
        let info = TaskInfo {
            task_id: task_id.to_owned(),
            label: None,
            command: "true".to_owned(),
            session_id: None,
            accepted_ms: 1,
            is_prompt: false,
            batch_id: None,
            shape: None,
        };
        let feed = Feed::new(spec.log_path.clone(), limits::RING_BYTES);
        let progress = TaskStatus { state: TaskState::Starting, pid: None, is_canceled: false };
        let (handle, side) = TaskHandle::new(info, feed, progress, OnSupervisorLoss::Keep);
        context.registry.insert(handle.clone()).unwrap();
        let (announce, announced) = oneshot::channel();
        (handle, Owner::of_new_task(context, side, &spec, announce), announced)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_task_whose_owner_panics_has_one_end_with_a_reason_and_gives_its_place_back() {
        let directory = TempDir::new().unwrap();
        let context = TaskContext::for_tests(directory.path());
        let (handle, owner, announced) = accepted(&context, "0");
        assert_eq!(context.registry.count(), 1);
        owner
            .lifeline()
            .hold(async move {
                let _owner = owner;
                panic!("a mistake")
            })
            .await;
        assert_eq!(context.registry.count(), 0, "its place is given back");
        let StartOutcome::NotStarted(completed) = announced.await.unwrap() else {
            panic!("started")
        };
        assert_eq!(completed.reason, EndReason::WorkerDied);
        assert_eq!(completed.verdict, Verdict::WorkerDied);
        assert!(completed.error.as_ref().unwrap().contains(FAILED), "{completed:?}");
        assert!(handle.is_done());
        assert_eq!(handle.ended().unwrap().completed, *completed);
        let log = cc_tasklog::summary(handle.feed().log_path()).unwrap();
        assert_eq!((log.completed, log.last_seq), (Some(completed), 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_owner_that_panics_after_the_end_adds_no_other_end() {
        let directory = TempDir::new().unwrap();
        let context = TaskContext::for_tests(directory.path());
        let (handle, owner, _announced) = accepted(&context, "0");
        let lifeline = owner.lifeline();
        let end = async move {
            owner.end_lost(DeadWorker::default(), Some("it died".to_owned())).await;
            panic!("a mistake")
        };
        lifeline.hold(end).await;
        assert_eq!(context.registry.count(), 0);
        assert_eq!(handle.feed().position().last_seq, 1);
    }
}
