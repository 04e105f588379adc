//! What is left of a plan that was run: some of its tasks, with the results of the others written into them.

use std::collections::HashSet;

use serde_json::Value;

use super::parse::Plan;
use crate::{
    mistake::Mistakes,
    template::{self, Missing, Reference},
};

/// Why no plan can be made of the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// A task that is not run again has no result, and another one refers to it.
    #[error("{0}")]
    Missing(#[from] Missing),
    /// Filled in, the plan is no sound one: a limit is passed.
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
}

impl Plan {
    /// The plan of the tasks for which `is_kept`, under no idempotency key. Where they refer to others, the text
    /// of those tasks' results takes the place of the reference; where they need others, that is done.
    ///
    /// # Errors
    /// See [`RestError`].
    pub fn rest<'r>(
        &self,
        is_kept: impl Fn(usize) -> bool,
        result_of: impl Fn(usize) -> Option<&'r str>,
    ) -> Result<Self, RestError> {
        let kept: HashSet<usize> = (0..self.tasks.len()).filter(|index| is_kept(*index)).collect();
        let mut rest = Self { idempotency_key: None, tasks: Vec::new(), ..self.clone() };
        for (index, task) in self.tasks.iter().enumerate().filter(|(index, _)| kept.contains(index))
        {
            let mut task = task.clone();
            task.needs.retain(|name| self.index_of(name).is_some_and(|need| kept.contains(&need)));
            task.execute = template::fill_partly(&task.execute, |reference| {
                let needed = match reference {
                    Reference::Prev => index.checked_sub(1),
                    Reference::Task(name) => self.index_of(name),
                };
                match needed {
                    Some(needed) if kept.contains(&needed) => Ok(None),
                    Some(needed) => result_of(needed).map(Some).ok_or(Missing { task: needed }),
                    None => Err(Missing { task: index }),
                }
            })?;
            rest.tasks.push(task);
        }
        // Read again, so that there is no plan that was not checked.
        match serde_json::to_value(&rest) {
            Ok(Value::Object(params)) => Ok(Self::from_params(params)?),
            // Excluded by the types.
            Ok(_) | Err(_) => Err(RestError::Mistakes(Mistakes::default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use cc_protocol::execute::Program;
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        let params = json!({"name": "n", "idempotency_key": "k", "tasks": [
            {"name": "a", "prompt": "x"},
            {"name": "b", "prompt": "{{{{ {{tasks.a.result}} }}"},
            {"name": "c", "command": "echo {{prev.result}} {{tasks.a.result}}", "needs": ["a", "b"]},
        ]});
        let Value::Object(params) = params else { panic!("no object") };
        Plan::from_params(params).unwrap()
    }

    #[test]
    fn results_of_what_is_not_run_again_are_written_in_and_run_as_they_would_have() {
        let rest =
            plan().rest(|index| index > 0, |index| (index == 0).then_some("it's {{x}} $(y)"));
        let rest = rest.unwrap();
        assert_eq!((rest.name.as_deref(), rest.idempotency_key.as_deref()), (Some("n"), None));
        assert_eq!(rest.tasks[1].needs, ["b"]);
        let Program::Prompt(prompt) = rest.execute(0, |_| None).unwrap().program else { panic!() };
        assert_eq!(prompt.prompt, "{{ it's {{x}} $(y) }}");
        let whole = plan().execute(2, |index| Some(["it's {{x}} $(y)", "B"][index])).unwrap();
        assert_eq!(rest.execute(1, |_| Some("B")).unwrap().program, whole.program);
    }

    #[test]
    fn a_result_that_is_needed_and_not_there_is_named() {
        let missing = plan().rest(|index| index == 2, |index| (index == 0).then_some("A"));
        assert_eq!(missing.unwrap_err(), RestError::Missing(Missing { task: 1 }));
    }
}
