//! Whether an attempt is made again, and when.
//!
//! By class and never blindly: a transient failure soon and with chance, so that many do not come
//! back at once; a limit when it ends; everything else never. Pure functions, called by the
//! supervisor ([`AttemptEnd::of`]) and by [`crate::life`].

use cc_events::{ClaudeResult, ClaudeRetry, Completed, EndReason, Verdict};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    jitter,
    limits::{
        BACKOFF_FIRST_MS, BACKOFF_LONGEST_MS, UNAVAILABLE_WAIT_LONGEST_MS, WAIT_JITTER_MS,
        WAIT_LONGEST_MS, WAIT_SHORTEST_MS, WAIT_UNKNOWN_FIRST_MS, WAIT_UNKNOWN_LONGEST_MS,
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
    /// Nothing but a person's act will help, as the crate `cc-claude` reads it.
    pub dead_end: Option<DeadEnd>,
    /// Of what was not started: what was wanting, if it is something that comes back.
    pub want: Option<Want>,
    /// How far the stream came.
    pub progress: Progress,
}

/// What only a person can put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadEnd {
    /// It concerns every task of the account.
    Account,
    /// It concerns every task of the model.
    Model,
    /// It concerns every task of the model: the account does not pay for its long context.
    LongContext,
}

/// What was wanting when a task could not be started, through no fault of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// The machine lacks something: processes, memory, descriptors, room on a disk, the worker's program.
    Means,
    /// The agent's program, or the folder of the whole batch, was there and has gone.
    Program,
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
    /// It could not be started for want of something that no other task would have got either. It is waited for, and no
    /// attempt is counted.
    Unavailable {
        /// Of what.
        want: Want,
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
    /// The API forbade the first request (403), and the CLI did not try again, as it does with a 401: it may have been a
    /// token that was just being renewed.
    Forbidden,
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
    /// There is no such model, or not for this account.
    ModelNotFound,
    /// The account does not pay for the long context of the model.
    LongContext,
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
    /// Of an agent that ended without success, without a tool and without more than a turn: a number that is the same
    /// for ends which look the same.
    pub sameness: Option<u64>,
}

impl AttemptEnd {
    /// Reads the evidence.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let class = classify(evidence);
        let verdict = match class {
            Class::Never { cause: Never::Account | Never::LongContext } => Verdict::Account,
            // Older versions have the words of a limit, and no status.
            Class::Limit { .. } | Class::Transient { cause: Transient::RateLimit } => {
                Verdict::RateLimited
            }
            Class::Done
            | Class::Transient { .. }
            | Class::Unavailable { .. }
            | Class::Interrupted
            | Class::Lost
            | Class::TimedOut
            | Class::Never { .. } => evidence.completed.verdict,
        };
        let text_is_there = evidence.result.is_none_or(|result| result.result.is_some());
        let cost = evidence.result.and_then(|result| result.total_cost_usd).unwrap_or(0.0);
        Self {
            verdict,
            class,
            cost_usd: if cost.is_finite() { cost.max(0.0) } else { 0.0 },
            has_result: verdict == Verdict::Succeeded && text_is_there,
            sameness: sameness(evidence),
        }
    }

    /// The end of an attempt of which nothing is known but that its worker is gone.
    #[must_use]
    pub fn lost() -> Self {
        Self {
            verdict: Verdict::WorkerDied,
            class: Class::Lost,
            cost_usd: 0.0,
            has_result: false,
            sameness: None,
        }
    }
}

/// What may follow an attempt's end.
#[must_use]
pub fn classify(evidence: &Evidence<'_>) -> Class {
    let never = |cause| Class::Never { cause };
    if let Some(dead_end) = evidence.dead_end
        && is_of_the_api(evidence.completed.verdict)
    {
        return match dead_end {
            DeadEnd::Account => never(Never::Account),
            DeadEnd::Model => never(Never::ModelNotFound),
            DeadEnd::LongContext => never(Never::LongContext),
        };
    }
    match evidence.completed.verdict {
        Verdict::Succeeded => Class::Done,
        Verdict::Auth => never(if is_forbidden(evidence) { Never::Forbidden } else { Never::Auth }),
        Verdict::RateLimited => match evidence.usage_limit {
            Some(limit) => Class::Limit { ends_at_ms: limit.ends_at_ms },
            None => Class::Transient { cause: Transient::RateLimit },
        },
        Verdict::Failed => failed(evidence),
        Verdict::NoResult => no_result(evidence),
        Verdict::TimedOut => Class::TimedOut,
        Verdict::WorkerDied => match evidence.want {
            // It died before it had started the task.
            Some(want) => Class::Unavailable { want },
            None => Class::Lost,
        },
        // Nobody wanted this end, and unlike with a lost worker it is known that it was one.
        Verdict::Canceled if evidence.completed.reason == EndReason::SupervisorLost => {
            Class::Interrupted
        }
        Verdict::Canceled => never(Never::Canceled),
        Verdict::OutputLimit => never(Never::OutputLimit),
        Verdict::SpawnFailed => match evidence.want {
            Some(want) => Class::Unavailable { want },
            None => never(Never::SpawnFailed),
        },
        Verdict::ResourceLimit => never(Never::ResourceLimit),
        Verdict::Denied => never(Never::Permission),
        Verdict::Incomplete => never(Never::Incomplete),
        Verdict::Account => never(Never::Account),
    }
}

/// See [`Never::Forbidden`]. With a word that says so it is final, and what a tool has done is not done twice.
fn is_forbidden(evidence: &Evidence<'_>) -> bool {
    let Some(result) = evidence.result else { return false };
    result.api_error_status == Some(403)
        && result.api_error.as_deref() != Some("oauth_org_not_allowed")
        && evidence.progress != Progress::Tool
        && evidence.last_retry.is_none()
        && result.num_turns.unwrap_or(0) <= 1
}

/// Whether a verdict may be the API's doing.
fn is_of_the_api(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Failed
        | Verdict::NoResult
        | Verdict::Auth
        | Verdict::RateLimited
        | Verdict::Incomplete
        | Verdict::Account => true,
        Verdict::Succeeded
        | Verdict::TimedOut
        | Verdict::Canceled
        | Verdict::OutputLimit
        | Verdict::SpawnFailed
        | Verdict::WorkerDied
        | Verdict::ResourceLimit
        | Verdict::Denied => false,
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
    match (result.api_error_status, result.api_error.as_deref()) {
        (Some(500..=599 | 408), _) | (None, Some("server_error" | "overloaded")) => {
            Class::Transient { cause: Transient::Server }
        }
        (None, Some("rate_limit")) => Class::Transient { cause: Transient::RateLimit },
        (Some(_), _) => Class::Never { cause: Never::Failed },
        (None, _) if is_connection_error(result, evidence.last_retry) => {
            Class::Transient { cause: Transient::Connection }
        }
        (None, _) => Class::Never { cause: own_limit(result) },
    }
}

/// An error of the API without a status: by the CLI's reason for its end, after retries without one, or in its words.
fn is_connection_error(result: &ClaudeResult, last_retry: Option<&ClaudeRetry>) -> bool {
    const WORDS: [&str; 6] = [
        "Connection error",
        "Unable to connect",
        "Request timed out",
        "fetch failed",
        "stopped arriving",
        "Connection closed",
    ];
    // Words for what is wrong with the request itself, and stays so.
    const OWN_FAULTS: [&str; 5] = [
        "invalid_request",
        "max_output_tokens",
        "prompt_too_long",
        "request_too_large",
        "model_not_found",
    ];
    if result.api_error.as_deref().is_some_and(|word| OWN_FAULTS.contains(&word)) {
        return false;
    }
    if result.terminal_reason.as_deref() == Some("api_error") {
        return true;
    }
    let text = result.result.as_deref().unwrap_or_default();
    let Some(error) = text.strip_prefix("API Error") else { return false };
    last_retry.is_some_and(|retry| retry.error_status.is_none())
        || WORDS.iter().any(|words| error.contains(words))
}

/// See [`AttemptEnd::sameness`]. A program that is no agent may well fail alike, many times in a row, for a good reason.
fn sameness(evidence: &Evidence<'_>) -> Option<u64> {
    let verdict = evidence.completed.verdict;
    let is_agent = evidence.result.is_some()
        || evidence.progress != Progress::NotBegun
        || verdict == Verdict::NoResult;
    let result = evidence.result;
    let turns = result.and_then(|result| result.num_turns).unwrap_or(0);
    if !is_agent || !is_of_the_api(verdict) || evidence.progress == Progress::Tool || turns > 1 {
        return None;
    }
    // Two prompts may well have the same answer: only what went wrong is compared.
    let said = result.filter(|result| result.is_error);
    let text =
        said.and_then(|said| said.result.as_deref().or(said.errors.first().map(String::as_str)));
    let word = |word: Option<&String>| word.cloned().unwrap_or_default();
    let words = format!(
        "{}\0{}\0{}\0{:?}\0{}\0{}",
        verdict.as_str(),
        word(said.and_then(|said| said.api_error.as_ref())),
        word(said.and_then(|said| said.startup_failure_reason.as_ref())),
        said.and_then(|said| said.api_error_status),
        evidence.completed.exit_code,
        // Numbers in it, such as a request's id, differ.
        text.unwrap_or_default()
            .chars()
            .filter(|letter| letter.is_alphabetic())
            .take(80)
            .collect::<String>(),
    );
    let digest = Sha256::digest(words);
    let first: [u8; 8] = std::array::from_fn(|index| digest[index]);
    Some(u64::from_be_bytes(first))
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

/// When a start is tried again that failed for want of something, which has been wanting since `since_ms`, ms since the
/// epoch: after a second, then after as long as was waited already, and at least once a minute.
#[must_use]
pub fn unavailable_until_ms(now_ms: u64, since_ms: u64, seed: u64, task: usize) -> u64 {
    let waited_ms = now_ms.saturating_sub(since_ms);
    let wait_ms = waited_ms.clamp(WAIT_SHORTEST_MS, UNAVAILABLE_WAIT_LONGEST_MS);
    // Not all at once: that they were so many may have been the trouble.
    let jitter = jitter::up_to(wait_ms / 2, seed, &[4, task as u64, now_ms]);
    now_ms.saturating_add(wait_ms).saturating_add(jitter)
}

fn doubled(first: u64, times: u32, longest: u64) -> u64 {
    let factor = 1_u64.checked_shl(times).unwrap_or(u64::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests;
