use serde_json::json;

use super::*;

fn task(task_id: &str, state: TaskState) -> TaskSummary {
    serde_json::from_value(json!({
        "task_id": task_id, "state": state, "label": null, "command": "x", "session_id": "s",
        "accepted_ms": 1, "ended_ms": null, "pid": 7, "last_seq": 0, "log_bytes": 0, "reason": null,
        "verdict": null, "exit_code": null}))
    .unwrap()
}

fn never_started(task_id: &str) -> TaskSummary {
    TaskSummary {
        verdict: Some(Verdict::SpawnFailed),
        exit_code: Some(127),
        ..task(task_id, TaskState::Ended)
    }
}

fn event(method: &str, task_id: &str, seq: u64) -> Box<Received> {
    let params = match method {
        "output.dropped" => json!({"lines": 1, "bytes": 1, "task_id": task_id, "seq": seq}),
        _ => json!({"status": "paused", "pid": 7, "pgid": 7, "exit_code": null, "error": null,
                    "task_id": task_id, "seq": seq}),
    };
    let message = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
    let Some(crate::Event::Notification(received)) = crate::event::read(message).unwrap() else {
        panic!("no notification")
    };
    received
}

fn started(task_id: &str) -> StartedTask {
    StartedTask { task_id: task_id.to_owned(), pid: Some(7) }
}

/// A ledger whose own task has been heard up to this event.
fn following(task_id: &str, last_seq: u64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.begin(&Execute::default());
    ledger.answered(Ok(started(task_id)));
    for seq in 1..=last_seq {
        ledger.heard(event("process.paused", task_id, seq)).unwrap();
    }
    ledger
}

#[test]
fn a_gap_a_repeat_and_a_strange_task_are_errors_and_never_skipped() {
    for (task_id, seq) in [("a", 2), ("a", 4), ("a", 1), ("b", 1)] {
        let mut ledger = following("a", 2);
        let outcome = ledger.heard(event("output.dropped", task_id, seq));
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{task_id} {seq}: {outcome:?}");
    }
    assert!(following("a", 2).heard(event("output.dropped", "a", 3)).is_ok());
}

#[test]
fn a_gap_that_the_server_announces_is_passed_on_with_the_announcement() {
    let announcement = |task_id: &str| {
        let params =
            json!({"error": "100 bytes of this task's log are missing", "task_id": task_id});
        let message = json!({"jsonrpc": "2.0", "method": "process.error", "params": params});
        let Some(crate::Event::Notification(received)) =
            crate::event::read(message.to_string()).unwrap()
        else {
            panic!("no notification")
        };
        received
    };
    let mut ledger = following("a", 2);
    assert_eq!(ledger.heard(announcement("a")).unwrap().len(), 1);
    ledger.heard(event("output.dropped", "a", 9)).unwrap();
    assert!(ledger.heard(event("output.dropped", "a", 11)).is_err(), "one announcement, one gap");
    let mut ledger = following("a", 2);
    ledger.heard(announcement("b")).unwrap();
    assert!(ledger.heard(event("output.dropped", "a", 9)).is_err(), "of another task");
    let mut ledger = following("a", 2);
    ledger.heard(announcement("a")).unwrap();
    assert!(ledger.heard(event("output.dropped", "a", 2)).is_err(), "never a repeat");
}

#[test]
fn a_batch_is_unpacked_into_single_lines_and_checked_as_they_are() {
    let batch = |first: u64| {
        let items = json!([{"seq": first, "type": "stdout", "data": "a\n"},
                           {"seq": first + 1, "type": "stderr", "data": "b", "chunk_index": 0,
                            "last_chunk": true, "truncated": true}]);
        let message = json!({"jsonrpc": "2.0", "method": "process.output_batch",
                             "params": {"task_id": "a", "items": items}});
        let Some(crate::Event::Notification(received)) =
            crate::event::read(message.to_string()).unwrap()
        else {
            panic!("no notification")
        };
        received
    };
    let mut ledger = following("a", 1);
    let events = ledger.heard(batch(2)).unwrap();
    let texts: Vec<String> = events
        .iter()
        .map(|event| {
            let SessionEvent::Notification(received) = event else { panic!("{event:?}") };
            received.text().into_owned()
        })
        .collect();
    assert_eq!(
        texts[1],
        r#"{"jsonrpc":"2.0","method":"process.output","params":{"type":"stderr","data":"b","truncated":true,"chunk_index":0,"total_chunks":null,"last_chunk":true,"task_id":"a","seq":3}}"#
    );
    assert_eq!(ledger.position(), Some(Position { task_id: "a".to_owned(), seq: 3 }));
    assert!(ledger.heard(batch(5)).is_err());
}

#[test]
fn a_request_that_never_arrived_is_sent_again_and_one_that_did_is_not() {
    let mut ledger = following("a", 3);
    let request = ledger.begin(&Execute::default());
    let recovery = ledger.resumed(&[task("a", TaskState::Ended)]);
    assert_eq!((recovery.requests, recovery.events.len()), (vec![request], 0));

    let recovery = ledger.resumed(&[task("a", TaskState::Ended), task("b", TaskState::Running)]);
    assert!(recovery.requests.is_empty());
    assert!(
        matches!(recovery.events.as_slice(), [SessionEvent::Started(task)] if task.task_id == "b"),
        "{recovery:?}"
    );
    assert_eq!(ledger.position(), Some(Position { task_id: "b".to_owned(), seq: 0 }));
}

#[test]
fn the_lost_answer_of_a_task_that_never_started_is_its_failure() {
    let mut ledger = following("a", 1);
    ledger.begin(&Execute::default());
    let recovery = ledger.resumed(&[task("a", TaskState::Ended), never_started("b")]);
    let [SessionEvent::NotStarted(error)] = recovery.events.as_slice() else {
        panic!("{recovery:?}")
    };
    assert_eq!((error.code, &error.data["exit_code"]), (-32017, &json!(127)));
    // It is the last known one from now on: the next resume must not take it for another answer.
    let next = ledger.begin(&Execute::default());
    let recovery = ledger.resumed(&[never_started("b")]);
    assert_eq!(recovery.requests, [next]);
}

#[test]
fn a_task_that_a_refusal_named_is_not_taken_for_the_next_one() {
    let mut ledger = Ledger::default();
    ledger.begin(&Execute::default());
    let refusal = ErrorObject::new(ErrorCode::SpawnFailed, "no").with("task_id", "a");
    ledger.answered(Err(refusal));
    let next = ledger.begin(&Execute::default());
    assert_eq!(ledger.resumed(&[never_started("a")]).requests, [next]);
}

#[test]
fn a_task_that_is_just_starting_is_looked_at_until_it_is_known() {
    let starting = || {
        let mut ledger = Ledger::default();
        ledger.begin(&Execute::default());
        let recovery = ledger.resumed(&[task("a", TaskState::Starting)]);
        assert_eq!((recovery.look.as_deref(), recovery.events.len()), (Some("a"), 0));
        assert_eq!(ledger.position(), Some(Position { task_id: "a".to_owned(), seq: 0 }));
        ledger
    };
    let mut recovery = Recovery::default();
    starting().looked(&never_started("a"), &mut recovery);
    assert!(matches!(recovery.events.as_slice(), [SessionEvent::NotStarted(_)]));

    // Its first event says that it runs, and then the answer to the question is no news.
    let mut ledger = starting();
    let events = ledger.heard(event("output.dropped", "a", 1)).unwrap();
    assert!(
        matches!(events.as_slice(), [SessionEvent::Started(_), SessionEvent::Notification(_)]),
        "{events:?}"
    );
    let mut recovery = Recovery::default();
    ledger.looked(&task("a", TaskState::Running), &mut recovery);
    assert!(recovery.events.is_empty());

    // Another outage in between changes nothing.
    let recovery = starting().resumed(&[task("a", TaskState::Running)]);
    assert!(matches!(recovery.events.as_slice(), [SessionEvent::Started(_)]));
}

#[test]
fn a_control_is_repeated_unless_the_task_has_ended() {
    let mut ledger = following("a", 1);
    let control = ledger.control(1, ControlType::Cancel);
    assert_eq!(ledger.resumed(&[task("a", TaskState::Ending)]).requests, [control]);
    let recovery = ledger.resumed(&[task("a", TaskState::Ended)]);
    assert!(recovery.requests.is_empty());
    let [SessionEvent::Controlled { id: 1, outcome: Err(error) }] = recovery.events.as_slice()
    else {
        panic!("{recovery:?}")
    };
    assert_eq!(error.code, -32002);
    assert!(ledger.resumed(&[task("a", TaskState::Ended)]).events.is_empty(), "answered once");
}

#[test]
fn followed_tasks_are_followed_again_from_where_they_were() {
    let mut ledger = Ledger::default();
    ledger.attach("x", 4);
    ledger.heard(event("output.dropped", "x", 5)).unwrap();
    let again = Request::Attach(TaskAttach { task_id: "x".to_owned(), after_seq: 5 });
    assert_eq!(ledger.resumed(&[]).requests, std::slice::from_ref(&again));
    assert_eq!(ledger.renewed().requests, [again]);
    assert!(!ledger.is_busy(), "somebody else's task is not lost with this session");
}

#[test]
fn what_is_unknown_names_the_task_and_how_to_look() {
    let mut ledger = following("a", 2);
    assert_eq!(
        ledger.unknown().to_string(),
        "; what task a did after its event 2 is not known here: see `ccx logs a --since-seq 2`"
    );
    ledger.own.as_mut().unwrap().is_ended = true;
    assert_eq!(ledger.unknown(), Unknown::Nothing);
    ledger.begin(&Execute::default());
    assert_eq!(ledger.unknown(), Unknown::Start);
}
