//! What the state machine needs to know of an attempt's end.

use cc_events::Verdict;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    class::{Class, Never, Transient},
    classify::{classify, is_of_the_api},
    evidence::{Evidence, ToolUse},
};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// See [`cc_events::Completed::verdict`].
    pub verdict: Verdict,
    pub class: Class,
    /// What it cost, US dollars; 0 where that is not known.
    pub cost_usd: f64,
    /// There is a text that others may refer to.
    pub has_result: bool,
    /// Of an agent that ended without success, without a tool and without more than a turn: a number that is the same
    /// for ends which look the same.
    pub sameness: Option<u64>,
}

impl AttemptEnd {
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

/// See [`AttemptEnd::sameness`]. A program that is no agent may well fail alike, many times in a row, for a good reason.
fn sameness(evidence: &Evidence<'_>) -> Option<u64> {
    let verdict = evidence.completed.verdict;
    let is_agent = evidence.result.is_some()
        || evidence.tool_use != ToolUse::NotBegun
        || verdict == Verdict::NoResult;
    let result = evidence.result;
    let turns = result.and_then(|result| result.num_turns).unwrap_or(0);
    if !is_agent || !is_of_the_api(verdict) || evidence.tool_use == ToolUse::Tool || turns > 1 {
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
