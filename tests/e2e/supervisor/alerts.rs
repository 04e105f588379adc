//! Workers that end abnormally too often are an alert: clients that have subscribed and the operator's command are told when
//! it is raised and when it is cleared.

use std::fs;

use cc_tests::{Client, Options, Supervisor, http, requests, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

fn kill_a_worker(client: &mut Client) {
    let answer = client.execute(&json!({"argv": ["sleep", "600"], "detach": true})).unwrap();
    requests::worker(&answer).signal(Signal::KILL);
    client.wait_for_end(requests::task_id(&answer));
}

fn alert(client: &mut Client) -> Value {
    client.recv_until_method("supervisor.alert").last().unwrap()["params"].clone()
}

#[test]
fn too_many_abnormal_ends_are_told_and_so_is_that_they_are_over() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let options = Options::new()
        .flag("--restart-limit", 2)
        .flag("--restart-window", 15)
        .flag("--alert-command", format!("cat >> {}", told.display()));
    let supervisor = Supervisor::start(&options);
    let (mut watcher, mut other) = (supervisor.connect(), supervisor.connect());
    let stands = watcher.call("supervisor.subscribe", &json!({})).unwrap();
    assert_eq!(stands, json!({"alerts": []}));
    kill_a_worker(&mut other);
    kill_a_worker(&mut other);
    let ready = http::get(supervisor.address(), "/readyz?verbose", &[]);
    assert!(!ready.body.contains("restart_rate: "), "{}", ready.body);
    kill_a_worker(&mut other);
    let raised = alert(&mut watcher);
    assert_eq!((&raised["kind"], &raised["cleared"]), (&json!("restart_rate"), &json!(false)));
    let late = other.call("supervisor.subscribe", &json!({})).unwrap();
    assert_eq!(late["alerts"][0], raised);
    assert_eq!(http::get(supervisor.address(), "/readyz", &[]).status, 200, "it is degraded only");
    assert_eq!(other.run_shell("echo well").stdout(), "well\n");
    let cleared = alert(&mut watcher);
    assert_eq!((&cleared["kind"], &cleared["cleared"]), (&json!("restart_rate"), &json!(true)));
    assert_eq!(cleared["since_ms"], raised["since_ms"]);
    let text = cleared["text"].as_str().unwrap();
    assert!(text.contains("no more often") && text.ends_with(" s"), "what is over: {text}");
    wait_until("the command was told of both", || {
        fs::read_to_string(&told).unwrap_or_default().lines().count() == 2
    });
    let lines: Vec<Value> = fs::read_to_string(&told)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, [raised, cleared.clone()]);
    let log = supervisor.log();
    assert!(log.contains("restart_rate") && log.contains(text), "{log}");
}
