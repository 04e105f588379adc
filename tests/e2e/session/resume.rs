//! A session outlives its connections: whatever cuts them, the client that comes back gets every event
//! once, in order.

use std::time::Duration;

use cc_tests::{
    Client, Cut, Options, Proxy, Supervisor, Transcript,
    binaries::misbehave_argv,
    fifo::Fifo,
    http,
    requests::{answer_for, assert_spoken, gated, last_seq, speak, task_id},
    unique_tag, wait_until,
};
use serde_json::{Value, json};

/// Size of the speech of a task whose connection is cut.
pub(super) const SPEECH_BYTES: usize = 2_000_000;

/// All events of a task, as a client receives them whose connection is not cut.
pub(super) fn undisturbed(supervisor: &Supervisor, task_id: &str) -> Vec<Value> {
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
    http::health(supervisor.address())["active_sessions"].as_u64().unwrap()
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
    // One that never started has its end to say, whether the client has had the error or not.
    let error = client.execute(&json!({"argv": ["/no/such/program"]})).unwrap_err();
    ids.push(error["data"]["task_id"].as_str().unwrap().to_owned());
    client.vanish();

    let mut client = supervisor.connect();
    let answer = client.resume(&session, None).unwrap();
    assert_eq!(ids_of(&answer), ids);
    let events: Vec<Value> = expected.iter().map(|_| client.recv_json()).collect();
    assert_eq!(events, expected);
    let end = client.recv_json();
    assert_eq!((&end["method"], task_id(&end["params"])), (&json!("process.completed"), &*ids[3]));
    assert_eq!(end["params"]["reason"], "spawn_failed");
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
fn a_resume_while_the_task_is_being_canceled_gets_its_end() {
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
fn a_task_that_never_began_has_its_end_for_a_client_that_has_lost_the_answer() {
    let options = Options::new();
    let mut supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let session = client.session();
    client.send_request("execute", &json!({"argv": ["/no/such/program"]}));
    let mut other = supervisor.connect();
    let mut tasks = Value::Null;
    wait_until("the task is on record", || {
        tasks = other.call("task.list", &json!({})).unwrap()["tasks"].clone();
        tasks.as_array().unwrap().len() == 1
    });
    let id = task_id(&tasks[0]).to_owned();
    other.wait_for_end(&id);
    client.vanish();
    for is_restarted in [false, true] {
        if is_restarted {
            supervisor.kill();
            supervisor.start_again(&options);
        }
        let mut client = Client::resumed(supervisor.address(), &session, None);
        let end = client.recv_json();
        assert_eq!((&end["method"], task_id(&end["params"])), (&json!("process.completed"), &*id));
        assert_eq!(supervisor.connect().watch(&id, 0), [end]);
        client.vanish();
    }
}
