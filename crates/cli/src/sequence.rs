//! Runs tasks one after another on one session, and keeps what became of each.

use std::time::{Duration, Instant, SystemTime};

use cc_client::Received;
use cc_protocol::{
    Verdict,
    error::ErrorObject,
    execute::{Execute, Program},
    notification::{Notification, ProcessCompleted, TaskResult},
};

use crate::{
    exit_code,
    failure::Failure,
    follow::{self, Audience, CancelCause, NoEnd, Wish},
    interrupts::{Interrupt, Interrupts},
    private_supervisor::Urgency,
    progress::Progress,
    server::Server,
    text,
};

/// Longest title of a task without a label.
const TITLE_CHARS_LIMIT: usize = 100;

/// A task to run.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) execute: Execute,
}

impl Task {
    /// Named by its label, else by what it runs.
    pub(crate) fn new(number: usize, execute: Execute) -> Self {
        let title = match (&execute.label, &execute.program) {
            (Some(label), _) => text::one_line(label, TITLE_CHARS_LIMIT),
            (None, Program::Prompt(prompt)) => text::one_line(&prompt.prompt, TITLE_CHARS_LIMIT),
            (None, Program::Command { command }) => text::one_line(command, TITLE_CHARS_LIMIT),
            (None, Program::Argv { argv }) => {
                text::one_line(&shell_words::join(argv), TITLE_CHARS_LIMIT)
            }
        };
        Self { number, title, execute }
    }
}

/// What became of a task.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    pub(crate) title: String,
    /// `None` if it was never sent.
    pub(crate) attempt: Option<Attempt>,
    pub(crate) fate: Fate,
}

impl Row {
    fn of(task: &Task, attempt: Option<Attempt>, fate: Fate) -> Self {
        Self { number: task.number, title: task.title.clone(), attempt, fate }
    }

    /// Whether the API refused the task's credentials.
    pub(crate) fn is_refused_credentials(&self) -> bool {
        matches!(&self.fate, Fate::Ended(ended) if ended.completed.verdict == Verdict::Auth)
    }
}

/// When and how a task ran, as seen from here.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) begun_at: SystemTime,
    pub(crate) elapsed: Duration,
    /// API requests that the agent tried again.
    pub(crate) retries: u64,
}

/// See [`Row`].
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It ran to its terminal event.
    Ended(Box<Ended>),
    /// The server did not start it.
    Refused(ErrorObject),
    /// Its end was not waited for, or not heard of.
    Unknown,
    /// It was not its turn.
    NotRun,
}

/// A task that ran to its terminal event.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) completed: ProcessCompleted,
    pub(crate) result: Option<TaskResult>,
    /// From sending `execute` to receiving `process.completed`, less the task's own duration.
    pub(crate) overhead: Duration,
}

impl Row {
    /// Whether what was wanted was done.
    pub(crate) fn is_success(&self) -> bool {
        match &self.fate {
            Fate::Ended(ended) => ended.completed.verdict == Verdict::Succeeded,
            Fate::Refused(_) | Fate::Unknown | Fate::NotRun => false,
        }
    }

    /// The answers of a batch together may be more than memory should hold.
    fn forget_answer(&mut self) {
        if let Fate::Ended(ended) = &mut self.fate
            && let Some(result) = &mut ended.result
        {
            result.result = None;
        }
    }

    /// The word for how it ended.
    pub(crate) fn verdict(&self) -> &'static str {
        match &self.fate {
            Fate::Ended(ended) => ended.completed.verdict.as_str(),
            Fate::Refused(error) if is_spawn_failure(error) => Verdict::SpawnFailed.as_str(),
            Fate::Refused(_) => "refused",
            Fate::Unknown => "unknown",
            Fate::NotRun => "not run",
        }
    }
}

fn is_spawn_failure(error: &ErrorObject) -> bool {
    error.data.get("kind").is_some_and(|kind| kind == "spawn_failed")
}

/// How a sequence came to its end.
#[derive(Debug)]
pub(crate) struct SequenceEnd {
    /// One a task, in order.
    pub(crate) rows: Vec<Row>,
    /// Of every task that the server has named.
    pub(crate) task_ids: Vec<String>,
    /// What stopped it before its last task.
    pub(crate) stopped: Option<Stopped>,
    /// From the first task to the last end.
    pub(crate) elapsed: Duration,
}

/// Why a sequence did not come to its last task.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// By a signal; with a second one, without waiting for the running task.
    Interrupted(Interrupt, Urgency),
    /// A task did not succeed, and that was to be the end.
    FailedFast,
    /// The session is over.
    Broken(Failure),
}

impl SequenceEnd {
    /// How a private supervisor is to be ended.
    pub(crate) fn urgency(&self) -> Urgency {
        match &self.stopped {
            Some(Stopped::Interrupted(_, urgency)) => *urgency,
            Some(Stopped::FailedFast | Stopped::Broken(_)) | None => Urgency::Polite,
        }
    }

    /// Whether the terminal event of every started task has come.
    pub(crate) fn is_every_end_known(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.fate, Fate::Unknown))
    }

    /// The exit code, by what went wrong first of all.
    pub(crate) fn exit_code(&self, is_something_left: bool) -> u8 {
        match &self.stopped {
            Some(Stopped::Interrupted(interrupt, _)) => interrupt.exit_code(),
            Some(Stopped::Broken(failure)) => failure.exit_code,
            Some(Stopped::FailedFast) | None => {
                let failures = self
                    .rows
                    .iter()
                    .filter(|row| !row.is_success())
                    .filter(|row| !matches!(row.fate, Fate::NotRun));
                exit_code::of_batch(failures.count(), is_something_left)
            }
        }
    }
}

/// Runs the tasks. `on_row` is told of each end as it comes; the rows of the end have no answers.
pub(crate) async fn run(
    server: &mut Server,
    tasks: &[Task],
    is_fail_fast: bool,
    interrupts: &mut Interrupts,
    progress: &mut Progress,
    mut on_row: impl FnMut(&Task, &Row),
) -> SequenceEnd {
    let begun_at = Instant::now();
    let mut end = SequenceEnd {
        rows: Vec::with_capacity(tasks.len()),
        task_ids: Vec::with_capacity(tasks.len()),
        stopped: None,
        elapsed: Duration::ZERO,
    };
    for task in tasks {
        if end.stopped.is_some() {
            end.rows.push(Row::of(task, None, Fate::NotRun));
            continue;
        }
        progress.begin(&task.title);
        let mut listener = Listener { progress: &mut *progress, retries: 0 };
        let (begun_at, sent_at) = (SystemTime::now(), Instant::now());
        let outcome =
            follow::run(&mut server.session, &task.execute, interrupts, &mut listener, |task_id| {
                end.task_ids.push(task_id)
            })
            .await;
        let retries = listener.retries;
        let attempt = Attempt { begun_at, elapsed: sent_at.elapsed(), retries };
        let (fate, stopped) = judge(outcome);
        end.stopped = stopped;
        if let Fate::Refused(error) = &fate
            && let Some(task_id) = error.data.get("task_id").and_then(|task_id| task_id.as_str())
        {
            end.task_ids.push(task_id.to_owned());
        }
        let mut row = Row::of(task, Some(attempt), fate);
        if is_fail_fast && !row.is_success() && end.stopped.is_none() {
            end.stopped = Some(Stopped::FailedFast);
        }
        progress.end(&row);
        on_row(task, &row);
        row.forget_answer();
        end.rows.push(row);
    }
    progress.finish();
    end.elapsed = begun_at.elapsed();
    end
}

fn judge(outcome: Result<follow::End, NoEnd>) -> (Fate, Option<Stopped>) {
    match outcome {
        Ok(follow::End { completed, result, cancel_cause, round_trip }) => {
            // Finer than `duration_ms`, which may be as long as the overhead itself.
            let duration = Duration::try_from_secs_f64(completed.execution_time);
            let overhead = round_trip.saturating_sub(duration.unwrap_or_default());
            let stopped = match cancel_cause {
                Some(CancelCause::Interrupt(interrupt)) => {
                    Some(Stopped::Interrupted(interrupt, Urgency::Polite))
                }
                Some(CancelCause::NobodyReads) | None => None,
            };
            let result = result.map(|result| *result);
            (Fate::Ended(Box::new(Ended { completed: *completed, result, overhead })), stopped)
        }
        Err(NoEnd::GivenUp(interrupt) | NoEnd::Left(CancelCause::Interrupt(interrupt))) => {
            (Fate::Unknown, Some(Stopped::Interrupted(interrupt, Urgency::AtOnce)))
        }
        Err(NoEnd::Left(CancelCause::NobodyReads) | NoEnd::HeardEnough | NoEnd::Unreadable) => {
            (Fate::Unknown, None)
        }
        Err(NoEnd::Client(cc_client::Error::Server(error))) => (Fate::Refused(error), None),
        Err(NoEnd::Client(error)) => (Fate::Unknown, Some(Stopped::Broken(error.into()))),
    }
}

/// Shows what happens as progress; there is nothing to wait for.
struct Listener<'a> {
    progress: &'a mut Progress,
    retries: u64,
}

impl Audience for Listener<'_> {
    fn hear(&mut self, received: &Received) {
        if matches!(received.notification, Notification::TaskRetrying(_)) {
            self.retries += 1;
        }
        self.progress.hear(&received.notification);
    }

    fn note(&mut self, line: &str) {
        self.progress.note(line);
    }

    fn has_unwritten(&self) -> bool {
        false
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn write(&mut self) -> Wish {
        Wish::GoOn
    }
}
