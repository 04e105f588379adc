//! Any task can be looked at, followed and steered by its id, by anybody, at any time.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{collections::BTreeSet, thread};

use cc_tests::{
    Client, Follower, Options, Supervisor, Transcript,
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

fn by_id(client: &mut Client, method: &str, task_id: &str) -> Result<Value, Value> {
    client.call(method, &json!({ "task_id": task_id }))
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
            let error = by_id(&mut client, &method, unknown).unwrap_err();
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
    assert_eq!(by_id(&mut other, "task.pause", &id).unwrap()["status"], "paused");
    assert!(is_held(pid(&follower.answer)));
    assert_eq!(other.task(&id).unwrap()["state"], "paused");
    assert_eq!(by_id(&mut other, "task.resume", &id).unwrap()["status"], "resumed");
    assert!(!is_held(pid(&follower.answer)));
    assert_eq!(by_id(&mut other, "task.cancel", &id).unwrap()["status"], "canceled");
    let transcript = follower.finish(&supervisor);
    assert_eq!(transcript.end().0, "canceled");
    let expected = ["process.paused", "process.resumed", "process.canceled", "process.completed"];
    assert_eq!(transcript.methods()[2..], expected);
    assert!(processes::survivors(&tag).is_empty());
    for method in ["task.pause", "task.resume", "task.cancel"] {
        assert_eq!(by_id(&mut other, method, &id).unwrap_err()["code"], -32002);
    }
}

#[test]
fn the_list_shows_every_task_once_page_by_page_newest_first() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut ids: Vec<String> = (0..12)
        .map(|number| client.run_shell(&format!("echo {number}")).task_id().to_owned())
        .collect();
    let gate = Fifo::create();
    let mut params = gated(&gate, "true");
    params["label"] = json!("the running one");
    let running = Follower::start_until(&supervisor, &params, "ready");
    ids.push(running.task_id().to_owned());
    ids.reverse();
    for limit in [1, 5, 12, 13, 1000] {
        assert_eq!(pages(&mut client, "all", limit), ids, "pages of {limit}");
    }
    assert_eq!(pages(&mut client, "running", 5), ids[..1]);
    assert_eq!(pages(&mut client, "ended", 5), ids[1..]);
    let first = &client.call("task.list", &json!({"limit": 1})).unwrap()["tasks"][0];
    assert_eq!(first["label"], "the running one");
    assert_eq!(first["state"], "running");
    assert_eq!(first["session_id"], running.session.id.as_str());
    assert_eq!(first["pid"], running.answer["pid"]);
    assert!(first["command"].as_str().unwrap().starts_with("echo ready"), "{first}");
    assert!(first["accepted_ms"].as_u64().unwrap() > 1_700_000_000_000, "{first}");
    assert!(first["log_bytes"].as_u64().unwrap() > 0, "{first}");
    let id = running.task_id().to_owned();
    by_id(&mut client, "task.cancel", &id).unwrap();
    wait_until("it is among the ended", || pages(&mut client, "ended", 5) == ids);
    assert!(pages(&mut client, "running", 5).is_empty());
}

/// All tasks, in pages of this size.
fn pages(client: &mut Client, state: &str, limit: usize) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let mut params = json!({"state": state, "limit": limit});
        if let Some(last) = ids.last() {
            params["before"] = json!(last);
        }
        let page = client.call("task.list", &params).unwrap();
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= limit);
        ids.extend(tasks.iter().map(|task| task_id(task).to_owned()));
        if page["has_more"] == false {
            let distinct: BTreeSet<&String> = ids.iter().collect();
            assert_eq!(distinct.len(), ids.len(), "a task is there twice");
            return ids;
        }
        assert_eq!(tasks.len(), limit, "a page that is not full is the last one");
    }
}

#[test]
fn stored_events_come_page_by_page_as_they_were_sent() {
    let supervisor = Supervisor::start_default();
    let transcript = supervisor.connect().run_to_end(&speak(32, 1_500_000));
    let mut client = supervisor.connect();
    for limit in [7, 1_000, 10_000] {
        let mut events: Vec<Value> = Vec::new();
        let mut after = 0;
        loop {
            let params =
                json!({"task_id": transcript.task_id(), "after_seq": after, "limit": limit});
            let page = client.call("task.output", &params).unwrap();
            let more = page["events"].as_array().unwrap();
            assert!(more.len() <= limit && !more.is_empty());
            events.extend(more.iter().cloned());
            after = page["last_seq"].as_u64().unwrap();
            assert_eq!(after, last_seq(&events));
            if page["is_end"] == true {
                break;
            }
        }
        assert!(events == transcript.events, "pages of {limit}");
    }
    let beyond = json!({"task_id": transcript.task_id(), "after_seq": transcript.events.len()});
    let page = client.call("task.output", &beyond).unwrap();
    assert_eq!((&page["events"], &page["is_end"]), (&json!([]), &json!(true)), "{page}");
}

#[test]
fn the_stored_events_of_a_running_task_end_with_what_it_has_said_so_far() {
    let supervisor = Supervisor::start_default();
    let mut gate = Fifo::create();
    let follower = Follower::start_until(&supervisor, &gated(&gate, "true"), "ready");
    let mut client = supervisor.connect();
    let page = by_id(&mut client, "task.output", follower.task_id()).unwrap();
    assert_eq!(page["events"], json!(follower.events));
    assert_eq!(page["is_end"], false);
    gate.release();
    let transcript = follower.finish(&supervisor);
    let page = by_id(&mut client, "task.output", transcript.task_id()).unwrap();
    assert_eq!(page["events"], json!(transcript.events));
    assert_eq!(page["is_end"], true);
}

#[test]
fn an_output_over_its_bound_is_the_same_to_every_reader() {
    let supervisor = Supervisor::start_default();
    let argv = misbehave_argv(&["flood", "3000000"]);
    let params = json!({"argv": argv, "max_output_bytes": 500_000});
    let transcript = supervisor.connect().run_to_end(&params);
    assert_eq!(transcript.params_of("output.dropped").count(), 1);
    let events = supervisor.connect().watch(transcript.task_id(), 0);
    assert!(events == transcript.events);
    let at = transcript.methods().iter().position(|method| *method == "output.dropped").unwrap();
    let rest = supervisor.connect().watch(transcript.task_id(), at as u64);
    assert_eq!(rest[0]["method"], "output.dropped");
}

#[test]
fn a_task_that_could_not_be_started_can_be_looked_at() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let error = client.execute(&json!({"argv": ["/no/such/program"]})).unwrap_err();
    let id = error["data"]["task_id"].as_str().unwrap();
    let task = client.task(id).unwrap();
    assert_eq!((&task["state"], &task["verdict"]), (&json!("ended"), &json!("spawn_failed")));
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
fn the_end_of_a_task_is_told_even_where_its_log_is_gone() {
    let options = Options::new();
    let mut supervisor = Supervisor::start(&options);
    let transcript = supervisor.connect().run_shell("echo lost; exit 3");
    let task_id = transcript.task_id();
    // One that has just ended is in memory for a moment.
    supervisor.leave();
    supervisor.start_again(&options);
    std::fs::remove_file(supervisor.task_directory(task_id).join("log")).unwrap();
    let mut client = supervisor.connect();
    client.attach(task_id, 0).unwrap();
    let events = client.recv_until_method("process.completed");
    let methods: Vec<&str> = events.iter().map(|event| event["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["process.error", "process.completed"]);
    assert!(events[0]["params"]["error"].as_str().unwrap().contains("missing"), "{}", events[0]);
    assert_eq!(events[1]["params"], *transcript.completed());
    let page = client.call("task.output", &json!({ "task_id": task_id })).unwrap();
    assert_eq!(page["events"], json!(events));
    assert_eq!((page["last_seq"].clone(), page["is_end"].clone()), (json!(3), json!(true)));
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
    let error = by_id(&mut client, "task.detach", transcript.task_id()).unwrap_err();
    assert_eq!(
        (error["code"].clone(), error["data"]["field"].clone()),
        (json!(-32602), json!("task_id"))
    );
}
