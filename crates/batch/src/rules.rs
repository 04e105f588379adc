//! The part of a plan that the state machine uses: what decides when a task runs, and nothing of what it runs.

use std::collections::BTreeMap;

use cc_protocol::execute::{Execute, Program};

use crate::{
    order,
    plan::{Halt, Need, OnAuthRefused, OnLost, Plan},
};

/// The variables that say which account a Claude CLI uses, and where.
pub const CREDENTIAL_VARIABLES: [&str; 8] = [
    "HOME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
];

/// The unchanging half of a batch; the changing one is [`crate::life::Batch`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub(crate) jobs: usize,
    pub(crate) halt: Halt,
    pub(crate) max_cost_usd: Option<f64>,
    pub(crate) max_time_ms: Option<u64>,
    pub(crate) on_lost: OnLost,
    pub(crate) on_auth_refused: OnAuthRefused,
    pub(crate) before_task: bool,
    pub(crate) after_task: bool,
    pub(crate) after_batch: bool,
    pub(crate) tasks: Vec<TaskRules>,
    /// Every task stands after those that it needs.
    pub(crate) order: Vec<usize>,
}

/// The same for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRules {
    pub(crate) retries: u32,
    pub(crate) retry_timed_out: bool,
    pub(crate) allow_failure: bool,
    pub(crate) needs: Vec<Need>,
    /// Tasks with the same number use the same account.
    pub(crate) account: u32,
    /// It is a prompt for an agent.
    pub(crate) is_agent: bool,
    /// The model that it names.
    pub(crate) model: Option<String>,
}

impl Rules {
    /// The rules of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let options = &plan.options;
        let mut accounts = BTreeMap::new();
        let tasks: Vec<TaskRules> = plan
            .tasks
            .iter()
            .zip(plan.needs())
            .map(|(task, needs)| TaskRules {
                retries: task.retries,
                retry_timed_out: task.retry_timed_out,
                allow_failure: task.allow_failure,
                needs: needs.clone(),
                account: {
                    let number = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
                    *accounts.entry(account(&task.execute)).or_insert(number)
                },
                is_agent: matches!(task.execute.program, Program::Prompt(_)),
                model: model(&task.execute).map(str::to_owned),
            })
            .collect();
        Self {
            jobs: options.jobs.max(1) as usize,
            halt: options.halt,
            max_cost_usd: options.max_cost_usd,
            // More than fits is for ever.
            max_time_ms: options.max_time_s.map(|seconds| (seconds * 1000.0) as u64),
            on_lost: options.on_lost,
            on_auth_refused: options.auth,
            before_task: options.hooks.before_task.is_some(),
            after_task: options.hooks.after_task.is_some(),
            after_batch: options.hooks.after_batch.is_some(),
            // A plan that was read has an order; without one every task would stand by position.
            order: order::topological(plan.needs())
                .unwrap_or_else(|_| (0..plan.tasks.len()).collect()),
            tasks,
        }
    }
}

/// What a task itself says about its account. Tasks of one batch with the same value use the same account.
fn account(task: &Execute) -> Vec<Option<&Option<String>>> {
    CREDENTIAL_VARIABLES.iter().map(|name| task.env.get(*name)).collect()
}

/// The model that a task names, in its options or its arguments.
#[must_use]
pub fn model(task: &Execute) -> Option<&str> {
    let of_arguments = |arguments: &'_ [String]| -> Option<usize> {
        arguments.iter().position(|word| word == "--model" || word.starts_with("--model="))
    };
    let (own, arguments) = match &task.program {
        Program::Prompt(prompt) => (prompt.model.as_deref(), &prompt.extra_args[..]),
        Program::Argv { argv } => (None, &argv[..]),
        Program::Command { .. } => (None, &[][..]),
    };
    // What comes later counts for the CLI, and these come last.
    let place = of_arguments(arguments);
    let named = place.and_then(|place| match arguments[place].strip_prefix("--model=") {
        Some(model) => Some(model),
        None => arguments.get(place + 1).map(String::as_str),
    });
    let of_environment = || task.env.get("ANTHROPIC_MODEL").and_then(Option::as_deref);
    named.or(own).or_else(of_environment).map(str::trim).filter(|model| !model.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_names_its_model_in_its_options_its_arguments_or_its_environment() {
        for (task, expected) in [
            (json!({"prompt": "x", "model": "opus"}), Some("opus")),
            (json!({"prompt": "x", "extra_args": ["--model", "sonnet"]}), Some("sonnet")),
            (json!({"prompt": "x", "extra_args": ["--model=sonnet"]}), Some("sonnet")),
            (json!({"argv": ["claude", "-p", "x", "--model", "haiku"]}), Some("haiku")),
            (json!({"prompt": "x", "env": {"ANTHROPIC_MODEL": "opus"}}), Some("opus")),
            (json!({"prompt": "x", "model": " "}), None),
            (json!({"prompt": "--model opus"}), None),
            (json!({"argv": ["claude", "--model"]}), None),
        ] {
            let plan: Plan = serde_json::from_value(json!({"tasks": [task]})).unwrap();
            assert_eq!(model(&plan.tasks[0].execute), expected);
        }
    }

    #[test]
    fn tasks_with_other_credentials_use_other_accounts() {
        let plan: Plan = serde_json::from_value(json!({"tasks": [
            {"prompt": "x"},
            {"prompt": "x", "env": {"ANTHROPIC_API_KEY": "k"}},
            {"prompt": "y", "env": {"OTHER": "k"}},
        ]}))
        .unwrap();
        let accounts: Vec<u32> = Rules::of(&plan).tasks.iter().map(|task| task.account).collect();
        assert_eq!(accounts, [0, 1, 0]);
    }
}
