//! The owner of one task: starts its worker, publishes its records, passes requests on, watches the clocks,
//! and sees to it that there is exactly one terminal event.
//!
//! One tokio task per task owns everything about it; everybody else has a [`TaskHandle`] and sends
//! requests. A task that is accepted runs to its terminal event whatever becomes of whoever asked for it. It
//! never waits for a client or for the disk, except after its worker has failed.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use bytes::{Bytes, BytesMut};
use cc_link::{
    control::Control,
    event::{Completed, EndReason, Event, Notice, Started},
    record::{Body, Record, decode_frame, frame_bytes},
    spec::{ClaudeStream, TaskSpec},
};
use cc_protocol::task::TaskState;
use cc_state::{Change, ResultSummary, TaskAccepted};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    aftermath::{self, Corpse, Failure},
    clock::now_ms,
    feed::Feed,
    lifecycle::{Effect, Input, Motion, State, transition},
    limits,
    registry::Refusal,
    shared::Shared,
    spawn::Worker,
    watchdog::{Alarm, Watchdog},
};

/// What may be asked of a task.
#[derive(Debug)]
pub enum Request {
    /// Stop the tree; answered when it is stopped.
    Pause(oneshot::Sender<Answer>),
    /// Let the tree go on; answered when it does.
    Resume(oneshot::Sender<Answer>),
    /// End the task.
    Cancel(EndReason),
    /// End the task with SIGKILL.
    Kill(EndReason),
}

/// The answer to a pause or a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Done,
    /// The task is over or being ended.
    NotRunning,
}

/// What is known of a task before it runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// uuid v7.
    pub task_id: String,
    /// The name that its request gave it.
    pub label: Option<String>,
    /// The beginning of what it runs, for people.
    pub command: String,
    /// It was given as a prompt.
    pub is_prompt: bool,
    /// The session that it belongs to; none for a detached one.
    pub session_id: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub accepted_ms: u64,
}

/// Where a task is in its life, for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub state: TaskState,
    /// Its main process, once it runs.
    pub pid: Option<i32>,
}

/// A task's end, for those who ask.
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
    facts: Arc<Facts>,
    ended: Arc<OnceLock<Ended>>,
    feed: Arc<Feed>,
    requests: mpsc::Sender<Request>,
    progress: watch::Receiver<Progress>,
}

impl TaskHandle {
    /// Its id.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.facts.task_id
    }

    /// What was known of it before it ran.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Where it is in its life.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Its records.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Its end, from the moment in which that can be seen.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// Whether the terminal event is published.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.feed.position().is_done
    }

    /// Asks the task's owner. A task that is over does not mind.
    pub async fn request(&self, request: Request) {
        if self.requests.send(request).await.is_err() {
            tracing::debug!(task_id = self.task_id(), "a request came after the end");
        }
    }
}

/// How a start went.
#[derive(Debug)]
pub enum Outcome {
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
    shared: &Arc<Shared>,
    spec: TaskSpec,
    facts: Facts,
    session: Option<Change>,
) -> Result<(TaskHandle, oneshot::Receiver<Outcome>), Refusal> {
    let feed = Feed::new(spec.log_path.clone(), limits::RING_BYTES);
    let (requests, request_queue) = mpsc::channel(limits::REQUEST_QUEUE_MESSAGES);
    let (to_progress, progress) =
        watch::channel(Progress { state: TaskState::Starting, pid: None });
    let facts = Arc::new(facts);
    let ended = Arc::new(OnceLock::new());
    let handle = TaskHandle {
        facts: Arc::clone(&facts),
        ended: Arc::clone(&ended),
        feed: Arc::clone(&feed),
        requests,
        progress,
    };
    shared.registry.insert(handle.clone())?;
    let (announce, announced) = oneshot::channel();
    let now = Instant::now();
    let owner = Owner {
        shared: Arc::clone(shared),
        watchdog: Watchdog::new(now, &spec.deadlines),
        leaf: spec.cgroup.as_ref().map(|parent| parent.path.join(&spec.task_id)),
        facts,
        ended,
        result: None,
        feed,
        request_queue,
        announce: Some(announce),
        pausing: Vec::new(),
        resuming: Vec::new(),
        state: State::Starting,
        progress: to_progress,
        started: None,
        born: now,
    };
    tokio::spawn(owner.run(spec, session));
    Ok((handle, announced))
}

/// One task's owner.
struct Owner {
    shared: Arc<Shared>,
    facts: Arc<Facts>,
    ended: Arc<OnceLock<Ended>>,
    /// Of a Claude task that came so far.
    result: Option<ResultSummary>,
    leaf: Option<PathBuf>,
    feed: Arc<Feed>,
    request_queue: mpsc::Receiver<Request>,
    /// Taken when the start is decided.
    announce: Option<oneshot::Sender<Outcome>>,
    pausing: Vec<oneshot::Sender<Answer>>,
    resuming: Vec<oneshot::Sender<Answer>>,
    state: State,
    progress: watch::Sender<Progress>,
    watchdog: Watchdog,
    started: Option<Started>,
    born: Instant,
}

/// How the watch over a worker ended.
enum Watched {
    /// The terminal event came.
    Completed(Box<Completed>),
    /// The worker has failed, for this reason; `None`: it closed its pipe.
    Failed(Option<String>),
}

impl Owner {
    async fn run(self, spec: TaskSpec, session: Option<Change>) {
        let accepted = self.record(&spec);
        let changes = session.into_iter().chain([accepted]).collect();
        // Before its worker hears of it the task is on record; starting the worker takes longer than that.
        let (worker, recorded) =
            tokio::join!(self.shared.spawner.spawn(), self.shared.store.commit(changes));
        let problem = match (worker, recorded) {
            (Ok(worker), Ok(())) => return self.run_with(worker, spec).await,
            (Ok(worker), Err(error)) => {
                worker.end().await;
                error.to_string()
            }
            (Err(error), _) => format!("the worker could not be started: {error}"),
        };
        let corpse = self.corpse(Failure::NotStarted, problem);
        let completed = aftermath::write_terminal_event(&self.shared, corpse).await;
        self.finish(&completed).await;
    }

    fn record(&self, spec: &TaskSpec) -> Change {
        let facts = &self.facts;
        Change::TaskAccepted(Box::new(TaskAccepted {
            id: facts.task_id.clone(),
            session_id: facts.session_id.clone(),
            label: facts.label.clone(),
            command: facts.command.clone(),
            accepted_ms: facts.accepted_ms,
            is_claude: spec.claude != ClaudeStream::No,
            is_prompt: facts.is_prompt,
            leaf: self.leaf.clone(),
            deadlines: Some(spec.deadlines),
        }))
    }

    async fn run_with(mut self, mut worker: Worker, spec: TaskSpec) {
        self.shared.metrics.task_started();
        // The clock of the start begins now, not while other workers were started or swept up after.
        self.born = Instant::now();
        self.watchdog = Watchdog::new(self.born, &spec.deadlines);
        worker.tell(&Control::Run(Box::new(spec)));
        let completed = match self.watch(&mut worker).await {
            Watched::Completed(completed) => {
                self.end_state(Input::Completed);
                self.announce_end(&completed);
                worker.end().await;
                completed
            }
            Watched::Failed(text) => {
                self.end_state(Input::Lost);
                let (worker_pid, end) = match &text {
                    Some(_) => (worker.pid, worker.kill().await),
                    None => (worker.pid, worker.end().await),
                };
                let text = text.unwrap_or_else(|| format!("the worker {end}"));
                tracing::warn!(task_id = self.facts.task_id, worker_pid, %text, "worker failed");
                let corpse = self.corpse(Failure::Died, text);
                aftermath::write_terminal_event(&self.shared, corpse).await
            }
        };
        self.finish(&completed).await;
    }

    /// Publishes what the worker says until the terminal event or the worker's failure.
    async fn watch(&mut self, worker: &mut Worker) -> Watched {
        let mut buffer = BytesMut::new();
        loop {
            let check_at = self.watchdog.next_check();
            tokio::select! {
                biased;
                Some(request) = self.request_queue.recv() => self.on_request(request, worker),
                // Before the clocks: what waits in the pipe may be the very answer that they miss.
                read = worker.read(&mut buffer) => match read {
                    Ok(0) => return Watched::Failed(None),
                    Ok(_) => {
                        self.watchdog.heard();
                        match self.publish(&mut buffer) {
                            Ok(None) => {}
                            Ok(Some(completed)) => return Watched::Completed(completed),
                            Err(text) => return Watched::Failed(Some(text)),
                        }
                    }
                    Err(error) => {
                        return Watched::Failed(Some(format!("reading from the worker: {error}")));
                    }
                },
                () = sleep_until(check_at) => match self.watchdog.check(Instant::now()) {
                    Some(Alarm::Ping) => worker.tell(&Control::Ping { nonce: 0 }),
                    Some(Alarm::Hung(hang)) => return Watched::Failed(Some(hang.to_string())),
                    None => {}
                },
            }
        }
    }

    /// Takes all whole frames off the buffer and appends those that belong to the log to the feed, as few
    /// chunks as possible. Returns the terminal event if it is among them.
    fn publish(&mut self, buffer: &mut BytesMut) -> Result<Option<Box<Completed>>, String> {
        let unreadable = |error| format!("the worker sent what is no record: {error}");
        let mut whole = 0;
        // Finding a frame's end computes its checksum: once is enough.
        let mut lengths = Vec::new();
        while let Some(length) = frame_bytes(&buffer[whole..]).map_err(unreadable)? {
            whole += length;
            lengths.push(length);
        }
        let frames = buffer.split_to(whole).freeze();
        let mut run =
            Run { frames: &frames, start: 0, end: 0, last_seq: self.feed.position().last_seq };
        for length in lengths {
            let record =
                decode_frame(frames.slice(run.end..run.end + length)).map_err(unreadable)?;
            if let Body::Notice(notice) = record.body {
                run.append_to(&self.feed, false);
                run.end += length;
                run.start = run.end;
                self.on_notice(&notice)?;
                continue;
            }
            if record.seq != run.last_seq + 1 {
                return Err(format!("the worker sent event {} after {}", record.seq, run.last_seq));
            }
            run.last_seq = record.seq;
            run.end += length;
            if let Record { body: Body::Event(event), .. } = record {
                // What depends on an event happens when it can be seen, not before.
                let is_terminal = matches!(event, Event::Completed(_));
                if let Event::Completed(completed) = &event {
                    self.note_end(completed);
                }
                run.append_to(&self.feed, is_terminal);
                if let Some(completed) = self.on_event(event)? {
                    return Ok(Some(completed));
                }
            }
        }
        run.append_to(&self.feed, false);
        Ok(None)
    }

    fn on_event(&mut self, event: Event) -> Result<Option<Box<Completed>>, String> {
        match event {
            Event::Started(started) => {
                self.started = Some(started.clone());
                self.step(Input::Started)?;
                self.watchdog.started(Instant::now());
                tracing::info!(
                    task_id = self.facts.task_id,
                    label = self.label(),
                    pid = started.pid,
                    worker_pid = started.worker_pid,
                    containment = started.containment.as_str(),
                    "task started"
                );
                let (id, at_ms) = (self.facts.task_id.clone(), now_ms());
                let change = Change::TaskStarted { id, at_ms, started: started.clone() };
                self.shared.store.note(change);
                self.announce(Outcome::Started(started));
            }
            Event::Paused => {
                self.step(Input::Paused)?;
                self.watchdog.paused(Instant::now());
                answer(&mut self.pausing, Answer::Done);
            }
            Event::Resumed => {
                self.step(Input::Resumed)?;
                self.watchdog.resumed(Instant::now());
                answer(&mut self.resuming, Answer::Done);
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

    fn on_ending(&mut self, reason: EndReason) -> Result<(), String> {
        self.step(Input::Ending(reason))?;
        self.watchdog.ending(Instant::now());
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

    fn on_request(&mut self, request: Request, worker: &Worker) {
        let input = match &request {
            Request::Pause(_) => Input::Pause,
            Request::Resume(_) => Input::Resume,
            Request::Cancel(reason) => Input::Cancel(*reason),
            Request::Kill(reason) => Input::Kill(*reason),
        };
        let (state, effect) = transition(self.state, input);
        self.state = state;
        self.show_progress();
        match effect {
            Effect::TellPause => worker.tell(&Control::Pause),
            Effect::TellResume => worker.tell(&Control::Resume),
            Effect::TellCancel(reason) => {
                self.watchdog.ending(Instant::now());
                self.refuse_waiting();
                worker.tell(&Control::Cancel { reason });
            }
            Effect::TellKill(reason) => {
                self.watchdog.killing(Instant::now());
                self.refuse_waiting();
                worker.tell(&Control::Kill { reason });
            }
            Effect::None
            | Effect::AlreadySo
            | Effect::UnderWay
            | Effect::Refuse
            | Effect::Violation => {}
        }
        let (Request::Pause(sender) | Request::Resume(sender)) = request else { return };
        match (effect, input) {
            (Effect::AlreadySo, _) => answer(&mut vec![sender], Answer::Done),
            (Effect::TellPause | Effect::UnderWay, Input::Pause) => self.pausing.push(sender),
            (Effect::TellResume | Effect::UnderWay, _) => self.resuming.push(sender),
            _ => answer(&mut vec![sender], Answer::NotRunning),
        }
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
        self.progress.send_replace(Progress { state, pid });
    }

    fn label(&self) -> &str {
        self.facts.label.as_deref().unwrap_or_default()
    }

    fn refuse_waiting(&mut self) {
        answer(&mut self.pausing, Answer::NotRunning);
        answer(&mut self.resuming, Answer::NotRunning);
    }

    fn announce(&mut self, outcome: Outcome) {
        if let Some(announce) = self.announce.take() {
            // A session that has gone does not care.
            drop(announce.send(outcome));
        }
    }

    fn announce_end(&mut self, completed: &Completed) {
        if self.announce.is_some() {
            self.announce(Outcome::NotStarted(Box::new(completed.clone())));
        }
    }

    fn corpse(&self, failure: Failure, text: String) -> Corpse {
        Corpse {
            task_id: self.facts.task_id.clone(),
            leaf: self.leaf.clone(),
            feed: Arc::clone(&self.feed),
            started: self.started.clone(),
            duration: self.born.elapsed(),
            failure,
            text,
        }
    }

    fn note_end(&self, completed: &Completed) {
        // The first one counts; there is only one.
        self.ended.get_or_init(|| Ended { at_ms: now_ms(), completed: completed.clone() });
        let pid = self.started.as_ref().map(|started| started.pid);
        self.progress.send_replace(Progress { state: TaskState::Ended, pid });
    }

    /// The last thing: everything is published, the worker is reaped.
    async fn finish(mut self, completed: &Completed) {
        self.note_end(completed);
        self.announce_end(completed);
        self.shared.metrics.task_completed(completed.verdict);
        tracing::info!(
            task_id = self.facts.task_id,
            label = self.label(),
            pid = completed.pid,
            verdict = completed.verdict.as_str(),
            reason = completed.reason.as_str(),
            exit_code = completed.exit_code,
            duration_ms = completed.duration_ms,
            "task ended"
        );
        let position = self.feed.position();
        let ended = Change::TaskEnded {
            id: self.facts.task_id.clone(),
            at_ms: now_ms(),
            completed: Box::new(completed.clone()),
            last_seq: position.last_seq,
            log_bytes: position.end_offset,
            result: self.result.take(),
        };
        // Whoever asks after the task has left the registry finds its end in the database.
        self.shared.store.write(vec![ended]).await;
        self.shared.retention.task_ended(&self.facts.task_id, &self.feed);
        self.shared.registry.remove(&self.facts.task_id);
    }
}

/// Records of the log that follow each other without a notice between them.
struct Run<'a> {
    frames: &'a Bytes,
    start: usize,
    end: usize,
    last_seq: u64,
}

impl Run<'_> {
    fn append_to(&mut self, feed: &Feed, is_done: bool) {
        if self.start < self.end {
            feed.append(self.frames.slice(self.start..self.end), self.last_seq, is_done);
            self.start = self.end;
        }
    }
}

fn answer(waiting: &mut Vec<oneshot::Sender<Answer>>, with: Answer) {
    for sender in waiting.drain(..) {
        // A session that has stopped waiting does not care.
        sender.send(with).ok();
    }
}
