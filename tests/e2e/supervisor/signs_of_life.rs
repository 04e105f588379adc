//! A worker that gives no sign of life for ten seconds is killed with its tree, whatever its age; one that was not heard
//! because the supervisor did not run is not.

use std::time::{Duration, Instant};

use cc_tests::{
    Client, Options, Supervisor,
    fifo::Fifo,
    http, processes,
    requests::{self, gated, task_id},
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Ten seconds, and what a loaded machine needs to kill and to tell.
const UNRESPONSIVE: Duration = Duration::from_secs(20);

/// The terminal event of a task that is on record.
fn completed(client: &mut Client, task: &str) -> Value {
    client.wait_for_end(task);
    client.watch(task, 0).last().unwrap()["params"].clone()
}

fn assert_unresponsive(completed: &Value) {
    assert_eq!(completed["reason"], "worker_died", "{completed}");
    let text = completed["error"].as_str().unwrap();
    assert!(text.contains("unresponsive"), "{text}");
}

#[test]
fn a_worker_that_stops_in_the_middle_of_a_silent_task_is_killed_with_its_tree_and_counted() {
    let supervisor = Supervisor::start(&Options::new().flag("--cgroup", "off"));
    let mut client = supervisor.connect();
    let tag = unique_tag("silent");
    let command = format!("setsid bash -c 'exec -a {tag} sleep 600' & exec -a {tag} sleep 600");
    let params = json!({"argv": ["bash", "-c", command], "detach": true});
    let answer = client.execute(&params).unwrap();
    wait_until("both are there", || processes::survivors(&tag).len() >= 2);
    let stopped = Instant::now();
    requests::worker(&answer).signal(Signal::STOP);
    let end = completed(&mut client, task_id(&answer));
    assert_unresponsive(&end);
    assert!(stopped.elapsed() < UNRESPONSIVE, "{:?}", stopped.elapsed());
    processes::assert_gone(&tag);
    let metrics = http::get(supervisor.address(), "/metrics", &[]).body;
    assert!(metrics.contains("workers_lost_total{reason=\"unresponsive\"} 1"), "{metrics}");
    assert!(supervisor.log().contains("unresponsive"));
}

#[test]
fn a_worker_that_stops_at_its_birth_is_killed_and_its_task_has_an_end() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo a keeper is there").end(), ("exit", 0));
    client.send_request("execute", &json!({"argv": ["sleep", "600"], "detach": true}));
    wait_until("there is a worker", || {
        supervisor.workers().into_iter().any(|worker| {
            processes::Process::open(worker).is_some_and(|worker| {
                worker.signal(Signal::STOP);
                true
            })
        })
    });
    let mut other = supervisor.connect();
    wait_until("it has an end", || {
        let list = other.call("task.list", &json!({})).unwrap();
        list["tasks"].as_array().unwrap().iter().any(|task| task["verdict"] == "worker_died")
    });
    wait_until("its worker is gone", || supervisor.workers().is_empty());
}

#[test]
fn a_worker_that_stops_while_it_ends_its_task_does_not_have_the_rest_of_the_grace() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 600));
    let mut client = supervisor.connect();
    let tag = unique_tag("deaf");
    let command = format!("trap '' TERM; echo ready; exec -a {tag} sleep 600");
    let answer = client.execute(&json!({"argv": ["bash", "-c", command]})).unwrap();
    let mut events = client.recv_until_output("ready");
    client.control("CANCEL").unwrap();
    let stopped = Instant::now();
    requests::worker(&answer).signal(Signal::STOP);
    events.extend(client.recv_until_method("process.completed"));
    assert_unresponsive(&events.last().unwrap()["params"]);
    assert!(stopped.elapsed() < UNRESPONSIVE, "{:?}", stopped.elapsed());
    processes::assert_gone(&tag);
}

#[test]
fn no_worker_is_killed_for_the_absence_of_its_supervisor() {
    let supervisor = Supervisor::start_default();
    let (mut young, mut old) = (Fifo::create(), Fifo::create());
    let mut first = supervisor.connect();
    let of_first = first.execute(&gated(&old, "echo old")).unwrap();
    let mut clock = supervisor.connect();
    assert_eq!(clock.run_shell("sleep 6").end(), ("exit", 0));
    let mut second = supervisor.connect();
    let of_second = second.execute(&gated(&young, "echo young")).unwrap();
    supervisor.signal(Signal::STOP);
    // Longer than any worker may be silent.
    std::thread::sleep(Duration::from_secs(15));
    supervisor.signal(Signal::CONT);
    assert_eq!(clock.run_shell("sleep 12").end(), ("exit", 0));
    for (client, answer, gate) in
        [(&mut first, of_first, &mut old), (&mut second, of_second, &mut young)]
    {
        gate.release();
        assert_eq!(client.collect_after(answer, Vec::new()).end(), ("exit", 0));
    }
    assert!(!supervisor.log().contains("unresponsive"), "{}", supervisor.log());
}

#[test]
fn an_adopted_worker_that_stops_is_killed_too() {
    let mut supervisor = Supervisor::start_default();
    let answer =
        supervisor.connect().execute(&json!({"argv": ["sleep", "600"], "detach": true})).unwrap();
    supervisor.kill();
    supervisor.start_again(&Options::new());
    let mut client = supervisor.connect();
    requests::worker(&answer).signal(Signal::STOP);
    assert_unresponsive(&completed(&mut client, task_id(&answer)));
}
