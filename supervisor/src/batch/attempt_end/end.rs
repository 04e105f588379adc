//! How an attempt, or a hook, ended.

use cc_batch::{
    Scope,
    retry::{AttemptEnd, Class, Never},
};
use cc_events::{
    ClaudeResult, Completed, EndReason, SpawnFailureKind, Verdict, Warning, WarningKind,
};

use crate::batch::{
    attempt_end::words::shortened,
    money::{Bill, Sums},
};
use crate::config::limits;

/// By which a shell and env(1) say that a program cannot be executed, or is not there.
const CANNOT_EXECUTE: [i32; 2] = [126, 127];
/// By which Node.js says that the script it was to run, or a part of it, is not there.
const MODULE_GONE: &str = "MODULE_NOT_FOUND";

/// How an attempt, or a hook, ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What the state machine goes by.
    pub attempt: AttemptEnd,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The terminal event; `None` where there is none, and never will be.
    pub completed: Option<Completed>,
    /// The last result line of a Claude task.
    pub result: Option<Box<ClaudeResult>>,
    /// What others may refer to, and what the task's row shows: a Claude task's answer, else what it printed on
    /// standard output, without its last newline.
    pub text: Option<String>,
    /// `text` is not all of it.
    pub text_truncated: bool,
    /// For people: what went wrong.
    pub error: Option<String>,
    /// The words of the limit that was met.
    pub limit: Option<String>,
    /// Its last words on standard output.
    pub stdout_tail: Option<String>,
    /// Its last words on standard error.
    pub stderr_tail: Option<String>,
    /// The conversation of a Claude task, also of one that was ended before its result.
    pub claude_session_id: Option<String>,
    /// Whom that limit concerns.
    pub limit_scope: Scope,
    /// What stands in the way of every task of the account, or of the model.
    pub dead_end: Option<cc_claude::DeadEnd>,
    /// What it has cost, as soon as that is counted.
    pub bill: Option<Bill>,
}

impl End {
    /// What a person should know of it beside its verdict.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        self.completed.as_ref().map_or(&[], |completed| &completed.warnings)
    }

    /// What its start lacked. An agent's program may be there and be a script that starts another one; where that
    /// cannot be executed, a shell and env(1) say so by their exit code.
    #[must_use]
    pub fn lacking(&self) -> Option<SpawnFailureKind> {
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

    /// An agent has begun, and nobody said what it has cost.
    #[must_use]
    pub fn is_cost_unknown(&self) -> bool {
        let sums = match (&self.bill, &self.result) {
            (Some(bill), _) => Some(bill.sums),
            (None, Some(result)) => Some(Sums::of_result(result)),
            (None, None) => None,
        };
        // It tells its conversation before it asks the API for the first time.
        let has_begun = self.result.is_some() || self.claude_session_id.is_some();
        has_begun && sums.is_none_or(|sums| sums.cost_usd.is_none())
    }

    /// Makes a success with warnings a failure: the plan is strict.
    pub fn fail_on_warnings(&mut self) {
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

    /// Of what could not be started.
    #[must_use]
    pub fn not_started(error: String, at_ms: u64) -> Self {
        Self::bare(Verdict::SpawnFailed, Class::Never { cause: Never::SpawnFailed }, error, at_ms)
    }

    /// Of what was not started because nothing was left of it when results were filled in.
    #[must_use]
    pub fn emptied(problem: &str, at_ms: u64) -> Self {
        let error = format!("it was not started: {problem}");
        Self::bare(Verdict::Failed, Class::Never { cause: Never::Failed }, error, at_ms)
    }

    /// Of what was told to end before it began.
    #[must_use]
    pub fn canceled_before_start(at_ms: u64) -> Self {
        let error = "it was ended before it began".to_owned();
        Self::bare(Verdict::Canceled, Class::Never { cause: Never::Canceled }, error, at_ms)
    }

    /// Of what nobody knows anything about.
    #[must_use]
    pub fn lost(at_ms: u64) -> Self {
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

    /// A good result stands, whatever ends the task after it: here its batch, because of its time or of other tasks.
    /// A task's own clocks are its worker's, which does the same. One that a person has canceled is canceled.
    pub fn stand_by_its_result(&mut self) {
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
