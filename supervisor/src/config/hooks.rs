//! The hooks of the operator: commands that run around the tasks of every batch whose plan has no hooks of its own.

use cc_batch::{
    limits::HOOK_TIMEOUT_S_DEFAULT,
    plan::{Hook, Hooks},
};
use cc_protocol::execute::{Execute, Program};

/// The operator's hooks, as command lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookDefaults {
    pub(crate) before_task: Option<String>,
    pub(crate) after_task: Option<String>,
    pub(crate) after_batch: Option<String>,
}

impl HookDefaults {
    /// Sets the hooks that the plan does not have.
    pub(crate) fn fill(&self, hooks: &mut Hooks) {
        let hook = |command: &Option<String>| {
            command.as_ref().map(|command| Hook {
                execute: Execute {
                    program: Program::Command { command: command.clone() },
                    timeout: Some(HOOK_TIMEOUT_S_DEFAULT),
                    ..Execute::default()
                },
            })
        };
        hooks.before_task = hooks.before_task.take().or_else(|| hook(&self.before_task));
        hooks.after_task = hooks.after_task.take().or_else(|| hook(&self.after_task));
        hooks.after_batch = hooks.after_batch.take().or_else(|| hook(&self.after_batch));
    }
}

#[cfg(test)]
mod tests {
    use cc_batch::Plan;
    use serde_json::{Value, json};

    use super::*;

    fn plan(hooks: Value) -> Plan {
        let params = json!({"options": {"hooks": hooks}, "tasks": [{"name": "a", "prompt": "x"}]});
        let Value::Object(params) = params else { panic!("no object") };
        Plan::from_params(params).unwrap()
    }

    #[test]
    fn a_hook_of_the_plan_wins_over_the_operators_and_both_are_bounded() {
        let mut plan = plan(json!({"before_task": {"argv": ["own"], "timeout": 5}}));
        let theirs = Some("theirs".to_owned());
        let defaults =
            HookDefaults { before_task: theirs.clone(), after_task: theirs, after_batch: None };
        defaults.fill(&mut plan.options.hooks);
        let hooks = &plan.options.hooks;
        let program = |hook: &Option<Hook>| hook.as_ref().map(|hook| hook.execute.program.clone());
        assert_eq!(
            program(&hooks.before_task),
            Some(Program::Argv { argv: vec!["own".to_owned()] })
        );
        assert_eq!(
            program(&hooks.after_task),
            Some(Program::Command { command: "theirs".to_owned() })
        );
        assert_eq!(hooks.after_task.as_ref().unwrap().execute.timeout, Some(60.0));
        assert_eq!(hooks.after_batch, None);
    }
}
