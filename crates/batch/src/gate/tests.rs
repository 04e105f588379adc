use proptest::prelude::*;

use super::*;

fn model_of(task: usize) -> Option<String> {
    [None, Some("opus".to_owned()), Some("sonnet".to_owned())][task % 3].clone()
}

fn until_ms(gate: &Gate, model: Option<&str>) -> Option<u64> {
    gate.closed_for(model).map(|(_, until_ms)| until_ms)
}

fn ticket(batch: &str, task: usize) -> Ticket {
    Ticket { batch_id: batch.to_owned(), job: Job::Task(task) }
}

#[test]
fn one_after_another_begins_without_a_gap() {
    let mut gate = Gate::new(4, 1);
    for task in 0..5 {
        gate.ask(ticket("a", task), None, 1);
    }
    for task in 0..5 {
        assert_eq!(gate.admit(1_000), [ticket("a", task)]);
        assert_eq!(gate.admit(1_000_000), [], "one at a time of a batch");
        gate.leave(&ticket("a", task));
    }
    assert_eq!(gate.wake_at_ms(), None);
}

#[test]
fn who_begins_beside_another_does_so_after_a_gap() {
    let mut gate = Gate::new(4, 1);
    gate.ask(ticket("a", 0), None, 2);
    gate.ask(ticket("a", 1), None, 2);
    assert_eq!(gate.admit(1_000), [ticket("a", 0)]);
    let wake_ms = gate.wake_at_ms().unwrap();
    assert!((3_000..=4_000).contains(&wake_ms), "{wake_ms}");
    assert_eq!(gate.admit(wake_ms - 1), []);
    assert_eq!(gate.admit(wake_ms), [ticket("a", 1)]);
}

#[test]
fn a_batch_without_a_place_holds_nobody_else_up() {
    let mut gate = Gate::new(4, 1);
    gate.adopted(ticket("a", 0));
    gate.ask(ticket("a", 1), None, 1);
    gate.ask(ticket("b", 0), None, 1);
    assert_eq!(gate.admit(1_000), [ticket("b", 0)]);
}

#[test]
fn a_limit_closes_it_for_all_until_the_latest_time_that_was_named() {
    let mut gate = Gate::new(4, 1);
    gate.close(None, 50_000, 1_000);
    gate.close(None, 40_000, 1_000);
    gate.ask(ticket("a", 0), None, 2);
    gate.ask(ticket("b", 0), None, 2);
    assert_eq!(gate.admit(49_999), []);
    assert_eq!(gate.wake_at_ms(), Some(50_000));
    assert_eq!(gate.admit(50_000), [ticket("a", 0)], "one sees whether it is over");
    assert_eq!(until_ms(&gate, None), None);
    // It is not: the other one never began.
    gate.close(None, 90_000, 50_500);
    gate.leave(&ticket("a", 0));
    assert_eq!(gate.admit(60_000), []);
    assert_eq!(gate.admit(90_000), [ticket("b", 0)]);
}

#[test]
fn a_time_that_cannot_be_meant_closes_it_for_eight_days_at_most() {
    let mut gate = Gate::new(1, 1);
    gate.close(None, u64::MAX, 1_000);
    assert_eq!(until_ms(&gate, None), Some(1_000 + WAIT_LONGEST_MS));
    let mut gate = Gate::new(1, 1);
    gate.close(None, 1_000, 1_000);
    assert_eq!(until_ms(&gate, None), None);
}

#[test]
fn a_limit_of_one_model_holds_up_only_the_tasks_of_that_model() {
    let mut gate = Gate::new(4, 1);
    let (opus, sonnet) = (Some("opus".to_owned()), Some("sonnet".to_owned()));
    gate.close(opus.clone(), 50_000, 1_000);
    gate.ask(ticket("a", 0), opus.clone(), 4);
    gate.ask(ticket("a", 1), sonnet.clone(), 4);
    assert_eq!(gate.admit(1_000), [ticket("a", 1)]);
    assert_eq!(gate.waiting_in(&opus), 1);
    assert_eq!(until_ms(&gate, Some("opus")), Some(50_000));
    assert_eq!(until_ms(&gate, Some("sonnet")), None);
    // Who names no model gets the account's.
    gate.ask(ticket("b", 0), None, 4);
    gate.learn_default_model("opus".to_owned());
    gate.leave(&ticket("a", 1));
    assert_eq!(gate.admit(10_000), []);
    assert_eq!(until_ms(&gate, None), Some(50_000));
    // And one of the account holds up all.
    gate.close(None, 60_000, 10_000);
    gate.ask(ticket("a", 2), sonnet, 4);
    assert_eq!(gate.admit(59_999), []);
}

#[test]
fn after_a_limit_one_begins_and_the_others_wait_for_its_end_or_for_a_while() {
    let mut gate = Gate::new(4, 1);
    gate.close(None, 50_000, 1_000);
    for task in 0..3 {
        gate.ask(ticket("a", task), None, 4);
    }
    assert_eq!(gate.admit(50_000), [ticket("a", 0)]);
    assert_eq!(gate.admit(79_999), [], "it is not known yet whether the limit is over");
    assert_eq!(gate.wake_at_ms(), Some(80_000));
    assert_eq!(gate.admit(80_000), [ticket("a", 1)], "it runs for long: the limit is over");
    gate.close(None, 100_000, 81_000);
    assert_eq!(gate.admit(100_000), [ticket("a", 2)]);
    gate.ask(ticket("b", 0), None, 4);
    assert_eq!(gate.admit(110_000), []);
    gate.leave(&ticket("a", 2));
    assert_eq!(gate.admit(110_000), [ticket("b", 0)], "it has ended well");
}

#[test]
fn a_gate_that_somebody_opens_lets_one_in_at_once() {
    let mut gate = Gate::new(4, 1);
    assert!(!gate.open(&None), "nothing is shut");
    gate.close(None, 50_000, 1_000);
    gate.ask(ticket("a", 0), None, 4);
    gate.ask(ticket("a", 1), None, 4);
    assert!(gate.open(&None));
    assert!(!gate.open(&None), "it is open");
    assert_eq!(gate.admit(2_000), [ticket("a", 0)]);
    assert_eq!(gate.admit(9_000), []);
    // The limit is there still.
    gate.close(None, 50_000, 9_000);
    gate.leave(&ticket("a", 0));
    assert_eq!(gate.admit(49_999), []);
}

#[test]
fn nobody_begins_while_one_has_met_a_limit_that_its_cli_may_get_over() {
    let mut gate = Gate::new(4, 1);
    let opus = Some("opus".to_owned());
    gate.ask(ticket("a", 0), opus.clone(), 4);
    assert_eq!(gate.admit(1_000), [ticket("a", 0)]);
    gate.suspect(ticket("a", 0), opus.clone());
    gate.suspect(ticket("z", 9), None);
    gate.ask(ticket("a", 1), opus.clone(), 4);
    gate.ask(ticket("b", 1), Some("haiku".to_owned()), 4);
    assert_eq!(gate.admit(10_000), [ticket("b", 1)], "who does not run is no suspect");
    gate.clear(&ticket("a", 0));
    assert_eq!(gate.admit(20_000), [ticket("a", 1)]);
    gate.suspect(ticket("a", 1), None);
    gate.ask(ticket("c", 0), None, 4);
    assert_eq!(gate.admit(30_000), []);
    gate.close(None, 90_000, 30_000);
    gate.leave(&ticket("a", 1));
    assert_eq!(gate.admit(40_000), []);
}

proptest! {
    #[test]
    fn whoever_asks_is_admitted_once_in_the_end_and_never_over_a_limit(
        jobs_limit in 1_usize..4,
        batch_jobs in 1_usize..3,
        script in prop::collection::vec((0_u8..5, 0_usize..6, 0_u64..5_000), 0..60),
    ) {
        let mut gate = Gate::new(jobs_limit, 9);
        let mut now_ms = 1_000;
        let mut running: Vec<Ticket> = Vec::new();
        let mut asked = std::collections::BTreeSet::new();
        for (action, task, wait_ms) in script {
            let ticket = ticket(if task % 2 == 0 { "a" } else { "b" }, task);
            match action {
                0 | 1 => if asked.insert(ticket.clone()) { gate.ask(ticket, model_of(task), batch_jobs) },
                2 => if let Some(ended) = running.pop() { gate.leave(&ended) },
                3 => gate.close(model_of(task), now_ms + wait_ms, now_ms),
                4 if task == 0 => if let Some(running) = running.last() {
                    gate.suspect(running.clone(), model_of(task));
                },
                _ => now_ms += wait_ms,
            }
            running.extend(gate.admit(now_ms));
            prop_assert!(running.len() <= jobs_limit);
            for batch in ["a", "b"] {
                let of_batch = running.iter().filter(|ticket| ticket.batch_id == batch).count();
                prop_assert!(of_batch <= batch_jobs);
            }
        }
        for _ in 0..100 {
            if let Some(ended) = running.pop() {
                gate.leave(&ended);
            }
            now_ms = now_ms.max(gate.wake_at_ms().unwrap_or(now_ms));
            running.extend(gate.admit(now_ms));
        }
        prop_assert_eq!(gate.waiting().count(), 0);
        prop_assert_eq!(gate.running(), 0);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_wait_longer_and_one_that_is_set_forward_opens_it() {
    const HOURS: i64 = 10 * 3_600_000;
    let now_ms = 100_000_000;
    let mut gate = Gate::new(4, 1);
    gate.ask(ticket("a", 0), None, 2);
    gate.ask(ticket("a", 1), None, 2);
    assert_eq!(gate.admit(now_ms), [ticket("a", 0)]);
    let back_ms = now_ms.saturating_add_signed(-HOURS);
    gate.clock_moved(-HOURS);
    assert!(gate.wake_at_ms().unwrap() <= back_ms + 3_000);
    gate.close(None, back_ms + 60_000, back_ms);
    gate.clock_moved(HOURS);
    assert_eq!(until_ms(&gate, None), Some(back_ms + 60_000));
    assert_eq!(gate.admit(now_ms), [ticket("a", 1)]);
    gate.close(None, now_ms + 60_000, now_ms);
    gate.clock_moved(-HOURS);
    assert_eq!(until_ms(&gate, None), Some(back_ms + 60_000));
}
