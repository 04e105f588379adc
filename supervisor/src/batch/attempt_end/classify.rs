//! From the records of a task to the evidence by which the state machine judges its attempt.

use cc_batch::{
    Scope,
    retry::{AttemptEnd, Class, DeadEnd, Evidence, ToolUse, UsageLimit, Want},
};
use cc_claude::limit;
use cc_events::{Completed, SpawnFailureKind, Verdict};

use crate::batch::{
    attempt_end::{collector::Collector, end::JobEnd, words::with_advice},
    time_zone,
};

impl Collector {
    /// Judges the attempt. `completed` is used if the records have no terminal event.
    #[must_use]
    pub(crate) fn end(mut self, completed: Option<Completed>, at_ms: u64) -> JobEnd {
        let own = self.completed.take().map(|completed| *completed);
        let Some(completed) = own.or(completed) else { return JobEnd::lost(at_ms) };
        let has_succeeded = completed.verdict == Verdict::Succeeded;
        let summary = self.observer.summary();
        // The API answered after the limit was reported.
        if summary.is_stream && summary.refusal.is_none() {
            self.report = None;
        }
        let limit = if has_succeeded { None } else { self.usage_limit(at_ms) };
        // A limit that names its end will be over then, even if a person could lift it earlier.
        let has_end = limit.as_ref().is_some_and(|(limit, _)| limit.ends_at_ms.is_some());
        let dead_end = if has_succeeded { None } else { self.dead_end() };
        let dead_end = dead_end.filter(|dead_end| !has_end || dead_end.outlasts_limits());
        let tool_use = match (summary.is_stream, summary.tool_may_have_run) {
            (false, _) => ToolUse::NotBegun,
            (true, false) => ToolUse::NoTool,
            (true, true) => ToolUse::Tool,
        };
        let attempt = AttemptEnd::of(&Evidence {
            completed: &completed,
            result: self.result.as_deref(),
            last_retry: self.last_retry.as_ref(),
            usage_limit: limit.as_ref().map(|(limit, _)| *limit),
            dead_end: dead_end.map(|dead_end| match dead_end.is_of_account() {
                true => DeadEnd::Account,
                false if dead_end == cc_claude::DeadEnd::LongContext => DeadEnd::LongContext,
                false => DeadEnd::Model,
            }),
            want: match completed.spawn_failure {
                Some(SpawnFailureKind::Means) => Some(Want::Means),
                Some(SpawnFailureKind::Program | SpawnFailureKind::Folder) | None => None,
            },
            tool_use,
        });
        let is_limit = matches!(attempt.class, Class::Limit { .. });
        let words = is_limit.then(|| self.limit_words());
        let stdout_tail = self.stdout_tail();
        let stderr_tail = self.tails.stderr_tail();
        let error = if has_succeeded {
            None
        } else {
            self.error(&completed, stdout_tail.as_deref(), stderr_tail.as_deref())
        };
        let claude_session_id = self.claude_session_id(&completed);
        let error = match dead_end {
            Some(dead_end) => Some(with_advice(error, dead_end)),
            None => error,
        };
        let (text, text_truncated) = self.take_text();
        JobEnd {
            attempt,
            at_ms,
            completed: Some(completed),
            result: self.result,
            text,
            text_truncated,
            error,
            limit: words,
            stdout_tail,
            stderr_tail,
            claude_session_id,
            limit_scope: limit.and_then(|(_, scope)| scope),
            dead_end,
            bill: None,
        }
    }

    /// From the result, the worker or, with an older worker, the stream.
    fn claude_session_id(&self, completed: &Completed) -> Option<String> {
        let of_result = self.result.as_ref().and_then(|result| result.claude_session_id.clone());
        let of_worker = || completed.claude.as_ref()?.session_id.clone();
        of_result.or_else(of_worker).or_else(|| self.observer.summary().claude_session_id.clone())
    }

    fn dead_end(&self) -> Option<cc_claude::DeadEnd> {
        cc_claude::DeadEnd::of(self.report.as_ref(), self.result.as_deref())
    }

    fn usage_limit(&self, now_ms: u64) -> Option<(UsageLimit, Scope)> {
        let zone = time_zone::of_machine();
        let found =
            limit::usage_limit(self.report.as_ref(), self.result.as_deref(), now_ms / 1000, zone)?;
        let ends_at_ms = found.ends_at_s.map(|seconds| seconds.saturating_mul(1000));
        Some((UsageLimit { ends_at_ms }, found.model))
    }
}
