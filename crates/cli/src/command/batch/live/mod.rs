//! Follows a batch to its end on a session that may lose its connections.
//!
//! ```text
//!   attached ──rows of what was before──▶ live ──batch.completed──▶ over
//!      ▲                                   │ ├──signal: detach──▶ left running
//!      └───────────connection lost─────────┘ └──signal: cancel──▶ live, and a second one gives up
//! ```
//! The supervisor runs the batch; here it is shown, recorded and, on request, canceled. Each task that has its
//! verdict is recorded once, whatever was lost on the way: after every attach all rows are requested. Where whole
//! results are needed, a result that is truncated in its row is fetched before the task is recorded, and the tasks
//! that ended after it wait.

mod interrupted;

use std::collections::{BTreeMap, HashMap};

use cc_client::{BatchAnswer, BatchRequest, Error, Session, SessionEvent};
use cc_protocol::{
    batch::{BatchRow, BatchRows, BatchState, BatchSummary, BatchTask, ROWS_LIMIT, RowState},
    error::{ErrorCode, ErrorObject},
    notification::Notification,
};
use tokio::time::{self, MissedTickBehavior};

use super::{
    interrupt_prompt::InterruptPrompt,
    pending_output::PendingRows,
    status::{self, REFRESH_INTERVAL},
};
use crate::{
    connect::interrupts::{Interrupt, Interrupts},
    display::{agent_line::digest, batch_row, progress::Progress, task::Task, text},
    error::CommandError,
    follow::loss_cause,
};

/// How this command relates to the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Ownership {
    /// Its supervisor ends with this command.
    Private,
    /// This command submitted it to a supervisor that outlives the command.
    Started,
    /// It was submitted by another command.
    Viewed,
}

/// Why it was not followed to its end, or what ended it.
#[derive(Debug)]
pub(in crate::command) enum Stop {
    /// A signal canceled it, and it ended.
    Canceled(Interrupt),
    GivenUp(Interrupt),
    /// It was left running.
    Detached(Interrupt),
    /// The session is over.
    Broken(CommandError),
}

/// The last known state of the batch.
#[derive(Debug)]
pub(in crate::command) struct Seen {
    /// `None` if the attach was not answered.
    pub(super) summary: Option<BatchSummary>,
    /// By index, without the answers.
    pub(in crate::command) rows: BTreeMap<u64, BatchRow>,
    pub(super) stop: Option<Stop>,
}

/// Records each task once, when it has its verdict or is skipped.
pub(in crate::command) trait Recorder {
    /// Whether [`Recorder::ended`] needs whole results, which may be longer than a row has them.
    fn wants_whole_results(&self) -> bool;
    /// It has its verdict.
    fn ended(&mut self, task: &Task, row: &BatchRow);
    /// It will not run.
    fn skipped(&mut self, task: &Task, why: &str);
    /// The state of the batch.
    fn stands(&mut self, batch: &BatchSummary);
}

pub(super) struct Live<'a, R> {
    pub(super) ownership: Ownership,
    pub(super) batch_id: &'a str,
    pub(super) tasks: &'a [Task],
    pub(super) shows_output: bool,
    pub(super) progress: &'a mut Progress,
    pub(super) recorder: &'a mut R,
    pub(super) seen: Seen,
    /// Titles of tasks whose output is or was shown, by task id: the batch may still count a task as running whose
    /// output has been shown to its end.
    pub(super) shown: HashMap<String, String>,
    pub(super) prompt: InterruptPrompt,
    pub(super) canceling: Option<Interrupt>,
    /// Address of a private supervisor, until it was printed.
    pub(super) private_url: Option<String>,
    /// Rows of tasks that are to be recorded.
    pending: PendingRows,
    /// The next page of rows to request.
    page: Page,
    /// `batch.completed` has come; only rows and results may be missing.
    pub(super) is_over: bool,
}

/// A page of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    NotNeeded,
    /// The page after this task is to be requested.
    Needed(Option<u64>),
    /// The answer to this request is on its way.
    Asked(u64),
}

/// What follows from an event.
enum Next {
    Continue,
    Ask(BatchRequest),
}

impl<'a, R: Recorder> Live<'a, R> {
    pub(super) fn new(
        ownership: Ownership,
        batch_id: &'a str,
        tasks: &'a [Task],
        shows_output: bool,
        progress: &'a mut Progress,
        recorder: &'a mut R,
    ) -> Self {
        Self {
            ownership,
            batch_id,
            tasks,
            shows_output,
            progress,
            recorder,
            seen: Seen { summary: None, rows: BTreeMap::new(), stop: None },
            shown: HashMap::new(),
            prompt: InterruptPrompt::default(),
            canceling: None,
            private_url: None,
            pending: PendingRows::default(),
            page: Page::NotNeeded,
            is_over: false,
        }
    }

    /// Follows the batch to its end, or to where this command leaves it.
    pub(super) async fn follow(
        mut self,
        session: &mut Session,
        interrupts: &mut Interrupts,
    ) -> Seen {
        let stop = match self.run_on(session, interrupts).await {
            Ok(()) => self.canceling.map(Stop::Canceled),
            Err(stop) => Some(stop),
        };
        // Where the batch is left or lost, a truncated result is better than no record of its task.
        while let Some(row) = self.pending.give_up() {
            self.record(&row);
        }
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
                choice = self.prompt.answer() => self.chosen(choice)?,
                event = session.next_event() => {
                    self.hear(event.map_err(broken)?).map_err(Stop::Broken)?;
                    Next::Continue
                }
                _ = refresh.tick() => {
                    self.show();
                    Next::Continue
                }
            };
            match next {
                Next::Continue => {}
                Next::Ask(request) => drop(session.ask_batch(request).await.map_err(broken)?),
            }
            if self.record_and_ask(session).await.map_err(broken)? {
                return Ok(());
            }
            self.attach_to_output(session).await.map_err(broken)?;
        }
    }

    /// Records the rows that do not wait, and requests what is missing. True: the batch is over and nothing is missing.
    async fn record_and_ask(&mut self, session: &mut Session) -> Result<bool, Error> {
        while let Some(row) = self.pending.ready() {
            self.record(&row);
        }
        if let Some(index) = self.pending.wanted() {
            let task = BatchTask { batch_id: self.batch_id.to_owned(), index };
            self.pending.asked(session.ask_batch(BatchRequest::Result(task)).await?);
        }
        // Only then, so that at most one page of answers is in memory.
        if !self.pending.is_empty() {
            return Ok(false);
        }
        if let Page::Needed(after_index) = self.page {
            let batch_id = self.batch_id.to_owned();
            let rows = BatchRows { batch_id, after_index, limit: ROWS_LIMIT };
            self.page = Page::Asked(session.ask_batch(BatchRequest::Rows(rows)).await?);
        }
        Ok(self.is_over && self.page == Page::NotNeeded)
    }

    fn hear(&mut self, event: SessionEvent) -> Result<(), CommandError> {
        match event {
            SessionEvent::Batch { id, outcome } => self.answered(id, outcome)?,
            SessionEvent::Notification(received) => self.told(received.notification),
            SessionEvent::Reconnecting { attempt, error, delay: _ } => {
                if attempt == 1 {
                    let cause = loss_cause(&error);
                    self.progress.note(&format!("ccx: connection lost ({cause}); reconnecting…"));
                }
            }
            SessionEvent::Reconnected => {
                self.progress.note("ccx: reconnected, nothing was lost");
            }
            // A task whose output would have been shown, or answers to requests that this session does not send.
            SessionEvent::AttachRefused { .. }
            | SessionEvent::Started(_)
            | SessionEvent::NotStarted(_)
            | SessionEvent::Controlled { .. } => {}
        }
        Ok(())
    }

    fn answered(
        &mut self,
        id: u64,
        outcome: Result<BatchAnswer, ErrorObject>,
    ) -> Result<(), CommandError> {
        if self.pending.is_answer(id) {
            let whole = match outcome {
                Ok(BatchAnswer::Result(whole)) => Some(whole),
                // The truncated result is used: the batch may be gone, or the supervisor may be older.
                Ok(_) | Err(_) => None,
            };
            self.pending.answered(whole);
            return Ok(());
        }
        match outcome {
            Ok(BatchAnswer::Attached(summary)) => {
                self.stands(*summary);
                self.page = Page::Needed(None);
            }
            // All rows of a page that was requested on an earlier connection come in a later page.
            Ok(BatchAnswer::Rows(page)) => {
                let last = page.rows.last().map(|row| row.index);
                self.take(page.rows);
                if self.page == Page::Asked(id) {
                    let is_more = page.has_more && last.is_some();
                    self.page = if is_more { Page::Needed(last) } else { Page::NotNeeded };
                }
            }
            Ok(BatchAnswer::Result(_) | BatchAnswer::Canceled | BatchAnswer::Submitted(_)) => {}
            // The batch ended before the cancel arrived.
            Err(error) if error.code == ErrorCode::NoProcess.code() => {}
            Err(error) => return Err(CommandError::failed(error.message)),
        }
        Ok(())
    }

    fn told(&mut self, notification: Notification<'static>) {
        match notification {
            Notification::BatchProgress(progress) => {
                self.take(progress.rows);
                self.stands(progress.batch);
            }
            Notification::BatchCompleted(completed) => {
                self.take(completed.rows);
                self.stands(completed.batch);
                self.is_over = true;
                self.page =
                    if completed.rows_omitted { Page::Needed(None) } else { Page::NotNeeded };
            }
            Notification::Output(output) => {
                if let Some(title) = self.shown.get(&output.position.task_id)
                    && let Some(line) = digest(&output.data)
                {
                    self.progress.output(title, &line);
                }
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
            | Notification::TaskRetrying(_)
            | Notification::Alert(_) => {}
        }
    }

    fn take(&mut self, rows: Vec<BatchRow>) {
        for row in rows {
            let before = self.seen.rows.get(&row.index).map(|row| row.state);
            // Each is recorded once.
            if matches!(before, Some(RowState::Over | RowState::Skipped)) {
                continue;
            }
            self.seen.rows.insert(row.index, batch_row::slim(&row));
            match row.state {
                RowState::Over | RowState::Skipped => {
                    let is_cut = row.state == RowState::Over && row.result_truncated;
                    self.pending.push(row, is_cut && self.recorder.wants_whole_results());
                }
                RowState::Retrying if before != Some(RowState::Retrying) => {
                    if let Some(task) = self.task(row.index) {
                        self.progress.note(&status::retry_line(task, &row));
                    }
                }
                RowState::Waiting | RowState::Running | RowState::Retrying => {}
            }
        }
    }

    fn record(&mut self, row: &BatchRow) {
        let Some(task) = self.task(row.index) else { return };
        if row.state == RowState::Skipped {
            return self.recorder.skipped(task, row.why.as_deref().unwrap_or_default());
        }
        self.recorder.ended(task, row);
        self.progress.end(&batch_row::shown(task, Some(row)));
    }

    fn task(&self, index: u64) -> Option<&'a Task> {
        self.tasks.get(usize::try_from(index).ok()?)
    }

    fn stands(&mut self, summary: BatchSummary) {
        self.recorder.stands(&summary);
        let waited = self.seen.summary.as_ref().and_then(|before| before.waits.as_ref());
        if let Some(wait) = &summary.waits
            && waited.map(|wait| wait.until_ms) != Some(wait.until_ms)
        {
            self.progress.line(&status::wait_line(wait));
            if let Some(url) = self.private_url.take() {
                let hint =
                    format!("ccx: should it be over before: ccx gate open --all --url {url}");
                self.progress.line(&hint);
            }
        }
        self.seen.summary = Some(summary);
        self.show();
    }

    fn show(&self) {
        let Some(summary) = &self.seen.summary else { return };
        let status = status::of(summary, &self.seen.rows, self.tasks, text::now_ms());
        self.progress.show(&status.counts, &status.doing);
    }

    /// Attaches to the running tasks, if their output is shown.
    async fn attach_to_output(&mut self, session: &mut Session) -> Result<(), Error> {
        let Some(summary) = self.seen.summary.as_ref().filter(|_| self.shows_output) else {
            return Ok(());
        };
        for running in &summary.running {
            if self.shown.contains_key(&running.task_id) || summary.state == BatchState::Over {
                continue;
            }
            let title = self.task(running.index).map(|task| task.title.clone()).unwrap_or_default();
            self.shown.insert(running.task_id.clone(), title);
            session.attach(&running.task_id, 0).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
