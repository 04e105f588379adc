//! Tasks on record: their list, their states and their stored events, page by page.

use std::collections::BTreeSet;

use cc_tests::{
    Client, Follower, Options, Supervisor,
    binaries::misbehave_argv,
    fifo::Fifo,
    requests::{gated, last_seq, speak, task_id},
    wait_until,
};
use serde_json::{Value, json};

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
    client.by_id("task.cancel", &id).unwrap();
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
    let page = client.by_id("task.output", follower.task_id()).unwrap();
    assert_eq!(page["events"], json!(follower.events));
    assert_eq!(page["is_end"], false);
    gate.release();
    let transcript = follower.finish(&supervisor);
    let page = client.by_id("task.output", transcript.task_id()).unwrap();
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
