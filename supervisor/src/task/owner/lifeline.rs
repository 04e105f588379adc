//! The end of a task whose owner has panicked. A panic is a mistake of this program; even so the task must get its one
//! terminal event and leave the registry.

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use cc_protocol::task::TaskState;
use cc_tasklog::Summary;
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};

use crate::{
    task::{
        context::TaskContext,
        feed::Feed,
        handle::{Ended, OwnerSide, TaskStatus},
        info::TaskInfo,
        owner::{Owner, replies::StartReply},
        worker_error::WorkerError,
        worker_lost::{Failure, LostWorker},
    },
    worker::process::ProcessHandle,
};

/// What is needed to end a task without its owner.
#[derive(Debug)]
pub(crate) struct Lifeline {
    context: Arc<TaskContext>,
    info: Arc<TaskInfo>,
    feed: Arc<Feed>,
    ended: Arc<OnceLock<Ended>>,
    leaf: Option<PathBuf>,
    start_reply: StartReply,
    /// Set once there is one.
    worker: Arc<OnceLock<ProcessHandle>>,
}

impl Owner {
    /// Names the worker that the lifeline kills.
    pub(crate) fn could_kill(&self, worker: ProcessHandle) {
        self.worker.get_or_init(|| worker);
    }

    /// To be taken before the owner runs.
    #[must_use]
    pub(crate) fn lifeline(&self) -> Lifeline {
        Lifeline {
            context: Arc::clone(&self.context),
            info: Arc::clone(&self.side.info),
            feed: Arc::clone(&self.side.feed),
            ended: Arc::clone(&self.side.ended),
            leaf: self.leaf.clone(),
            start_reply: self.start_reply.clone(),
            worker: Arc::clone(&self.worker),
        }
    }
}

impl Lifeline {
    /// Runs the owner, and ends its task if it panics.
    pub(crate) async fn hold(self, owner: impl Future<Output = ()>) {
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
        let process = self.worker.get();
        if let Some(process) = process {
            process.kill().await;
        }
        let worker = LostWorker { pid: process.map(ProcessHandle::pid), descendants: Vec::new() };
        let is_done = self.feed.position().is_done;
        // A closed queue: requests find that the task is over.
        let (_, requests) = mpsc::channel(1);
        let status = TaskStatus { state: TaskState::Ending, pid: None, is_canceled: false };
        let side = OwnerSide {
            info: self.info,
            feed: self.feed,
            requests,
            status: watch::Sender::new(status),
            started: Arc::default(),
            ended: self.ended,
            worker: Arc::default(),
        };
        let ended = side.ended.get().map(|ended| Box::new(ended.completed.clone()));
        let mut owner =
            Owner::of_recovered_task(&self.context, side, self.leaf, Summary::default());
        owner.start_reply = self.start_reply;
        match ended {
            Some(completed) if is_done => owner.finish(completed).await,
            Some(_) | None if is_done => self.context.registry.remove(owner.task_id()),
            Some(_) | None => {
                owner.end_lost(Failure::Died, worker, Some(WorkerError::OwnerPanicked)).await;
            }
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
        task::{
            handle::{StartOutcome, TaskHandle},
            spec::Setting,
        },
    };

    fn spec(context: &TaskContext, task_id: &str) -> TaskSpec {
        let Value::Object(params) = json!({"argv": ["true"]}) else { panic!("no object") };
        let execute = cc_protocol::execute::Execute::from_params(params).unwrap();
        let current = context.settings.current();
        let setting = Setting {
            config: &current.config,
            environment: &current.environment,
            cgroup: None,
            directory: None,
            adoption_key: None,
        };
        let log_path = state_dir::log_path(&context.tasks_dir.join(task_id));
        setting.spec(execute, task_id, log_path).unwrap()
    }

    /// A task in the registry, its owner, and the receiver of its start.
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
            token: None,
        };
        let feed = Feed::new(spec.log_path.clone(), limits::RING_BYTES);
        let status = TaskStatus { state: TaskState::Starting, pid: None, is_canceled: false };
        let (handle, side) = TaskHandle::new(info, feed, status, OnSupervisorLoss::Keep);
        context.registry.insert(handle.clone(), None, None).unwrap();
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
        assert!(
            completed.error.as_ref().unwrap().contains(&WorkerError::OwnerPanicked.to_string()),
            "{completed:?}"
        );
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
            owner.end_lost(Failure::Died, LostWorker::default(), Some(WorkerError::HungUp)).await;
            panic!("a mistake")
        };
        lifeline.hold(end).await;
        assert_eq!(context.registry.count(), 0);
        assert_eq!(handle.feed().position().last_seq, 1);
    }
}
