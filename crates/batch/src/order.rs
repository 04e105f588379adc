//! An order in which every task stands after those that it needs.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::plan::need::Need;

/// Tasks that need each other in a circle: each needs the next, the last the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tasks need each other in a circle")]
pub struct Cycle {
    /// Positions, from 0; the smallest first.
    pub members: Vec<usize>,
}

/// The tasks in an order in which every one stands after those that it needs, otherwise by position.
///
/// # Errors
/// [`Cycle`], with the members of one circle.
pub fn topological(needs: &[Vec<Need>]) -> Result<Vec<usize>, Cycle> {
    let mut needed_by = vec![Vec::new(); needs.len()];
    let mut missing: Vec<usize> = vec![0; needs.len()];
    for (task, needs) in needs.iter().enumerate() {
        for need in needs {
            if let Some(list) = needed_by.get_mut(need.task) {
                list.push(task);
                missing[task] += 1;
            }
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..needs.len()).filter(|task| missing[*task] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(task)) = ready.pop() {
        order.push(task);
        for &waiting in &needed_by[task] {
            missing[waiting] -= 1;
            if missing[waiting] == 0 {
                ready.push(Reverse(waiting));
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(circle(needs, &missing)) }
}

/// Follows needs that are missing until a task comes again.
fn circle(needs: &[Vec<Need>], missing: &[usize]) -> Cycle {
    let mut path: Vec<usize> = Vec::new();
    let mut next = missing.iter().position(|count| *count > 0);
    while let Some(task) = next {
        if let Some(start) = path.iter().position(|passed| *passed == task) {
            let mut members = path.split_off(start);
            let smallest = (0..members.len()).min_by_key(|place| members[*place]).unwrap_or(0);
            members.rotate_left(smallest);
            return Cycle { members };
        }
        path.push(task);
        let is_missing = |need: &&Need| missing.get(need.task).is_some_and(|count| *count > 0);
        next = needs[task].iter().find(is_missing).map(|need| need.task);
    }
    Cycle { members: path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(list: &[&[usize]]) -> Vec<Vec<Need>> {
        let need = |task: &usize| Need { task: *task, result: false };
        list.iter().map(|tasks| tasks.iter().map(need).collect()).collect()
    }

    #[test]
    fn without_needs_the_order_is_that_of_the_file() {
        assert_eq!(topological(&needs(&[&[], &[], &[]])), Ok(vec![0, 1, 2]));
        assert_eq!(topological(&[]), Ok(vec![]));
    }

    #[test]
    fn a_task_stands_after_what_it_needs_and_otherwise_where_it_was() {
        assert_eq!(topological(&needs(&[&[3], &[], &[0], &[]])), Ok(vec![1, 3, 0, 2]));
    }

    #[test]
    fn a_circle_is_named_with_its_members_and_nobody_else() {
        let error = topological(&needs(&[&[], &[3, 0], &[1], &[2], &[3]])).unwrap_err();
        assert_eq!(error.members, [1, 3, 2]);
        assert_eq!(topological(&needs(&[&[0]])).unwrap_err().members, [0]);
    }
}
