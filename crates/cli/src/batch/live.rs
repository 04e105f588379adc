//! Follows a batch to its end on a session that may lose its connections.
//!
//! ```text
//!   attached ──rows of what was before──▶ live ──batch.completed──▶ over
//!      ▲                                   │ ├──signal: detach──▶ left running
//!      └───────────connection lost─────────┘ └──signal: cancel──▶ live, and a second one gives up
//! ```
//! The supervisor runs the batch; here it is only looked at, recorded and, if somebody wants it, ended. Each
//! task that has its verdict is recorded once, whatever was lost on the way: after every attach all rows
//! are asked for.

use std::collections::{BTreeMap, HashMap};

use cc_client::{BatchAnswer, BatchRequest, Error, Session, SessionEvent};
use cc_protocol::{
    batch::{BatchRow, BatchRows, BatchState, BatchSummary, ROWS_LIMIT, RowState},
    error::{ErrorCode, ErrorObject},
    notification::Notification,
};
use tokio::time::{self, MissedTickBehavior};

use super::{
    question::{Choice, Question},
    status::{self, REFRESH_INTERVAL},
};
use crate::{
    failure::Failure,
    follow::loss_cause,
    interrupts::{Interrupt, Interrupts},
    progress::{Progress, digest},
    reports::Task,
};

/// Whose batch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Of a supervisor that ends with this command.
    Private,
    /// This command has started it at a supervisor that stays.
    Started,
    /// It was there before.
    Viewed,
}

/// Why it was not followed to its end, or what ended it.
#[derive(Debug)]
pub(super) enum Stop {
    /// A signal has ended it, and its end was waited for.
    Canceled(Interrupt),
    /// A second signal: nobody wants to wait.
    GivenUp(Interrupt),
    /// It was left running.
    Detached(Interrupt),
    /// The session is over.
    Broken(Failure),
}

/// A batch as it was seen last.
#[derive(Debug)]
pub(super) struct Seen {
    /// None where not even the attach was answered.
    pub(super) summary: Option<BatchSummary>,
    /// By index; answers are cut away.
    pub(super) rows: BTreeMap<u64, BatchRow>,
    pub(super) stop: Option<Stop>,
}

/// Who is told of each task that has its verdict or will never have one, once.
pub(super) trait Recorder {
    /// It has its verdict.
    fn ended(&mut self, task: &Task, row: &BatchRow);
    /// It will not run.
    fn skipped(&mut self, task: &Task, why: &str);
    /// How the batch stands now.
    fn stands(&mut self, batch: &BatchSummary);
}

/// See the module.
pub(super) struct Live<'a, R> {
    pub(super) hold: Hold,
    pub(super) batch_id: &'a str,
    /// By index.
    pub(super) tasks: &'a [Task],
    pub(super) shows_output: bool,
    pub(super) progress: &'a mut Progress,
    pub(super) recorder: &'a mut R,
    pub(super) seen: Seen,
    /// Tasks whose output is or was shown, by their ids: the batch may still count one as running whose
    /// end has come, and it must not be shown again.
    pub(super) shown: HashMap<String, String>,
    pub(super) question: Question,
    pub(super) canceling: Option<Interrupt>,
    /// The last word of the batch has come, and only rows are missing.
    pub(super) is_over: bool,
}

/// What an event leads to.
enum Next {
    GoOn,
    Ask(BatchRequest),
    Over,
}

impl<'a, R: Recorder> Live<'a, R> {
    pub(super) fn new(
        hold: Hold,
        batch_id: &'a str,
        tasks: &'a [Task],
        shows_output: bool,
        progress: &'a mut Progress,
        recorder: &'a mut R,
    ) -> Self {
        Self {
            hold,
            batch_id,
            tasks,
            shows_output,
            progress,
            recorder,
            seen: Seen { summary: None, rows: BTreeMap::new(), stop: None },
            shown: HashMap::new(),
            question: Question::default(),
            canceling: None,
            is_over: false,
        }
    }

    /// Follows it to its end, or to where this end stops.
    pub(super) async fn follow(
        mut self,
        session: &mut Session,
        interrupts: &mut Interrupts,
    ) -> Seen {
        let stop = match self.run_on(session, interrupts).await {
            Ok(()) => self.canceling.map(Stop::Canceled),
            Err(stop) => Some(stop),
        };
        self.progress.finish();
        self.seen.stop = stop;
        self.seen
    }

    async fn run_on(
        &mut self,
        session: &mut Session,
        interrupts: &mut Interrupts,
    ) -> Result<(), Stop> {
        let broken = |error: Error| Stop::Broken(error.into());
        let attach = BatchRequest::Attach(self.batch_id.to_owned());
        session.ask_batch(attach).await.map_err(broken)?;
        let mut refresh = time::interval(REFRESH_INTERVAL);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                biased;
                interrupt = interrupts.next() => self.interrupted(interrupt)?,
                choice = self.question.answer() => self.chosen(choice)?,
                event = session.next_event() => {
                    self.hear(event.map_err(broken)?).map_err(Stop::Broken)?
                }
                _ = refresh.tick() => {
                    self.show();
                    Next::GoOn
                }
            };
            match next {
                Next::GoOn => {}
                Next::Ask(request) => drop(session.ask_batch(request).await.map_err(broken)?),
                Next::Over => return Ok(()),
            }
            self.attach_to_output(session).await.map_err(broken)?;
        }
    }

    fn hear(&mut self, event: SessionEvent) -> Result<Next, Failure> {
        match event {
            SessionEvent::Batch { outcome, .. } => self.answered(outcome),
            SessionEvent::Notification(received) => Ok(self.told(received.notification)),
            SessionEvent::Reconnecting { attempt, error, delay: _ } => {
                if attempt == 1 {
                    let cause = loss_cause(&error);
                    self.progress.note(&format!("ccx: connection lost ({cause}); reconnecting…"));
                }
                Ok(Next::GoOn)
            }
            SessionEvent::Reconnected => {
                self.progress.note("ccx: reconnected, nothing was lost");
                Ok(Next::GoOn)
            }
            // Of tasks whose output would have been shown, or that this session did not ask for.
            SessionEvent::AttachRefused { .. }
            | SessionEvent::Started(_)
            | SessionEvent::NotStarted(_)
            | SessionEvent::Controlled { .. } => Ok(Next::GoOn),
        }
    }

    fn answered(&mut self, outcome: Result<BatchAnswer, ErrorObject>) -> Result<Next, Failure> {
        match outcome {
            Ok(BatchAnswer::Attached(summary)) => {
                self.stands(*summary);
                Ok(Next::Ask(self.rows_after(None)))
            }
            Ok(BatchAnswer::Rows(page)) => {
                let last = page.rows.last().map(|row| row.index);
                self.take(page.rows);
                if page.has_more && last.is_some() {
                    return Ok(Next::Ask(self.rows_after(last)));
                }
                Ok(if self.is_over { Next::Over } else { Next::GoOn })
            }
            Ok(BatchAnswer::Canceled | BatchAnswer::Submitted(_)) => Ok(Next::GoOn),
            // The end was under way when it was asked for.
            Err(error) if error.code == ErrorCode::NoProcess.code() => Ok(Next::GoOn),
            Err(error) => Err(Failure::own(error.message)),
        }
    }

    fn told(&mut self, notification: Notification<'static>) -> Next {
        match notification {
            Notification::BatchProgress(progress) => {
                self.take(progress.rows);
                self.stands(progress.batch);
                Next::GoOn
            }
            Notification::BatchCompleted(completed) => {
                self.take(completed.rows);
                self.stands(completed.batch);
                self.is_over = true;
                if completed.rows_omitted { Next::Ask(self.rows_after(None)) } else { Next::Over }
            }
            Notification::Output(output) => {
                if let Some(title) = self.shown.get(&output.position.task_id)
                    && let Some(line) = digest(&output.data)
                {
                    self.progress.output(title, &line);
                }
                Next::GoOn
            }
            Notification::Connected(_)
            | Notification::Started(_)
            | Notification::Completed(_)
            | Notification::OutputBatch(_)
            | Notification::Paused(_)
            | Notification::Resumed(_)
            | Notification::Canceled(_)
            | Notification::Error(_)
            | Notification::RateLimited(_)
            | Notification::TokenLimited(_)
            | Notification::OutputDropped(_)
            | Notification::TaskResult(_)
            | Notification::TaskRetrying(_) => Next::GoOn,
        }
    }

    fn rows_after(&self, after_index: Option<u64>) -> BatchRequest {
        let batch_id = self.batch_id.to_owned();
        BatchRequest::Rows(BatchRows { batch_id, after_index, limit: ROWS_LIMIT })
    }

    fn take(&mut self, rows: Vec<BatchRow>) {
        for mut row in rows {
            let before = self.seen.rows.get(&row.index).map(|row| row.state);
            // Each is recorded once; what comes late about it is old.
            if matches!(before, Some(RowState::Over | RowState::Skipped)) {
                continue;
            }
            let index = usize::try_from(row.index).unwrap_or(usize::MAX);
            if let Some(task) = self.tasks.get(index) {
                match row.state {
                    RowState::Over => {
                        self.recorder.ended(task, &row);
                        self.progress.end(&super::row::shown(task, Some(&row)));
                    }
                    RowState::Skipped => {
                        self.recorder.skipped(task, row.why.as_deref().unwrap_or_default());
                    }
                    RowState::Retrying if before != Some(RowState::Retrying) => {
                        self.progress.note(&status::retry_line(task, &row));
                    }
                    RowState::Waiting | RowState::Running | RowState::Retrying => {}
                }
            }
            // The answers of a batch together may be more than memory should hold.
            row.result = None;
            self.seen.rows.insert(row.index, row);
        }
    }

    fn stands(&mut self, summary: BatchSummary) {
        self.recorder.stands(&summary);
        let waited = self.seen.summary.as_ref().and_then(|before| before.waits.as_ref());
        if let Some(wait) = &summary.waits
            && waited.map(|wait| wait.until_ms) != Some(wait.until_ms)
        {
            self.progress.line(&status::wait_line(wait));
        }
        self.seen.summary = Some(summary);
        self.show();
    }

    fn show(&self) {
        let Some(summary) = &self.seen.summary else { return };
        let status = status::of(summary, &self.seen.rows, self.tasks, status::now_ms());
        self.progress.show(&status.counts, &status.doing);
    }

    /// Follows what runs, where that is wanted.
    async fn attach_to_output(&mut self, session: &mut Session) -> Result<(), Error> {
        let Some(summary) = self.seen.summary.as_ref().filter(|_| self.shows_output) else {
            return Ok(());
        };
        for running in &summary.running {
            if self.shown.contains_key(&running.task_id) || summary.state == BatchState::Over {
                continue;
            }
            let index = usize::try_from(running.index).unwrap_or(usize::MAX);
            let title = self.tasks.get(index).map(|task| task.title.clone()).unwrap_or_default();
            self.shown.insert(running.task_id.clone(), title);
            session.attach(&running.task_id, 0).await?;
        }
        Ok(())
    }

    fn interrupted(&mut self, interrupt: Interrupt) -> Result<Next, Stop> {
        if self.canceling.is_some() {
            return Err(Stop::GivenUp(interrupt));
        }
        match self.hold {
            Hold::Viewed => Err(Stop::Detached(interrupt)),
            Hold::Private => {
                self.progress.note("ccx: cancelling; Ctrl-C again does not wait");
                Ok(self.cancel(interrupt))
            }
            // The terminal is gone, and nobody has said that the batch should be.
            Hold::Started if interrupt == Interrupt::HangUp => Err(Stop::Detached(interrupt)),
            Hold::Started if interrupt == Interrupt::CtrlC && self.question.ask() => {
                self.progress.note(
                    "ccx: the batch runs in the supervisor. [d]etach and leave it running, [c]ancel it, or Enter to go on?",
                );
                Ok(Next::GoOn)
            }
            Hold::Started => {
                self.progress.note(&format!(
                    "ccx: cancelling batch {}; Ctrl-C again does not wait",
                    self.batch_id
                ));
                Ok(self.cancel(interrupt))
            }
        }
    }

    fn chosen(&mut self, choice: Choice) -> Result<Next, Stop> {
        match choice {
            Choice::GoOn => Ok(Next::GoOn),
            Choice::Detach => Err(Stop::Detached(Interrupt::CtrlC)),
            Choice::Cancel => Ok(self.cancel(Interrupt::CtrlC)),
        }
    }

    fn cancel(&mut self, interrupt: Interrupt) -> Next {
        self.canceling = Some(interrupt);
        Next::Ask(BatchRequest::Cancel(self.batch_id.to_owned()))
    }
}

#[cfg(test)]
mod tests;
