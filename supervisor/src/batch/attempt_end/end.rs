//! How an attempt, or a hook, ended.

use cc_batch::{
    Scope,
    retry::{AttemptEnd, Class, Never},
};
use cc_events::{
    ClaudeResult, Completed, EndReason, SpawnFailureKind, Verdict, Warning, WarningKind,
};

use crate::{
    batch::{
        attempt_end::words::shortened,
        money::{Bill, Sums},
    },
    config::limits,
};

/// Exit statuses of a shell and env(1) for a program that cannot be executed or was not found.
const CANNOT_EXECUTE: [i32; 2] = [126, 127];
/// Node.js prints this if its script, or a part of it, was not found.
const MODULE_GONE: &str = "MODULE_NOT_FOUND";

#[derive(Clone, Debug)]
pub(crate) struct JobEnd {
    /// The part that the state machine judges by.
    pub(crate) attempt: AttemptEnd,
    pub(crate) at_ms: u64,
    /// The terminal event; `None` if there is none and never will be.
    pub(crate) completed: Option<Completed>,
    /// The last result line of a Claude task.
    pub(crate) result: Option<Box<ClaudeResult>>,
    /// The result, which other tasks may refer to: a Claude task's answer, else standard output without its last
    /// newline.
    pub(crate) text: Option<String>,
    pub(crate) text_truncated: bool,
    /// What went wrong, for people.
    pub(crate) error: Option<String>,
    /// The text of the limit that was met.
    pub(crate) limit: Option<String>,
    pub(crate) stdout_tail: Option<String>,
    pub(crate) stderr_tail: Option<String>,
    /// Known also for a Claude task that was ended before its result.
    pub(crate) claude_session_id: Option<String>,
    /// The models that the limit concerns.
    pub(crate) limit_scope: Scope,
    /// An obstacle for every task of the account, or of the model.
    pub(crate) dead_end: Option<cc_claude::DeadEnd>,
    /// `None` until the cost is computed.
    pub(crate) bill: Option<Bill>,
}

impl JobEnd {
    #[must_use]
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.completed.as_ref().map_or(&[], |completed| &completed.warnings)
    }

    /// What the start lacked. An agent's program may be a script that starts another program; if that cannot be
    /// executed, only the exit status of the shell or env(1) says so.
    #[must_use]
    pub(crate) fn lacking(&self) -> Option<SpawnFailureKind> {
        let completed = self.completed.as_ref()?;
        completed.spawn_failure.or_else(|| {
            let has_not_begun = self.attempt.verdict == Verdict::NoResult
                && self.attempt.class == Class::Never { cause: Never::Arguments };
            let is_at_once = completed.duration_ms <= limits::AGENT_GONE_MS;
            let is_gone = CANNOT_EXECUTE.contains(&completed.exit_code)
                || self.stderr_tail.as_deref().is_some_and(|tail| tail.contains(MODULE_GONE));
            (has_not_begun && is_at_once && is_gone).then_some(SpawnFailureKind::Program)
        })
    }

    /// Whether an agent ran and its cost is not known.
    #[must_use]
    pub(crate) fn is_cost_unknown(&self) -> bool {
        let sums = match (&self.bill, &self.result) {
            (Some(bill), _) => Some(bill.sums),
            (None, Some(result)) => Some(Sums::of_result(result)),
            (None, None) => None,
        };
        // An agent prints the id of its conversation before its first request to the API.
        let has_begun = self.result.is_some() || self.claude_session_id.is_some();
        has_begun && sums.is_none_or(|sums| sums.cost_usd.is_none())
    }

    /// Makes a success with warnings a failure, for a strict plan.
    pub(crate) fn fail_on_warnings(&mut self) {
        if self.attempt.verdict != Verdict::Succeeded || self.warnings().is_empty() {
            return;
        }
        let words: Vec<&str> =
            self.warnings().iter().map(|warning| warning.message.as_str()).collect();
        let error =
            format!("it succeeded with warnings, and the batch is strict: {}", words.join("; "));
        self.error = Some(shortened(&error));
        self.attempt.verdict = Verdict::Failed;
        self.attempt.class = Class::Never { cause: Never::Failed };
        self.attempt.has_result = false;
    }

    /// The end of a job that could not be started.
    #[must_use]
    pub(crate) fn not_started(error: String, at_ms: u64) -> Self {
        Self::bare(Verdict::SpawnFailed, Class::Never { cause: Never::SpawnFailed }, error, at_ms)
    }

    /// The end of a job that was not started because a field was empty once results were filled in.
    #[must_use]
    pub(crate) fn emptied(problem: &str, at_ms: u64) -> Self {
        let error = format!("it was not started: {problem}");
        Self::bare(Verdict::Failed, Class::Never { cause: Never::Failed }, error, at_ms)
    }

    /// The end of a job that was canceled before its start.
    #[must_use]
    pub(crate) fn canceled_before_start(at_ms: u64) -> Self {
        let error = "it was ended before it began".to_owned();
        Self::bare(Verdict::Canceled, Class::Never { cause: Never::Canceled }, error, at_ms)
    }

    /// The end of a job of which no terminal event exists.
    #[must_use]
    pub(crate) fn lost(at_ms: u64) -> Self {
        let error = "its worker was lost: it may have had effects".to_owned();
        Self::bare(Verdict::WorkerDied, Class::Lost, error, at_ms)
    }

    fn bare(verdict: Verdict, class: Class, error: String, at_ms: u64) -> Self {
        Self {
            attempt: AttemptEnd {
                verdict,
                class,
                cost_usd: 0.0,
                has_result: false,
                sameness: None,
            },
            at_ms,
            completed: None,
            result: None,
            text: None,
            text_truncated: false,
            error: Some(error),
            limit: None,
            stdout_tail: None,
            stderr_tail: None,
            claude_session_id: None,
            limit_scope: None,
            dead_end: None,
            bill: None,
        }
    }

    /// A good result counts even if the task was ended after it: here by its batch, because of the batch's time or of
    /// other tasks. The worker does the same for a task's own timeouts. A task that a person canceled stays canceled.
    pub(crate) fn keep_good_result(&mut self) {
        let Some(completed) = &mut self.completed else { return };
        let is_good = self.result.as_ref().is_some_and(|result| !result.is_error);
        if completed.reason != EndReason::Canceled || !is_good {
            return;
        }
        completed.warnings.push(Warning {
            kind: WarningKind::EndedAfterResult,
            message: "the batch stopped when the task had its result and went on: it was ended"
                .into(),
        });
        self.attempt.verdict = Verdict::Succeeded;
        self.attempt.class = Class::Done;
        self.attempt.has_result = self.text.is_some();
        self.error = None;
    }
}
