//! Any task can be looked at, followed and steered by its id, by any client, at any time.

use std::thread;

use cc_tests::{
    Follower, Options, Supervisor, Transcript,
    binaries::misbehave_argv,
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, is_held},
    requests::{answer_for, assert_spoken, gated, last_seq, pid, pour, speak, task_id},
    spoken_output::check_poured,
    unique_tag, wait_until, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    cancel_pause_and_resume_by_id_reach_the_whole_tree_of_anybodys_task,
    a_detached_task_outlives_its_client,
);

/// The same request with a flag.
fn detached(mut params: Value) -> Value {
    params["detach"] = json!(true);
    params
}

#[test]
fn many_viewers_from_different_positions_see_the_same() {
    let supervisor = Supervisor::start_default();
    let mut stop = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    let more: Vec<Value> = (0..300).map(|_| follower.client.recv_json()).collect();
    follower.events.extend(more);
    let task_id = follower.task_id().to_owned();
    let known = last_seq(&follower.events);
    let views: Vec<(u64, Vec<Value>)> = thread::scope(|scope| {
        let viewers: Vec<_> = (0..10)
            .map(|number| {
                let mut viewer = supervisor.connect();
                let after = number * known / 9;
                viewer.attach(&task_id, after).unwrap();
                scope.spawn(move || {
                    let mut events = Vec::new();
                    assert!(viewer.follow(&mut events));
                    (after, events)
                })
            })
            .collect();
        stop.release();
        viewers.into_iter().map(|viewer| viewer.join().unwrap()).collect()
    });
    let transcript = follower.finish(&supervisor);
    check_poured(&transcript.stdout());
    for (after, events) in views {
        assert!(events == transcript.events[usize::try_from(after).unwrap()..], "after {after}");
    }
}

#[test]
fn a_task_that_has_ended_is_shown_from_any_position_to_anybody() {
    let supervisor = Supervisor::start_default();
    let transcript = supervisor.connect().run_to_end(&speak(31, 500_000));
    for after in [0, 1, 17, transcript.events.len() - 1] {
        let events = supervisor.connect().watch(transcript.task_id(), after as u64);
        assert!(events == transcript.events[after..], "after {after}");
    }
    // After the end there is nothing.
    let end = transcript.events.len() as u64;
    let mut viewer = supervisor.connect();
    let task = viewer.attach(transcript.task_id(), end).unwrap();
    assert_eq!((&task["state"], &task["last_seq"]), (&json!("ended"), &json!(end)));
    let id = viewer.send_request("ping", &json!({}));
    assert_eq!(viewer.recv_json()["id"], id);
    // And so nothing is followed any more: it may be attached to again.
    wait_until("the task is let go", || viewer.attach(transcript.task_id(), 0).is_ok());
    let mut events = Vec::new();
    assert!(viewer.follow(&mut events));
    assert!(events == transcript.events);
}

#[test]
fn a_detached_task_is_heard_by_those_who_attach_and_by_nobody_else() {
    let supervisor = Supervisor::start_default();
    let mut starter = supervisor.connect();
    let mut gate = Fifo::create();
    let answer = starter.execute(&detached(gated(&gate, "echo done"))).unwrap();
    let task = starter.task(task_id(&answer)).unwrap();
    assert_eq!(task["session_id"], Value::Null, "{task}");
    // The session is free for a task of its own, and hears only that.
    let own = starter.run_shell("echo own");
    assert_eq!(own.stdout(), "own\n");
    let mut viewer = supervisor.connect();
    viewer.attach(task_id(&answer), 0).unwrap();
    gate.release();
    let transcript = viewer.collect(answer);
    assert_eq!(transcript.stdout(), "ready\ndone\n");
    let id = starter.send_request("ping", &json!({}));
    assert_eq!(starter.recv_json()["id"], id, "nothing of the detached task");
}

fn a_detached_task_outlives_its_client(containment: &Containment) {
    let options = containment.options().flag("--grace", 1).flag("--resume-grace", 0);
    let mut supervisor = Supervisor::start(&options);
    let mut starter = supervisor.connect();
    let mut gate = Fifo::create();
    let answer = starter.execute(&detached(gated(&gate, "echo done"))).unwrap();
    starter.vanish();
    // It outlives a supervisor, too.
    supervisor.kill();
    supervisor.start_again(&options);
    let mut viewer = supervisor.connect();
    assert_eq!(viewer.attach(task_id(&answer), 0).unwrap()["state"], "running");
    gate.release();
    let transcript = viewer.collect(answer);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

#[test]
fn one_may_watch_a_task_beside_ones_own() {
    let supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let mut other = Follower::start_until(&supervisor, &gated(&gate, "echo other"), "ready");
    let mut client = supervisor.connect();
    client.attach(other.task_id(), 0).unwrap();
    let answer = client.execute(&json!({"command": "echo own"})).unwrap();
    gate.release();
    let mut events = Vec::new();
    client.follow(&mut events);
    client.follow(&mut events);
    let (own, watched): (Vec<Value>, Vec<Value>) =
        events.into_iter().partition(|event| event["params"]["task_id"] == answer["task_id"]);
    assert_eq!(Transcript::checked(answer, own).stdout(), "own\n");
    assert!(other.client.follow(&mut other.events));
    assert_eq!(watched, other.events);
}

#[test]
fn a_viewer_who_detaches_or_leaves_hears_no_more_and_changes_nothing() {
    let supervisor =
        Supervisor::start(&Options::new().flag("--resume-grace", 0).flag("--grace", 1));
    let mut stop = Fifo::create();
    let follower = Follower::start_until(&supervisor, &pour(&stop), "poured");
    let task_id = follower.task_id().to_owned();
    let mut viewer = supervisor.connect();
    viewer.attach(&task_id, 0).unwrap();
    let mut seen: Vec<Value> = (0..50).map(|_| viewer.recv_json()).collect();
    let id = viewer.send_request("task.detach", &json!({ "task_id": task_id }));
    loop {
        let message = viewer.recv_json();
        if message["id"] == id {
            assert_eq!(message["result"]["status"], "detached", "{message}");
            break;
        }
        seen.push(message);
    }
    let id = viewer.send_request("ping", &json!({}));
    assert_eq!(viewer.recv_json()["id"], id, "nothing more came");
    // From where it was, it goes on.
    viewer.attach(&task_id, last_seq(&seen)).unwrap();
    seen.extend((0..50).map(|_| viewer.recv_json()));
    viewer.reset();
    stop.release();
    let transcript = follower.finish(&supervisor);
    check_poured(&transcript.stdout());
    assert_eq!(seen, transcript.events[..seen.len()]);
}

#[test]
fn attaching_to_what_one_gets_already_is_an_error() {
    let supervisor = Supervisor::start_default();
    let gate = Fifo::create();
    let mut follower = Follower::start_until(&supervisor, &gated(&gate, "true"), "ready");
    let task_id = follower.task_id().to_owned();
    let error = follower.client.attach(&task_id, 0).unwrap_err();
    assert_eq!(error["code"], -32602, "{error}");
    let mut viewer = supervisor.connect();
    viewer.attach(&task_id, 0).unwrap();
    assert_eq!(viewer.attach(&task_id, 0).unwrap_err()["code"], -32602);
    follower.client.control("CANCEL").unwrap();
    assert_eq!(follower.finish(&supervisor).end().0, "canceled");
}

#[test]
fn an_unknown_task_is_told_by_its_own_code() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let methods = ["get", "attach", "detach", "output", "cancel", "pause", "resume"];
    for method in methods.map(|method| format!("task.{method}")) {
        for unknown in ["00000000-0000-7000-8000-000000000000", "../../etc/passwd", "", "no uuid"] {
            let error = client.by_id(&method, unknown).unwrap_err();
            assert_eq!(error["code"], -32014, "{method} {unknown:?}: {error}");
        }
        let error = client.call(&method, &json!({})).unwrap_err();
        assert_eq!((&error["code"], &error["data"]["field"]), (&json!(-32602), &json!("task_id")));
    }
    let error = client.call("task.list", &json!({"limit": 0})).unwrap_err();
    assert_eq!(error["data"]["field"], "limit", "{error}");
}

fn cancel_pause_and_resume_by_id_reach_the_whole_tree_of_anybodys_task(containment: &Containment) {
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 1));
    let tag = unique_tag("by-id");
    let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", &tag]);
    let follower =
        Follower::start_until(&supervisor, &json!({ "argv": argv }), "the sleepers sleep");
    let id = follower.task_id().to_owned();
    let mut other = supervisor.connect();
    assert_eq!(other.by_id("task.pause", &id).unwrap()["status"], "paused");
    assert!(is_held(pid(&follower.answer)));
    assert_eq!(other.task(&id).unwrap()["state"], "paused");
    assert_eq!(other.by_id("task.resume", &id).unwrap()["status"], "resumed");
    assert!(!is_held(pid(&follower.answer)));
    assert_eq!(other.by_id("task.cancel", &id).unwrap()["status"], "canceled");
    let transcript = follower.finish(&supervisor);
    assert_eq!(transcript.end().0, "canceled");
    let expected = ["process.paused", "process.resumed", "process.canceled", "process.completed"];
    assert_eq!(transcript.methods()[2..], expected);
    assert!(processes::survivors(&tag).is_empty());
    for method in ["task.pause", "task.resume", "task.cancel"] {
        assert_eq!(other.by_id(method, &id).unwrap_err()["code"], -32002);
    }
}

#[test]
fn a_session_that_comes_back_attaches_again_to_what_it_watched() {
    let supervisor = Supervisor::start_default();
    let mut stop = Fifo::create();
    let watched = Follower::start_until(&supervisor, &pour(&stop), "poured");
    let id = watched.task_id().to_owned();
    let mut client = supervisor.connect();
    let session = client.session();
    client.attach(&id, 0).unwrap();
    let mut events: Vec<Value> = (0..200).map(|_| client.recv_json()).collect();
    client.reset();
    let mut client = supervisor.connect();
    let answer = client.resume(&session, None).unwrap();
    assert_eq!(answer["tasks"], json!([]), "what is watched is not the session's own");
    client.attach(&id, last_seq(&events)).unwrap();
    stop.release();
    assert!(client.follow(&mut events));
    let transcript = Transcript::checked(answer_for(&events), events);
    check_poured(&transcript.stdout());
    assert_eq!(watched.finish(&supervisor).events, transcript.events);
}

#[test]
fn a_viewer_at_the_beginning_of_a_long_task_does_not_hold_up_the_live_ones() {
    let supervisor = Supervisor::start_default();
    let transcript = supervisor.connect().run_to_end(&speak(33, 5_000_000));
    // It gets five megabytes and reads none of them.
    let mut late = supervisor.connect();
    late.attach(transcript.task_id(), 0).unwrap();
    let mut live = supervisor.connect();
    for number in 0..20 {
        let line = format!("live {number}");
        assert_eq!(live.run_shell(&format!("echo {line}")).stdout(), format!("{line}\n"));
    }
    // Its own questions are answered although its output waits.
    let mut events = Vec::new();
    assert!(late.follow(&mut events));
    let watched = Transcript::checked(answer_for(&events), events);
    assert_spoken(&watched, 33, 5_000_000);
}

#[test]
fn a_task_that_is_over_can_be_attached_to_again_as_soon_as_its_end_is_read() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo again");
    for _ in 0..200 {
        client.attach(transcript.task_id(), 0).unwrap();
        assert_eq!(client.recv_until_method("process.completed"), transcript.events);
    }
}

#[test]
fn what_is_not_followed_cannot_be_left() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell("true");
    let error = client.by_id("task.detach", transcript.task_id()).unwrap_err();
    assert_eq!(
        (error["code"].clone(), error["data"]["field"].clone()),
        (json!(-32602), json!("task_id"))
    );
}
