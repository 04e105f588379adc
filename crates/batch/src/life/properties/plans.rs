//! Plans of any shape.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::plan::Plan;

/// A plan by numbers. Needs lead from a later to an earlier place of a shuffled order.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let task = (any::<u8>(), 0_u32..3, any::<bool>(), any::<bool>());
    let tasks = prop::collection::vec(task, 1..8);
    let options = (1_u32..4, 0_usize..5, 0_usize..3, any::<bool>(), any::<[bool; 5]>());
    (tasks, any::<bool>(), options).prop_map(|(tasks, has_needs, options)| {
        let (jobs, halt, on_lost, is_reversed, [before, after, last, has_cost, has_time]) = options;
        let count = tasks.len();
        let tasks: Vec<Value> = tasks
            .into_iter()
            .enumerate()
            .map(|(index, (mask, retries, retry_timed_out, allow_failure))| {
                let other = |bit: usize| if is_reversed { index + 1 + bit } else { bit };
                let is_there = |other: &usize| *other != index && *other < count;
                let is_before = |other: &usize| is_reversed || *other < index;
                let others: Vec<usize> = (0..8)
                    .filter(|bit| has_needs && mask & (1 << bit) != 0 && mask & 1 == 0)
                    .map(other)
                    .filter(|other| is_there(other) && is_before(other))
                    .collect();
                let prompt = match others.first() {
                    Some(first) if mask & 2 != 0 => format!("{{{{tasks.t{first}.result}}}}"),
                    Some(_) | None => "x".to_owned(),
                };
                let needs: Vec<String> = others.iter().map(|other| format!("t{other}")).collect();
                json!({
                    "name": format!("t{index}"), "prompt": prompt, "needs": needs, "retries": retries,
                    "retry_timed_out": retry_timed_out, "allow_failure": allow_failure,
                })
            })
            .collect();
        let hook = |is_there: bool| if is_there { json!({"command": "x"}) } else { Value::Null };
        let halts = ["never", "never", "soon,fail=1", "now,fail=1", "now,fail=2"];
        let policies = ["stop", "continue", "retry"];
        let options = json!({
            "jobs": jobs,
            "halt": halts[halt],
            "on_lost": policies[on_lost],
            "max_cost_usd": if has_cost { json!(4) } else { Value::Null },
            "max_time_s": if has_time { json!(3_000) } else { Value::Null },
            "hooks": {"before_task": hook(before), "after_task": hook(after), "after_batch": hook(last)},
        });
        serde_json::from_value(json!({"tasks": tasks, "options": options})).unwrap()
    })
}
