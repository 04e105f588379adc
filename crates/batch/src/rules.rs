//! What of a plan the state machine goes by: nothing that a task runs, only what decides when.

use crate::{
    order,
    plan::{Halt, Need, OnAuthRefused, OnLost, Plan},
};

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
}

impl Rules {
    /// The rules of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let options = &plan.options;
        let tasks: Vec<TaskRules> = plan
            .tasks
            .iter()
            .zip(plan.needs())
            .map(|(task, needs)| TaskRules {
                retries: task.retries,
                retry_timed_out: task.retry_timed_out,
                allow_failure: task.allow_failure,
                needs: needs.clone(),
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
