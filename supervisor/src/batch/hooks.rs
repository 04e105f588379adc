//! The commands around the tasks of a batch: where they come from, and what they are told.
//!
//! A hook is a bounded task of its own. The facts come to it in variables, never in its command line, so that no
//! text of a model is ever read by a shell.

use std::collections::BTreeMap;

use cc_batch::{Job, Plan, life::TaskState, plan::Hook};
use cc_protocol::{batch::BatchSummary, execute::Execute};

use crate::batch::attempts::Record;

/// What a hook of a task runs. `None` where the plan has no such hook.
#[must_use]
pub fn of_task(
    plan: &Plan,
    batch_id: &str,
    job: Job,
    state: &TaskState,
    record: &Record,
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
        let last = record.attempts.last();
        let exit_code = last.and_then(|last| last.exit_code);
        fact("VERDICT", outcome.verdict.as_str().to_owned());
        fact("ATTEMPTS", record.starts.to_string());
        // Not `CC_EXECUTOR_TASK_ID`: by that the hook's own processes are found.
        fact("ATTEMPT_ID", outcome.task_id.clone().unwrap_or_default());
        fact("EXIT_CODE", exit_code.map(|code| code.to_string()).unwrap_or_default());
        fact("COST_USD", record.cost_usd.map(|cost| cost.to_string()).unwrap_or_default());
        fact("WARNINGS", record.warnings.to_string());
    }
    let called = crate::batch::render::called(plan, index);
    Some(with_facts(hook, facts, format!("hook {name} of {called}")))
}

/// What the hook at the end runs.
#[must_use]
pub fn of_batch(plan: &Plan, summary: &BatchSummary, outcome: &str) -> Option<Execute> {
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
    // A label may hold a NUL as little as any argument; the protocol has refused both.
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
        let record = Record { warnings: 2, ..Record::default() };
        let after = of_task(&plan, "b", Job::After(0), &state, &record).unwrap();
        assert_eq!(after.env["CC_EXECUTOR_WARNINGS"].as_deref(), Some("2"));
    }

    #[test]
    fn a_hook_gets_its_facts_in_variables_and_keeps_its_own() {
        let plan = plan(json!({"before_task": {"command": "x"}}));
        let record = Record::default();
        let before = of_task(&plan, "b", Job::Before(0), &TaskState::Waiting, &record).unwrap();
        assert_eq!(before.env["CC_EXECUTOR_TASK_NAME"].as_deref(), Some("a"));
        assert_eq!(before.env["CC_EXECUTOR_BATCH_ID"].as_deref(), Some("b"));
        assert!(!before.env.contains_key("CC_EXECUTOR_TASK_ID"));
        assert_eq!(before.label.as_deref(), Some("hook before_task of task 1 (a)"));
        assert!(of_task(&plan, "b", Job::After(0), &TaskState::Waiting, &record).is_none());
    }
}
