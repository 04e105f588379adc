//! The owner of one task: starts its worker or goes on with one that was adopted, publishes its records, passes
//! requests on, watches the clocks, and sees to it that there is exactly one terminal event.
//!
//! One tokio task per task owns everything about it; everybody else has a [`TaskHandle`](crate::task::TaskHandle).
//! It never waits for a client or for the disk, except after its worker has failed. How an owner comes to the
//! worker of an earlier supervisor is in [`crate::task::recover`].

mod control;
mod end;
mod lifeline;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use bytes::BytesMut;
use cc_events::{ClaudeStream, Completed, EndReason, Event, SpawnFailureKind, Started};
use cc_link::{
    adopt::Adopted,
    control::Control,
    notice::Notice,
    spec::{Deadlines, TaskSpec},
};
use cc_proctree::procfs::Process;
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary};
use cc_tasklog::Summary;
use tokio::{sync::oneshot, time::Instant};

use self::control::answer;
use crate::{
    ops::{clock::now_ms, uptime},
    task::{
        ControlReply, OwnerSide, StartOutcome, TaskStatus,
        context::TaskContext,
        feed::{Feed, Position},
        not_started::NotStarted,
        relay::{self, Listener},
        state::{Effect, Input, Motion, State, transition},
        watchdog::{Alarm, Watchdog},
        worker_lost::{self, Failure},
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

/// Whoever waits to hear how the start went, until it has.
type Announce = Arc<Mutex<Option<oneshot::Sender<StartOutcome>>>>;

/// One task's owner.
pub struct Owner {
    context: Arc<TaskContext>,
    side: OwnerSide,
    leaf: Option<PathBuf>,
    /// Taken when the start is decided.
    announce: Announce,
    pausing: Vec<oneshot::Sender<ControlReply>>,
    resuming: Vec<oneshot::Sender<ControlReply>>,
    state: State,
    /// Somebody asked for the end, whatever has begun it.
    is_canceled: bool,
    watchdog: Watchdog,
    started: Option<Started>,
    /// Of a Claude task that came so far.
    result: Option<ResultSummary>,
    /// When its worker was started; `None`: by an earlier supervisor.
    born: Option<Instant>,
    /// The database will be told of its end.
    is_end_queued: bool,
    /// For its [`lifeline::Lifeline`].
    worker: Arc<OnceLock<ProcessHandle>>,
}

/// What is known of a worker that is gone.
#[derive(Debug, Default)]
pub struct DeadWorker {
    /// Its number.
    pub pid: Option<i32>,
    /// Who was seen below it before it was killed.
    pub known: Vec<Process>,
}

/// How the watch over a worker ended.
enum Watched {
    /// The terminal event came.
    Completed(Box<Completed>),
    /// The worker has failed, for this reason; `None`: it closed its pipe.
    Failed(Option<String>),
}

impl Owner {
    /// Of a task that is about to be started.
    #[must_use]
    pub fn of_new_task(
        context: &Arc<TaskContext>,
        side: OwnerSide,
        spec: &TaskSpec,
        announce: oneshot::Sender<StartOutcome>,
    ) -> Self {
        let now = uptime::now();
        Self {
            context: Arc::clone(context),
            side,
            leaf: spec.cgroup.as_ref().map(|parent| parent.path.join(&spec.task_id)),
            announce: Arc::new(Mutex::new(Some(announce))),
            pausing: Vec::new(),
            resuming: Vec::new(),
            state: State::Starting,
            is_canceled: false,
            watchdog: Watchdog::new(now, &spec.deadlines),
            started: None,
            result: None,
            born: Some(Instant::now()),
            is_end_queued: false,
            worker: Arc::default(),
        }
    }

    /// Of a task that an earlier supervisor started, as far as it is known before its worker has answered.
    #[must_use]
    pub fn of_found_task(
        context: &Arc<TaskContext>,
        side: OwnerSide,
        leaf: Option<PathBuf>,
        held: Summary,
    ) -> Self {
        let owner = Self {
            context: Arc::clone(context),
            side,
            leaf,
            announce: Announce::default(),
            pausing: Vec::new(),
            resuming: Vec::new(),
            state: State::Running { motion: Motion::Moving },
            is_canceled: false,
            // Not asked before the worker has told its own.
            watchdog: Watchdog::new(uptime::now(), &NO_DEADLINES),
            started: held.started,
            result: held.result.map(|result| ResultSummary::from(&*result)),
            born: None,
            is_end_queued: false,
            worker: Arc::default(),
        };
        if let (Some(started), Some(at_ms)) = (&owner.started, held.started_time_ms) {
            owner.record_start(started, at_ms);
        }
        owner
    }

    /// Starts the worker and follows it to the end.
    pub async fn start(mut self, spec: TaskSpec, session: Option<Change>) {
        let changes = session.into_iter().chain([self.record(&spec)]).collect();
        let directory = self.context.tasks_dir.join(self.task_id());
        // Before its worker hears of it the task is on record. That is asked for first: it needs another thread, which
        // is at it while the worker is started here.
        let recording = self.context.store.put_on_record(directory, changes);
        let (recorded, worker) = tokio::join!(recording, self.context.spawner.spawn());
        let worker = match (recorded, worker) {
            (Ok(()), Ok(worker)) => worker,
            (Err(error), Ok(worker)) => {
                worker.end().await;
                return self.not_started(error.into()).await;
            }
            (_, Err(error)) => return self.not_started(error.into()).await,
        };
        self.context.metrics.task_started();
        // The clock of the start begins now, not while other workers were started or swept up after.
        self.born = Some(Instant::now());
        self.watchdog = Watchdog::new(uptime::now(), &spec.deadlines);
        worker.tell(&Control::Run(Box::new(spec)));
        self.follow(worker, BytesMut::new()).await;
    }

    async fn not_started(self, problem: NotStarted) {
        let is_environmental = problem.is_environmental();
        let want = is_environmental.then_some(SpawnFailureKind::Means);
        let problem = problem.to_string();
        let task_id = self.task_id();
        tracing::error!(task_id, problem, is_environmental, "a task could not be started");
        let lost = self.lost(Failure::NotStarted(want), DeadWorker::default(), Some(problem));
        let completed = worker_lost::write_terminal_event(&self.context, lost).await;
        self.finish(completed).await;
    }

    fn record(&self, spec: &TaskSpec) -> Change {
        let is_claude = spec.claude != ClaudeStream::No;
        self.side.info.record(is_claude, self.leaf.clone(), Some(spec.deadlines))
    }

    /// Takes note of what an adopted worker says of itself.
    pub fn adopted(&mut self, adopted: Adopted) {
        let now = uptime::now();
        self.state = State::of_adopted(adopted.is_paused, adopted.ending);
        self.is_canceled |= adopted.ending == Some(EndReason::Canceled);
        self.watchdog = Watchdog::of_adopted(now, &adopted);
        self.leaf = adopted.leaf.or(self.leaf.take());
        self.record_start(&adopted.started, now_ms());
        self.started = Some(adopted.started);
        self.show_progress();
    }

    /// Also of a task that was found: whoever started it may have died before that was on record, and what has
    /// no start is taken for a task that never ran.
    fn record_start(&self, started: &Started, at_ms: u64) {
        let (id, started) = (self.task_id().to_owned(), started.clone());
        let _is_in_the_log_anyway =
            self.context.store.note(Change::TaskStarted { id, at_ms, started });
    }

    /// Follows a worker to its end, and sees to the task's. `received` has come from it already.
    pub async fn follow(mut self, mut worker: Worker, received: BytesMut) {
        self.worker.get_or_init(|| worker.handle());
        let completed = match self.watch(&mut worker, received).await {
            Watched::Completed(completed) => {
                self.end_state(Input::Completed);
                self.announce_end(&completed);
                worker.end().await;
                completed
            }
            Watched::Failed(text) => {
                let worker_pid = worker.pid;
                let known = match &text {
                    Some(_) => worker.kill().await,
                    None => {
                        worker.end().await;
                        Vec::new()
                    }
                };
                let dead = DeadWorker { pid: Some(worker_pid), known };
                return self.end_lost(dead, text).await;
            }
        };
        self.finish(completed).await;
    }

    /// Ends a task whose worker is gone. Without a text, how the worker ended is said.
    pub async fn end_lost(self, worker: DeadWorker, text: Option<String>) {
        self.bury_as(Failure::Died, worker, text).await;
    }

    /// The same, where it is known how far the worker came.
    pub async fn bury_as(mut self, failure: Failure, worker: DeadWorker, text: Option<String>) {
        self.end_state(Input::Lost);
        let lost = self.lost(failure, worker, text);
        let completed = worker_lost::write_terminal_event(&self.context, lost).await;
        self.finish(completed).await;
    }

    /// Publishes what the worker says until the terminal event or the worker's failure.
    async fn watch(&mut self, worker: &mut Worker, mut buffer: BytesMut) -> Watched {
        let feed = Arc::clone(&self.side.feed);
        loop {
            match relay::publish(&feed, &mut buffer, self) {
                Ok(None) => {}
                Ok(Some(completed)) => return Watched::Completed(completed),
                Err(text) => return Watched::Failed(Some(text)),
            }
            let check_at = self.watchdog.next_check();
            tokio::select! {
                biased;
                Some(request) = self.side.requests.recv() => self.on_request(request, worker),
                // Before the clocks: what waits in the pipe may be the very answer that they miss.
                read = worker.read(&mut buffer) => match read {
                    Ok(0) => return Watched::Failed(None),
                    Ok(_) => self.watchdog.heard(),
                    Err(error) => {
                        return Watched::Failed(Some(format!("reading from the worker: {error}")));
                    }
                },
                () = uptime::sleep_until(check_at) => match self.watchdog.check(uptime::now()) {
                    Some(Alarm::Ping) => worker.tell(&Control::Ping { nonce: 0 }),
                    Some(Alarm::Hung(hang)) => return Watched::Failed(Some(hang.to_string())),
                    None => {}
                },
            }
        }
    }

    fn on_ending(&mut self, reason: EndReason) -> Result<(), String> {
        self.step(Input::Ending(reason))?;
        self.watchdog.ending(uptime::now());
        self.refuse_waiting();
        Ok(())
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let (state, effect) = transition(self.state, input);
        let from = std::mem::replace(&mut self.state, state);
        self.show_progress();
        if effect == Effect::Violation {
            return Err(format!("the worker said {input:?} while the task was {from:?}"));
        }
        Ok(())
    }

    fn end_state(&mut self, input: Input) {
        self.state = transition(self.state, input).0;
        self.refuse_waiting();
    }

    /// The state as others see it; the end only shows with the terminal event, in [`Owner::finish`].
    fn show_progress(&self) {
        let state = match self.state {
            State::Starting => TaskState::Starting,
            State::Running { motion: Motion::Stopped } => TaskState::Paused,
            State::Running { motion: Motion::Moving | Motion::Stopping | Motion::Continuing } => {
                TaskState::Running
            }
            State::Ending { .. } | State::Done => TaskState::Ending,
        };
        let pid = self.started.as_ref().map(|started| started.pid);
        let is_canceled = self.is_canceled;
        self.side.progress.send_replace(TaskStatus { state, pid, is_canceled });
    }

    /// Of its task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.side.info.task_id
    }

    /// Its task's records.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.side.feed
    }

    fn label(&self) -> &str {
        self.side.info.label.as_deref().unwrap_or_default()
    }
}

impl Listener for Owner {
    fn before_end(&mut self, completed: &Completed, time_ms: u64, end: Position) {
        let at_ms = self.note_end(completed, time_ms);
        // Whoever has seen the end and asks for what runs must not be shown this task. An adopted one is recorded
        // when it is known what its log says of a result.
        if self.born.is_some() {
            let ended = self.record_of_end(completed.clone(), at_ms, end);
            self.is_end_queued = self.context.store.note(ended);
        }
    }

    fn on_event(&mut self, event: Event) -> Result<Option<Box<Completed>>, String> {
        match event {
            Event::Started(started) => {
                self.started = Some(started.clone());
                self.step(Input::Started)?;
                self.watchdog.started(uptime::now());
                tracing::info!(
                    task_id = self.task_id(),
                    label = self.label(),
                    pid = started.pid,
                    worker_pid = started.worker_pid,
                    containment = started.containment.as_str(),
                    "task started"
                );
                self.record_start(&started, now_ms());
                self.announce(StartOutcome::Started(started));
            }
            Event::Paused => {
                self.step(Input::Paused)?;
                self.watchdog.paused(uptime::now());
                answer(&mut self.pausing, ControlReply::Done);
            }
            Event::Resumed => {
                self.step(Input::Resumed)?;
                self.watchdog.resumed(uptime::now());
                answer(&mut self.resuming, ControlReply::Done);
            }
            Event::Canceled { reason } => self.on_ending(reason)?,
            Event::Completed(completed) => return Ok(Some(completed)),
            Event::ClaudeResult(result) => self.result = Some(ResultSummary::from(&*result)),
            Event::OutputDropped(_)
            | Event::ClaudeRetrying(_)
            | Event::RateLimited(_)
            | Event::TokenLimited(_) => {}
        }
        Ok(None)
    }

    fn on_notice(&mut self, notice: &Notice) -> Result<(), String> {
        match notice {
            // Any byte is a sign of life; see `watch`.
            Notice::Pong { nonce: _ } => Ok(()),
            Notice::Ending { reason } => self.on_ending(*reason),
            Notice::Adopted(_) | Notice::AdoptionRefused { .. } => {
                Err("the worker answered a question that was not asked".to_owned())
            }
        }
    }
}
