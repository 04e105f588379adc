//! Whether an attempt is made again, and when.
//!
//! By class and never blindly: a transient failure soon and with chance, so that many do not come
//! back at once; a limit when it ends; everything else never. Pure functions, called by the
//! supervisor ([`AttemptEnd::of`]) and by [`crate::life`].

use cc_link::event::{ClaudeResult, ClaudeRetry, Completed, EndReason, Verdict};
use serde::{Deserialize, Serialize};

use crate::{
    jitter,
    limits::{
        BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS, WAIT_JITTER_MS, WAIT_LONGEST_MS, WAIT_SHORTEST_MS,
        WAIT_UNKNOWN_FIRST_MS, WAIT_UNKNOWN_LONGEST_MS,
    },
};

/// `EX_TEMPFAIL` of sysexits.h: by it a program that is not Claude says "try again later".
const TEMPORARY_FAILURE_EXIT_CODE: i32 = 75;

/// What is known of an attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The terminal event.
    pub completed: &'a Completed,
    /// The last result line of a Claude task.
    pub result: Option<&'a ClaudeResult>,
    /// The last retry that the CLI reported.
    pub last_retry: Option<&'a ClaudeRetry>,
    /// A usage limit was named, as the crate `cc-claude` reads it from the last limit report or the
    /// result. A 429 alone is none.
    pub usage_limit: Option<UsageLimit>,
    /// How far the stream came.
    pub progress: Progress,
}

/// A usage limit that rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimit {
    /// When it ends, milliseconds since the epoch; `None` where nobody said.
    pub ends_at_ms: Option<u64>,
}

/// How far a Claude task came, as its stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Not one line of a stream: the CLI did not take its arguments, or it is no Claude task.
    NotBegun,
    /// It began, and for sure no tool ran.
    NoTool,
    /// A tool ran, or may have.
    Tool,
}

/// What may follow an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Class {
    /// It succeeded.
    Done,
    /// The same may work soon.
    Transient {
        /// What happened.
        cause: Transient,
    },
    /// It works when the limit has ended.
    Limit {
        /// See [`UsageLimit::ends_at_ms`].
        ends_at_ms: Option<u64>,
    },
    /// It was ended because there was no supervisor any more: one that was stopped, or had vanished. It is made
    /// again as the same attempt, unless [`crate::plan::OnLost`] says to go on without it.
    Interrupted,
    /// Nobody knows how far it came: see [`crate::plan::OnLost`].
    Lost,
    /// A deadline: tried again only where the task says so.
    TimedOut,
    /// The same will fail again, or somebody wanted the end.
    Never {
        /// What happened.
        cause: Never,
    },
}

/// What passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transient {
    /// Too many requests, but no usage limit.
    RateLimit,
    /// The API's own trouble: 500 to 599, with 529 "overloaded".
    Server,
    /// No answer from the API.
    Connection,
    /// The CLI ended without a result before any tool ran.
    NoResult,
    /// A program that is not Claude said so (exit code 75).
    Temporary,
}

/// What does not pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// The credentials.
    Auth,
    /// It could not be started.
    SpawnFailed,
    /// The CLI refused its arguments.
    Arguments,
    /// The CLI ended without a result after a tool ran, or may have.
    NoResultAfterTool,
    /// A permission was denied.
    Permission,
    /// The CLI's own spending limit.
    Budget,
    /// The CLI's own limit of turns.
    MaxTurns,
    /// Somebody ended it.
    Canceled,
    /// Too much output, where the policy is to kill.
    OutputLimit,
    /// The machine ran out of something.
    ResourceLimit,
    /// It ended before its work was done.
    Incomplete,
    /// The account cannot be used until a person acts.
    Account,
    /// It failed for a reason of its own.
    Failed,
}

/// What the state machine needs to know of an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// See [`Completed::verdict`].
    pub verdict: Verdict,
    /// What may follow.
    pub class: Class,
    /// What it cost, US dollars; 0 where nobody said.
    pub cost_usd: f64,
    /// There is a text that others may refer to.
    pub has_result: bool,
}

impl AttemptEnd {
    /// Reads the evidence.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let verdict = evidence.completed.verdict;
        let text_is_there = evidence.result.is_none_or(|result| result.result.is_some());
        let cost = evidence.result.and_then(|result| result.total_cost_usd).unwrap_or(0.0);
        Self {
            verdict,
            class: classify(evidence),
            cost_usd: if cost.is_finite() { cost.max(0.0) } else { 0.0 },
            has_result: verdict == Verdict::Succeeded && text_is_there,
        }
    }

    /// The end of an attempt of which nothing is known but that its worker is gone.
    #[must_use]
    pub fn lost() -> Self {
        Self { verdict: Verdict::WorkerDied, class: Class::Lost, cost_usd: 0.0, has_result: false }
    }
}

/// What may follow an attempt's end.
#[must_use]
pub fn classify(evidence: &Evidence<'_>) -> Class {
    let never = |cause| Class::Never { cause };
    match evidence.completed.verdict {
        Verdict::Succeeded => Class::Done,
        Verdict::Auth => never(Never::Auth),
        Verdict::RateLimited => match evidence.usage_limit {
            Some(limit) => Class::Limit { ends_at_ms: limit.ends_at_ms },
            None => Class::Transient { cause: Transient::RateLimit },
        },
        Verdict::Failed => failed(evidence),
        Verdict::NoResult => no_result(evidence),
        Verdict::TimedOut => Class::TimedOut,
        Verdict::WorkerDied => Class::Lost,
        // Nobody wanted this end, and unlike with a lost worker it is known that it was one.
        Verdict::Canceled if evidence.completed.reason == EndReason::SupervisorLost => {
            Class::Interrupted
        }
        Verdict::Canceled => never(Never::Canceled),
        Verdict::OutputLimit => never(Never::OutputLimit),
        Verdict::SpawnFailed => never(Never::SpawnFailed),
        Verdict::ResourceLimit => never(Never::ResourceLimit),
        Verdict::Denied => never(Never::Permission),
        Verdict::Incomplete => never(Never::Incomplete),
        Verdict::Account => never(Never::Account),
    }
}

fn failed(evidence: &Evidence<'_>) -> Class {
    let Some(result) = evidence.result.filter(|result| result.is_error) else {
        return match evidence.completed.exit_code {
            TEMPORARY_FAILURE_EXIT_CODE => Class::Transient { cause: Transient::Temporary },
            _ => Class::Never { cause: Never::Failed },
        };
    };
    if let Some(limit) = evidence.usage_limit {
        return Class::Limit { ends_at_ms: limit.ends_at_ms };
    }
    match result.api_error_status {
        Some(500..=599 | 408) => Class::Transient { cause: Transient::Server },
        Some(_) => Class::Never { cause: Never::Failed },
        None if is_connection_error(result, evidence.last_retry) => {
            Class::Transient { cause: Transient::Connection }
        }
        None => Class::Never { cause: own_limit(result) },
    }
}

/// An error of the API without a status, after retries without one, or in the CLI's own words.
fn is_connection_error(result: &ClaudeResult, last_retry: Option<&ClaudeRetry>) -> bool {
    const WORDS: [&str; 4] =
        ["Connection error", "Unable to connect", "Request timed out", "fetch failed"];
    let text = result.result.as_deref().unwrap_or_default();
    let Some(error) = text.strip_prefix("API Error") else { return false };
    let error = error.trim_start_matches([':', ' ']);
    last_retry.is_some_and(|retry| retry.error_status.is_none())
        || WORDS.iter().any(|words| error.starts_with(words))
}

/// Which limit of its own the CLI's loop ended at.
fn own_limit(result: &ClaudeResult) -> Never {
    let words = [result.subtype.as_deref(), result.terminal_reason.as_deref()];
    let says = |part: &str| words.iter().flatten().any(|word| word.contains(part));
    if says("max_turns") {
        Never::MaxTurns
    } else if says("budget") {
        Never::Budget
    } else if says("permission") {
        Never::Permission
    } else {
        Never::Failed
    }
}

fn no_result(evidence: &Evidence<'_>) -> Class {
    let has_exited = evidence.completed.reason == EndReason::Exit;
    match evidence.progress {
        Progress::NoTool => Class::Transient { cause: Transient::NoResult },
        Progress::Tool => Class::Never { cause: Never::NoResultAfterTool },
        // It prints its first line before it asks the API: whatever it disliked stays as it is.
        Progress::NotBegun if has_exited && evidence.completed.exit_code != 0 => {
            Class::Never { cause: Never::Arguments }
        }
        Progress::NotBegun => Class::Transient { cause: Transient::NoResult },
    }
}

/// When the attempt after `attempt` (from 1) begins, ms since the epoch: somewhere in a window that
/// doubles with each attempt ("full jitter"), at least a second from now.
#[must_use]
pub fn backoff_until_ms(now_ms: u64, attempt: u32, seed: u64, task: usize) -> u64 {
    let window = doubled(BACKOFF_FIRST_MS, attempt.saturating_sub(1), BACKOFF_LONGEST_MS);
    let jitter = jitter::up_to(window, seed, &[1, task as u64, u64::from(attempt)]);
    now_ms.saturating_add(jitter.max(WAIT_SHORTEST_MS))
}

/// When a limit is tried again that was met after `waits` waits before, ms since the epoch.
///
/// At its end where that is known: at least a second and at most eight days from now. Where it is not
/// known, or lies in the past although we waited already, after 5 minutes, doubling to an hour.
#[must_use]
pub fn limit_until_ms(
    now_ms: u64,
    ends_at_ms: Option<u64>,
    waits: u32,
    seed: u64,
    task: usize,
) -> u64 {
    let wait_ms = match ends_at_ms {
        Some(end_ms) if end_ms > now_ms || waits == 0 => end_ms.saturating_sub(now_ms),
        Some(_) | None => doubled(WAIT_UNKNOWN_FIRST_MS, waits, WAIT_UNKNOWN_LONGEST_MS),
    };
    let jitter = jitter::up_to(WAIT_JITTER_MS, seed, &[2, task as u64, u64::from(waits)]);
    let wait_ms = wait_ms.clamp(WAIT_SHORTEST_MS, WAIT_LONGEST_MS);
    now_ms.saturating_add(wait_ms).saturating_add(jitter)
}

fn doubled(first: u64, times: u32, longest: u64) -> u64 {
    let factor = 1_u64.checked_shl(times).unwrap_or(u64::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests;
