//! Who may resume a session, what a takeover does to the connection before, and when a session has ended.

use std::{fs, path::Path};

use cc_tests::{
    Client, Options, Session, Supervisor, Transcript,
    binaries::misbehave_argv,
    client::Incoming,
    fifo::Fifo,
    http, processes,
    requests::{assert_spoken, gated, last_seq, speak, task_id},
    unique_tag, wait_until,
};
use serde_json::{Value, json};

use super::resume::SPEECH_BYTES;

/// The connection is what it was: a new session that runs tasks.
fn assert_goes_on(client: &mut Client) {
    assert_eq!(client.run_shell("echo goes on").stdout(), "goes on\n");
}

#[test]
fn a_wrong_token_and_an_unknown_session_are_refused_alike_and_the_connection_goes_on() {
    let supervisor = Supervisor::start_default();
    let session = supervisor.connect().session();
    let other = supervisor.connect().session();
    let with = |id: &str, token: &str| Session { id: id.to_owned(), token: token.to_owned() };
    let mut wrong = vec![
        with(&session.id, &other.token),
        with(&session.id, ""),
        with(&session.id, &session.token[1..]),
        with(&session.id, &format!("{}A", session.token)),
        with(&session.id, &"A".repeat(100_000)),
        with("00000000-0000-7000-8000-000000000000", &session.token),
        with("no uuid", &session.token),
        with("", &session.token),
    ];
    let flipped = if session.token.starts_with('A') { "B" } else { "A" };
    wrong.push(with(&session.id, &format!("{flipped}{}", &session.token[1..])));
    let mut client = supervisor.connect();
    for session in wrong {
        let error = client.resume(&session, None).unwrap_err();
        assert_eq!(error["code"], -32010, "{session:?}: {error}");
    }
    assert_goes_on(&mut client);
    // Nobody has lost anything by that.
    drop(Client::resumed(supervisor.address(), &session, None));
}

#[test]
fn an_expired_session_is_told_apart_from_an_unknown_one() {
    let supervisor = Supervisor::start(&Options::new().flag("--resume-grace", 1));
    let mut client = supervisor.connect();
    assert_eq!(client.connected()["resume_grace_s"].as_f64(), Some(1.0));
    let session = client.session();
    let tag = unique_tag("expired");
    let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", &tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    client.vanish();
    let mut other = supervisor.connect();
    let ended = other.wait_for_end(task_id(&answer));
    assert_eq!(ended["reason"], "disconnected", "{ended}");
    assert_eq!(ended["verdict"], "canceled");
    assert!(processes::survivors(&tag).is_empty());
    let error = other.resume(&session, None).unwrap_err();
    assert_eq!(error["code"], -32011, "{error}");
    assert_goes_on(&mut other);
    // What it has said can still be read.
    let events = other.watch(task_id(&answer), 0);
    assert_eq!(events.last().unwrap()["params"]["reason"], "disconnected");
}

#[test]
fn without_a_grace_a_disconnect_ends_the_task_at_once() {
    let supervisor =
        Supervisor::start(&Options::new().flag("--resume-grace", 0).flag("--grace", 1));
    let mut client = supervisor.connect();
    assert_eq!(client.connected()["resume_grace_s"].as_f64(), Some(0.0));
    let session = client.session();
    let answer = client.execute(&json!({"command": "echo ready; exec sleep 100"})).unwrap();
    client.recv_until_output("ready");
    client.reset();
    let mut other = supervisor.connect();
    let ended = other.wait_for_end(task_id(&answer));
    assert_eq!(ended["reason"], "disconnected", "{ended}");
    assert_eq!(other.resume(&session, None).unwrap_err()["code"], -32011);
}

#[test]
fn a_session_that_was_closed_ends_its_task_and_cannot_be_resumed() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let tag = unique_tag("closed");
    let argv = misbehave_argv(&["setsid-sleepers", "3", "stay", &tag]);
    let answer = client.execute(&json!({ "argv": argv })).unwrap();
    client.recv_until_output("the sleepers sleep");
    client.call("session.close", &json!({})).unwrap();
    let mut other = supervisor.connect();
    let ended = other.wait_for_end(task_id(&answer));
    assert_eq!(ended["verdict"], "canceled", "{ended}");
    assert!(processes::survivors(&tag).is_empty());
    let error = other.resume(&session, None).unwrap_err();
    assert_eq!(error["code"], -32011, "{error}");
    assert_goes_on(&mut other);
}

#[test]
fn taking_a_session_over_closes_the_old_connection_with_4001() {
    let supervisor = Supervisor::start_default();
    let mut first = supervisor.connect();
    let session = first.session();
    let mut fifo = Fifo::create();
    let answer = first.execute(&gated(&fifo, "echo done")).unwrap();
    let mut events = first.recv_until_output("ready");
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut second = Client::resumed(supervisor.address(), &session, after);
    let (code, _reason, earlier) = first.recv_close();
    assert_eq!((code, earlier), (4001, Vec::new()));
    // Its end does not disturb the session, which is another connection's now.
    fifo.release();
    assert!(second.follow(&mut events));
    assert_eq!(Transcript::checked(answer, events).stdout(), "ready\ndone\n");
    let mut third = Client::resumed(supervisor.address(), &session, None);
    assert_eq!(second.recv_close().0, 4001);
    assert!(third.call("ping", &json!({})).is_ok());
}

#[test]
fn a_session_can_be_taken_over_again_and_again_in_the_middle_of_a_flood() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let answer = client.execute(&speak(3, SPEECH_BYTES)).unwrap();
    let mut events: Vec<Value> = (0..100).map(|_| client.recv_json()).collect();
    // The old ones are kept open, and do not read.
    let mut before = Vec::new();
    for _ in 0..20 {
        let after = Some((task_id(&answer), last_seq(&events)));
        before.push(client);
        client = Client::resumed(supervisor.address(), &session, after);
        events.extend((0..50).map(|_| client.recv_json()));
    }
    assert_spoken(&client.collect_after(answer, events), 3, SPEECH_BYTES);
    for mut client in before {
        assert_eq!(client.recv_close().0, 4001);
    }
}

#[test]
fn the_token_is_never_written_down() {
    let supervisor = Supervisor::start(&Options::new().env("LOG_LEVEL", "trace"));
    let mut client = supervisor.connect();
    let session = client.session();
    assert!(session.token.len() >= 43, "256 bits: {}", session.token);
    let task = client.run_shell("env");
    client.vanish();
    let after = Some((task.task_id(), task.events.len() as u64));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    let mut with_wrong_token = session.clone();
    with_wrong_token.id = client.session().id;
    drop(client.resume(&with_wrong_token, None));
    assert_goes_on(&mut client);
    client.vanish();
    assert!(supervisor.log().contains("DEBUG"), "the log says more than usual");
    assert!(!supervisor.log().contains(&session.token), "the token is in the log");
    let mut files = 0;
    assert_nowhere(&supervisor.state_directory(), session.token.as_bytes(), &mut files);
    assert!(files >= 3, "{files} files");
}

/// Checks every file below a directory.
fn assert_nowhere(directory: &Path, text: &[u8], files: &mut usize) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            assert_nowhere(&entry.path(), text, files);
        } else if entry.file_type().unwrap().is_file() {
            *files += 1;
            let content = fs::read(entry.path()).unwrap();
            let is_there = content.windows(text.len()).any(|window| window == text);
            assert!(!is_there, "the token is in {}", entry.path().display());
        }
    }
}

#[test]
fn a_malformed_resume_is_refused_by_the_name_of_its_parameter() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let Session { id, token } = client.session();
    let whole = json!({"session_id": id, "resume_token": token});
    for (name, value, field) in [
        ("session_id", json!(5), "session_id"),
        ("session_id", json!(null), "session_id"),
        ("resume_token", json!(null), "resume_token"),
        ("resume_token", json!([]), "resume_token"),
        ("after", json!(7), "after"),
        ("after", json!({"task_id": "t"}), "seq"),
        ("after", json!({"seq": 1}), "task_id"),
        ("after", json!({"task_id": "t", "seq": -1}), "seq"),
        ("after", json!({"task_id": "t", "seq": 1.5}), "seq"),
        ("aftre", json!({"task_id": "t", "seq": 1}), "aftre"),
    ] {
        let mut params = whole.clone();
        params[name] = value;
        let error = client.call("session.resume", &params).unwrap_err();
        assert_eq!((&error["code"], &error["data"]["field"]), (&json!(-32602), &json!(field)));
    }
    for params in [json!({}), json!({"output_batch": 1}), json!({"output_batsch": true})] {
        let error = client.call("session.configure", &params).unwrap_err();
        assert_eq!(error["code"], -32602, "{error}");
    }
    assert_eq!(client.call("session.close", &json!({"now": 1})).unwrap_err()["code"], -32602);
    assert_goes_on(&mut client);
}

#[test]
fn a_position_in_a_task_of_somebody_else_is_refused_and_the_connection_goes_on() {
    let supervisor = Supervisor::start_default();
    let session = supervisor.connect().session();
    let mut client = supervisor.connect();
    let foreign = client.run_shell("echo mine");
    for position in [(foreign.task_id(), 1), ("00000000-0000-7000-8000-000000000000", 1)] {
        let error = client.resume(&session, Some(position)).unwrap_err();
        assert!(error["code"].is_i64(), "{error}");
        assert_goes_on(&mut client);
    }
}

#[test]
fn disconnected_sessions_do_not_count_against_the_limit() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 2));
    let sessions: Vec<Session> = (0..10)
        .map(|_| {
            let client = supervisor.connect();
            let session = client.session();
            client.close();
            session
        })
        .collect();
    for session in &sessions {
        Client::resumed(supervisor.address(), session, None).close();
    }
}

#[test]
fn running_tasks_have_a_limit_of_their_own() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-tasks", 2));
    let fifos: Vec<Fifo> = (0..2).map(|_| Fifo::create()).collect();
    for fifo in &fifos {
        let mut client = supervisor.connect();
        client.execute(&gated(fifo, "true")).unwrap();
        client.vanish();
    }
    let mut client = supervisor.connect();
    let error = client.execute(&json!({"command": "true"})).unwrap_err();
    assert_eq!(error["code"], -32016, "{error}");
    for mut fifo in fifos {
        fifo.release();
    }
    wait_until("there is room", || client.execute(&json!({"command": "true"})).is_ok());
    client.recv_until_method("process.completed");
}

#[test]
fn an_old_client_that_knows_nothing_of_this_leaves_no_session_that_is_in_anyones_way() {
    let supervisor = Supervisor::start(&Options::new().flag("--max-sessions", 1));
    for _ in 0..20 {
        let mut client = supervisor.connect();
        assert_eq!(client.run_shell("echo hello").stdout(), "hello\n");
        client.close();
    }
    let mut client = supervisor.connect();
    client.send_text("no JSON");
    assert!(matches!(client.recv(), Incoming::Json(_)));
}

#[test]
fn a_session_that_owes_its_client_an_end_outlives_a_thousand_that_owe_nothing() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let answer = client.execute(&json!({"command": "sleep 0.2; echo precious"})).unwrap();
    client.vanish();
    supervisor.connect().wait_for_end(task_id(&answer));
    for _ in 0..1_050 {
        supervisor.connect().vanish();
    }
    let page = http::get(supervisor.address(), "/metrics", &[]).body;
    let evicted = |owed: &str| {
        let name = format!("cc_executor_sessions_evicted_total{{owed=\"{owed}\"}} ");
        let count = page.lines().find_map(|line| line.strip_prefix(&name));
        count.expect("evictions are counted").parse::<u64>().unwrap()
    };
    assert!(evicted("nothing") > 0 && evicted("unread") + evicted("unsent") == 0, "{page}");
    let mut client = Client::resumed(supervisor.address(), &session, None);
    let events = client.recv_until_method("process.completed");
    assert!(events.iter().any(|event| event["params"]["data"] == "precious\n"), "{events:?}");
}
