//! Time in which nothing could run: supervisor, workers and tasks are stopped together, as by a paused container or
//! Ctrl-Z. Nobody's time is used up by it.

use std::{collections::BTreeSet, thread, time::Duration};

use cc_tests::{
    Client, Options, Supervisor, Transcript,
    batches::{Notes, Over, plan_with, submit},
    http,
    processes::{Process, children},
    wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Longer than every deadline of the tests, and than what a late wake-up may be.
const STOP: Duration = Duration::from_secs(8);

/// A shell that takes so many fifths of a second of running time, silently, and then ends with `then`.
fn works_for(fifths: u32, then: &str) -> String {
    format!("for step in $(seq {fifths}); do sleep 0.2; done; {then}")
}

/// A supervisor and all that it has started, stopped until this is dropped.
struct Stopped {
    processes: Vec<Process>,
}

impl Stopped {
    /// Stops from the top down, so that no process sees another one stopped, and looks again for those that were being
    /// started.
    fn stop(supervisor: &Supervisor) -> Self {
        let mut stopped = Self { processes: Vec::new() };
        let mut seen = BTreeSet::new();
        loop {
            let before = seen.len();
            let mut next = vec![supervisor.pid()];
            while let Some(pid) = next.pop() {
                if seen.insert(pid)
                    && let Some(process) = Process::open(pid)
                {
                    process.signal(Signal::STOP);
                    stopped.processes.push(process);
                }
                next.extend(children(pid));
            }
            if seen.len() == before {
                return stopped;
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for process in &self.processes {
            process.signal(Signal::CONT);
        }
    }
}

fn stop_for_a_while(supervisor: &Supervisor) {
    let stopped = Stopped::stop(supervisor);
    thread::sleep(STOP);
    drop(stopped);
}

fn begin(supervisor: &Supervisor, params: &Value) -> (Client, Value) {
    let mut client = supervisor.connect();
    let answer = client.execute(params).unwrap();
    (client, answer)
}

fn end_of((mut client, answer): (Client, Value)) -> Transcript {
    client.collect(answer)
}

#[test]
fn a_stop_counts_for_no_clock_of_a_task() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 4));
    let silent = json!({"command": works_for(10, "echo done"), "idle_timeout": 3.5});
    let silent = begin(&supervisor, &silent);
    let short = json!({"command": works_for(10, "echo done"), "timeout": 4.5});
    let short = begin(&supervisor, &short);
    // Deaf for a while, within its grace.
    let farewell = works_for(10, "exit 7");
    let command = format!("trap '{farewell}' TERM; echo ready; while :; do sleep 0.1; done");
    let (mut client, answer) = begin(&supervisor, &json!({ "command": command }));
    let events = client.recv_until_output("ready");
    client.control("CANCEL").unwrap();

    stop_for_a_while(&supervisor);
    assert_eq!(end_of(silent).end(), ("exit", 0));
    assert_eq!(end_of(short).end(), ("exit", 0));
    assert_eq!(client.collect_after(answer, events).end(), ("canceled", 7));
}

#[test]
fn after_a_stop_the_clocks_go_on_and_run_out() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let silent = begin(&supervisor, &json!({"command": "sleep 600", "idle_timeout": 3}));
    let deaf = json!({"command": "trap '' TERM; while :; do sleep 0.1; done", "timeout": 3});
    let deaf = begin(&supervisor, &deaf);
    stop_for_a_while(&supervisor);
    assert_eq!(end_of(silent).end().0, "idle_timeout");
    assert_eq!(end_of(deaf).end(), ("timeout", -9));
}

#[test]
fn a_client_that_was_away_before_a_stop_has_the_rest_of_its_grace_after_it() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 5));
    let (client, answer) = begin(&supervisor, &json!({"command": works_for(30, "echo done")}));
    let session = client.session();
    client.vanish();
    wait_until("the supervisor knows that the client is away", || {
        let health = http::get(supervisor.address(), "/health", &[]).body;
        health.contains("\"active_sessions\":0")
    });
    stop_for_a_while(&supervisor);
    let mut client = Client::resumed(supervisor.address(), &session, None);
    assert_eq!(client.collect(answer).end(), ("exit", 0));
}

#[test]
fn a_client_that_could_not_be_heard_during_a_stop_is_not_dead() {
    let supervisor = Supervisor::start(&Options::new().flag("--heartbeat", 2));
    let mut client = supervisor.connect();
    client.call("ping", &json!({})).unwrap();
    stop_for_a_while(&supervisor);
    // It answers pings only while it reads.
    assert_eq!(client.run_shell("echo still here").stdout(), "still here\n");
    client.call("ping", &json!({})).unwrap();
}

#[test]
fn a_stop_is_no_part_of_the_time_of_a_batch() {
    let supervisor = Supervisor::start(&Options::new().fixture_agent().flag("--grace", 1));
    let notes = Notes::new(&supervisor);
    let tasks = ["one", "two"].map(|name| notes.shell(name, &works_for(5, "true")));
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan_with(json!({"max_time_s": 6}), tasks));
    stop_for_a_while(&supervisor);
    let over = Over::of(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded", "succeeded"]);
    assert_eq!(over.outcome(), "succeeded");
}
