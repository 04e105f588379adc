//! The hooks of a batch: commands around its tasks, and the facts they get.
//!
//! A hook is a task of its own, with limits. It gets its facts in environment variables, never in its command line, so
//! that a shell never parses text of a model.

use std::collections::BTreeMap;

use cc_batch::{Job, Plan, life::TaskState, plan::Hook};
use cc_protocol::{batch::BatchSummary, execute::Execute};

use crate::batch::{attempts::Attempts, render};

/// The command of a task's hook; `None` if the plan has no such hook.
#[must_use]
pub(super) fn of_task(
    plan: &Plan,
    batch_id: &str,
    job: Job,
    state: &TaskState,
    attempts: &Attempts,
) -> Option<Execute> {
    let hooks = &plan.options.hooks;
    let (hook, name, index) = match job {
        Job::Before(index) => (hooks.before_task.as_ref()?, "before_task", index),
        Job::After(index) => (hooks.after_task.as_ref()?, "after_task", index),
        Job::Task(_) | Job::AfterBatch => return None,
    };
    let task = plan.tasks.get(index)?;
    let mut facts = facts(plan, batch_id, name);
    let mut fact =
        |name: &str, value: String| drop(facts.insert(format!("CC_EXECUTOR_{name}"), value));
    fact("TASK_INDEX", index.to_string());
    fact("TASK_NAME", task.name.clone().unwrap_or_default());
    fact("TASK_LABEL", task.execute.label.clone().unwrap_or_default());
    if let Some(outcome) = state.outcome() {
        let last = attempts.newest.last();
        let exit_code = last.and_then(|last| last.exit_code);
        fact("VERDICT", outcome.verdict.as_str().to_owned());
        fact("ATTEMPTS", attempts.starts.to_string());
        // Not `CC_EXECUTOR_TASK_ID`: that variable identifies the hook's own processes.
        fact("ATTEMPT_ID", outcome.task_id.clone().unwrap_or_default());
        fact("EXIT_CODE", exit_code.map(|code| code.to_string()).unwrap_or_default());
        fact("COST_USD", attempts.cost_usd.map(|cost| cost.to_string()).unwrap_or_default());
        fact("WARNINGS", attempts.warnings.to_string());
    }
    let task = render::display_name(plan, index);
    Some(with_facts(hook, facts, format!("hook {name} of {task}")))
}

/// The command of the hook at the end of the batch.
#[must_use]
pub(super) fn of_batch(plan: &Plan, summary: &BatchSummary, outcome: &str) -> Option<Execute> {
    let hook = plan.options.hooks.after_batch.as_ref()?;
    let mut facts = facts(plan, &summary.batch_id, "after_batch");
    let mut fact =
        |name: &str, value: String| drop(facts.insert(format!("CC_EXECUTOR_{name}"), value));
    fact("OUTCOME", outcome.to_owned());
    fact("REASON", summary.reason.clone().unwrap_or_default());
    fact("TASKS", summary.counts.tasks.to_string());
    fact("SUCCEEDED", summary.counts.succeeded.to_string());
    fact("FAILED", summary.counts.failed.to_string());
    fact("SKIPPED", summary.counts.skipped.to_string());
    fact("COST_USD", summary.cost_usd.to_string());
    fact("WARNINGS", summary.warnings.to_string());
    Some(with_facts(hook, facts, "hook after_batch".to_owned()))
}

fn facts(plan: &Plan, batch_id: &str, hook: &str) -> BTreeMap<String, String> {
    [
        ("HOOK", hook),
        ("BATCH_ID", batch_id),
        ("BATCH_NAME", plan.name.as_deref().unwrap_or_default()),
    ]
    .into_iter()
    .map(|(name, value)| (format!("CC_EXECUTOR_{name}"), value.to_owned()))
    .collect()
}

fn with_facts(hook: &Hook, facts: BTreeMap<String, String>, label: String) -> Execute {
    let mut execute = hook.execute.clone();
    // The protocol has refused a NUL in any label or argument.
    execute.env.extend(facts.into_iter().map(|(name, value)| (name, Some(value))));
    execute.label = Some(label);
    execute
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(hooks: Value) -> Plan {
        let params = json!({"options": {"hooks": hooks}, "tasks": [{"name": "a", "prompt": "x"}]});
        let Value::Object(params) = params else { panic!("no object") };
        Plan::from_params(params).unwrap()
    }

    #[test]
    fn a_hook_is_told_of_warnings() {
        let plan = plan(json!({"after_task": {"command": "x"}}));
        let outcome = cc_batch::life::TaskOutcome {
            verdict: cc_events::Verdict::Succeeded,
            cause: cc_batch::life::Cause::Attempt { end: cc_batch::retry::Class::Done },
            task_id: None,
            attempts: 1,
            waits: 0,
            has_result: true,
        };
        let state = TaskState::Over { outcome, after_task_failed: false };
        let attempts = Attempts { warnings: 2, ..Attempts::default() };
        let after = of_task(&plan, "b", Job::After(0), &state, &attempts).unwrap();
        assert_eq!(after.env["CC_EXECUTOR_WARNINGS"].as_deref(), Some("2"));
    }

    #[test]
    fn a_hook_gets_its_facts_in_variables_and_keeps_its_own() {
        let plan = plan(json!({"before_task": {"command": "x"}}));
        let attempts = Attempts::default();
        let before = of_task(&plan, "b", Job::Before(0), &TaskState::Waiting, &attempts).unwrap();
        assert_eq!(before.env["CC_EXECUTOR_TASK_NAME"].as_deref(), Some("a"));
        assert_eq!(before.env["CC_EXECUTOR_BATCH_ID"].as_deref(), Some("b"));
        assert!(!before.env.contains_key("CC_EXECUTOR_TASK_ID"));
        assert_eq!(before.label.as_deref(), Some("hook before_task of task 1 (a)"));
        assert!(of_task(&plan, "b", Job::After(0), &TaskState::Waiting, &attempts).is_none());
    }
}
