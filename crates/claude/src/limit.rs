//! When a usage limit ends, and whether a refusal is one.
//!
//! Newer versions of the CLI say it in a `rate_limit_event`, as a number. Older ones, and texts on the
//! way, say it in words: `resets 2pm (Asia/Shanghai)`, `…|1790000000`, `try again in 5 minutes`. Pure:
//! the time, and the zone of a text that names none, come in; zones are those that were compiled in, so
//! that a machine without a zone database reads the same. What is not understood has no time, and the
//! caller waits as for a limit that does not say when it ends. Called by the supervisor at an attempt's
//! end.

mod when;

use cc_events::{ClaudeResult, LimitReport};

use self::when::epoch_s;
use crate::own_words;

/// A refusal that is a usage limit, and not only too many requests at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLimit {
    /// When it ends, seconds since the Unix epoch; `None` where no text says so in a known form.
    pub ends_at_s: Option<u64>,
    /// The family of models that it is for, as [`model_family`] has it; `None`: it is one of the whole account.
    pub model: Option<String>,
}

/// As much of a text as is looked at, bytes.
const TEXT_BYTES_LIMIT: usize = 4 * 1024;
/// Families of models that have limits of their own.
const FAMILIES: [&str; 3] = ["opus", "sonnet", "haiku"];

/// Words of the CLI that name a usage limit, in lower case; and the names of its kinds.
const USAGE_LIMIT_WORDS: [&str; 19] = [
    "usage limit",
    "hit your limit",
    "session limit",
    "daily limit",
    "weekly limit",
    "monthly limit",
    "5-hour limit",
    "spend limit",
    "spending limit",
    "spending cap",
    "usage cap",
    "extra usage",
    "limit reached",
    "opus limit",
    "sonnet limit",
    "haiku limit",
    "five_hour",
    "seven_day",
    "overage",
];
/// The periods of usage limits. A limit for a shorter period, such as a minute, is a rate limit.
const LONG_PERIODS: [&str; 7] =
    ["per hour", "per day", "per week", "per month", "daily", "weekly", "monthly"];
const USED_UP: [&str; 7] =
    ["too many", "limit", "quota", "exceed", "cap reached", "used up", "out of"];
/// A whole share is used up, whatever stands between these words and the word `limit`.
const SHARE: [&str; 5] =
    ["hit your", "reached your", "exceeded your", "used up your", "used all of your"];
/// How the CLI's own sentences about a usage limit begin, in lower case.
const BEGINNINGS: [&str; 26] = [
    "you've hit your",
    "you\u{2019}ve hit your",
    "you have hit your",
    "you've reached your",
    "you\u{2019}ve reached your",
    "you have reached your",
    "you've used ",
    "you have used ",
    "you've exceeded your",
    "you have exceeded your",
    "you're out of",
    "you\u{2019}re out of",
    "you are out of",
    "usage limit reached",
    "limit reached",
    "limit will reset",
    "limits will reset",
    "5-hour limit",
    "session limit",
    "daily limit",
    "weekly limit",
    "monthly ",
    "opus ",
    "sonnet ",
    "this request would exceed",
    "spending ",
];
/// Limits that no time lifts, or that last for seconds.
const OTHER_LIMITS: [&str; 9] = [
    "extra usage is required",
    "context limit",
    "context window",
    "output token",
    "output limit",
    "per minute",
    "per second",
    "concurrent",
    "turn limit",
];

/// Reads the usage limit that ended an attempt: from its last limit report, where nothing was answered since, and
/// from its result, where that is an error. Only for an attempt that did not succeed.
///
/// `default_zone` is the IANA name of the zone that a text without one means: that of the machine.
#[must_use]
pub fn usage_limit(
    report: Option<&LimitReport>,
    result: Option<&ClaudeResult>,
    now_s: u64,
    default_zone: &str,
) -> Option<UsageLimit> {
    let result = result.filter(|result| result.is_error);
    // The API's own trouble is no limit, whatever was one before.
    if result.and_then(|result| result.api_error_status).is_some_and(|status| status >= 500) {
        return None;
    }
    let kind = report.and_then(|report| report.kind.as_deref());
    let said = result.into_iter().flat_map(|result| own_words::texts(result, &BEGINNINGS));
    let said: Vec<&str> = said.collect();
    let texts = || said.iter().copied().chain(report.map(|report| report.message.as_str()));
    let of_report = report.and_then(|report| report.resets_at_s).and_then(epoch_s);
    let in_words = || texts().find_map(|text| ends_at_s(text, now_s, default_zone));
    let ends_at_s = of_report.or_else(in_words);
    let is_named = || kind.into_iter().chain(texts()).any(names_usage_limit);
    if ends_at_s.is_none() && !is_named() {
        return None;
    }
    let of_kind = kind.and_then(family_of_kind);
    let model = of_kind.or_else(|| match kind {
        // The report names a limit that does not belong to one model.
        Some(_) => None,
        None => texts().find_map(family_of_text),
    });
    Some(UsageLimit { ends_at_s, model: model.map(str::to_owned) })
}

/// The family of a model, by which limits go: of `opus`, `claude-opus-4-1` and `us.anthropic.claude-opus-4-1-v1:0`
/// it is `opus`. What belongs to no known family stands for itself, in lower case.
#[must_use]
pub fn model_family(model: &str) -> String {
    let model = model.trim().to_ascii_lowercase();
    match FAMILIES.iter().find(|family| model.contains(**family)) {
        Some(family) => (*family).to_owned(),
        None => model,
    }
}

/// `seven_day_opus`.
fn family_of_kind(kind: &str) -> Option<&'static str> {
    FAMILIES.iter().find(|family| kind.split('_').any(|part| part == **family)).copied()
}

/// The family that the clause with the limit names: advice to take another model stands in another one.
fn family_of_text(text: &str) -> Option<&'static str> {
    let text = lower_beginning(text);
    let mut clauses = text.split(['·', '∙', '•', ';', '\n']).flat_map(|part| part.split(". "));
    let clause = clauses.find(|clause| clause.contains("limit") || clause.contains("per day"))?;
    let places = FAMILIES.iter().filter_map(|family| Some((clause.find(family)?, *family)));
    places.min().map(|(_, family)| family)
}

/// When the usage limit in a text ends, seconds since the Unix epoch.
///
/// A time of day that has passed means tomorrow's, unless it passed at most three hours ago: then the limit has just
/// ended. A date without a year is the nearest one. A time that the zone skips is read as if the clocks had not been
/// changed yet; of a time that the zone has twice, the next one counts.
#[must_use]
pub fn ends_at_s(text: &str, now_s: u64, default_zone: &str) -> Option<u64> {
    let text = lower_beginning(text);
    after_bar(&text).or_else(|| when::in_words(&text, now_s, default_zone))
}

/// Whether a text of the CLI names a usage limit. `rate_limit` alone, its word for every 429, does not.
#[must_use]
pub fn names_usage_limit(text: &str) -> bool {
    let text = lower_beginning(text);
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if says(&OTHER_LIMITS) {
        return false;
    }
    let is_share = text.contains("limit") || text.contains("quota") || text.contains("cap");
    says(&USAGE_LIMIT_WORDS)
        || (says(&LONG_PERIODS) && says(&USED_UP))
        || (says(&SHARE) && is_share)
}

fn lower_beginning(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_LIMIT)].to_ascii_lowercase()
}

/// `…|1790000000`: how the oldest versions say it.
fn after_bar(text: &str) -> Option<u64> {
    text.split('|').skip(1).find_map(|part| {
        let digits =
            part.len() - part.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        epoch_s(part[..digits].parse().ok()?)
    })
}

#[cfg(test)]
mod tests;
