//! From what is known of an attempt's end to its class.

use cc_events::{ClaudeResult, ClaudeRetry, EndReason, Verdict};

use super::{
    class::{Class, Never, Transient},
    evidence::{DeadEnd, Evidence, ToolUse},
};

/// `EX_TEMPFAIL` of sysexits.h: by it a program that is not Claude says "try again later".
const TEMPORARY_FAILURE_EXIT_CODE: i32 = 75;

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
        // No client asked for this end, and other than with a lost worker the end is known.
        Verdict::Canceled
            if matches!(
                evidence.completed.reason,
                EndReason::SupervisorLost | EndReason::WorkerRestarted
            ) =>
        {
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
        && evidence.tool_use != ToolUse::Tool
        && evidence.last_retry.is_none()
        && result.num_turns.unwrap_or(0) <= 1
}

/// Whether a verdict may be the API's doing.
pub(super) fn is_of_the_api(verdict: Verdict) -> bool {
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
    match evidence.tool_use {
        ToolUse::NoTool => Class::Transient { cause: Transient::NoResult },
        ToolUse::Tool => Class::Never { cause: Never::NoResultAfterTool },
        // It prints its first line before it asks the API: whatever it disliked stays as it is.
        ToolUse::NotBegun if has_exited && evidence.completed.exit_code != 0 => {
            Class::Never { cause: Never::Arguments }
        }
        ToolUse::NotBegun => Class::Transient { cause: Transient::NoResult },
    }
}
