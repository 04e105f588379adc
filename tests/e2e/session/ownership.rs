//! A token sees what was made with it, and nothing of another one's.

use cc_tests::{
    Client, Options, Supervisor, batches,
    tokens::{TokenFile, entry},
};
use serde_json::{Value, json};

const NO_SUCH_TASK: i64 = -32014;
const NO_SUCH_BATCH: i64 = -32015;
const SESSION_UNKNOWN: i64 = -32010;

fn tokens() -> TokenFile {
    let all = ["run", "read"];
    let entries = [entry("one", &all, ""), entry("two", &all, ""), entry("ops", &["operate"], "")];
    TokenFile::new(&entries)
}

fn options(file: &TokenFile) -> Options {
    file.options().flag("--on-stop", "keep-tasks")
}

fn code(outcome: Result<Value, Value>) -> i64 {
    outcome.unwrap_err()["code"].as_i64().unwrap()
}

/// A task that runs until it is canceled.
fn start(client: &mut Client) -> String {
    let answer = client.execute(&json!({"argv": ["sleep", "1000"], "detach": true})).unwrap();
    answer["task_id"].as_str().unwrap().to_owned()
}

fn listed(client: &mut Client, method: &str, list: &str, id: &str) -> Vec<String> {
    let answer = client.call(method, &json!({})).unwrap();
    let ids = answer[list].as_array().unwrap().iter().map(|it| it[id].as_str().unwrap().to_owned());
    ids.collect()
}

fn tasks(client: &mut Client) -> Vec<String> {
    listed(client, "task.list", "tasks", "task_id")
}

/// What a call about this task says to a client that does not see it is what it says where there is none.
fn assert_hidden_task(client: &mut Client, task_id: &str) {
    for method in [
        "task.get",
        "task.output",
        "task.attach",
        "task.detach",
        "task.cancel",
        "task.pause",
        "task.resume",
    ] {
        let error = client.by_id(method, task_id).unwrap_err();
        let missing = client.by_id(method, "0199f3a2-0000-7000-8000-000000000000").unwrap_err();
        assert_eq!(error["code"], NO_SUCH_TASK, "{method}: {error}");
        let text = |error: &Value| error["message"].as_str().unwrap().to_owned();
        let same = text(&missing).replace("0199f3a2-0000-7000-8000-000000000000", task_id);
        assert_eq!(text(&error), same, "{method}");
    }
    assert!(!tasks(client).contains(&task_id.to_owned()));
}

#[test]
fn another_tokens_task_does_not_exist_and_an_operator_sees_it_also_after_a_restart() {
    let file = tokens();
    let mut supervisor = Supervisor::start(&options(&file));
    let (mut one, mut two) =
        (Client::with_token(&supervisor, "one"), Client::with_token(&supervisor, "two"));
    let of_one = start(&mut one);
    let of_two = start(&mut two);
    assert_hidden_task(&mut two, &of_one);
    assert_eq!(tasks(&mut one), std::slice::from_ref(&of_one));
    assert_eq!(tasks(&mut Client::with_token(&supervisor, "ops")).len(), 2);

    supervisor.leave();
    supervisor.start_again(&options(&file));
    let (mut one, mut two) =
        (Client::with_token(&supervisor, "one"), Client::with_token(&supervisor, "two"));
    assert_hidden_task(&mut two, &of_one);
    assert_eq!(tasks(&mut one), std::slice::from_ref(&of_one));
    let mut ops = Client::with_token(&supervisor, "ops");
    for task_id in [&of_one, &of_two] {
        ops.by_id("task.cancel", task_id).unwrap();
        assert_eq!(ops.wait_for_end(task_id)["reason"], "canceled");
    }
    // It is over, and still nobody else's.
    assert_hidden_task(&mut two, &of_one);
    assert!(one.task(&of_one).is_ok());
}

#[test]
fn another_tokens_session_cannot_be_resumed_even_with_its_resume_token() {
    let file = tokens();
    let mut supervisor = Supervisor::start(&options(&file));
    let mut one = Client::with_token(&supervisor, "one");
    let session = one.session();
    let task_id = one.execute(&json!({"argv": ["sleep", "1000"]})).unwrap()["task_id"].clone();
    drop(one);
    let mut two = Client::with_token(&supervisor, "two");
    assert_eq!(code(two.resume(&session, None)), SESSION_UNKNOWN);
    supervisor.leave();
    supervisor.start_again(&options(&file));
    let mut two = Client::with_token(&supervisor, "two");
    assert_eq!(code(two.resume(&session, None)), SESSION_UNKNOWN);
    let mut one = Client::with_token(&supervisor, "one");
    let resumed = one.resume(&session, None).unwrap();
    assert_eq!(resumed["tasks"][0]["task_id"], task_id);
    one.control("CANCEL").unwrap();
    one.call("session.close", &json!({})).unwrap();
    let mut two = Client::with_token(&supervisor, "two");
    assert_eq!(code(two.resume(&session, None)), SESSION_UNKNOWN, "that it is over is not said");
}

#[test]
fn another_tokens_batch_does_not_exist_and_its_idempotency_key_is_free() {
    let file = tokens();
    let mut supervisor = Supervisor::start(&options(&file));
    let (mut one, mut two) =
        (Client::with_token(&supervisor, "one"), Client::with_token(&supervisor, "two"));
    let plan = json!({"tasks": [{"argv": ["true"]}], "idempotency_key": "nightly"});
    let of_one = batches::submit(&mut one, &plan);
    let of_two = batches::submit(&mut two, &plan);
    assert_ne!(of_one, of_two);
    let again = one.call("batch.submit", &plan).unwrap();
    assert_eq!((&again["batch_id"], &again["is_new"]), (&json!(of_one), &json!(false)));
    supervisor.leave();
    supervisor.start_again(&options(&file));
    let mut two = Client::with_token(&supervisor, "two");
    for method in
        ["batch.get", "batch.rows", "batch.cancel", "batch.attach", "batch.detach", "batch.resume"]
    {
        let outcome = two.call(method, &json!({"batch_id": of_one}));
        assert_eq!(code(outcome), NO_SUCH_BATCH, "{method}");
    }
    let outcome = two.call("batch.result", &json!({"batch_id": of_one, "index": 0}));
    assert_eq!(code(outcome), NO_SUCH_BATCH);
    let batches = |client: &mut Client| listed(client, "batch.list", "batches", "batch_id");
    assert_eq!(batches(&mut two), std::slice::from_ref(&of_two));
    let mut ops = Client::with_token(&supervisor, "ops");
    assert_eq!(batches(&mut ops), [of_two, of_one.clone()]);
    let over = batches::Over::of(&mut Client::with_token(&supervisor, "one"), &of_one);
    let task_id = over.task_ids()[0].to_owned();
    assert_hidden_task(&mut two, &task_id);
    assert!(ops.task(&task_id).is_ok());
}

#[test]
fn what_a_token_made_that_is_not_in_the_file_any_more_only_operators_see() {
    let file = tokens();
    let mut supervisor = Supervisor::start(&options(&file));
    let task_id = start(&mut Client::with_token(&supervisor, "one"));
    supervisor.leave();
    file.write(&(entry("renamed", &["run", "read"], "") + &entry("ops", &["operate"], "")));
    supervisor.start_again(&options(&file));
    assert_hidden_task(&mut Client::with_token(&supervisor, "renamed"), &task_id);
    let mut ops = Client::with_token(&supervisor, "ops");
    assert_eq!(ops.task(&task_id).unwrap()["state"], "running");
    ops.by_id("task.cancel", &task_id).unwrap();
}
