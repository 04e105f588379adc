//! A client that does not read costs the supervisor no memory to speak of, delays no other, and loses
//! nothing.
//!
//! The budget, read from `/proc`: beyond what it holds when it is idle and has run a task, the supervisor
//! never holds more than [`BUDGET_BYTES`], and [`CLIENT_BUDGET_BYTES`] for each client that does not read.
//! That is for the allocator, the end of each running task's log, and what waits for each socket.

use std::time::{Duration, Instant};

use cc_tests::{
    Client, Options, Supervisor, Transcript,
    binaries::misbehave_argv,
    processes::memory,
    requests::{last_seq, task_id},
    wait_until,
};
use serde_json::{Value, json};

/// What slow readers may cost together, however many there are.
const BUDGET_BYTES: u64 = 4 * 1024 * 1024;
/// What each may cost besides.
const CLIENT_BUDGET_BYTES: u64 = 1024 * 1024;

/// What their tasks print, each.
const OUTPUT_BYTES: u64 = 10_000_000;

/// Short lines are the dearest; where many clients read them in the end, longer ones do.
const SHORT_LINES: u64 = 100;
const LONG_LINES: u64 = 1_000;

fn flood(line_bytes: u64) -> Value {
    let argv = misbehave_argv(&["flood", &OUTPUT_BYTES.to_string(), &line_bytes.to_string()]);
    json!({
        "argv": argv,
        "max_output_bytes": 4 * OUTPUT_BYTES,
    })
}

/// A supervisor that has done everything once, and what it then holds.
fn warmed_up(options: &Options) -> (Supervisor, u64) {
    let supervisor = Supervisor::start(options);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("echo warm").stdout(), "warm\n");
    client.close();
    let idle = memory(supervisor.pid()).resident_bytes;
    (supervisor, idle)
}

/// Starts a task that prints a lot, and reads only the answer.
fn start_and_read_no_more(supervisor: &Supervisor, line_bytes: u64) -> (Client, Value) {
    let mut client = supervisor.connect();
    let answer = client.execute(&flood(line_bytes)).unwrap();
    (client, answer)
}

fn assert_within_budget(supervisor: &Supervisor, idle: u64, clients: u64) {
    let memory = memory(supervisor.pid());
    let grown = memory.most_resident_bytes.saturating_sub(idle);
    eprintln!("idle {} KiB, at most {} KiB more", idle / 1024, grown / 1024);
    let budget = BUDGET_BYTES + clients * CLIENT_BUDGET_BYTES;
    assert!(grown <= budget, "{grown} bytes more than the idle {idle}: {memory:?}");
}

fn assert_whole(transcript: &Transcript) {
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(transcript.stdout().len() as u64, OUTPUT_BYTES + "the last line\n".len() as u64);
    assert!(transcript.stdout().ends_with("the last line\n"));
}

#[test]
fn a_client_that_does_not_read_ten_megabytes_costs_no_memory_and_gets_them_later() {
    let (supervisor, idle) = warmed_up(&Options::new());
    let (mut slow, answer) = start_and_read_no_more(&supervisor, SHORT_LINES);
    let mut other = supervisor.connect();
    other.wait_for_end(task_id(&answer));
    assert_within_budget(&supervisor, idle, 1);
    assert_whole(&slow.collect(answer));
    assert_within_budget(&supervisor, idle, 1);
}

#[test]
fn ten_clients_that_do_not_read_cost_no_memory_delay_nobody_and_get_everything_later() {
    let (supervisor, idle) = warmed_up(&Options::new());
    let slow: Vec<(Client, Value)> =
        (0..10).map(|_| start_and_read_no_more(&supervisor, LONG_LINES)).collect();
    let mut other = supervisor.connect();
    // Meanwhile another client works.
    for number in 0..10 {
        assert_eq!(other.run_shell(&format!("echo {number}")).stdout(), format!("{number}\n"));
    }
    for (_, answer) in &slow {
        other.wait_for_end(task_id(answer));
    }
    assert_within_budget(&supervisor, idle, 10);
    for (mut client, answer) in slow {
        assert_whole(&client.collect(answer));
    }
    assert_within_budget(&supervisor, idle, 10);
}

#[test]
fn a_client_that_stops_reading_for_longer_than_its_heartbeat_is_not_given_up() {
    let (supervisor, idle) = warmed_up(&Options::new().flag("--heartbeat", 1));
    let mut client = supervisor.connect();
    let answer = client.execute(&flood(LONG_LINES)).unwrap();
    let mut events: Vec<Value> = (0..1_000).map(|_| client.recv_json()).collect();
    // It does not even answer pings; another session's task is the clock.
    let mut other = supervisor.connect();
    assert_eq!(other.run_shell("sleep 5").end(), ("exit", 0));
    other.wait_for_end(task_id(&answer));
    assert_within_budget(&supervisor, idle, 1);
    assert!(client.follow(&mut events));
    assert_whole(&Transcript::checked(answer, events));
}

#[test]
fn ten_viewers_of_a_flood_who_do_not_read_cost_no_memory_and_do_not_slow_it() {
    let (supervisor, idle) = warmed_up(&Options::new());
    let mut live = supervisor.connect();
    let answer = live.execute(&flood(LONG_LINES)).unwrap();
    let mut viewers: Vec<Client> = (0..10).map(|_| supervisor.connect()).collect();
    for viewer in &mut viewers {
        viewer.attach(task_id(&answer), 0).unwrap();
    }
    let transcript = live.collect(answer);
    assert_whole(&transcript);
    assert_within_budget(&supervisor, idle, 10);
    for mut viewer in viewers {
        let mut events = Vec::new();
        assert!(viewer.follow(&mut events));
        assert!(events == transcript.events, "a viewer has seen something else");
    }
}

#[test]
fn answers_do_not_wait_behind_output_that_is_not_read() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let answer = client.execute(&flood(LONG_LINES)).unwrap();
    let last = supervisor.connect().wait_for_end(task_id(&answer))["last_seq"].as_u64().unwrap();
    // All of it waits for this client, but for what is on the way already.
    let id = client.send_request("ping", &json!({}));
    let earlier = std::iter::from_fn(|| {
        let message = client.recv_json();
        (message["id"] != id).then_some(message)
    });
    let earlier = last_seq(&earlier.collect::<Vec<_>>());
    assert!(earlier < last, "the answer came after all {last} events");
}

#[test]
fn fifty_clients_that_have_stopped_reading_cost_a_position_each() {
    const CLIENTS: usize = 50;
    let options = Options::new();
    let (supervisor, _) = warmed_up(&options);
    let mut live = supervisor.connect();
    let ended = live.run_to_end(&flood(SHORT_LINES));
    let mut viewers: Vec<Client> = (0..CLIENTS).map(|_| supervisor.connect()).collect();
    viewers.iter_mut().for_each(Client::assert_alive);
    let idle = memory(supervisor.pid()).resident_bytes;
    for viewer in &mut viewers {
        viewer.attach(ended.task_id(), 0).unwrap();
    }
    wait_until("they cost next to nothing", || {
        memory(supervisor.pid()).resident_bytes <= idle + CLIENTS as u64 * 100 * 1024
    });
    for mut viewer in viewers.into_iter().take(2) {
        let mut events = Vec::new();
        assert!(viewer.follow(&mut events));
        assert!(events == ended.events, "a viewer has seen something else");
    }
}

#[test]
fn a_stop_does_not_wait_for_clients_that_sleep() {
    for is_reading_all in [false, true] {
        let mut supervisor = Supervisor::start_default();
        let (mut asleep, answer) = start_and_read_no_more(&supervisor, SHORT_LINES);
        supervisor.connect().wait_for_end(task_id(&answer));
        if is_reading_all {
            // Nothing waits for it, but it will not answer the close frame.
            drop(asleep.collect(answer));
        }
        let began = Instant::now();
        assert!(supervisor.stop().success());
        let took = began.elapsed();
        assert!(took < Duration::from_millis(1_900), "{took:?}, {is_reading_all}");
        drop(asleep);
    }
}
