//! All that is known of one task that has ended: a line of `--results` and of `--json`, and what the
//! other reports are made of.

use std::time::{Duration, SystemTime};

use cc_protocol::{EndReason, OutputCounts, Verdict, execute::Program};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{joblog, remedy};
use crate::{
    exit_code,
    sequence::{Ended, Fate, Row, Task},
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
    label: Option<String>,
    /// `prompt`, `argv` or `command`.
    form: &'static str,
    /// As in the joblog.
    pub(crate) command: String,
    cwd: Option<String>,
    pub(crate) verdict: &'static str,
    pub(crate) reason: Option<EndReason>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) error: Option<String>,
    /// How often it was started.
    attempts: u64,
    /// API requests that the agent tried again.
    pub(crate) retries: u64,
    started: Option<String>,
    ended: Option<String>,
    pub(crate) duration_ms: Option<u64>,
    overhead_ms: Option<f64>,
    cpu_ms: Option<u64>,
    max_rss_bytes: Option<u64>,
    pub(crate) output: Option<OutputCounts>,
    pub(crate) killed_leftovers: Option<u64>,
    pub(crate) task_id: Option<String>,
    #[serde(flatten)]
    pub(crate) answer: Answer,
    /// Not in the JSON: the reports say it in their own ways.
    #[serde(skip)]
    pub(crate) is_success: bool,
    /// When it was sent to the server.
    #[serde(skip)]
    pub(crate) begun_at: Option<SystemTime>,
    #[serde(skip)]
    pub(crate) elapsed: Duration,
    /// 0 only for a success.
    #[serde(skip)]
    pub(crate) job_exit_code: u8,
    #[serde(skip)]
    pub(crate) remedy: Option<&'static str>,
    /// Whether it ran and failed; else what is about it has failed.
    #[serde(skip)]
    pub(crate) is_own_failure: bool,
}

/// What an agent said at its end.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Answer {
    pub(crate) result: Option<String>,
    pub(crate) result_truncated: bool,
    pub(crate) is_error: Option<bool>,
    api_error_status: Option<u64>,
    pub(crate) claude_session_id: Option<String>,
    pub(crate) num_turns: Option<u64>,
    pub(crate) total_cost_usd: Option<f64>,
    usage: Option<Value>,
    pub(crate) model: Option<String>,
}

impl Entry {
    pub(crate) fn new(task: &Task, row: &Row) -> Self {
        let form = match &task.execute.program {
            Program::Prompt(_) => "prompt",
            Program::Argv { .. } => "argv",
            Program::Command { .. } => "command",
        };
        let begun_at = row.attempt.as_ref().map(|attempt| attempt.begun_at);
        let elapsed = row.attempt.as_ref().map(|attempt| attempt.elapsed).unwrap_or_default();
        let mut entry = Self {
            r#type: "task",
            number: row.number,
            title: row.title.clone(),
            label: task.execute.label.clone(),
            form,
            command: joblog::command_cell(&task.execute),
            cwd: task.execute.cwd.clone(),
            verdict: row.verdict(),
            reason: None,
            exit_code: None,
            signal: None,
            error: None,
            attempts: u64::from(begun_at.is_some()),
            retries: row.attempt.as_ref().map_or(0, |attempt| attempt.retries),
            started: begun_at.map(timestamp),
            ended: begun_at.map(|begun_at| timestamp(begun_at + elapsed)),
            duration_ms: None,
            overhead_ms: None,
            cpu_ms: None,
            max_rss_bytes: None,
            output: None,
            killed_leftovers: None,
            task_id: None,
            answer: Answer::default(),
            is_success: row.is_success(),
            begun_at,
            elapsed,
            job_exit_code: exit_code::of_job(row),
            remedy: None,
            is_own_failure: false,
        };
        match &row.fate {
            Fate::Ended(ended) => entry.take(ended),
            Fate::Refused(error) => {
                let task_id = error.data.get("task_id").and_then(Value::as_str);
                entry.task_id = task_id.map(str::to_owned);
                entry.error = Some(error.message.clone());
                entry.remedy = if entry.verdict == Verdict::SpawnFailed.as_str() {
                    remedy::of(Verdict::SpawnFailed)
                } else {
                    Some(remedy::OF_REFUSAL)
                };
            }
            Fate::Unknown => entry.remedy = Some(remedy::OF_UNKNOWN),
            Fate::NotRun => entry.remedy = Some(remedy::OF_NOT_RUN),
        }
        entry
    }

    fn take(&mut self, ended: &Ended) {
        let completed = &ended.completed;
        self.reason = Some(completed.reason);
        self.exit_code = Some(completed.exit_code);
        self.signal = completed.signal;
        self.error.clone_from(&completed.error);
        self.duration_ms = Some(completed.duration_ms);
        self.overhead_ms = Some(ended.overhead.as_secs_f64() * 1000.0);
        self.cpu_ms = Some(completed.cpu_ms);
        self.max_rss_bytes = Some(completed.max_rss_bytes);
        self.output = Some(completed.output);
        self.killed_leftovers = Some(completed.killed_leftovers);
        self.task_id = Some(completed.position.task_id.clone());
        self.remedy = remedy::of(completed.verdict);
        self.is_own_failure = matches!(
            completed.reason,
            EndReason::Exit
                | EndReason::Signal
                | EndReason::Lingered
                | EndReason::Timeout
                | EndReason::IdleTimeout
                | EndReason::OutputLimit
        );
        if let Some(result) = &ended.result {
            self.answer = Answer {
                result: result.result.clone(),
                result_truncated: result.result_truncated,
                is_error: Some(result.is_error),
                api_error_status: result.api_error_status,
                claude_session_id: result.claude_session_id.clone(),
                num_turns: result.num_turns,
                total_cost_usd: result.total_cost_usd,
                usage: result.usage.clone(),
                model: result.model.clone(),
            };
        }
    }

    /// One line.
    pub(crate) fn json(&self) -> String {
        // Texts, numbers and values that were JSON before: there is nothing to refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Keeps what the whole-file reports show, so that a batch costs little memory.
    pub(crate) fn cut_answer(&mut self) {
        self.answer.usage = None;
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
            (reason, _) => format!("{}{error}", reason.as_str()),
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}
