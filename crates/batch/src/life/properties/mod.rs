//! What holds for any plan and any interleaving: a supervisor that is as unlucky as one can be drives
//! random plans, and watches.

mod plans;
mod world;

use proptest::prelude::*;

use self::{plans::plan, world::World};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_batch_ends_with_one_verdict_a_task_and_no_start_too_many(
        plan in plan(),
        script in prop::collection::vec((0_u8..12, any::<u8>(), any::<u8>()), 0..80),
    ) {
        let mut world = World::new(&plan);
        for action in script {
            world.act(action);
        }
        world.finish();
        prop_assert!(world.is_over, "it does not end: {:#?}", world.batch);
        prop_assert!(world.batch.is_over());
        prop_assert!(world.batch.tasks.iter().all(TaskState::is_settled));
        for (task, state) in world.batch.tasks.iter().enumerate() {
            let started = world.starts.contains_key(&task);
            if let TaskState::Skipped { .. } = state {
                prop_assert!(!started, "{task} was skipped and began");
            }
            if let TaskState::Over { outcome, .. } = state {
                prop_assert_eq!(outcome.attempts > 0, started);
                let last = world.starts.get(&task).and_then(|starts| starts.last());
                prop_assert_eq!(outcome.task_id.as_ref(), last);
            }
        }
    }

    #[test]
    fn without_mishaps_every_task_runs_once_in_order(plan in plan()) {
        let mut world = World::new(&plan);
        world.finish();
        prop_assert!(world.starts.values().all(|starts| starts.len() == 1));
        let counts = world.batch.counts();
        let by_cost = matches!(
            world.batch.head.phase, Phase::Over { stop: Some(Stop::MaxCost | Stop::MaxTime), .. }
        );
        prop_assert!(by_cost || counts.succeeded == world.batch.tasks.len(), "{:?}", counts);
    }
}
