//! Connections that break at any boundary of the conversation.

use cc_client::{Session, SessionEvent};
use cc_protocol::control::ControlType;
use proptest::{
    prelude::ProptestConfig, prop_oneof, strategy::Just, test_runner::FileFailurePersistence,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    QUICK, task,
    world::{Cut, EVENTS, World},
};

/// The event at which the caller cancels its task.
const CANCEL_AT: u64 = EVENTS;

/// What a caller heard.
#[derive(Debug, Default)]
struct Heard {
    seqs: Vec<u64>,
    started: u32,
    controlled: u32,
    outages: u32,
    recoveries: u32,
}

/// Runs the world's task, cancels it at its last event, and hears it to its end.
async fn hear_all(world: &World) -> Heard {
    let mut heard = Heard::default();
    let mut session = Session::open(&world.url, None, QUICK).await.unwrap();
    session.execute(&task()).await.unwrap();
    while heard.controlled == 0 || heard.seqs.last() != Some(&(EVENTS + 2)) {
        match session.next_event().await.unwrap() {
            SessionEvent::Started(task) => {
                assert_eq!(task.task_id, "a");
                heard.started += 1;
            }
            SessionEvent::Notification(received) => {
                let message: Value = serde_json::from_str(&received.text()).unwrap();
                let seq = message["params"]["seq"].as_u64().unwrap();
                heard.seqs.push(seq);
                if seq == CANCEL_AT {
                    session.control(ControlType::Cancel).await.unwrap();
                }
            }
            SessionEvent::Controlled { .. } => heard.controlled += 1,
            SessionEvent::Reconnecting { attempt, .. } => heard.outages += u32::from(attempt == 1),
            SessionEvent::Reconnected => heard.recoveries += 1,
            other @ (SessionEvent::NotStarted(_)
            | SessionEvent::AttachRefused { .. }
            | SessionEvent::Batch { .. }) => {
                panic!("{other:?}")
            }
        }
    }
    heard
}

fn check(world: &World, heard: &Heard, what: &dyn std::fmt::Debug) {
    assert_eq!(heard.seqs, (1..=EVENTS + 2).collect::<Vec<_>>(), "{what:?}");
    assert_eq!((heard.started, heard.controlled), (1, 1), "{what:?}");
    assert_eq!(heard.outages, heard.recoveries, "{what:?}");
    let (executes, cancels, _) = world.outcome();
    assert_eq!((executes, cancels), (1, 1), "{what:?}");
}

#[tokio::test]
async fn a_cut_at_any_boundary_of_the_conversation_loses_and_repeats_nothing() {
    for cut in [Cut::Drop, Cut::Close, Cut::Half] {
        let mut boundary = 0;
        loop {
            boundary += 1;
            let world = World::start([(boundary, cut)]).await;
            let heard = hear_all(&world).await;
            check(&world, &heard, &(boundary, cut));
            let (_, _, cuts_left) = world.outcome();
            assert_eq!(heard.outages == 0, cuts_left == 1, "{boundary} {cut:?}");
            if cuts_left == 1 {
                break;
            }
        }
        assert!(boundary > 15, "the conversation has only {boundary} boundaries");
    }
}

proptest::proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        // The default looks for a lib.rs above, of which an integration test has none.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_the_cuts_the_caller_sees_every_event_once_in_order(
        gaps in proptest::collection::vec(
            (1_u64..9, prop_oneof![Just(Cut::Drop), Just(Cut::Close), Just(Cut::Half)]), 0..24)
    ) {
        let mut at = 0;
        let cuts: Vec<(u64, Cut)> = gaps.iter().map(|(gap, cut)| { at += gap; (at, *cut) }).collect();
        Runtime::new().unwrap().block_on(async {
            let world = World::start(cuts.clone()).await;
            let heard = hear_all(&world).await;
            check(&world, &heard, &cuts);
        });
    }
}
