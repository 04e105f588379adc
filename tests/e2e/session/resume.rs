//! A session outlives its connections: whatever cuts them, the client that comes back gets every event
//! once, in order.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{fs, path::Path, time::Duration};

use cc_tests::{
    Client, Cut, Options, Proxy, Session, Supervisor, Transcript,
    binaries::misbehave_argv,
    client::{Incoming, unbatched},
    fifo::Fifo,
    http, processes,
    requests::{answer_for, assert_spoken, gated, last_seq, speak, task_id},
    spoken_output::{Stream, said, speech},
    task_log::TaskLog,
    unique_tag, wait_until,
};
use serde_json::{Value, json};

/// Size of the speech of a task whose connection is cut.
const SPEECH_BYTES: usize = 2_000_000;

/// Everything that is said about a task, to somebody whose connection nobody cuts.
fn undisturbed(supervisor: &Supervisor, task_id: &str) -> Vec<Value> {
    supervisor.connect().watch(task_id, 0)
}

/// Runs a task through a network that cuts the connection in the middle, comes back, and checks all.
fn cut_in_the_middle(cut: Cut) {
    let supervisor = Supervisor::start(&Options::new().flag("--heartbeat", 1));
    let proxy = Proxy::start(supervisor.address());
    proxy.plan(SPEECH_BYTES as u64 / 3, cut);
    let mut client = Client::connect(proxy.address());
    let session = client.session();
    let answer = client.execute(&speak(1, SPEECH_BYTES)).unwrap();
    let mut events = Vec::new();
    // Where nothing ends the connection, silence tells: how much has come by then does not matter.
    client.set_patience(Duration::from_secs(2));
    assert!(!client.follow(&mut events), "the connection was not cut");
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(proxy.address(), &session, after);
    let transcript = client.collect_after(answer, events);
    assert_spoken(&transcript, 1, SPEECH_BYTES);
    assert_eq!(transcript.events, undisturbed(&supervisor, transcript.task_id()));
}

#[test]
fn a_reset_in_the_middle_of_output_loses_nothing() {
    cut_in_the_middle(Cut::Reset);
}

#[test]
fn an_end_of_the_stream_in_the_middle_of_output_loses_nothing() {
    cut_in_the_middle(Cut::Finish);
}

#[test]
fn a_network_that_falls_silent_in_the_middle_of_output_loses_nothing() {
    cut_in_the_middle(Cut::Silence);
}

#[test]
fn a_close_frame_in_the_middle_of_output_loses_nothing() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let answer = client.execute(&speak(2, SPEECH_BYTES)).unwrap();
    let events: Vec<Value> = (0..500).map(|_| client.recv_json()).collect();
    client.close();
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    assert_spoken(&client.collect_after(answer, events), 2, SPEECH_BYTES);
}

#[test]
fn a_silent_client_is_noticed_by_the_heartbeat_and_its_session_waits() {
    let supervisor = Supervisor::start(&Options::new().flag("--heartbeat", 1));
    let proxy = Proxy::start(supervisor.address());
    let mut client = Client::connect(proxy.address());
    let session = client.session();
    let mut fifo = Fifo::create();
    let answer = client.execute(&gated(&fifo, "echo done")).unwrap();
    let events = client.recv_until_output("ready");
    proxy.cut(Cut::Silence);
    wait_until("the connection is given up", || active_sessions(&supervisor) == 0);
    fifo.release();
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    let transcript = client.collect_after(answer, events);
    assert_eq!((transcript.stdout().as_str(), transcript.end()), ("ready\ndone\n", ("exit", 0)));
}

/// Sessions with a connection, as the predecessor's probe counts them.
fn active_sessions(supervisor: &Supervisor) -> u64 {
    let body = http::get(supervisor.address(), "/health", &[]).body;
    serde_json::from_str::<Value>(&body).unwrap()["active_sessions"].as_u64().unwrap()
}

#[test]
fn a_resume_at_every_position_of_a_task_gives_the_rest_of_what_an_undisturbed_reader_got() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let argv = misbehave_argv(&["interleave", "150"]);
    let transcript = client.run_to_end(&json!({ "argv": argv }));
    let whole = undisturbed(&supervisor, transcript.task_id());
    assert_eq!(whole, transcript.events);
    assert!(whole.len() >= 300);
    for seq in 0..whole.len() {
        let after = Some((transcript.task_id(), seq as u64));
        let mut client = Client::resumed(supervisor.address(), &session, after);
        let mut rest = Vec::new();
        assert!(client.follow(&mut rest), "after {seq} the end did not come");
        assert_eq!(rest, whole[seq..], "after {seq}");
    }
    // After the end there is nothing: the answer to a ping is the next message.
    let after = Some((transcript.task_id(), whole.len() as u64));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    let id = client.send_request("ping", &json!({}));
    assert_eq!(client.recv_json()["id"], id);
    // The sessions that these connections began with have gone with the resume.
    wait_until("one session is left", || active_sessions(&supervisor) == 1);
}

#[test]
fn a_resume_at_positions_of_a_running_task_goes_on_with_what_is_live() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let mut fifo = Fifo::create();
    let interleave = misbehave_argv(&["interleave", "100"]).join(" ");
    let command = format!("{interleave}; echo ready; read go < {}; {interleave}", fifo.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    // The start, two hundred lines, and the word, in whatever order two pipes are read.
    let mut events: Vec<Value> = (0..202).map(|_| client.recv_json()).collect();
    let known = last_seq(&events);
    for seq in (0..=known).step_by(7) {
        let after = Some((task_id(&answer), seq));
        client = Client::resumed(supervisor.address(), &session, after);
        let rest: Vec<Value> = (seq..known).map(|_| client.recv_json()).collect();
        assert_eq!(rest, events[usize::try_from(seq).unwrap()..], "after {seq}");
        let id = client.send_request("ping", &json!({}));
        assert_eq!(client.recv_json()["id"], id, "and nothing more");
    }
    fifo.release();
    client.follow(&mut events);
    let transcript = Transcript::checked(answer, events);
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(transcript.outputs().count(), 401);
}

#[test]
fn a_resume_without_a_position_sends_everything_of_the_session() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let mut expected = Vec::new();
    let mut ids = Vec::new();
    for number in 0..3 {
        let transcript = client.run_shell(&format!("echo task {number}"));
        ids.push(transcript.task_id().to_owned());
        expected.extend(transcript.events);
    }
    // One that never started is listed, but has said nothing.
    let error = client.execute(&json!({"argv": ["/no/such/program"]})).unwrap_err();
    ids.push(error["data"]["task_id"].as_str().unwrap().to_owned());
    client.vanish();

    let mut client = supervisor.connect();
    let answer = client.resume(&session, None).unwrap();
    assert_eq!(ids_of(&answer), ids);
    let events: Vec<Value> = expected.iter().map(|_| client.recv_json()).collect();
    assert_eq!(events, expected);
    let id = client.send_request("ping", &json!({}));
    assert_eq!(client.recv_json()["id"], id, "and nothing more");
}

fn ids_of(answer: &Value) -> Vec<String> {
    let tasks = answer["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task_id(task).to_owned()).collect()
}

#[test]
fn a_resume_after_several_tasks_lists_those_from_the_named_one_on() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let tasks: Vec<Transcript> =
        (0..4).map(|number| client.run_shell(&format!("echo task {number}"))).collect();
    let mut fifo = Fifo::create();
    let running = client.execute(&gated(&fifo, "true")).unwrap();
    client.recv_until_output("ready");
    client.vanish();

    let mut client = supervisor.connect();
    let answer = client.resume(&session, Some((tasks[2].task_id(), 1))).unwrap();
    let expected = [tasks[2].task_id(), tasks[3].task_id(), task_id(&running)];
    assert_eq!(ids_of(&answer), expected);
    let states: Vec<&Value> =
        answer["tasks"].as_array().unwrap().iter().map(|task| &task["state"]).collect();
    assert_eq!(states, ["ended", "ended", "running"]);
    assert_eq!(answer["tasks"][0]["last_seq"], tasks[2].events.len());
    assert_eq!(answer["tasks"][0]["exit_code"], 0);
    for expected in tasks[2].events[1..].iter().chain(&tasks[3].events) {
        assert_eq!(&client.recv_json(), expected);
    }
    fifo.release();
    assert_eq!(client.collect(running).stdout(), "ready\n");
    // And the session goes on.
    assert_eq!(client.run_shell("echo next").stdout(), "next\n");
}

#[test]
fn a_resume_while_the_task_is_paused_finds_it_paused_and_can_let_it_go_on() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let mut fifo = Fifo::create();
    let answer = client.execute(&gated(&fifo, "echo went on")).unwrap();
    let mut events = client.recv_until_output("ready");
    client.control("PAUSE").unwrap();
    events.extend(client.recv_until_method("process.paused"));
    client.vanish();
    fifo.release();

    let mut client = supervisor.connect();
    let resumed = client.resume(&session, Some((task_id(&answer), last_seq(&events)))).unwrap();
    assert_eq!(resumed["tasks"][0]["state"], "paused", "{resumed}");
    client.control("RESUME").unwrap();
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.stdout(), "ready\nwent on\n");
    assert_eq!(transcript.methods()[2..4], ["process.paused", "process.resumed"]);
}

#[test]
fn a_resume_while_the_task_is_being_cancelled_gets_its_end() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let session = client.session();
    let tag = unique_tag("deaf");
    let answer = client.execute(&json!({"argv": misbehave_argv(&["ignore-term", &tag])})).unwrap();
    let mut events = client.recv_until_output("deaf");
    client.control("CANCEL").unwrap();
    events.extend(client.recv_until_method("process.canceled"));
    client.vanish();
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    assert_eq!(client.collect_after(answer, events).end(), ("canceled", -9));
}

#[test]
fn a_resume_after_the_task_has_ended_gets_what_it_missed() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let mut fifo = Fifo::create();
    let answer = client.execute(&gated(&fifo, "echo while nobody listened; exit 3")).unwrap();
    let events = client.recv_until_output("ready");
    client.vanish();
    fifo.release();
    supervisor.connect().wait_for_end(task_id(&answer));
    let mut client = supervisor.connect();
    let after = Some((task_id(&answer), last_seq(&events)));
    let resumed = client.resume(&session, after).unwrap();
    assert_eq!(resumed["tasks"][0]["state"], "ended");
    assert_eq!(resumed["tasks"][0]["exit_code"], 3);
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.stdout(), "ready\nwhile nobody listened\n");
    assert_eq!(transcript.end(), ("exit", 3));
}

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
fn a_task_whose_execute_was_never_answered_is_listed_and_heard() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let known = client.run_shell("echo known");
    let mut fifo = Fifo::create();
    client.send_request("execute", &gated(&fifo, "echo done"));
    client.vanish();
    // A second pipe would do, too; the log of the task is where it can be seen that it runs.
    let mut other = supervisor.connect();
    wait_until("the task runs", || {
        let running = other.call("task.list", &json!({"state": "running"})).unwrap();
        running["tasks"].as_array().unwrap().len() == 1
    });
    let mut client = supervisor.connect();
    let after = Some((known.task_id(), known.events.len() as u64));
    let answer = client.resume(&session, after).unwrap();
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 2, "{answer}");
    let newer = &answer["tasks"][1];
    assert_eq!(newer["session_id"], session.id.as_str());
    fifo.release();
    let mut events = Vec::new();
    assert!(client.follow(&mut events));
    assert!(events.iter().all(|event| event["params"]["task_id"] == newer["task_id"]));
    let started = answer_for(&events);
    assert_eq!(Transcript::checked(started, events).stdout(), "ready\ndone\n");
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
fn batched_output_is_the_same_lines_in_the_same_order() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let configured = client.call("session.configure", &json!({"output_batch": true})).unwrap();
    assert_eq!(configured["output_batch"], true);
    let mut fifo = Fifo::create();
    let talk = misbehave_argv(&["speak", "4", &SPEECH_BYTES.to_string()]).join(" ");
    let answer = client.execute(&gated(&fifo, &talk)).unwrap();
    let mut events = client.recv_until(|event| {
        event["method"] == "process.output" || event["method"] == "process.output_batch"
    });
    fifo.release();
    // Questions in between are answered in their order, and before the end of what is printed.
    let questions: Vec<u64> = (0..20).map(|_| client.send_request("ping", &json!({}))).collect();
    while events.last().unwrap()["method"] != "process.completed" {
        events.push(client.recv_json());
    }
    let answers: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(answers, questions);
    events.retain(|event| event.get("id").is_none());
    let batches = events.iter().filter(|event| event["method"] == "process.output_batch").count();
    let single = unbatched(&events);
    assert!(
        batches > 0 && events.len() < single.len() / 2,
        "{} for {}",
        events.len(),
        single.len()
    );
    let transcript = Transcript::checked(answer, single);
    assert_eq!(transcript.events, undisturbed(&supervisor, transcript.task_id()));
    assert!(transcript.stdout().ends_with(&said(&speech(4, SPEECH_BYTES), Stream::Stdout)));
}

#[test]
fn a_session_may_ask_for_batches_and_for_single_lines_again() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for output_batch in [true, false, true, false] {
        client.call("session.configure", &json!({ "output_batch": output_batch })).unwrap();
        let answer = client.execute(&speak(5, SPEECH_BYTES)).unwrap();
        let mut events = Vec::new();
        assert!(client.follow(&mut events));
        let has_batches = events.iter().any(|event| event["method"] == "process.output_batch");
        assert_eq!(has_batches, output_batch);
        assert_spoken(&Transcript::checked(answer, unbatched(&events)), 5, SPEECH_BYTES);
    }
}

#[test]
fn what_was_sent_is_what_the_log_holds() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let answer = client.execute(&speak(6, SPEECH_BYTES)).unwrap();
    let events: Vec<Value> = (0..300).map(|_| client.recv_json()).collect();
    client.reset();
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    let transcript = client.collect_after(answer, events);
    assert_spoken(&transcript, 6, SPEECH_BYTES);
    let log = TaskLog::read(&supervisor.task_directory(transcript.task_id()).join("log"));
    assert_eq!(log.records.len(), transcript.events.len());
    assert_eq!(log.completed().exit_code, 0);
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
