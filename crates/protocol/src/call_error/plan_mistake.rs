//! One mistake of a plan, as the answer lists it.

use serde::Serialize;

/// What is wrong with a plan, and in which member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanMistake {
    /// The task, from 0; `None` for the plan itself and its options.
    pub task: Option<usize>,
    /// The task's name, where it has a usable one.
    pub name: Option<String>,
    /// The member concerned, such as `timeout` or `options.halt`.
    pub field: String,
    /// What is wrong with it and what would be right; reads on after the member's name.
    pub what: String,
}
