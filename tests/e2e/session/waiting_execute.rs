//! An `execute` that comes after a cancel was answered: clients of the predecessor take `process.canceled` as the end
//! and send the next one at once. It waits until the canceled task's tree is gone.

use cc_tests::{
    Client, Options, PATIENCE, Supervisor, binaries::misbehave_argv, cgroup::Containment,
    client::Incoming, fifo::Fifo, processes, unique_tag, with_both_containments,
};
use rustix::process::Signal;
use serde_json::{Value, json};

with_both_containments!(
    the_next_task_starts_when_the_tree_of_the_canceled_one_is_gone_in_20_of_20_tries,
);

fn is_answer(message: &Value, id: u64) -> bool {
    message["id"] == json!(id)
}

fn is_event(message: &Value, task_id: &Value, method: &str) -> bool {
    message["method"] == method && message["params"]["task_id"] == *task_id
}

/// All that comes up to a message that `is_last`, whosever it is.
fn read_until(client: &mut Client, mut is_last: impl FnMut(&Value) -> bool) -> Vec<Value> {
    let mut messages = Vec::new();
    while messages.last().is_none_or(|last| !is_last(last)) {
        messages.push(client.recv_json());
    }
    messages
}

fn place(messages: &[Value], what: impl FnMut(&Value) -> bool) -> usize {
    messages.iter().position(what).unwrap()
}

/// A task that does not hear SIGTERM and ends by itself when it is let.
struct Deaf {
    fifo: Fifo,
    task_id: Value,
}

impl Deaf {
    /// Starts it on a supervisor whose grace outlasts the test, and has it canceled, with the answer read.
    fn canceled(client: &mut Client) -> Self {
        let deaf = Self::start(client);
        assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
        client.recv_until_method("process.canceled");
        deaf
    }

    fn start(client: &mut Client) -> Self {
        let fifo = Fifo::create();
        let command =
            format!("trap '' TERM; echo ready; read go < {}; echo goodbye; exit 0", fifo.path());
        let answer = client.execute(&json!({ "command": command })).unwrap();
        client.recv_until_output("ready");
        Self { fifo, task_id: answer["task_id"].clone() }
    }

    fn is_running(&self, client: &mut Client) -> bool {
        client.task(self.task_id.as_str().unwrap()).unwrap()["state"] != "ended"
    }
}

fn patient() -> Supervisor {
    Supervisor::start(&Options::new().flag("--grace", 600))
}

fn the_next_task_starts_when_the_tree_of_the_canceled_one_is_gone_in_20_of_20_tries(
    containment: &Containment,
) {
    let supervisor = Supervisor::start(&containment.options().flag("--grace", 0.1));
    let mut client = supervisor.connect();
    for number in 0..20 {
        let tag = unique_tag("deaf");
        let deaf =
            client.execute(&json!({"argv": misbehave_argv(&["ignore-term", &tag])})).unwrap();
        client.recv_until_method("process.output");
        assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
        client.recv_until_method("process.canceled");
        // As the old clients do: at once, without waiting for `process.completed`.
        let id = client.send_request("execute", &json!({"command": format!("echo {number}")}));
        let mut messages = read_until(&mut client, |message| is_answer(message, id));
        let answer = messages.pop().unwrap();
        assert_eq!(answer["result"]["status"], "started", "try {number}: {answer}");
        assert!(processes::survivors(&tag).is_empty(), "try {number}: the tree was not gone");
        let end = messages.pop().unwrap();
        assert!(is_event(&end, &deaf["task_id"], "process.completed"), "try {number}: {end}");
        let transcript = client.collect(answer["result"].clone());
        assert_eq!(transcript.stdout(), format!("{number}\n"));
    }
}

#[test]
fn its_answer_comes_after_every_event_of_the_canceled_task_and_before_its_own_events() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::canceled(&mut client);
    let id = client.send_request("execute", &json!({"command": "echo next"}));
    // While it waits everything else is answered, and it has not begun.
    assert!(deaf.is_running(&mut client));
    assert_eq!(client.call("task.list", &json!({})).unwrap()["tasks"].as_array().unwrap().len(), 1);
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, id));
    let (answer, earlier) = messages.split_last().unwrap();
    assert!(earlier.iter().all(|event| event["params"]["task_id"] == deaf.task_id), "{earlier:?}");
    assert!(is_event(earlier.last().unwrap(), &deaf.task_id, "process.completed"));
    assert!(earlier.iter().any(|event| event["params"]["data"] == "goodbye\n"));
    let transcript = client.collect(answer["result"].clone());
    assert_eq!(transcript.stdout(), "next\n");
}

#[test]
fn a_second_one_that_would_wait_is_refused_as_before_and_so_is_one_without_a_cancel() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::start(&mut client);
    let refused = |error: Value, task_id: &Value| {
        assert_eq!(error["code"], -32602);
        assert_eq!(error["message"], "A process is already running");
        assert_eq!(error["data"]["task_id"], *task_id);
    };
    refused(client.execute(&json!({"command": "true"})).unwrap_err(), &deaf.task_id);
    client.control("CANCEL").unwrap();
    let first = client.send_request("execute", &json!({"command": "echo first"}));
    refused(client.execute(&json!({"command": "echo second"})).unwrap_err(), &deaf.task_id);
    // One that belongs to no session need not wait.
    let detached = client.execute(&json!({"command": "echo detached", "detach": true})).unwrap();
    assert_eq!(detached["status"], "started");
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, first));
    let transcript = client.collect(messages.last().unwrap()["result"].clone());
    assert_eq!(transcript.stdout(), "first\n");
}

#[test]
fn a_cancel_by_the_task_s_id_counts_as_well_and_so_does_one_of_a_task_that_ends_anyway() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::start(&mut client);
    client.call("task.cancel", &json!({"task_id": deaf.task_id})).unwrap();
    let id = client.send_request("execute", &json!({"command": "echo by id"}));
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, id));
    assert_eq!(client.collect(messages.last().unwrap()["result"].clone()).stdout(), "by id\n");

    // Out of time, and deaf: it was ending before it was canceled.
    let mut fifo = Fifo::create();
    let command =
        format!("trap 'echo late' TERM; echo ready; while :; do read go < {}; done", fifo.path());
    let answer = client.execute(&json!({"command": command, "timeout": 0.3})).unwrap();
    client.recv_until_output("late");
    assert_eq!(client.execute(&json!({"command": "true"})).unwrap_err()["code"], -32602);
    assert_eq!(client.control("CANCEL").unwrap(), json!({"status": "canceled"}));
    let id = client.send_request("execute", &json!({"command": "echo in the end"}));
    fifo.release();
    let pid = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    processes::kill_all(&[pid]);
    let messages = read_until(&mut client, |message| is_answer(message, id));
    let transcript = client.collect(messages.last().unwrap()["result"].clone());
    assert_eq!(transcript.stdout(), "in the end\n");
}

#[test]
fn a_batch_with_a_cancel_and_the_next_task_is_answered_as_a_whole_when_that_has_started() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::start(&mut client);
    let call = |id: u64, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let batch = json!([
        call(901, "control", json!({"type": "CANCEL"})),
        call(902, "execute", json!({"command": "echo next"})),
        call(903, "task.list", json!({})),
        call(904, "execute", json!({"command": "echo one too many"})),
    ]);
    client.send_text(&batch.to_string());
    client.recv_until_method("process.canceled");
    deaf.fifo.release();
    let messages = read_until(&mut client, Value::is_array);
    let (answers, earlier) = messages.split_last().unwrap();
    assert!(is_event(earlier.last().unwrap(), &deaf.task_id, "process.completed"));
    let ids: Vec<_> =
        answers.as_array().unwrap().iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [901, 902, 903, 904]);
    assert_eq!(answers[0]["result"], json!({"status": "canceled"}));
    assert_eq!(answers[1]["result"]["status"], "started");
    assert_eq!(answers[2]["result"]["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(answers[3]["error"]["message"], "A process is already running");
    assert_eq!(client.collect(answers[1]["result"].clone()).stdout(), "next\n");
}

#[test]
fn one_that_waits_in_a_batch_keeps_no_other_message_waiting() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::canceled(&mut client);
    let next = json!({"jsonrpc": "2.0", "id": 901, "method": "execute", "params": {"command": "echo next"}});
    let ping = json!({"jsonrpc": "2.0", "id": 902, "method": "ping"});
    client.send_text(&json!([next, ping]).to_string());
    assert_eq!(client.call("ping", &json!({})).unwrap(), json!({"type": "pong"}));
    // A batch of its own with an `execute` is refused there, and answered at once.
    let other =
        json!([{"jsonrpc": "2.0", "id": 903, "method": "execute", "params": {"command": "true"}}]);
    client.send_text(&other.to_string());
    let refused = client.recv_json();
    assert_eq!(refused[0]["error"]["message"], "A process is already running", "{refused}");
    deaf.fifo.release();
    let messages = read_until(&mut client, Value::is_array);
    let answers = messages.last().unwrap();
    assert_eq!((answers[0]["id"].clone(), answers[1]["id"].clone()), (json!(901), json!(902)));
    assert_eq!(client.collect(answers[0]["result"].clone()).stdout(), "next\n");
}

#[test]
#[ignore = "takes half a minute"]
fn one_whose_message_keeps_others_from_being_read_waits_for_no_more_than_30_s() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::canceled(&mut client);
    // Most of the values that the messages of all clients may have together.
    let many = json!({"x": vec![0; 240_000]});
    let next =
        json!({"jsonrpc": "2.0", "id": 901, "method": "execute", "params": {"command": "true"}});
    let ping = json!({"jsonrpc": "2.0", "id": 902, "method": "ping", "params": many});
    client.send_text(&json!([next, ping]).to_string());
    // What is few is answered meanwhile, and this says that the batch was read.
    client.assert_alive();
    let mut other = supervisor.connect();
    let id = other.send_request("ping", &many);
    let Some(Incoming::Json(answer)) = other.recv_within(2 * PATIENCE) else {
        panic!("another client waits as well")
    };
    assert!(is_answer(&answer, id), "{answer}");
    let refused = client.recv_json();
    assert_eq!(refused[0]["error"]["message"], "A process is already running", "{refused}");
    assert_eq!(refused[1]["id"], 902, "{refused}");
    deaf.fifo.release();
}

#[test]
fn a_notification_waits_too_and_a_command_that_cannot_start_is_answered_as_ever() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::canceled(&mut client);
    let silent =
        json!({"jsonrpc": "2.0", "method": "execute", "params": {"command": "echo silent"}});
    client.send_text(&silent.to_string());
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| message["params"]["data"] == "silent\n");
    let end = place(&messages, |message| is_event(message, &deaf.task_id, "process.completed"));
    assert!(is_event(
        &messages[end + 1],
        &messages[end + 1]["params"]["task_id"],
        "process.started"
    ));
    client.recv_until_method("process.completed");

    let mut deaf = Deaf::canceled(&mut client);
    let id = client.send_request("execute", &json!({"argv": ["/does/not/exist"]}));
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, id));
    let (answer, earlier) = messages.split_last().unwrap();
    assert_eq!(answer["error"]["code"], -32017, "{answer}");
    assert!(is_event(earlier.last().unwrap(), &deaf.task_id, "process.completed"));
    assert_eq!(client.run_shell("echo free").stdout(), "free\n");
}

#[test]
fn a_cancel_while_it_waits_ends_what_was_asked_for_last_and_the_next_may_wait_in_its_place() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let mut deaf = Deaf::canceled(&mut client);
    let mark = supervisor.scratch().join("started");
    let command = format!("touch {}", mark.display());
    let withdrawn = client.send_request("execute", &json!({ "command": command }));
    let cancel = client.send_request("control", &json!({"type": "CANCEL"}));
    let next = client.send_request("execute", &json!({"command": "echo next"}));
    let messages = read_until(&mut client, |message| is_answer(message, withdrawn));
    assert_eq!(messages[0]["id"], json!(cancel));
    assert_eq!(messages[0]["result"], json!({"status": "canceled"}));
    let error = &messages[1]["error"];
    assert_eq!(
        (error["code"].as_i64(), error["data"]["end_reason"].as_str()),
        (Some(-32017), Some("canceled"))
    );
    assert!(deaf.is_running(&mut client), "the second cancel is not one of the first task");
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, next));
    assert_eq!(client.collect(messages.last().unwrap()["result"].clone()).stdout(), "next\n");
    assert!(!mark.exists(), "it was withdrawn and ran");
}

#[test]
fn one_whose_connection_ends_never_starts_and_who_resumes_can_wait_anew() {
    let supervisor = patient();
    let mut client = supervisor.connect();
    let session = client.session();
    let mut deaf = Deaf::canceled(&mut client);
    let mark = supervisor.scratch().join("started");
    let command = format!("touch {}", mark.display());
    client.send_request("execute", &json!({ "command": command }));
    client.call("ping", &json!({})).unwrap();
    client.vanish();

    let mut client = Client::resumed(supervisor.address(), &session, None);
    let next = client.send_request("execute", &json!({"command": "echo next"}));
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, next));
    let (answer, earlier) = messages.split_last().unwrap();
    assert!(is_event(earlier.last().unwrap(), &deaf.task_id, "process.completed"));
    assert_eq!(client.collect(answer["result"].clone()).stdout(), "next\n");
    assert!(!mark.exists());
    assert_eq!(client.call("task.list", &json!({})).unwrap()["tasks"].as_array().unwrap().len(), 2);
}

#[test]
fn one_whose_session_is_taken_over_by_another_connection_never_starts() {
    let supervisor = patient();
    let mut old = supervisor.connect();
    let session = old.session();
    let mut deaf = Deaf::canceled(&mut old);
    let mark = supervisor.scratch().join("started");
    old.send_request("execute", &json!({"command": format!("touch {}", mark.display())}));
    old.call("ping", &json!({})).unwrap();
    let mut new = Client::resumed(supervisor.address(), &session, None);
    let (code, _, between) = old.recv_close();
    assert_eq!(code, 4001);
    assert!(between.iter().all(|message| message.get("id").is_none()), "{between:?}");
    deaf.fifo.release();
    read_until(&mut new, |message| is_event(message, &deaf.task_id, "process.completed"));
    assert_eq!(new.run_shell("echo free").stdout(), "free\n");
    assert!(!mark.exists());
}

#[test]
fn a_close_of_the_session_and_a_stop_of_the_supervisor_refuse_it_at_once() {
    let supervisor = Supervisor::start(&Options::new().flag("--grace", 1));
    let mut client = supervisor.connect();
    let _deaf = Deaf::canceled(&mut client);
    let waiting = client.send_request("execute", &json!({"command": "echo never"}));
    client.call("session.close", &json!({})).unwrap();
    let messages = read_until(&mut client, |message| is_answer(message, waiting));
    assert_eq!(messages.last().unwrap()["error"]["code"], -32011);

    let mut client = supervisor.connect();
    let deaf = Deaf::canceled(&mut client);
    let waiting = client.send_request("execute", &json!({"command": "echo never"}));
    client.call("ping", &json!({})).unwrap();
    supervisor.signal(Signal::TERM);
    let messages = read_until(&mut client, |message| is_answer(message, waiting));
    assert_eq!(messages.last().unwrap()["error"]["code"], -32012);
    // The end of the task that it waited for is sent before the connection is closed.
    let mut rest = Vec::new();
    while let Incoming::Json(message) = client.recv() {
        rest.push(message);
    }
    assert!(
        rest.iter().any(|event| is_event(event, &deaf.task_id, "process.completed")),
        "{rest:?}"
    );
}

#[test]
fn after_an_upgrade_of_the_supervisor_a_canceled_task_is_waited_for_as_before() {
    let options = Options::new().flag("--grace", 600).flag("--on-stop", "keep-tasks");
    let mut supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let session = client.session();
    let mut deaf = Deaf::canceled(&mut client);
    supervisor.leave();
    supervisor.start_again(&options);
    let mut client = Client::resumed(supervisor.address(), &session, None);
    let next = client.send_request("execute", &json!({"command": "echo next"}));
    assert!(deaf.is_running(&mut client));
    deaf.fifo.release();
    let messages = read_until(&mut client, |message| is_answer(message, next));
    assert_eq!(client.collect(messages.last().unwrap()["result"].clone()).stdout(), "next\n");
}
