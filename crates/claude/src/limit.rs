//! When a usage limit ends, and whether a refusal is one.
//!
//! Newer versions of the CLI say it in a `rate_limit_event`, as a number. Older ones, and texts on the
//! way, say it in words: `resets 2pm (Asia/Shanghai)`, `…|1790000000`, `try again in 5 minutes`. Pure:
//! the time, and the zone of a text that names none, come in; zones are those that were compiled in, so
//! that a machine without a zone database reads the same. What is not understood has no time, and the
//! caller waits as for a limit that does not say when it ends. Called by the supervisor at an attempt's
//! end.

mod when;

use cc_link::event::{ClaudeResult, LimitReport};

/// A refusal that is a usage limit, and not only too many requests at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLimit {
    /// When it ends, seconds since the Unix epoch; `None` where nobody said so that it is understood.
    pub ends_at_s: Option<u64>,
}

/// As much of a text as is looked at, bytes.
const TEXT_BYTES_LIMIT: usize = 4 * 1024;
/// A number of seconds since the epoch has ten digits until the year 2286; one of 13 is milliseconds.
const EPOCH_S_LEAST: u64 = 1_000_000_000;
const EPOCH_S_MOST: u64 = 9_999_999_999;

/// Words of the CLI that name a usage limit, in lower case; and the names of its kinds.
const USAGE_LIMIT_WORDS: [&str; 10] = [
    "usage limit",
    "hit your limit",
    "session limit",
    "weekly limit",
    "limit reached",
    "5-hour limit",
    "extra usage",
    "five_hour",
    "seven_day",
    "overage",
];

/// Reads the usage limit that ended an attempt: from its last limit report, and from its result, where
/// that is an error. Only for an attempt that did not succeed.
///
/// `default_zone` is the IANA name of the zone that a text without one means: that of the machine.
#[must_use]
pub fn usage_limit(
    report: Option<&LimitReport>,
    result: Option<&ClaudeResult>,
    now_s: u64,
    default_zone: &str,
) -> Option<UsageLimit> {
    if let Some(ends_at_s) = report.and_then(|report| report.resets_at_s).and_then(epoch_s) {
        return Some(UsageLimit { ends_at_s: Some(ends_at_s) });
    }
    let error = result.filter(|result| result.is_error).and_then(|result| result.result.as_deref());
    let texts = [error, report.map(|report| report.message.as_str())];
    let texts = || texts.iter().flatten();
    if let Some(ends_at_s) = texts().find_map(|text| ends_at_s(text, now_s, default_zone)) {
        return Some(UsageLimit { ends_at_s: Some(ends_at_s) });
    }
    texts().any(|text| names_usage_limit(text)).then_some(UsageLimit { ends_at_s: None })
}

/// When the limit ends that a text tells of, seconds since the Unix epoch.
///
/// A time of day that has passed means tomorrow's, unless it has passed by at most a minute: then the
/// limit has just ended. A date without a year is the one that is nearest. A time that a zone skips is
/// taken as if the clocks had not been changed yet; of one that it has twice, the first that is to come.
#[must_use]
pub fn ends_at_s(text: &str, now_s: u64, default_zone: &str) -> Option<u64> {
    let text = text[..text.floor_char_boundary(TEXT_BYTES_LIMIT)].to_ascii_lowercase();
    after_bar(&text).or_else(|| when::in_words(&text, now_s, default_zone))
}

/// Whether a text of the CLI names a usage limit. `rate_limit` alone, its word for every 429, does not.
#[must_use]
pub fn names_usage_limit(text: &str) -> bool {
    let text = text[..text.floor_char_boundary(TEXT_BYTES_LIMIT)].to_ascii_lowercase();
    USAGE_LIMIT_WORDS.iter().any(|words| text.contains(words))
}

/// `…|1790000000`: how the oldest versions say it.
fn after_bar(text: &str) -> Option<u64> {
    text.split('|').skip(1).find_map(|part| {
        let digits =
            part.len() - part.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        epoch_s(part[..digits].parse().ok()?)
    })
}

/// A number of seconds, or of milliseconds, since the epoch.
fn epoch_s(number: u64) -> Option<u64> {
    let is_seconds = |number: &u64| (EPOCH_S_LEAST..=EPOCH_S_MOST).contains(number);
    [number, number / 1000].into_iter().find(is_seconds)
}

#[cfg(test)]
mod tests;
