//! Pause, resume and cancel: the whole tree obeys, and the answers are those of the contract.

use std::fs;

use cc_tests::{
    Client, Supervisor,
    binaries::misbehave_argv,
    cgroup::Containment,
    fifo::Fifo,
    processes::{self, is_held},
    unique_tag, with_both_containments,
};
use serde_json::{Value, json};

with_both_containments!(
    pause_stops_the_whole_tree_and_resume_lets_it_go_on,
    cancel_while_paused_ends_the_task,
    cancel_twice_is_harmless,
    cancel_is_answered_before_the_tree_is_gone,
    pause_and_resume_twice_say_it_once,
    a_canceled_task_that_ends_well_is_still_canceled_and_not_completed,
    a_task_may_be_paused_while_it_prints,
    a_child_in_the_middle_of_a_pipeline_is_paused_too,
    a_resume_right_after_a_pause_forgets_nobody,
);

fn supervisor(containment: &Containment) -> Supervisor {
    Supervisor::start(&containment.options().flag("--grace", 1))
}

/// Starts a task and reads to the line that says that all is in place.
fn start(client: &mut Client, params: &Value) -> (Value, Vec<Value>) {
    let answer = client.execute(params).unwrap();
    let earlier = client.recv_until_method("process.output");
    (answer, earlier)
}

fn pause_stops_the_whole_tree_and_resume_lets_it_go_on(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("paused");
    let mut fifo = Fifo::create();
    let sleepers = misbehave_argv(&["setsid-sleepers", "5", "exit", &tag]).join(" ");
    let command = format!("{sleepers}; read go < {}; echo it goes on; exit 6", fifo.path());
    let (answer, mut events) = start(&mut client, &json!({ "command": command }));
    let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();

    assert_eq!(client.control("PAUSE").unwrap(), json!({"status": "paused"}));
    let tree: Vec<i32> = processes::survivors(&tag).into_iter().chain([main]).collect();
    assert!(tree.len() >= 6, "{}", processes::describe(&tree));
    let free: Vec<i32> = tree.iter().copied().filter(|pid| !is_held(*pid)).collect();
    assert!(free.is_empty(), "not paused: {}", processes::describe(&free));
    events.extend(client.recv_until_method("process.paused"));

    assert_eq!(client.control("RESUME").unwrap(), json!({"status": "resumed"}));
    let held: Vec<i32> = tree.iter().copied().filter(|pid| is_held(*pid)).collect();
    assert!(held.is_empty(), "not resumed: {}", processes::describe(&held));
    fifo.release();
    let transcript = client.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("it goes on\n"));
    assert_eq!(transcript.end(), ("exit", 6));
    assert_eq!(transcript.completed()["killed_leftovers"], 5);
    assert_eq!(transcript.params_of("process.paused").count(), 1);
    let resumed: Vec<&Value> = transcript.params_of("process.resumed").collect();
    assert_eq!(resumed.len(), 1);
    assert_eq!(resumed[0]["status"], "resumed");
    assert_eq!(resumed[0]["pid"], transcript.answer["pid"]);
}

fn cancel_while_paused_ends_the_task(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("paused");
    let argv = misbehave_argv(&["setsid-sleepers", "5", "stay", &tag]);
    let (answer, mut events) = start(&mut client, &json!({ "argv": argv }));
    client.control("PAUSE").unwrap();
    events.extend(client.recv_until_method("process.paused"));
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    let transcript = client.collect_after(answer, events);
    assert!(processes::survivors(&tag).is_empty());
    assert_eq!(transcript.completed()["reason"], "canceled");
    assert_eq!(transcript.completed()["verdict"], "canceled");
}

fn cancel_twice_is_harmless(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("deaf");
    let argv = misbehave_argv(&["ignore-term", &tag]);
    let (answer, events) = start(&mut client, &json!({ "argv": argv }));
    // Deaf for the grace of a second: the second cancel finds the task still ending.
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.params_of("process.canceled").count(), 1);
    assert_eq!(transcript.end(), ("canceled", -9));
}

fn cancel_is_answered_before_the_tree_is_gone(containment: &Containment) {
    // The grace never ends within the test; the task ends when it is let.
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 600));
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command =
        format!("trap '' TERM; echo ready; read go < {}; echo goodbye; exit 0", fifo.path());
    let (answer, mut events) = start(&mut client, &json!({ "command": command }));
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    events.extend(client.recv_until_method("process.canceled"));
    // Still running, although it has been canceled.
    let task = client.task(answer["task_id"].as_str().unwrap()).unwrap();
    assert_eq!(task["state"], "ending");
    fifo.release();
    let transcript = client.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("goodbye\n"));
    assert_eq!(transcript.completed()["reason"], "canceled");
}

fn pause_and_resume_twice_say_it_once(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}", fifo.path());
    let (answer, events) = start(&mut client, &json!({ "command": command }));
    for kind in ["RESUME", "PAUSE", "PAUSE", "RESUME", "RESUME"] {
        let status = client.control(kind).unwrap()["status"].clone();
        assert_eq!(status, format!("{}d", kind.to_lowercase()));
    }
    fifo.release();
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.params_of("process.paused").count(), 1);
    assert_eq!(transcript.params_of("process.resumed").count(), 1);
}

fn a_canceled_task_that_ends_well_is_still_canceled_and_not_completed(containment: &Containment) {
    // A shell runs its trap when its child is gone, and that may be a second later.
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 600));
    let mut client = supervisor.connect();
    let command = "trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 1; done";
    let (answer, events) = start(&mut client, &json!({ "command": command }));
    client.control("CANCEL").unwrap();
    let transcript = client.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("cleaned up\n"));
    let completed = transcript.completed();
    assert_eq!(completed["status"], "failed", "{completed}");
    assert_ne!(completed["exit_code"], 0);
    assert_eq!(completed["verdict"], "canceled");
    assert!(completed["error"].is_string(), "{completed}");
}

fn a_task_may_be_paused_while_it_prints(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let enough = supervisor.scratch().join("enough");
    let lines = misbehave_argv(&["lines", "1000"]).join(" ");
    let command = format!("while [ ! -e {} ]; do {lines}; done; echo end", enough.display());
    // Most of it is dropped: the task is to be busy, not the test.
    let params = json!({"argv": ["sh", "-c", command], "max_output_bytes": 200_000});
    let (answer, events) = start(&mut client, &params);
    for _ in 0..20 {
        assert_eq!(client.control("PAUSE").unwrap(), json!({"status": "paused"}));
        assert_eq!(client.control("RESUME").unwrap(), json!({"status": "resumed"}));
    }
    fs::write(&enough, "").unwrap();
    let transcript = client.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("end\n"));
    assert_eq!(transcript.params_of("process.paused").count(), 20);
    assert_eq!(transcript.params_of("process.resumed").count(), 20);
}

fn a_child_in_the_middle_of_a_pipeline_is_paused_too(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("pipeline");
    let mut fifo = Fifo::create();
    let command =
        format!("echo ready; sh -c 'read line < {}; echo $line' {tag} | cat", fifo.path());
    let (answer, mut events) = start(&mut client, &json!({ "command": command }));
    client.control("PAUSE").unwrap();
    events.extend(client.recv_until_method("process.paused"));
    fifo.write(b"written while it was paused\n");
    let held = processes::survivors(&tag);
    assert!(held.iter().all(|pid| is_held(*pid)), "{}", processes::describe(&held));
    client.control("RESUME").unwrap();
    let transcript = client.collect_after(answer, events);
    assert!(transcript.stdout().ends_with("written while it was paused\n"));
}

/// A process needs a moment to stop after the signal, and a resume may come within it.
fn a_resume_right_after_a_pause_forgets_nobody(containment: &Containment) {
    let supervisor = supervisor(containment);
    let mut client = supervisor.connect();
    let tag = unique_tag("forgotten");
    let argv = misbehave_argv(&["setsid-sleepers", "60", "stay", &tag]);
    let (answer, mut events) = start(&mut client, &json!({ "argv": argv }));
    for _ in 0..10 {
        let paused = client.send_request("control", &json!({"type": "PAUSE"}));
        client.send_request("control", &json!({"type": "RESUME"}));
        events.extend(client.recv_until_method("process.resumed"));
        let held: Vec<i32> =
            processes::survivors(&tag).into_iter().filter(|pid| is_held(*pid)).collect();
        assert!(held.is_empty(), "round {paused}: {}", processes::describe(&held));
    }
    // The answers to the controls stand between the events.
    events.retain(|message| message.get("id").is_none());
    client.control("CANCEL").unwrap();
    assert_eq!(client.collect_after(answer, events).completed()["reason"], "canceled");
}

#[test]
fn control_with_nothing_running_is_refused_with_its_own_code() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for kind in ["PAUSE", "RESUME", "CANCEL"] {
        assert_eq!(client.control(kind).unwrap_err()["code"], -32002);
    }
    assert_eq!(client.run_shell("true").end(), ("exit", 0));
    for kind in ["PAUSE", "RESUME", "CANCEL"] {
        assert_eq!(client.control(kind).unwrap_err()["code"], -32002);
    }
}

#[test]
fn an_unknown_or_missing_type_is_refused_and_the_task_goes_on() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}", fifo.path());
    let (answer, events) = start(&mut client, &json!({ "command": command }));
    for params in [
        json!({"type": "KILL"}),
        json!({"type": "cancel"}),
        json!({"type": 1}),
        json!({"type": null}),
        json!({}),
    ] {
        let error = client.call("control", &params).unwrap_err();
        assert_eq!(error["code"], -32602, "{params}: {error}");
        assert_eq!(error["data"]["field"], "type", "{error}");
    }
    fifo.release();
    assert_eq!(client.collect_after(answer, events).end(), ("exit", 0));
}

#[test]
fn a_second_execute_is_refused_in_the_words_of_the_contract_and_harms_nothing() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}", fifo.path());
    let (answer, events) = start(&mut client, &json!({ "command": command }));
    let error = client.execute(&json!({"command": "echo second"})).unwrap_err();
    assert_eq!(error["code"], -32602);
    assert_eq!(error["message"], "A process is already running");
    fifo.release();
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.stdout(), "ready\n");
    assert_eq!(transcript.end(), ("exit", 0));
}

#[test]
fn a_control_reaches_only_the_task_of_its_own_session() {
    let supervisor = Supervisor::start_default();
    let (mut first, mut second) = (supervisor.connect(), supervisor.connect());
    let mut fifo = Fifo::create();
    let command = format!("echo ready; read go < {}", fifo.path());
    let (answer, events) = start(&mut first, &json!({ "command": command }));
    assert_eq!(second.control("CANCEL").unwrap_err()["code"], -32002);
    fifo.release();
    assert_eq!(first.collect_after(answer, events).end(), ("exit", 0));
}
