//! One task that has ended: a line of `--results` and of `--json`, and the source of the other reports.

use std::time::{Duration, SystemTime};

use cc_protocol::{
    ClaudeResultPart, EndReason, Verdict, Warning,
    batch::{AttemptClass, BatchAttempt, BatchRow},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::remedy;
use crate::{
    display::{batch_row::repeats, row::Tokens, task::Task, text::at},
    exit_code,
};

/// How much of an answer the whole-file reports show.
const EXCERPT_BYTES_LIMIT: usize = 4 * 1024;

/// Every member is always there; what is not known is null.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    r#type: &'static str,
    /// Place in the task file, from 1.
    pub(crate) number: usize,
    /// The label, else what it ran, cut to a line.
    pub(crate) title: String,
    name: Option<String>,
    label: Option<String>,
    /// `prompt`, `argv` or `command`.
    form: Option<&'static str>,
    /// As in the joblog.
    pub(crate) command: String,
    cwd: Option<String>,
    pub(crate) verdict: &'static str,
    pub(crate) reason: Option<EndReason>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) error: Option<String>,
    /// What a person should know beside the verdict.
    pub(crate) warnings: Vec<Warning>,
    /// All starts, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// Starts after transient failures.
    pub(crate) retries: u64,
    /// Starts after waits for a limit.
    pub(crate) waits: u64,
    started: Option<String>,
    ended: Option<String>,
    /// Of the last attempt.
    pub(crate) duration_ms: Option<u64>,
    timeout_s: Option<f64>,
    timeout_why: Option<String>,
    pub(crate) killed_leftovers: u64,
    /// Of the last attempt.
    pub(crate) task_id: Option<String>,
    #[serde(flatten)]
    pub(crate) answer: AgentResult,
    /// Not in the JSON.
    #[serde(skip)]
    pub(crate) is_success: bool,
    /// When its first attempt began.
    #[serde(skip)]
    pub(crate) begun_at: Option<SystemTime>,
    /// From there to its end, waits included.
    #[serde(skip)]
    pub(crate) elapsed: Duration,
    /// What all attempts have printed.
    #[serde(skip)]
    pub(crate) output_bytes: u64,
    /// 0 only for a success.
    #[serde(skip)]
    pub(crate) job_exit_code: u8,
    #[serde(skip)]
    pub(crate) remedy: Option<&'static str>,
    /// Whether the task itself failed, and not the machinery around it.
    #[serde(skip)]
    pub(crate) is_own_failure: bool,
}

/// One start of a task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attempt {
    task_id: String,
    pub(crate) number: u32,
    started: String,
    ended: Option<String>,
    pub(crate) verdict: Option<Verdict>,
    reason: Option<EndReason>,
    exit_code: Option<i32>,
    /// How its failure was classified.
    pub(crate) class: Option<AttemptClass>,
    /// Until when the next one waited.
    pub(crate) wait_until: Option<String>,
    /// The end of what it printed.
    pub(crate) stdout_tail: Option<String>,
    pub(crate) stderr_tail: Option<String>,
}

/// The result of an agent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AgentResult {
    pub(crate) result: Option<String>,
    pub(crate) result_truncated: bool,
    pub(crate) is_error: Option<bool>,
    pub(crate) claude_session_id: Option<String>,
    pub(crate) num_turns: Option<u64>,
    pub(crate) total_cost_usd: Option<f64>,
    /// Attempts whose cost is unknown.
    pub(crate) unknown_costs: u64,
    /// Of all attempts, subagents included.
    tokens: Tokens,
    /// Of the main loop of the last attempt.
    usage: Option<Value>,
    /// To a JSON schema, as far as a row has it.
    structured_output: Option<Value>,
    pub(crate) startup_failure_reason: Option<String>,
    pub(crate) api_error: Option<String>,
    pub(crate) permission_denials: Vec<String>,
    /// All results, where there were several.
    parts: Vec<ClaudeResultPart>,
    pub(crate) cli_version: Option<String>,
    pub(crate) api_key_source: Option<String>,
}

impl Entry {
    /// Of a task that has its verdict.
    pub(crate) fn new(task: &Task, row: &BatchRow) -> Self {
        let begun_ms = row.attempts.first().map(|attempt| attempt.started_ms);
        let ended_ms = row.attempts.last().and_then(|attempt| attempt.ended_ms);
        let begun_at = begun_ms.map(at);
        let elapsed_ms = ended_ms.zip(begun_ms).map(|(ended, begun)| ended.saturating_sub(begun));
        // Without a verdict the end of the task is unknown.
        let verdict = row.verdict.map_or("unknown", Verdict::as_str);
        Self {
            r#type: "task",
            number: task.number,
            title: task.title.clone(),
            name: task.name.clone(),
            label: task.label.clone(),
            form: task.form,
            command: task.command.clone(),
            cwd: task.cwd.clone(),
            verdict,
            reason: row.reason,
            exit_code: row.exit_code,
            // The wire writes death by signal N as -N.
            signal: row.exit_code.filter(|code| *code < 0).map(|code| -code),
            error: row.error.clone(),
            warnings: row.warnings.clone(),
            attempts: row.attempts.iter().map(Attempt::of).collect(),
            retries: repeats(row, AttemptClass::Transient),
            waits: repeats(row, AttemptClass::Limit),
            started: begun_at.map(timestamp),
            ended: ended_ms.map(|ms| timestamp(at(ms))),
            duration_ms: row.duration_ms,
            timeout_s: row.timeout_s,
            timeout_why: row.timeout_why.clone(),
            killed_leftovers: row.killed_leftovers,
            task_id: row.attempts.last().map(|attempt| attempt.task_id.clone()),
            answer: AgentResult {
                result: row.result.clone(),
                result_truncated: row.result_truncated,
                is_error: row.is_error,
                claude_session_id: row.claude_session_id.clone(),
                num_turns: row.num_turns,
                total_cost_usd: row.cost_usd,
                unknown_costs: row.unknown_costs,
                tokens: Tokens::of_row(row),
                usage: row.usage.clone(),
                structured_output: row.structured_output.clone(),
                startup_failure_reason: row.startup_failure_reason.clone(),
                api_error: row.api_error.clone(),
                permission_denials: row.permission_denials.clone(),
                parts: row.parts.clone(),
                cli_version: row.cli_version.clone(),
                api_key_source: row.api_key_source.clone(),
            },
            is_success: row.verdict == Some(Verdict::Succeeded),
            begun_at,
            elapsed: Duration::from_millis(elapsed_ms.unwrap_or_default()),
            output_bytes: row.attempts.iter().filter_map(|attempt| attempt.output_bytes).sum(),
            job_exit_code: exit_code::of_job(row),
            remedy: row.verdict.map_or(Some(remedy::OF_UNKNOWN), remedy::of),
            is_own_failure: row.reason.is_some_and(is_own_failure),
        }
    }

    pub(crate) fn json(&self) -> String {
        // Texts, numbers and values that were JSON before: there is nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Keeps what the whole-file reports show, so that a batch costs little memory.
    pub(crate) fn cut_answer(&mut self) {
        self.answer.usage = None;
        self.answer.structured_output = None;
        self.answer.parts = Vec::new();
        if self.is_success {
            // Its answer says more than the end of it.
            for attempt in &mut self.attempts {
                attempt.stdout_tail = None;
            }
        }
        if let Some(result) = &mut self.answer.result
            && result.len() > EXCERPT_BYTES_LIMIT
        {
            result.truncate(result.floor_char_boundary(EXCERPT_BYTES_LIMIT));
            result.push('…');
            result.shrink_to_fit();
        }
    }

    /// `exit code 3`, `timeout after 2.0 s`: what happened, in a few words.
    pub(super) fn cause(&self) -> String {
        let Some(reason) = self.reason else { return self.error.clone().unwrap_or_default() };
        let error = self.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        match (reason, self.signal) {
            (EndReason::Exit, _) => {
                format!("exit code {}{error}", self.exit_code.unwrap_or_default())
            }
            (EndReason::Signal, Some(signal)) => format!("signal {signal}{error}"),
            // The verdict has said it already.
            (reason, _) if reason.as_str() == self.verdict && self.error.is_some() => {
                self.error.clone().unwrap_or_default()
            }
            (reason, _) => format!("{}{error}", reason.as_str()),
        }
    }
}

impl Attempt {
    fn of(attempt: &BatchAttempt) -> Self {
        Self {
            task_id: attempt.task_id.clone(),
            number: attempt.attempt,
            started: timestamp(at(attempt.started_ms)),
            ended: attempt.ended_ms.map(|ms| timestamp(at(ms))),
            verdict: attempt.verdict,
            reason: attempt.reason,
            exit_code: attempt.exit_code,
            class: attempt.class,
            wait_until: attempt.wait_until_ms.map(|ms| timestamp(at(ms))),
            stdout_tail: attempt.stdout_tail.clone(),
            stderr_tail: attempt.stderr_tail.clone(),
        }
    }

    /// The word for how it ended.
    pub(super) fn word(&self) -> &'static str {
        self.verdict.map_or("unknown", Verdict::as_str)
    }
}

fn is_own_failure(reason: EndReason) -> bool {
    match reason {
        EndReason::Exit
        | EndReason::Signal
        | EndReason::Lingered
        | EndReason::Timeout
        | EndReason::IdleTimeout
        | EndReason::OutputLimit => true,
        EndReason::Canceled
        | EndReason::SpawnFailed
        | EndReason::WorkerDied
        | EndReason::SupervisorLost
        | EndReason::ResourceLimit
        | EndReason::Disconnected
        | EndReason::WorkerRestarted => false,
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}
