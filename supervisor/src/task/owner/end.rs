//! The end of a task, in this order: the health pages show what made it fail, its handle shows the end, the client that
//! waits for the start is answered, then logs, metrics, the database and retention get it, and the registry lets the task
//! go.

use cc_claude::version::NEWEST_TESTED;
use cc_events::{Completed, EndReason};
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary};
use cc_tasklog::summary;
use tokio::task::spawn_blocking;

use crate::{
    ops::{
        clock::{milliseconds, now_ms},
        metrics::{Label as _, Timeout},
    },
    storage::state_dir,
    task::{
        feed::Position,
        handle::{Ended, StartOutcome},
        owner::Owner,
        processes,
        worker_error::WorkerError,
    },
    worker::cgroup,
};

impl Owner {
    /// If the start has not been answered yet, the end is the answer.
    pub(super) fn reply_not_started(&self, completed: &Completed) {
        if self.start_reply.is_awaited() {
            self.start_reply.send(StartOutcome::NotStarted(Box::new(completed.clone())));
        }
    }

    /// Shows the end in the task's handle. Of several calls the first one counts; returns its time.
    pub(super) fn note_end(&self, completed: &Completed, at_ms: u64) -> u64 {
        if self.side.ended.get().is_none() {
            self.note_conditions(completed);
        }
        let ended = self.side.ended.get_or_init(|| Ended { at_ms, completed: completed.clone() });
        self.set_status(TaskState::Ended);
        ended.at_ms
    }

    /// Before anyone hears of the end: a client that does finds in the health page what made its task fail.
    fn note_conditions(&self, completed: &Completed) {
        // Every task has a log but one whose worker could not make it.
        let has_log = completed.reason != EndReason::SpawnFailed
            || state_dir::file_bytes(self.side.feed.log_path()) > 0;
        if self.context.health.note_end(completed, has_log) {
            self.context.metrics.storage.log_failed();
        }
        processes::note_end(&self.context, completed);
    }

    /// The end for the database, which keeps the first one that it gets.
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

    /// The result of an adopted task may have come before its adoption.
    async fn result_in_log(&self) -> Option<ResultSummary> {
        let path = self.side.feed.log_path().to_owned();
        let logged = spawn_blocking(move || summary(&path)).await.ok()?.ok()?;
        logged.result.map(|result| ResultSummary::from(&*result))
    }

    /// The last step of an owner: the terminal event is published and the worker is gone.
    pub(super) async fn finish(mut self, completed: Box<Completed>) {
        let at_ms = self.note_end(&completed, now_ms());
        self.reply_not_started(&completed);
        self.context.metrics.tasks.completed(&completed);
        self.context.metrics.workers.task_ended(&completed);
        self.context.vitals.recent.note(completed.verdict);
        tracing::info!(
            task_id = self.task_id(),
            session_id = self.side.info.session_id,
            batch_id = self.side.info.batch_id,
            label = self.label(),
            pid = completed.pid,
            verdict = completed.verdict.as_str(),
            reason = completed.reason.as_str(),
            exit_code = completed.exit_code,
            duration_ms = completed.duration_ms,
            "task ended"
        );
        self.note_timeout(&completed);
        self.log_cli_news(&completed);
        if self.born.is_none() && self.result.is_none() {
            self.result = self.result_in_log().await;
        }
        // The cost of an attempt of a batch is counted by its batch, without that of the conversation that it resumed.
        if self.side.info.batch_id.is_none()
            && let Some(cost_usd) = self.result.as_ref().and_then(|result| result.cost_usd)
        {
            self.context.metrics.tasks.cost(cost_usd);
        }
        // Before the task leaves the registry, so that it is always found in one of the two.
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

    /// A limit of the task's time has ended it.
    fn note_timeout(&self, completed: &Completed) {
        let deadlines = &self.deadlines;
        let (kind, limit_ms) = match completed.reason {
            EndReason::Timeout => (Timeout::Total, deadlines.total_ms),
            // The error says which of the two it was.
            EndReason::IdleTimeout => {
                (Timeout::Idle, deadlines.silence_ms.or(deadlines.first_output_ms))
            }
            EndReason::Lingered => (Timeout::Linger, Some(deadlines.linger_ms)),
            EndReason::Exit
            | EndReason::Signal
            | EndReason::Canceled
            | EndReason::OutputLimit
            | EndReason::SpawnFailed
            | EndReason::WorkerDied
            | EndReason::WorkerRestarted
            | EndReason::SupervisorLost
            | EndReason::ResourceLimit
            | EndReason::Disconnected => return,
        };
        tracing::warn!(
            task_id = self.task_id(),
            session_id = self.side.info.session_id,
            batch_id = self.side.info.batch_id,
            timeout = kind.value(),
            limit_ms,
            error = completed.error,
            "a task was ended at its time limit"
        );
        self.context.metrics.timeouts.passed(kind);
    }

    /// The worker has failed; perhaps by a limit of its time.
    pub(super) fn note_hang(&self, error: &WorkerError) {
        let WorkerError::Hung(hang) = error else { return };
        let kind = Timeout::Worker;
        tracing::warn!(
            task_id = self.task_id(),
            session_id = self.side.info.session_id,
            batch_id = self.side.info.batch_id,
            timeout = kind.value(),
            limit_ms = milliseconds(hang.limit()),
            error = hang.to_string(),
            "a worker did not answer or act in time and is killed"
        );
        self.context.metrics.timeouts.passed(kind);
    }

    fn log_cli_news(&self, completed: &Completed) {
        let Some(info) = &completed.claude else { return };
        let news = self.context.cli_news.note(info);
        if let Some(version) = news.newer {
            tracing::warn!(
                task_id = self.task_id(),
                %version,
                newest_tested = %NEWEST_TESTED,
                "the Claude CLI is newer than the newest that is tested: run a few tasks and check their results \
                 before an unattended batch"
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
