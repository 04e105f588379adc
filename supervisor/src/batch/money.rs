//! What an attempt has cost, and how many tokens it took.
//!
//! Since version 2.1.277 the totals of a CLI that resumes a conversation contain the conversation's past: only the
//! difference counts. The past is known from earlier attempts of this and other batches. Subagents' tokens are in the
//! counts by model, not in those of the main loop.

use std::collections::HashMap;

use cc_claude::version::Version;
use cc_events::{ClaudeResult, Completed};
use cc_protocol::execute::{Execute, Program};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const SESSIONS_LIMIT: usize = 10_000;
/// The first version whose totals contain the past of a resumed conversation.
const TOTALS_WITH_PAST_SINCE: Version = Version::new(2, 1, 277);

/// The sums of an attempt or of a whole conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// US dollars, as the CLI reports them; `None` if it reports none.
    pub(super) cost_usd: Option<f64>,
    /// Includes tokens read from a cache and tokens written to one.
    pub(super) input_tokens: u64,
    /// The part of `input_tokens` that was read from a cache.
    #[serde(default)]
    pub(super) cache_read_tokens: u64,
    /// The part of `input_tokens` that was written to a cache.
    #[serde(default)]
    pub(super) cache_creation_tokens: u64,
    pub(super) output_tokens: u64,
    /// The tokens are counted by model: subagents are included, and the past wherever the cost includes it.
    pub(super) is_by_model: bool,
}

impl Sums {
    #[must_use]
    pub(super) fn of_result(result: &ClaudeResult) -> Self {
        let by_model = result.model_usage.as_ref().and_then(Value::as_object);
        let is_amount = |cost: &f64| cost.is_finite();
        let costs = || {
            let models = by_model.into_iter().flat_map(|models| models.values());
            models.filter_map(|of| of.get("costUSD")?.as_f64()).reduce(|sum, cost| sum + cost)
        };
        let total = result.total_cost_usd.filter(is_amount).or_else(|| costs().filter(is_amount));
        let cost_usd = total.map(|cost| cost.max(0.0));
        match by_model.filter(|models| !models.is_empty()) {
            Some(models) => {
                let sum = |names: &[&str]| models.values().map(|of| count(Some(of), names)).sum();
                Self {
                    cost_usd,
                    input_tokens: sum(&[
                        "inputTokens",
                        "cacheCreationInputTokens",
                        "cacheReadInputTokens",
                    ]),
                    cache_read_tokens: sum(&["cacheReadInputTokens"]),
                    cache_creation_tokens: sum(&["cacheCreationInputTokens"]),
                    output_tokens: sum(&["outputTokens"]),
                    is_by_model: true,
                }
            }
            None => {
                let usage = result.usage.as_ref();
                let input =
                    ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
                Self {
                    cost_usd,
                    input_tokens: count(usage, &input),
                    cache_read_tokens: count(usage, &["cache_read_input_tokens"]),
                    cache_creation_tokens: count(usage, &["cache_creation_input_tokens"]),
                    output_tokens: count(usage, &["output_tokens"]),
                    is_by_model: false,
                }
            }
        }
    }

    /// The difference to the past; all of it if these sums do not contain the past.
    fn since(self, past: Self) -> Self {
        let contains = |total: Option<f64>, past: Option<f64>| match (total, past) {
            // Both are sums of floats, printed with few digits.
            (Some(total), Some(past)) => total + 1e-9 >= past,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if !contains(self.cost_usd, past.cost_usd) {
            return self;
        }
        let tokens = |total: u64, past: u64| total.checked_sub(past).unwrap_or(total);
        let is_by_model = self.is_by_model && past.is_by_model;
        let past =
            if is_by_model { past } else { Self { cost_usd: past.cost_usd, ..Self::default() } };
        Self {
            cost_usd: self.cost_usd.map(|total| (total - past.cost_usd.unwrap_or(0.0)).max(0.0)),
            input_tokens: tokens(self.input_tokens, past.input_tokens),
            cache_read_tokens: tokens(self.cache_read_tokens, past.cache_read_tokens),
            cache_creation_tokens: tokens(self.cache_creation_tokens, past.cache_creation_tokens),
            output_tokens: tokens(self.output_tokens, past.output_tokens),
            is_by_model: self.is_by_model,
        }
    }
}

fn count(of: Option<&Value>, names: &[&str]) -> u64 {
    let count = |name: &&str| of?.get(name)?.as_u64();
    names.iter().filter_map(count).fold(0, u64::saturating_add)
}

/// The totals of a conversation, past included, as its last attempt printed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionTotal {
    pub(super) claude_session_id: String,
    pub(super) sums: Sums,
}

/// The last known totals of conversations, at most [`SESSIONS_LIMIT`] of them.
#[derive(Debug, Default)]
pub(super) struct Totals {
    of_session: HashMap<String, Sums>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bill {
    /// Of the attempt alone.
    pub(super) sums: Sums,
    /// Of its conversation, to be remembered.
    pub(super) total: Option<SessionTotal>,
    /// It resumed a conversation whose past is not known: the sums contain the past.
    pub(super) may_contain_past: bool,
}

impl Totals {
    pub(super) fn remember(&mut self, total: &SessionTotal) {
        if self.of_session.len() >= SESSIONS_LIMIT {
            self.of_session.clear();
        }
        self.of_session.insert(total.claude_session_id.clone(), total.sums);
    }

    #[must_use]
    pub(super) fn knows(&self, claude_session_id: &str) -> bool {
        self.of_session.contains_key(claude_session_id)
    }

    /// The bill of an attempt of this task. Remembers the totals of its conversation.
    pub(super) fn bill(
        &mut self,
        task: &Execute,
        completed: Option<&Completed>,
        result: &ClaudeResult,
    ) -> Bill {
        let sums = Sums::of_result(result);
        let own_id = result.claude_session_id.as_deref();
        let total = own_id.map(|id| SessionTotal { claude_session_id: id.to_owned(), sums });
        let facts = completed.and_then(|completed| completed.claude.as_deref());
        let cli_version = facts.and_then(|facts| facts.cli_version.as_deref());
        let resumed = resumed(task).filter(|_| cli_version.is_none_or(contains_past));
        let past = resumed.as_ref().and_then(|resumed| {
            let named = resumed.as_deref().and_then(|id| self.of_session.get(id));
            named.or_else(|| self.of_session.get(own_id?)).copied()
        });
        if let Some(total) = &total {
            self.remember(total);
        }
        Bill {
            sums: past.map_or(sums, |past| sums.since(past)),
            total,
            may_contain_past: resumed.is_some() && past.is_none() && sums.cost_usd.is_some(),
        }
    }
}

fn contains_past(cli_version: &str) -> bool {
    Version::read(cli_version).is_none_or(|version| version >= TOTALS_WITH_PAST_SINCE)
}

/// The conversation that a task resumes: `Some(None)` for `--continue`, which resumes the last one.
#[must_use]
pub(super) fn resumed(task: &Execute) -> Option<Option<String>> {
    let (own, arguments) = match &task.program {
        Program::Prompt(prompt) => (prompt.resume_claude_session.clone(), &prompt.extra_args[..]),
        Program::Argv { argv } => (None, &argv[..]),
        Program::Command { .. } => (None, &[][..]),
    };
    if own.is_some() {
        return Some(own);
    }
    let mut arguments = arguments.iter().peekable();
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--continue" | "-c" => return Some(None),
            "--resume" | "-r" => {
                let id = arguments.peek().filter(|next| !next.starts_with('-'));
                return Some(id.map(|id| (*id).clone()));
            }
            word => {
                if let Some(id) = word.strip_prefix("--resume=") {
                    return Some(Some(id.to_owned()));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use cc_protocol::execute::Prompt;
    use serde_json::json;

    use super::*;

    const ID: &str = "5f3c9f0e-6b1d-4c2a-9d53-2b7f64c1a001";

    fn task(resumes: bool) -> Execute {
        let resume_claude_session = resumes.then(|| ID.to_owned());
        let prompt = Prompt { prompt: "x".to_owned(), resume_claude_session, ..Prompt::default() };
        Execute { program: Program::Prompt(Box::new(prompt)), ..Execute::default() }
    }

    fn result(cost_usd: f64) -> ClaudeResult {
        ClaudeResult {
            total_cost_usd: Some(cost_usd),
            claude_session_id: Some(ID.to_owned()),
            ..ClaudeResult::default()
        }
    }

    fn completed(cli_version: &str) -> Completed {
        let mut completed =
            crate::batch::attempt_end::tests::completed(cc_events::Verdict::Succeeded, 0);
        completed.claude = Some(Box::new(cc_events::ClaudeFacts {
            cli_version: Some(cli_version.to_owned()),
            ..cc_events::ClaudeFacts::default()
        }));
        completed
    }

    fn costs(task: &Execute, version: Option<&str>, totals: &[f64]) -> Vec<f64> {
        let mut known = Totals::default();
        let completed = version.map(completed);
        let cost = |total: &f64| {
            let bill = known.bill(task, completed.as_ref(), &result(*total));
            (bill.sums.cost_usd.unwrap() * 100.0).round() / 100.0
        };
        totals.iter().map(cost).collect()
    }

    #[test]
    fn of_a_conversation_that_goes_on_only_what_has_come_on_top_counts() {
        assert_eq!(costs(&task(true), None, &[1.0, 1.1, 1.3]), [1.0, 0.1, 0.2]);
        assert_eq!(costs(&task(true), Some("2.1.332"), &[1.0, 1.1, 1.3]), [1.0, 0.1, 0.2]);
        // A smaller total does not contain what was before.
        assert_eq!(costs(&task(true), None, &[1.0, 0.4, 0.5]), [1.0, 0.4, 0.1]);
    }

    #[test]
    fn versions_whose_totals_are_those_of_one_run_and_tasks_that_resume_nothing_count_whole() {
        assert_eq!(costs(&task(true), Some("2.1.276"), &[1.0, 1.1]), [1.0, 1.1]);
        assert_eq!(costs(&task(true), Some("2.1.277"), &[1.0, 1.1]), [1.0, 0.1]);
        assert_eq!(costs(&task(false), None, &[1.0, 1.1]), [1.0, 1.1]);
    }

    #[test]
    fn without_a_total_the_costs_of_the_models_are_the_cost() {
        let of = |total_cost_usd, models: Value| {
            let model_usage = Some(models);
            let result = ClaudeResult { total_cost_usd, model_usage, ..ClaudeResult::default() };
            Sums::of_result(&result).cost_usd
        };
        let models = serde_json::json!({"a": {"costUSD": 0.5}, "b": {"costUSD": 0.25}, "c": {}});
        assert_eq!(of(None, models.clone()), Some(0.75));
        assert_eq!(of(Some(1.0), models), Some(1.0));
        assert_eq!(of(None, serde_json::json!({"a": {"inputTokens": 1}})), None);
        assert_eq!(of(None, Value::Null), None);
    }

    #[test]
    fn a_past_that_is_not_known_is_reported() {
        let mut totals = Totals::default();
        assert!(totals.bill(&task(true), None, &result(1.0)).may_contain_past);
        assert!(!totals.bill(&task(true), None, &result(1.5)).may_contain_past);
        assert!(!totals.bill(&task(false), None, &result(1.0)).may_contain_past);
    }

    #[test]
    fn subagents_tokens_count_and_the_past_ones_do_not() {
        let by_model = |input: u64, output: u64| ClaudeResult {
            usage: Some(json!({"input_tokens": 1, "output_tokens": 1})),
            model_usage: Some(json!({
                "opus": {"inputTokens": input, "cacheReadInputTokens": 10, "outputTokens": output},
                "haiku": {"inputTokens": 5, "cacheCreationInputTokens": 1, "outputTokens": 2},
            })),
            ..result(1.0)
        };
        let mut totals = Totals::default();
        let mut tokens = |result: &ClaudeResult| {
            let sums = totals.bill(&task(true), None, result).sums;
            (sums.input_tokens, sums.output_tokens)
        };
        assert_eq!(tokens(&by_model(100, 20)), (116, 22));
        assert_eq!(tokens(&by_model(150, 25)), (50, 5));
        let plain = ClaudeResult {
            usage: Some(
                json!({"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4}),
            ),
            ..result(1.0)
        };
        assert_eq!(tokens(&plain), (3, 4), "the main loop's are those of one run");
    }

    #[test]
    fn a_task_that_goes_on_with_a_conversation_is_known_by_its_arguments_too() {
        for (arguments, expected) in [
            (json!(["--resume", "a"]), Some(Some("a".to_owned()))),
            (json!(["--resume=a"]), Some(Some("a".to_owned()))),
            (json!(["-c"]), Some(None)),
            (json!(["--resume", "--verbose"]), Some(None)),
            (json!(["--verbose"]), None),
        ] {
            let extra_args = serde_json::from_value(arguments).unwrap();
            let prompt = Prompt { extra_args, ..Prompt::default() };
            let program = Program::Prompt(Box::new(prompt));
            assert_eq!(resumed(&Execute { program, ..Execute::default() }), expected);
        }
    }
}
