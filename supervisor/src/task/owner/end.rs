//! The end of a task: who is told, and in which order.

use std::sync::{Arc, PoisonError};

use cc_claude::version::NEWEST_TESTED;
use cc_events::{Completed, EndReason};
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary};
use cc_tasklog::summary;
use tokio::task::spawn_blocking;

use crate::{
    ops::clock::now_ms,
    storage::state_dir,
    task::{
        Ended, StartOutcome, TaskStatus,
        feed::Position,
        owner::{DeadWorker, Owner},
        worker_lost::{Failure, LostTask},
    },
    worker::cgroup,
};

impl Owner {
    /// Tells whoever asked for the task how its start went, once.
    pub(super) fn announce(&mut self, outcome: StartOutcome) {
        let announce = self.announce.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(announce) = announce {
            // A session that has gone does not care.
            drop(announce.send(outcome));
        }
    }

    /// An end before the start is the answer, too.
    pub(super) fn announce_end(&mut self, completed: &Completed) {
        let is_waited_for = self.announce.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if is_waited_for {
            self.announce(StartOutcome::NotStarted(Box::new(completed.clone())));
        }
    }

    /// Everything that the aftermath has to know.
    pub(super) fn lost(
        &self,
        failure: Failure,
        worker: DeadWorker,
        text: Option<String>,
    ) -> LostTask {
        LostTask {
            task_id: self.task_id().to_owned(),
            leaf: self.leaf.clone(),
            feed: Arc::clone(&self.side.feed),
            started: self.started.clone(),
            duration: self.born.map(|born| born.elapsed()),
            failure,
            worker_pid: worker.pid.or(self.started.as_ref().map(|started| started.worker_pid)),
            known: worker.known,
            text,
        }
    }

    /// The first one counts; there is only one. Says when it was.
    pub(super) fn note_end(&self, completed: &Completed, at_ms: u64) -> u64 {
        let ended = self.side.ended.get_or_init(|| Ended { at_ms, completed: completed.clone() });
        let pid = self.started.as_ref().map(|started| started.pid);
        let is_canceled = self.is_canceled;
        self.side.progress.send_replace(TaskStatus { state: TaskState::Ended, pid, is_canceled });
        ended.at_ms
    }

    /// What the database is told; it keeps what it heard first.
    pub(super) fn record_of_end(&self, completed: Completed, at_ms: u64, end: Position) -> Change {
        Change::TaskEnded {
            id: self.task_id().to_owned(),
            at_ms,
            completed: Box::new(completed),
            last_seq: end.last_seq,
            log_bytes: end.end_offset,
            result: self.result.clone(),
        }
    }

    /// Of an adopted task, whose result may have come before its adoption.
    async fn result_in_log(&self) -> Option<ResultSummary> {
        let path = self.side.feed.log_path().to_owned();
        let held = spawn_blocking(move || summary(&path)).await.ok()?.ok()?;
        held.result.map(|result| ResultSummary::from(&*result))
    }

    /// The last thing: everything is published, the worker is gone.
    pub(super) async fn finish(mut self, completed: Box<Completed>) {
        let at_ms = self.note_end(&completed, now_ms());
        // A worker that could not make its log says so only here; every other task has one.
        let has_log = completed.reason != EndReason::SpawnFailed
            || state_dir::file_bytes(self.side.feed.log_path()) > 0;
        // Whoever hears of it and asks what is wrong must be told.
        if self.context.health.note_end(&completed, has_log) {
            self.context.metrics.log_failed();
        }
        self.announce_end(&completed);
        self.context.metrics.task_completed(completed.verdict);
        tracing::info!(
            task_id = self.task_id(),
            label = self.label(),
            pid = completed.pid,
            verdict = completed.verdict.as_str(),
            reason = completed.reason.as_str(),
            exit_code = completed.exit_code,
            duration_ms = completed.duration_ms,
            "task ended"
        );
        self.tell_cli_news(&completed);
        if self.born.is_none() && self.result.is_none() {
            self.result = self.result_in_log().await;
        }
        // Whoever asks after the task has left the registry finds its end in the database.
        if !self.is_end_queued {
            let position = self.side.feed.position();
            let ended = self.record_of_end(*completed, at_ms, position);
            self.context.store.write(vec![ended]).await;
        }
        self.context.task_ended(self.task_id(), &self.side.feed);
        if let Some(leaf) = &self.leaf {
            cgroup::left(self.context.cgroup.as_ref(), leaf).await;
        }
        self.context.registry.remove(self.task_id());
    }

    /// What the task's CLI said that nobody here has seen before.
    fn tell_cli_news(&self, completed: &Completed) {
        let Some(info) = &completed.claude else { return };
        let news = self.context.cli_news.note(info);
        if let Some(version) = news.newer {
            tracing::warn!(
                task_id = self.task_id(),
                %version,
                newest_tested = %NEWEST_TESTED,
                "the Claude CLI is newer than the newest that is tested: look at a few results before a night"
            );
        }
        for (name, count) in news.unknown {
            tracing::info!(
                task_id = self.task_id(),
                name,
                count,
                "the Claude CLI printed something that is not known here; it was passed on"
            );
        }
    }
}
