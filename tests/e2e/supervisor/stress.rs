//! The predecessor's open item T03, four kinds of stress in one named suite, each with its figures (shown
//! with `--nocapture`). What a single task, client or connection can do is held in `bounds`,
//! `slow_readers` and `sessions`; here many do it at once.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use cc_tests::{
    Client, Options, Supervisor,
    client::Incoming,
    processes::memory,
    requests::{assert_spoken, speak, task_id},
    wait_until,
};
use serde_json::json;

/// Runs this so many times at once, and returns what came of each.
fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    thread::scope(|scope| {
        let (work, barrier) = (&work, &barrier);
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    barrier.wait();
                    work(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn high_output_of_eight_tasks_at_once_is_whole() {
    const TASKS: usize = 8;
    const BYTES: usize = 1_000_000;
    let supervisor = Supervisor::start_default();
    let start = Instant::now();
    let messages = at_once(TASKS, |number| {
        let transcript = supervisor.connect().run_to_end(&speak(number as u64, BYTES));
        assert_spoken(&transcript, number as u64, BYTES);
        transcript.events.len()
    });
    let messages: usize = messages.into_iter().sum();
    let (bytes, time_s) = (TASKS * BYTES, start.elapsed().as_secs_f64());
    let rate = bytes as f64 / 1e6 / time_s;
    eprintln!(
        "{TASKS} tasks, {bytes} bytes in {messages} messages and {time_s:.2} s: {rate:.1} MB/s"
    );
}

#[test]
fn the_session_limit_holds_however_many_come_and_go_at_once() {
    const SESSIONS: usize = 10;
    const CLIENTS: usize = 30;
    const TIMES: usize = 20;
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", SESSIONS));
    let inside = AtomicUsize::new(0);
    let start = Instant::now();
    at_once(CLIENTS, |_| {
        for _ in 0..TIMES {
            let mut client = Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap();
            let first = client.recv_json();
            if first["method"] == "connected" {
                let count = inside.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(count <= SESSIONS, "{count} sessions at once");
                assert!(client.call("ping", &json!({})).is_ok());
                // It counts as gone from here, which is before the server knows.
                inside.fetch_sub(1, Ordering::SeqCst);
                client.send_request("session.close", &json!({}));
            } else {
                // On a slow machine: it waits a moment for a place.
                assert_eq!(first["error"]["code"], -32003, "{first}");
            }
            while client.recv() != Incoming::Ended {}
        }
    });
    let time_s = start.elapsed().as_secs_f64();
    eprintln!("{} connections, {SESSIONS} at a time, in {time_s:.2} s", CLIENTS * TIMES);
    // Exactly as many as before find room now, and work.
    let mut clients: Vec<Client> = (0..SESSIONS).map(|_| supervisor.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.run_shell("echo works").stdout(), "works\n");
    }
}

#[test]
fn of_those_who_come_at_once_and_stay_as_many_get_in_as_there_is_room_for() {
    const SESSIONS: usize = 10;
    const CLIENTS: usize = 40;
    const WAVES: usize = 5;
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", SESSIONS));
    let start = Instant::now();
    for _ in 0..WAVES {
        let arrived = at_once(CLIENTS, |_| {
            let mut client = Client::open(supervisor.address(), "/ws/mcp", &[]).unwrap();
            let first = client.recv_json();
            (client, first)
        });
        let (mut inside, mut refused): (Vec<_>, Vec<_>) =
            arrived.into_iter().partition(|(_, first)| first["method"] == "connected");
        assert_eq!(inside.len(), SESSIONS);
        for (_, first) in &refused {
            assert_eq!(first["error"]["code"], -32003, "{first}");
        }
        for (client, _) in &mut inside {
            assert!(client.call("ping", &json!({})).is_ok());
            client.send_request("session.close", &json!({}));
        }
        // Whoever sees its connection closed has made room.
        for (client, _) in inside.iter_mut().chain(&mut refused) {
            while client.recv() != Incoming::Ended {}
        }
    }
    let time_s = start.elapsed().as_secs_f64();
    let refused = WAVES * (CLIENTS - SESSIONS);
    eprintln!("{WAVES} waves of {CLIENTS} clients in {time_s:.2} s, {refused} refused");
}

#[test]
fn memory_stays_bounded_while_twenty_tasks_flood_readers_and_nobody() {
    const TASKS: usize = 20;
    const OUTPUT_BYTES: u64 = 2_000_000;
    /// For each task the end of its log, what waits for its socket, and the allocator's.
    const TASK_BUDGET_BYTES: u64 = 1024 * 1024;
    const WORKER_BUDGET_BYTES: u64 = 16 * 1024 * 1024;
    let supervisor = Supervisor::start_default();
    assert_eq!(supervisor.connect().run_shell("echo warm").stdout(), "warm\n");
    let idle = memory(supervisor.pid()).resident_bytes;
    let flood = cc_tests::binaries::misbehave_argv(&["flood", &OUTPUT_BYTES.to_string(), "1000"]);
    // They wait when they have printed, so that their workers can be looked at.
    let command = format!("{}; sleep 600", flood.join(" "));
    let mut clients: Vec<Client> = (0..TASKS).map(|_| supervisor.connect()).collect();
    let ids: Vec<String> = clients
        .iter_mut()
        .map(|client| task_id(&client.execute(&json!({ "command": command })).unwrap()).to_owned())
        .collect();
    // Every second one is read; of the others nothing is, to their end.
    for client in clients.iter_mut().step_by(2) {
        client.recv_until_output("the last line");
    }
    let mut other = supervisor.connect();
    for id in &ids {
        wait_until("all of it is in the log", || {
            other.task(id).unwrap()["log_bytes"].as_u64().unwrap() > OUTPUT_BYTES
        });
    }
    let supervisors = memory(supervisor.pid()).most_resident_bytes.saturating_sub(idle);
    let workers = supervisor.workers();
    assert_eq!(workers.len(), TASKS);
    let worker = workers.iter().map(|pid| memory(*pid).most_resident_bytes).max().unwrap();
    eprintln!("supervisor {supervisors} bytes above idle, largest of {TASKS} workers {worker}");
    assert!(supervisors <= TASKS as u64 * TASK_BUDGET_BYTES, "{supervisors} bytes above {idle}");
    assert!(worker <= WORKER_BUDGET_BYTES, "a worker with {worker} bytes");
    for client in &mut clients {
        client.call("session.close", &json!({})).unwrap();
    }
}

#[test]
fn a_hundred_clients_who_start_at_once_get_each_its_own_task() {
    const CLIENTS: usize = 100;
    const TASKS_EACH: usize = 3;
    let supervisor = Supervisor::start_default();
    let start = Instant::now();
    let ids = at_once(CLIENTS, |number| {
        let mut client = supervisor.connect();
        let ids: Vec<String> = (0..TASKS_EACH)
            .map(|task| {
                let text = format!("client {number} task {task}");
                let transcript = client.run_to_end(&json!({"argv": ["echo", text]}));
                assert_eq!(transcript.stdout(), text + "\n");
                transcript.task_id().to_owned()
            })
            .collect();
        ids
    });
    let time_s = start.elapsed().as_secs_f64();
    let mut ids: Vec<String> = ids.into_iter().flatten().collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), CLIENTS * TASKS_EACH, "every task has an id of its own");
    wait_until("no worker is left but the one that waits, and nothing is a zombie", || {
        supervisor.workers().is_empty() && supervisor.zombies().is_empty()
    });
    let memory = memory(supervisor.pid()).most_resident_bytes;
    eprintln!("{} tasks of {CLIENTS} clients in {time_s:.2} s; at most {memory} bytes", ids.len());
}
