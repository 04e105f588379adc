//! A timeout from experience: `timeout = "auto"`.
//!
//! Takes the durations of earlier successful runs with the same label or the same [`shape`] of prompt,
//! which the supervisor has in its history, and says what it chose and why: both go to the task's
//! record.

use sha2::{Digest, Sha256};

/// How a timeout is chosen. All times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Fewer earlier runs than these say nothing.
    pub samples_least: usize,
    /// The timeout while there are fewer.
    pub default_s: u64,
    /// Of the runs, this many in a hundred were at most as long as the one that counts.
    pub percentile: u8,
    /// So many times as long as that one.
    pub factor: u64,
    /// Never less.
    pub floor_s: u64,
    /// Never more.
    pub ceiling_s: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            samples_least: 5,
            default_s: 3_600,
            percentile: 95,
            factor: 3,
            floor_s: 120,
            ceiling_s: 4 * 3_600,
        }
    }
}

/// Most earlier runs that are looked at: the newest.
pub const SAMPLES_LIMIT: usize = 200;

/// A timeout and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub timeout_s: u64,
    /// A sentence for the task's record.
    pub why: String,
}

/// Chooses. `durations_ms` are earlier successful runs, the newest first; of more than
/// [`SAMPLES_LIMIT`] the others do not count.
#[must_use]
pub fn choose(durations_ms: &[u64], policy: &Policy) -> Choice {
    let mut sorted = durations_ms[..durations_ms.len().min(SAMPLES_LIMIT)].to_vec();
    sorted.sort_unstable();
    let count = sorted.len();
    let percentile = policy.percentile.clamp(1, 100);
    // Nearest rank: the smallest that so many in a hundred do not exceed.
    let rank = (count * usize::from(percentile)).div_ceil(100);
    let Some(high_ms) = rank
        .checked_sub(1)
        .and_then(|place| sorted.get(place))
        .filter(|_| count >= policy.samples_least)
    else {
        return Choice {
            timeout_s: policy.default_s,
            why: format!(
                "{} s: the default, because only {count} earlier successful runs are known and {} \
                 are needed",
                policy.default_s, policy.samples_least
            ),
        };
    };
    let wanted_s = high_ms.saturating_mul(policy.factor).div_ceil(1000);
    let timeout_s = wanted_s.min(policy.ceiling_s).max(policy.floor_s);
    let bound = if timeout_s > wanted_s {
        format!(", but at least {} s", policy.floor_s)
    } else if timeout_s < wanted_s {
        format!(", but at most {} s", policy.ceiling_s)
    } else {
        String::new()
    };
    let tenths = high_ms.div_ceil(100);
    let why = format!(
        "{timeout_s} s: {} times {}.{} s, within which {percentile} % of {count} earlier successful runs \
         ended{bound}",
        policy.factor,
        tenths / 10,
        tenths % 10,
    );
    Choice { timeout_s, why }
}

/// What prompts have in common that differ only in numbers, case, white space and their later part:
/// `Fix issue 17 …` and `fix issue 4 …`. 32 hexadecimal digits; says nothing about the prompt.
#[must_use]
pub fn shape(prompt: &str) -> String {
    /// As many characters as usually say what kind of task it is.
    const PREFIX_CHARS: usize = 80;
    let mut normal = String::new();
    let mut last = ' ';
    for letter in prompt.chars().flat_map(char::to_lowercase) {
        let letter = match letter {
            letter if letter.is_whitespace() => ' ',
            letter if letter.is_numeric() => '0',
            letter => letter,
        };
        if letter == last && (letter == ' ' || letter == '0') {
            continue;
        }
        normal.push(letter);
        last = letter;
        // `count` is at most as long as the prefix, so that this is no quadratic walk.
        if normal.chars().count() >= PREFIX_CHARS {
            break;
        }
    }
    let digest = Sha256::digest(normal.trim_end().as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_too_little_history_the_default_is_taken_and_said_to_be() {
        let choice = choose(&[10_000; 4], &Policy::default());
        assert_eq!(choice.timeout_s, 3_600);
        assert!(
            choice.why.contains("the default") && choice.why.contains("only 4"),
            "{}",
            choice.why
        );
        assert_eq!(choose(&[], &Policy { samples_least: 0, ..Policy::default() }).timeout_s, 3_600);
    }

    #[test]
    fn a_high_percentile_times_a_factor_is_taken_whatever_the_order() {
        let mut durations_ms: Vec<u64> = (1..=100).rev().map(|second| second * 1_000).collect();
        durations_ms.swap(3, 60);
        let choice = choose(&durations_ms, &Policy::default());
        assert_eq!(choice.timeout_s, 285);
        assert_eq!(
            choice.why,
            "285 s: 3 times 95.0 s, within which 95 % of 100 earlier successful runs ended"
        );
    }

    #[test]
    fn floor_and_ceiling_hold_and_are_named() {
        let short = choose(&[1_000; 5], &Policy::default());
        assert_eq!(short.timeout_s, 120);
        assert!(short.why.ends_with("but at least 120 s"), "{}", short.why);
        let long = choose(&[u64::MAX; 5], &Policy::default());
        assert_eq!(long.timeout_s, 14_400);
        assert!(long.why.ends_with("but at most 14400 s"), "{}", long.why);
    }

    #[test]
    fn old_runs_beyond_the_newest_do_not_count() {
        let mut durations_ms = vec![100_000; SAMPLES_LIMIT];
        durations_ms.extend([9_000_000; 1_000]);
        assert_eq!(choose(&durations_ms, &Policy::default()).timeout_s, 300);
    }

    #[test]
    fn prompts_that_differ_in_numbers_and_their_rest_have_one_shape() {
        let rest = "word ".repeat(30);
        let one = shape(&format!("Fix issue 17:\n  {rest} and more"));
        assert_eq!(one, shape(&format!("fix  issue 4: {rest} and something else, 5")));
        assert_eq!(one.len(), 32);
        assert_ne!(one, shape("Fix the issue"));
        assert_eq!(shape("a "), shape("a"));
    }
}
