//! What all clients send together has a bound: long messages wait for each other, and their memory is given back.

use std::{
    thread,
    time::{Duration, Instant},
};

use cc_tests::{
    Client, PATIENCE, Supervisor,
    client::Incoming,
    frames::{self, frame},
    processes::memory,
    wait_until,
};
use serde_json::json;

const MIB: u64 = 1024 * 1024;
/// As long as a message may be.
const LONGEST: usize = 16 * 1024 * 1024;
/// For a client that is not answered, because its message never ends.
const WHILE: Duration = Duration::from_secs(3);

/// A supervisor that has run a task, and what it then holds.
fn warmed_up() -> (Supervisor, u64) {
    let supervisor = Supervisor::start_default();
    assert_eq!(supervisor.connect().run_shell("echo warm").stdout(), "warm\n");
    let idle = memory(supervisor.pid()).resident_bytes;
    (supervisor, idle)
}

fn assert_given_back(supervisor: &Supervisor, idle: u64) {
    wait_until("the memory is given back", || {
        memory(supervisor.pid()).resident_bytes <= idle + 10 * MIB
    });
}

fn grown(supervisor: &Supervisor, idle: u64) -> u64 {
    memory(supervisor.pid()).most_resident_bytes.saturating_sub(idle)
}

/// Has so many clients at once send these bytes, each on its own connection, and read what comes.
fn at_once(
    supervisor: &Supervisor,
    count: usize,
    bytes: &[u8],
    patience: Duration,
) -> Vec<(Client, Incoming)> {
    thread::scope(|scope| {
        let sending: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = supervisor.connect();
                    // The server may close the connection in the middle of it.
                    drop(client.send_bytes(bytes));
                    let incoming = client.recv_within(patience);
                    (client, incoming.unwrap_or(Incoming::Ended))
                })
            })
            .collect();
        sending.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn very_many_unfinished_messages_take_no_more_than_the_budget_and_give_it_back() {
    let (supervisor, idle) = warmed_up();
    let whole = frame(frames::TEXT, &vec![b' '; LONGEST - 1]);
    let clients = at_once(&supervisor, 24, &whole[..whole.len() - 1000], WHILE);
    assert!(grown(&supervisor, idle) < 128 * MIB, "{:?}", memory(supervisor.pid()));
    // Those that stopped while others waited were told why.
    assert!(
        clients.iter().any(|(_, incoming)| matches!(incoming, Incoming::Closed { code: 1013, .. })),
        "nobody was closed"
    );
    supervisor.connect().assert_alive();
    drop(clients);
    assert_given_back(&supervisor, idle);
}

#[test]
fn a_message_of_very_many_fragments_counts_as_a_whole() {
    let (supervisor, idle) = warmed_up();
    let mut bytes = Vec::new();
    for number in 0..240 {
        let opcode = if number == 0 { frames::TEXT } else { 0 };
        let mut fragment = frame(opcode, &[b' '; 64 * 1024]);
        fragment[0] &= 0x7f;
        bytes.extend(fragment);
    }
    let clients = at_once(&supervisor, 16, &bytes, WHILE);
    // What is gathered of fragments grows by doubling.
    assert!(grown(&supervisor, idle) < 160 * MIB, "{:?}", memory(supervisor.pid()));
    drop(clients);
    assert_given_back(&supervisor, idle);
}

#[test]
fn long_messages_that_are_sent_at_once_are_all_answered() {
    let (supervisor, idle) = warmed_up();
    let text = json!({"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"x": "y".repeat(LONGEST - 100)}});
    let whole = frame(frames::TEXT, text.to_string().as_bytes());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = supervisor.connect();
                for _ in 0..2 {
                    client.send_bytes(&whole).unwrap();
                    assert_eq!(client.recv_json()["id"], 7);
                }
                // A short one after it needs no room of the long one.
                client.assert_alive();
            });
        }
    });
    assert!(grown(&supervisor, idle) < 200 * MIB, "{:?}", memory(supervisor.pid()));
    assert_given_back(&supervisor, idle);
}

#[test]
fn connections_that_have_sent_a_long_message_keep_none_of_its_memory() {
    let (supervisor, idle) = warmed_up();
    let text = json!({"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"x": "y".repeat(LONGEST / 2)}});
    let whole = frame(frames::TEXT, text.to_string().as_bytes());
    let mut clients: Vec<Client> = (0..20).map(|_| supervisor.connect()).collect();
    for client in &mut clients {
        client.send_bytes(&whole).unwrap();
        assert_eq!(client.recv_json()["id"], 7);
    }
    assert_given_back(&supervisor, idle);
    clients.iter_mut().for_each(Client::assert_alive);
}

#[test]
fn messages_of_very_many_values_are_parsed_one_after_the_other() {
    let (supervisor, idle) = warmed_up();
    // Two values each, the dearest that there are.
    let objects = vec![r#"{"a":1}"#; 120_000].join(",");
    let text =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{"x":[{objects}]}}}}"#);
    let whole = frame(frames::TEXT, text.as_bytes());
    for (_, incoming) in at_once(&supervisor, 8, &whole, PATIENCE) {
        let Incoming::Json(answer) = incoming else { panic!("{incoming:?}") };
        assert_eq!(answer["id"], 7, "{answer}");
    }
    assert!(grown(&supervisor, idle) < 200 * MIB, "{:?}", memory(supervisor.pid()));
    assert_given_back(&supervisor, idle);
}

#[test]
fn a_client_that_sends_slowly_gives_way_only_to_others() {
    let (supervisor, _) = warmed_up();
    let whole = frame(frames::TEXT, &vec![b' '; 200_000]);
    let mut slow = supervisor.connect();
    let (first, rest) = whole.split_at(100_000);
    slow.send_bytes(first).unwrap();
    let began = Instant::now();
    wait_until("it has been slow for a while", || began.elapsed() > Duration::from_secs(3));
    slow.send_bytes(rest).unwrap();
    // It is no JSON, which is an answer.
    assert_eq!(slow.recv_json()["error"]["code"], -32700);
    slow.assert_alive();
}
