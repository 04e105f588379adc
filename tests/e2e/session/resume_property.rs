//! Whatever byte a connection is cut at, and however often, the client that comes back ends up with what
//! an undisturbed reader has, and what the task printed.
//!
//! Every seed is a task at full speed and a row of cuts at random bytes, in the middle of frames,
//! headers, characters and handshakes. A failure names its seed.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use cc_tests::{
    Client, Cut, Options, PATIENCE, Proxy, Session, Supervisor, Transcript,
    client::unbatched,
    random::Random,
    requests::{assert_spoken, last_seq, speak, task_id},
    task_log::TaskLog,
};
use serde_json::{Value, json};

/// What each task says.
const SPEECH_BYTES: usize = 400_000;
/// Seeds of the suite, and cuts that they must have come to together.
const SEEDS: u64 = 12;
const CUTS_AT_LEAST: usize = 300;

/// Silence shorter than a handshake takes would only be waited for.
const HANDSHAKE_BYTES: u64 = 2_000;

/// Plans the next cut: often early, but some connections live for longer than the longest message takes.
fn plan(proxy: &Proxy, random: &mut Random) {
    let most = *random.pick(&[600, 6_000, 30_000, 200_000]);
    let bytes = 1 + random.below(most);
    let cut = match random.below(10) {
        0 if bytes > HANDSHAKE_BYTES => Cut::Silence,
        0..=4 => Cut::Reset,
        _ => Cut::Finish,
    };
    proxy.plan(bytes, cut);
}

/// Connects and resumes until it works; false when the connection is lost again before the answer.
fn come_back(
    proxy: &Proxy,
    session: &Session,
    after: Option<(&str, u64)>,
    output_batch: bool,
) -> Option<Client> {
    let mut client = Client::try_connect(proxy.address())?;
    client.set_patience(PATIENCE);
    // What is configured belongs to the connection.
    if output_batch {
        client.try_call("session.configure", &json!({"output_batch": true}))?.unwrap();
    }
    client.set_patience(Duration::from_millis(300));
    client.try_resume(session, after)?.unwrap();
    Some(client)
}

/// Runs one task, cutting its connections; returns how often.
fn run(supervisor: &Supervisor, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let proxy = Proxy::start(supervisor.address());
    let output_batch = random.below(2) == 0;
    let mut client = Client::connect(proxy.address());
    let session = client.session();
    let answer = client.execute(&speak(seed, SPEECH_BYTES)).unwrap();
    let mut events: Vec<Value> = vec![client.recv_json()];
    proxy.cut(*random.pick(&[Cut::Reset, Cut::Finish]));
    client.follow(&mut events);
    loop {
        plan(&proxy, &mut random);
        let known = unbatched(&events);
        let after = Some((task_id(&answer), last_seq(&known)));
        if let Some(mut client) = come_back(&proxy, &session, after, output_batch)
            && client.follow(&mut events)
        {
            break;
        }
    }
    let transcript = Transcript::checked(answer, unbatched(&events));
    assert_spoken(&transcript, seed, SPEECH_BYTES);
    let seen = supervisor.connect().watch(transcript.task_id(), 0);
    assert!(seen == transcript.events, "an undisturbed reader has seen something else");
    let log = TaskLog::read(&supervisor.task_directory(transcript.task_id()).join("log"));
    assert_eq!(log.records.len(), seen.len());
    proxy.accepted()
}

/// Runs all seeds, as many at once as there are processors; returns the cuts.
fn run_all(seeds: impl Iterator<Item = u64>) -> usize {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 1_000));
    let seeds: Vec<u64> = seeds.collect();
    let (next, cuts) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = std::panic::catch_unwind(|| run(&supervisor, *seed));
                    let count = outcome.unwrap_or_else(|cause| {
                        eprintln!("seed {seed} failed: see above");
                        std::panic::resume_unwind(cause)
                    });
                    cuts.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    cuts.into_inner()
}

#[test]
fn connections_that_are_cut_at_random_bytes_lose_and_repeat_nothing() {
    let cuts = run_all(1..=SEEDS);
    eprintln!("{cuts} connections were cut");
    assert!(cuts >= CUTS_AT_LEAST, "only {cuts} connections were cut");
}

#[test]
#[ignore = "takes minutes: see .ci/run"]
fn thousands_of_connections_that_are_cut_at_random_bytes_lose_and_repeat_nothing() {
    let cuts = run_all(1_000..1_150);
    assert!(cuts >= 2_000, "only {cuts} connections were cut");
}
