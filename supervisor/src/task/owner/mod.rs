//! The owner of one task: one tokio task that starts the worker or takes an adopted one, publishes its records, passes
//! requests on to it, watches its clocks, and brings about exactly one terminal event.
//!
//! Everything about a task belongs to its owner; all others have a [`TaskHandle`](crate::task::handle::TaskHandle). The
//! owner never waits for a client, and for the disk only before the worker has its spec and after the worker is gone.
//!
//! - this file: start a worker, follow it to its end, and what comes when it was lost
//! - [`received`]: what the worker says
//! - [`control`]: what others ask of the task
//! - [`end`]: the terminal event, and who hears of it in which order
//! - [`lifeline`]: the end of a task whose owner has panicked
//! - [`replies`]: senders that wait for an answer
//!
//! How an owner comes to the worker of an earlier supervisor is in [`crate::task::recover`].

mod received;

mod control;

mod end;

mod lifeline;

mod replies;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use bytes::BytesMut;
use cc_events::{ClaudeStream, Completed, EndReason, Started};
use cc_link::{
    adopt::Adopted,
    control::Control,
    spec::{Deadlines, TaskSpec},
};
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary};
use cc_tasklog::Summary;
use tokio::{sync::oneshot, time::Instant};

use self::replies::{PendingReplies, StartReply};
use crate::{
    ops::{clock::now_ms, uptime},
    task::{
        context::TaskContext,
        feed::Feed,
        handle::{OwnerSide, StartOutcome, TaskStatus},
        not_started::NotStarted,
        processes,
        state::{Input, Motion, State, transition},
        watchdog::{Alarm, Watchdog},
        worker_error::WorkerError,
        worker_lost::{self, Failure, LostTask, LostWorker},
    },
    worker::{link::Worker, process::ProcessHandle},
};

const NO_DEADLINES: Deadlines = Deadlines {
    total_ms: None,
    silence_ms: None,
    first_output_ms: None,
    linger_ms: 0,
    grace_ms: 0,
};

pub(crate) struct Owner {
    context: Arc<TaskContext>,
    side: OwnerSide,
    /// The task's cgroup, where it has one.
    leaf: Option<PathBuf>,
    start_reply: StartReply,
    pausing: PendingReplies,
    resuming: PendingReplies,
    state: State,
    /// A cancel was requested, whatever has begun the end.
    is_canceled: bool,
    deadlines: Deadlines,
    watchdog: Watchdog,
    started: Option<Started>,
    /// The result of a Claude task, once it came.
    result: Option<ResultSummary>,
    /// When it was accepted. `None`: by an earlier supervisor.
    accepted: Option<Instant>,
    /// When the worker was started. `None`: an earlier supervisor did that.
    born: Option<Instant>,
    /// The database has the task's end in its queue.
    is_end_queued: bool,
    /// Set once there is a worker, so that the lifeline can kill it.
    worker: Arc<OnceLock<ProcessHandle>>,
}

/// How the watch over a worker ended.
enum Watched {
    Completed(Box<Completed>),
    /// The worker closed its pipe without a terminal event.
    HungUp,
    Failed(WorkerError),
}

impl Owner {
    /// The owner of a task that is about to be started. `start_reply` hears how its start went.
    #[must_use]
    pub(crate) fn of_new_task(
        context: &Arc<TaskContext>,
        side: OwnerSide,
        spec: &TaskSpec,
        start_reply: oneshot::Sender<StartOutcome>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            side,
            leaf: spec.cgroup.as_ref().map(|parent| parent.path.join(&spec.task_id)),
            start_reply: StartReply::new(start_reply),
            pausing: PendingReplies::default(),
            resuming: PendingReplies::default(),
            state: State::Starting,
            is_canceled: false,
            deadlines: spec.deadlines,
            watchdog: Watchdog::new(uptime::now(), &spec.deadlines),
            started: None,
            result: None,
            accepted: Some(Instant::now()),
            born: Some(Instant::now()),
            is_end_queued: false,
            worker: Arc::default(),
        }
    }

    /// The owner of a task that an earlier supervisor started. `logged` is what its log says; what its worker says is
    /// added by [`Owner::adopted`].
    #[must_use]
    pub(crate) fn of_recovered_task(
        context: &Arc<TaskContext>,
        side: OwnerSide,
        leaf: Option<PathBuf>,
        logged: Summary,
    ) -> Self {
        let owner = Self {
            context: Arc::clone(context),
            side,
            leaf,
            start_reply: StartReply::default(),
            pausing: PendingReplies::default(),
            resuming: PendingReplies::default(),
            state: State::Running { motion: Motion::Moving },
            is_canceled: false,
            deadlines: NO_DEADLINES,
            // Replaced before its first check, by the deadlines that the worker reports.
            watchdog: Watchdog::new(uptime::now(), &NO_DEADLINES),
            started: logged.started,
            result: logged.result.map(|result| ResultSummary::from(&*result)),
            accepted: None,
            born: None,
            is_end_queued: false,
            worker: Arc::default(),
        };
        if let (Some(started), Some(at_ms)) = (&owner.started, logged.started_time_ms) {
            owner.record_start(started, at_ms);
        }
        owner
    }

    /// Starts the worker and follows it to the end. `session` is the change that records the task's session, where the
    /// database does not have it yet.
    pub(crate) async fn start(mut self, spec: TaskSpec, session: Option<Change>) {
        let is_claude = spec.claude != ClaudeStream::No;
        if spec.claude == ClaudeStream::Required {
            self.context.vitals.checkup.note_prompt();
        }
        let accepted = self.side.info.record(is_claude, self.leaf.clone(), Some(spec.deadlines));
        let changes = session.into_iter().chain([accepted]).collect();
        // The task is on record before its worker has the spec. The record is asked for first: the thread of the
        // database writes it while the worker is started here.
        let recording = self.context.store.put_on_record(self.task_id(), changes);
        let (recorded, worker) = tokio::join!(recording, self.context.spawner.spawn());
        let worker = match (recorded, worker) {
            (Ok(()), Ok(worker)) => worker,
            (Err(error), Ok(worker)) => {
                worker.end().await;
                return self.not_started(error.into()).await;
            }
            (_, Err(error)) => return self.not_started(error.into()).await,
        };
        let waited = self.accepted.map(|accepted| accepted.elapsed());
        self.context.metrics.tasks.worker_started(waited.unwrap_or_default());
        // The clock of the start begins here: the wait for other workers' starts does not count.
        self.born = Some(Instant::now());
        self.watchdog = Watchdog::new(uptime::now(), &spec.deadlines);
        worker.tell(&Control::Run(Box::new(spec)));
        self.follow(worker, BytesMut::new()).await;
    }

    async fn not_started(self, error: NotStarted) {
        let is_environmental = error.is_environmental();
        let (task_id, problem) = (self.task_id(), error.to_string());
        tracing::error!(task_id, problem, is_environmental, "a task could not be started");
        processes::note_not_started(&self.context, &error);
        let lost = self.lost(Failure::NotStarted(error), LostWorker::default(), None);
        let completed = worker_lost::write_terminal_event(&self.context, lost).await;
        self.finish(completed).await;
    }

    /// Takes over the state that an adopted worker reports.
    pub(crate) fn adopted(&mut self, adopted: Adopted) {
        let now = uptime::now();
        self.state = State::of_adopted(adopted.is_paused, adopted.ending);
        self.is_canceled |= adopted.ending == Some(EndReason::Canceled);
        self.deadlines = adopted.deadlines;
        self.watchdog = Watchdog::of_adopted(now, &adopted);
        self.leaf = adopted.leaf.or(self.leaf.take());
        self.record_start(&adopted.started, now_ms());
        let containment = adopted.started.containment;
        self.side.worker.change(|facts| facts.containment = Some(containment));
        self.started = Some(adopted.started);
        self.show_status();
    }

    /// Records the start of a recovered task too: the supervisor that started it may have died before, and a task
    /// without a start on record counts as one that never ran.
    fn record_start(&self, started: &Started, at_ms: u64) {
        self.side.started.get_or_init(|| started.clone());
        let (id, started) = (self.task_id().to_owned(), started.clone());
        let _is_in_the_log_anyway =
            self.context.store.note(Change::TaskStarted { id, at_ms, started });
    }

    /// Follows a worker to its end and brings about the task's. `received` are bytes that the worker has sent already.
    pub(crate) async fn follow(mut self, mut worker: Worker, received: BytesMut) {
        self.worker.get_or_init(|| worker.handle());
        let pid = worker.pid;
        self.side.worker.heard(uptime::now());
        self.side.worker.change(|facts| facts.pid = Some(pid));
        let (descendants, error) = match self.watch(&mut worker, received).await {
            Watched::Completed(completed) => {
                self.end_state(Input::Completed);
                // Whatever became of the task, its worker has done what it should.
                self.context.spawner.guard().worked();
                self.reply_not_started(&completed);
                worker.end().await;
                return self.finish(completed).await;
            }
            Watched::HungUp => {
                worker.end().await;
                (Vec::new(), None)
            }
            Watched::Failed(error) => {
                self.note_hang(&error);
                (worker.kill().await, Some(error))
            }
        };
        let lost = LostWorker { pid: Some(pid), descendants };
        if self.started.is_none() {
            let problem = error.as_ref().map_or("it died".to_owned(), ToString::to_string);
            self.context.spawner.start_failed(&problem);
        }
        self.end_lost(Failure::Died, lost, error).await;
    }

    /// Publishes what the worker sends until the terminal event or the worker's failure.
    async fn watch(&mut self, worker: &mut Worker, mut buffer: BytesMut) -> Watched {
        let feed = Arc::clone(&self.side.feed);
        loop {
            match self.on_received(&feed, &mut buffer) {
                Ok(None) => {}
                Ok(Some(completed)) => return Watched::Completed(completed),
                Err(error) => return Watched::Failed(error),
            }
            let check_at = self.watchdog.next_check();
            tokio::select! {
                biased;
                Some(request) = self.side.requests.recv() => self.on_request(request, worker),
                // Before the clocks: the bytes in the pipe may be the answer that the watchdog misses.
                read = worker.read(&mut buffer) => match read {
                    Ok(0) => return Watched::HungUp,
                    Ok(_) => self.heard(),
                    Err(error) => return Watched::Failed(WorkerError::Read(error)),
                },
                () = uptime::sleep_until(check_at) => match self.watchdog.check(uptime::now()) {
                    Some(Alarm::Ping) => worker.tell(&Control::Ping { nonce: 0 }),
                    Some(Alarm::Hung(hang)) => return Watched::Failed(hang.into()),
                    None => {}
                },
            }
        }
    }

    fn heard(&mut self) {
        let now = uptime::now();
        self.watchdog.heard(now);
        self.side.worker.heard(now);
    }

    /// Ends a task whose worker is gone. Without an `error` the terminal event says how the worker ended.
    pub(crate) async fn end_lost(
        mut self,
        failure: Failure,
        worker: LostWorker,
        error: Option<WorkerError>,
    ) {
        self.end_state(Input::Lost);
        let lost = self.lost(failure, worker, error);
        let completed = worker_lost::write_terminal_event(&self.context, lost).await;
        self.finish(completed).await;
    }

    fn lost(&self, failure: Failure, worker: LostWorker, error: Option<WorkerError>) -> LostTask {
        let in_log = self.started.as_ref().map(|started| started.worker_pid);
        LostTask {
            task_id: self.task_id().to_owned(),
            leaf: self.leaf.clone(),
            feed: Arc::clone(&self.side.feed),
            started: self.started.clone(),
            duration: self.born.map(|born| born.elapsed()),
            failure,
            worker: LostWorker { pid: worker.pid.or(in_log), ..worker },
            error,
        }
    }

    fn end_state(&mut self, input: Input) {
        self.state = transition(self.state, input).0;
        self.refuse_waiting();
    }

    /// Shows the state to the others. `Ended` shows only with the terminal event, in [`Owner::note_end`].
    fn show_status(&self) {
        let state = match self.state {
            State::Starting => TaskState::Starting,
            State::Running { motion: Motion::Stopped } => TaskState::Paused,
            State::Running { motion: Motion::Moving | Motion::Stopping | Motion::Continuing } => {
                TaskState::Running
            }
            State::Ending { .. } | State::Done => TaskState::Ending,
        };
        self.set_status(state);
    }

    fn set_status(&self, state: TaskState) {
        let pid = self.started.as_ref().map(|started| started.pid);
        let is_canceled = self.is_canceled;
        self.side.status.send_replace(TaskStatus { state, pid, is_canceled });
    }

    #[must_use]
    pub(crate) fn task_id(&self) -> &str {
        &self.side.info.task_id
    }

    #[must_use]
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.side.feed
    }

    fn label(&self) -> &str {
        self.side.info.label.as_deref().unwrap_or_default()
    }
}
