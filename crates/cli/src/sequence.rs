//! Runs tasks one after another on one session, and keeps what became of each: `ccx demo`. A batch is run by
//! its supervisor.

use std::time::{Duration, Instant};

use cc_client::Received;
use cc_protocol::{
    Verdict,
    execute::{Execute, Program},
    notification::Notification,
};

use crate::{
    conclusion::End,
    failure::Failure,
    follow::{self, Audience, CancelCause, NoEnd, Wish},
    interrupts::{Interrupt, Interrupts},
    private_supervisor::Urgency,
    progress::Progress,
    reports::{Tokens, Totals},
    row::{Fate, Row},
    server::Server,
    text,
};

/// Longest title of a task without a label.
const TITLE_CHARS_LIMIT: usize = 100;

/// A task to run.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// Place in the list, from 1.
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

/// How a sequence came to its end.
#[derive(Debug)]
pub(crate) struct SequenceEnd {
    pub(crate) end: End,
    /// The exit code, where something else than its tasks ended it.
    pub(crate) exit_code: Option<u8>,
}

/// Why a sequence did not come to its last task.
#[derive(Debug)]
enum Stopped {
    /// By a signal; with a second one, without waiting for the running task.
    Interrupted(Interrupt, Urgency),
    /// The session is over.
    Broken(Failure),
}

/// Runs the tasks.
pub(crate) async fn run(
    server: &mut Server,
    tasks: &[Task],
    interrupts: &mut Interrupts,
    progress: &mut Progress,
) -> SequenceEnd {
    let begun_at = Instant::now();
    let mut rows: Vec<Row> = Vec::with_capacity(tasks.len());
    let mut task_ids = Vec::with_capacity(tasks.len());
    let mut stopped: Option<Stopped> = None;
    for task in tasks {
        if stopped.is_some() {
            rows.push(task.row(Fate::NotRun));
            continue;
        }
        progress.begin(&task.title);
        let mut listener = Listener { progress: &mut *progress, retries: 0 };
        let outcome =
            follow::run(&mut server.session, &task.execute, interrupts, &mut listener, |task_id| {
                task_ids.push(task_id)
            })
            .await;
        let retries = listener.retries;
        let (row, stop) = task.judge(outcome, &mut task_ids);
        stopped = stop;
        let row = Row { retries, ..row };
        progress.end(&row);
        rows.push(row);
    }
    progress.finish();
    let (words, exit_code, urgency) = match stopped {
        Some(Stopped::Interrupted(interrupt, urgency)) => {
            (Some("interrupted".to_owned()), Some(interrupt.exit_code()), urgency)
        }
        Some(Stopped::Broken(failure)) => {
            (Some(failure.to_string()), Some(failure.exit_code), Urgency::Polite)
        }
        None => (None, None, Urgency::Polite),
    };
    let end = End {
        totals: Totals::of(&rows),
        is_every_end_known: !rows.iter().any(|row| row.fate == Fate::Unknown),
        rows,
        task_ids,
        stopped: words,
        elapsed: begun_at.elapsed(),
        urgency,
    };
    SequenceEnd { end, exit_code }
}

impl Task {
    fn row(&self, fate: Fate) -> Row {
        let verdict = match fate {
            Fate::Succeeded => Verdict::Succeeded.as_str(),
            Fate::Failed => "refused",
            Fate::Unknown => "unknown",
            Fate::NotRun => "not run",
        };
        Row { number: self.number, title: self.title.clone(), verdict, fate, ..Row::default() }
    }

    fn judge(
        &self,
        outcome: Result<follow::End, NoEnd>,
        task_ids: &mut Vec<String>,
    ) -> (Row, Option<Stopped>) {
        match outcome {
            Ok(end) => {
                let stopped = match end.cancel_cause {
                    Some(CancelCause::Interrupt(interrupt)) => {
                        Some(Stopped::Interrupted(interrupt, Urgency::Polite))
                    }
                    Some(CancelCause::NobodyReads) | None => None,
                };
                (self.ended(&end), stopped)
            }
            Err(NoEnd::GivenUp(interrupt) | NoEnd::Left(CancelCause::Interrupt(interrupt))) => {
                let stopped = Stopped::Interrupted(interrupt, Urgency::AtOnce);
                (self.row(Fate::Unknown), Some(stopped))
            }
            Err(NoEnd::Left(CancelCause::NobodyReads) | NoEnd::HeardEnough | NoEnd::Unreadable) => {
                (self.row(Fate::Unknown), None)
            }
            Err(NoEnd::Client(cc_client::Error::Server(error))) => {
                let task_id = error.data.get("task_id").and_then(|task_id| task_id.as_str());
                task_ids.extend(task_id.map(str::to_owned));
                let remark = Some(error.message);
                (Row { remark, ..self.row(Fate::Failed) }, None)
            }
            Err(NoEnd::Client(error)) => {
                (self.row(Fate::Unknown), Some(Stopped::Broken(error.into())))
            }
        }
    }

    fn ended(&self, end: &follow::End) -> Row {
        let completed = &end.completed;
        // Finer than `duration_ms`, which may be as long as the overhead itself.
        let duration = Duration::try_from_secs_f64(completed.execution_time).unwrap_or_default();
        let usage = end.result.as_ref().and_then(|result| result.claude.usage.as_ref());
        let cost_usd = end.result.as_ref().and_then(|result| result.claude.total_cost_usd);
        let is_success = completed.verdict == Verdict::Succeeded;
        Row {
            verdict: completed.verdict.as_str(),
            exit_code: Some(completed.exit_code),
            duration: Some(Duration::from_millis(completed.duration_ms)),
            output: Some(completed.output),
            killed_leftovers: Some(completed.killed_leftovers),
            attempts: 1,
            cost_usd: cost_usd.unwrap_or(0.0),
            unknown_costs: u64::from(end.result.is_some() && cost_usd.is_none()),
            tokens: usage.map(Tokens::of).unwrap_or_default(),
            overhead: Some(end.round_trip.saturating_sub(duration)),
            reason: Some(completed.reason),
            ..self.row(if is_success { Fate::Succeeded } else { Fate::Failed })
        }
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
