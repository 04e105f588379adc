//! Why the API refuses, as far as it decides what to do about it.
//!
//! By the CLI's words first, which are finer, then by the HTTP status, then by the few texts of versions that mark
//! nothing. Called by [`crate::stream`], and by the supervisor for retries.

use cc_events::ClaudeRetry;

use crate::line::Line;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The credentials, or that there are none: trying again will not help.
    Auth,
    /// A rate or usage limit: trying again later will help.
    RateLimit,
    /// The account cannot be used until a person acts: credits, billing, a hold, a verification, a cloud login.
    Account,
}

impl Refusal {
    /// Why the API refused, where the CLI reports that it tries again; `None` for anything else.
    #[must_use]
    pub fn of_retry(retry: &ClaudeRetry) -> Option<Self> {
        Self::of(retry.error.as_deref(), retry.error_status, None)
    }

    /// By the CLI's word, the status and the text of a failure, in this order.
    pub(crate) fn of(word: Option<&str>, status: Option<u64>, text: Option<&str>) -> Option<Self> {
        word.and_then(of_word)
            .or_else(|| status.and_then(of_status))
            .or_else(|| text.and_then(of_text))
    }
}

/// The CLI's own words for a failed request, and those of the API that it passes on.
fn of_word(word: &str) -> Option<Refusal> {
    match word {
        "authentication_failed" | "authentication_error" | "oauth_org_not_allowed" => {
            Some(Refusal::Auth)
        }
        "rate_limit" | "rate_limit_error" | "usage_limit_reached" => Some(Refusal::RateLimit),
        "billing_error"
        | "account_on_hold"
        | "verification_required"
        | "cloud_credential_error"
        | "credits_required" => Some(Refusal::Account),
        _ => None,
    }
}

fn of_status(status: u64) -> Option<Refusal> {
    match status {
        401 | 403 => Some(Refusal::Auth),
        402 => Some(Refusal::Account),
        429 => Some(Refusal::RateLimit),
        _ => None,
    }
}

/// Versions that do not mark the answer before it: an error result without a status, or with one that says nothing.
fn of_text(text: &str) -> Option<Refusal> {
    let begins = |beginnings: &[&str]| beginnings.iter().any(|words| text.starts_with(words));
    if begins(&["Not logged in", "Invalid API key", "Please run /login"]) {
        Some(Refusal::Auth)
    } else if begins(&["Credit balance is too low", "Your credit balance is too low"]) {
        Some(Refusal::Account)
    } else {
        None
    }
}

/// The most telling of the words that a line has for a failure of the API.
pub(crate) fn word(line: &Line<'_>) -> Option<String> {
    let words: Vec<String> = ["error", "api_error", "api_error_type"]
        .into_iter()
        .filter_map(|name| line.short_text(name))
        .filter(|word| word != "unknown")
        .collect();
    let telling = words.iter().find(|word| of_word(word).is_some());
    telling.or(words.first()).cloned()
}

/// How a `rate_limit_event` says that a limit stands.
pub(crate) struct LimitInfo {
    /// Requests are refused: no extra usage takes the limit's place.
    pub(crate) is_rejected: bool,
    pub(crate) uses_extra_usage: bool,
    pub(crate) kind: Option<String>,
    pub(crate) resets_at_s: Option<u64>,
    /// Why waiting does not help.
    pub(crate) blocked_by: Option<String>,
}

impl LimitInfo {
    pub(crate) fn read(line: &Line<'_>) -> Self {
        let text = |name: &str| line.short_text(&format!("rate_limit_info.{name}"));
        let is_true = |name: &str| line.boolean(&format!("rate_limit_info.{name}")) == Some(true);
        let uses_extra_usage = is_true("isUsingOverage") || is_true("overageInUse");
        let is_bridged = uses_extra_usage
            || text("overageStatus").is_some_and(|status| status.starts_with("allowed"));
        let resets_at_s = line.count("rate_limit_info.resetsAt");
        let needs_credits = text("errorCode").filter(|code| code == "credits_required");
        let no_credits = text("overageDisabledReason").filter(|_| resets_at_s.is_none());
        Self {
            is_rejected: line.is("rate_limit_info.status", "rejected") && !is_bridged,
            uses_extra_usage,
            kind: text("rateLimitType"),
            resets_at_s,
            blocked_by: needs_credits.or_else(|| no_credits.filter(|why| is_of_credits(why))),
        }
    }
}

/// Of the reasons why there is no extra usage those that a person can do something about by paying.
fn is_of_credits(why: &str) -> bool {
    why == "out_of_credits" || why.ends_with("_zero_credit_limit")
}
