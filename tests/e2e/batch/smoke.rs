//! Batches from their submission to their end: the shortest way through each part.

use std::fs;

use cc_tests::{
    Client, PATIENCE, Supervisor,
    batches::{get, options, submit, supervisor},
    fifo::Fifo,
    http,
    processes::{self, Process},
    unique_tag, wait_until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Attaches, and returns the parameters of `batch.completed`.
fn wait_for(client: &mut Client, batch_id: &str) -> Value {
    client.call("batch.attach", &json!({"batch_id": batch_id})).unwrap();
    client.recv_until_method("batch.completed").pop().unwrap()["params"].clone()
}

fn run(client: &mut Client, plan: &Value) -> Value {
    let batch_id = submit(client, plan);
    wait_for(client, &batch_id)
}

fn column(completed: &Value, name: &str) -> Vec<Value> {
    completed["rows"].as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[test]
fn tasks_run_in_order_and_results_are_filled_in() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let completed = run(
        &mut client,
        &json!({"name": "three", "tasks": [
            {"name": "a", "prompt": "say: it's $(me)"},
            {"name": "b", "command": "printf '%s' {{prev.result}}"},
            {"prompt": "say: {{tasks.a.result}} and {{tasks.b.result}}", "timeout": "auto"},
        ]}),
    );
    let batch = &completed["batch"];
    assert_eq!((&batch["outcome"], &batch["state"]), (&json!("succeeded"), &json!("over")));
    assert_eq!(batch["counts"]["succeeded"], 3);
    assert_eq!(batch["cost_usd"], 0.5);
    assert_eq!(batch["output_tokens"], 14);
    let results = ["it's $(me)", "it's $(me)", "it's $(me) and it's $(me)"];
    assert_eq!(column(&completed, "result"), results);
    let rows = completed["rows"].as_array().unwrap();
    let time = |row: usize, name: &str| rows[row]["attempts"][0][name].as_u64().unwrap();
    assert!(time(0, "ended_ms") <= time(1, "started_ms"));
    assert!(time(1, "ended_ms") <= time(2, "started_ms"));
    assert!(rows[2]["timeout_why"].as_str().unwrap().contains("the default"));
    // Its tasks are ordinary ones.
    let task_id = &rows[0]["attempts"][0]["task_id"];
    let task = client.call("task.get", &json!({"task_id": task_id})).unwrap();
    assert_eq!((&task["label"], &task["session_id"]), (&json!("a"), &Value::Null));
}

#[test]
fn a_retry_and_a_skipped_task_are_on_record_and_the_rest_can_be_resumed() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let flag = supervisor.scratch().join("flag");
    let command = format!("test -e {0} && echo done || exit 1", flag.display());
    let completed = run(
        &mut client,
        &json!({"tasks": [
            {"name": "a", "prompt": "say: A"},
            {"name": "b", "command": command, "retries": 0},
            {"command": "echo {{tasks.a.result}} {{tasks.b.result}}"},
        ]}),
    );
    assert_eq!(completed["batch"]["outcome"], "failed");
    assert_eq!(column(&completed, "state"), ["over", "over", "skipped"]);
    assert_eq!(completed["rows"][2]["why"], "task 2 (b), which it needs, did not succeed");
    fs::write(flag, "").unwrap();
    let batch_id = &completed["batch"]["batch_id"];
    let resumed = client.call("batch.resume", &json!({"batch_id": batch_id})).unwrap();
    assert_eq!((&resumed["is_new"], &resumed["tasks"]), (&json!(true), &json!(2)));
    let completed = wait_for(&mut client, resumed["batch_id"].as_str().unwrap());
    assert_eq!(column(&completed, "result"), ["done", "A done"]);
    let nothing = client.call("batch.resume", &json!({"batch_id": resumed["batch_id"]}));
    assert_eq!(nothing.unwrap_err()["code"], -32002);
}

#[test]
fn all_mistakes_come_at_once_and_a_key_gives_the_same_batch() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let wrong = json!({"tasks": [{"promt": "x"}, {"prompt": "x", "needs": ["y"], "retries": -1}]});
    let error = client.call("batch.submit", &wrong).unwrap_err();
    assert_eq!(error["code"], -32602);
    let mistakes = error["data"]["mistakes"].as_array().unwrap();
    assert!(mistakes.len() >= 3, "{error}");
    assert!(mistakes.iter().all(|mistake| mistake["what"].is_string()));

    let mut plan = json!({"idempotency_key": "k", "tasks": [{"argv": ["true"]}]});
    let batch_id = submit(&mut client, &plan);
    let again = client.call("batch.submit", &plan).unwrap();
    assert_eq!(again, json!({"batch_id": batch_id, "is_new": false, "tasks": 1}));
    plan["tasks"][0]["argv"] = json!(["false"]);
    let error = client.call("batch.submit", &plan).unwrap_err();
    assert_eq!(error["data"]["field"], "idempotency_key");
    let unknown = client.call("batch.get", &json!({"batch_id": "nonesuch"})).unwrap_err();
    assert_eq!(unknown["code"], -32015);
}

#[test]
fn refused_credentials_stop_the_batch_before_the_cli_gives_up() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let plan = json!({"tasks": [{"prompt": "retry without end: "}, {"prompt": "say: never"}]});
    let completed = run(&mut client, &plan);
    assert_eq!(completed["batch"]["outcome"], "stopped");
    let reason = completed["batch"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the API refused the credentials of task 1"), "{reason}");
    assert_eq!(column(&completed, "verdict"), [json!("auth"), Value::Null]);
    assert_eq!(column(&completed, "state"), ["over", "skipped"]);
}

#[test]
fn hooks_get_their_facts_and_one_that_fails_before_a_task_fails_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("hooks");
    // Of the operator, for plans that have none.
    let last = format!("echo $CC_EXECUTOR_OUTCOME $CC_EXECUTOR_FAILED >> {}", log.display());
    let supervisor = Supervisor::start(&options().flag("--after-batch", last));
    let mut client = supervisor.connect();
    let before = "test \"$CC_EXECUTOR_TASK_NAME\" = a || { echo no >&2; exit 3; }";
    let after = format!(
        "echo $CC_EXECUTOR_TASK_NAME $CC_EXECUTOR_VERDICT $CC_EXECUTOR_ATTEMPTS >> {}",
        log.display()
    );
    let completed = run(
        &mut client,
        &json!({
            "options": {"hooks": {
                "before_task": {"command": before},
                "after_task": {"command": after},
            }},
            "tasks": [{"name": "a", "argv": ["true"]}, {"name": "b", "argv": ["true"]}],
        }),
    );
    assert_eq!(column(&completed, "verdict"), ["succeeded", "failed"]);
    let error = completed["rows"][1]["error"].as_str().unwrap();
    assert!(error.starts_with("the before_task hook failed"), "{error}");
    assert_eq!(fs::read_to_string(log).unwrap(), "a succeeded 1\nb failed 0\nfailed 1\n");
}

#[test]
fn a_limit_closes_the_gate_for_all_batches_with_the_same_credentials() {
    let supervisor = supervisor();
    let mut client = supervisor.connect();
    let limit = "error: You've hit your session limit · resets in 50 minutes";
    let first = submit(&mut client, &json!({"tasks": [{"prompt": limit}]}));
    wait_until("the batch waits", || get(&mut client, &first)["state"] == "waiting_limit");
    let second = submit(&mut client, &json!({"tasks": [{"prompt": "say: x"}, {"argv": ["true"]}]}));
    wait_until("the other one, too", || get(&mut client, &second)["state"] == "waiting_limit");
    let waits = get(&mut client, &second)["waits"].clone();
    assert!(waits["reason"].as_str().unwrap().contains("session limit"), "{waits}");
    let counts = get(&mut client, &second)["counts"].clone();
    assert_eq!((&counts["waiting"], &counts["running"]), (&json!(2), &json!(0)), "{counts}");
    let health = || -> Value {
        let answer = http::get(supervisor.address(), "/healthz", &[]);
        serde_json::from_str(&answer.body).unwrap()
    };
    wait_until("it stands at the gate", || health()["gates"][0]["waiting"] == 1);
    let health = health();
    assert_eq!((&health["status"], &health["batches"]), (&json!("ok"), &json!(2)), "{health}");
    assert_eq!(health["gates"].as_array().unwrap().len(), 1, "{health}");
    let gate = &health["gates"][0];
    assert_eq!((&gate["closed_until_ms"], &gate["running"]), (&waits["until_ms"], &json!(0)));
    assert!(gate["reason"].as_str().unwrap().contains("session limit"), "{gate}");
    let metrics = http::get(supervisor.address(), "/metrics", &[]);
    assert!(metrics.body.contains("cc_executor_gate_waiting 1\n"), "{}", metrics.body);
    assert!(metrics.body.contains("cc_executor_batches_running 2"), "{}", metrics.body);
    for batch_id in [first, second] {
        client.call("batch.cancel", &json!({"batch_id": batch_id})).unwrap();
        let completed = wait_for(&mut client, &batch_id);
        assert_eq!(completed["batch"]["outcome"], "canceled");
        let error = client.call("batch.cancel", &json!({"batch_id": batch_id})).unwrap_err();
        assert_eq!(error["code"], -32002);
    }
}

/// Tasks that note their start in a file; the one in the middle waits for the pipe.
fn noted(log: &std::path::Path, fifo: &Fifo, count: usize) -> Value {
    let note = |number: usize| format!("echo {number} >> {}", log.display());
    let tasks: Vec<Value> = (0..count)
        .map(|number| {
            let wait = format!("{} && read line < {}", note(number), fifo.path());
            let is_middle = number == count / 2;
            json!({"command": if is_middle { wait } else { note(number) }, "cwd": "/"})
        })
        .collect();
    json!({ "tasks": tasks })
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_batch_goes_on_after_a_kill_of_the_supervisor_and_starts_nothing_twice() {
    let mut supervisor = supervisor();
    let mut fifo = Fifo::create();
    let log = supervisor.scratch().join("starts");
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &noted(&log, &fifo, 10));
    wait_until("half of it", || fs::read_to_string(&log).is_ok_and(|text| text == numbers(6)));
    supervisor.kill();
    supervisor.start_again(&options());
    let mut client = supervisor.connect();
    client.call("batch.attach", &json!({"batch_id": batch_id})).unwrap();
    fifo.release();
    let completed = client.recv_until_method("batch.completed").pop().unwrap()["params"].clone();
    assert_eq!(completed["batch"]["counts"]["succeeded"], 10, "{completed}");
    assert_eq!(completed["batch"]["retries"], 0);
    assert_eq!(fs::read_to_string(&log).unwrap(), numbers(10));
}

#[test]
fn a_batch_goes_on_after_a_stop_that_ends_its_task() {
    let mut supervisor = supervisor();
    let mut fifo = Fifo::create();
    let log = supervisor.scratch().join("starts");
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &noted(&log, &fifo, 4));
    wait_until("half of it", || fs::read_to_string(&log).is_ok_and(|text| text == numbers(3)));
    assert!(supervisor.stop().success());
    fifo.release();
    supervisor.start_again(&options());
    let mut client = supervisor.connect();
    let completed = wait_for(&mut client, &batch_id);
    assert_eq!(completed["batch"]["outcome"], "succeeded", "{completed}");
    let attempts = &completed["rows"][2]["attempts"];
    assert_eq!(attempts[0]["reason"], "supervisor_lost");
    assert_eq!((&attempts[0]["attempt"], &attempts[1]["attempt"]), (&json!(1), &json!(1)));
    assert_eq!(fs::read_to_string(&log).unwrap(), "0\n1\n2\n2\n3\n");
}

#[test]
fn a_task_that_is_lost_with_its_worker_stops_the_batch_and_says_so() {
    let mut supervisor = supervisor();
    let tag = unique_tag("lost");
    let mut client = supervisor.connect();
    let tasks = json!([{"command": format!("echo {tag}; exec sleep 1000")}, {"argv": ["true"]}]);
    let batch_id = submit(&mut client, &json!({ "tasks": tasks }));
    wait_until("it runs", || {
        let running = get(&mut client, &batch_id)["running"].clone();
        running[0]["task_id"]
            .as_str()
            .is_some_and(|task_id| client.task(task_id).is_ok_and(|task| task["pid"].is_number()))
    });
    let workers: Vec<Process> =
        supervisor.workers().into_iter().filter_map(Process::open).collect();
    supervisor.kill();
    for worker in workers {
        worker.signal(Signal::KILL);
        assert!(worker.wait_gone(PATIENCE));
    }
    supervisor.start_again(&options());
    let mut client = supervisor.connect();
    let completed = wait_for(&mut client, &batch_id);
    assert_eq!(completed["batch"]["outcome"], "stopped", "{completed}");
    assert!(completed["batch"]["reason"].as_str().unwrap().contains("may have had effects"));
    assert_eq!(column(&completed, "verdict"), [json!("worker_died"), Value::Null]);
    processes::wait_until_gone(&tag);
}

#[test]
fn progress_is_told_to_all_who_are_attached_and_nothing_after_a_detach() {
    let supervisor = supervisor();
    let mut fifo = Fifo::create();
    let mut client = supervisor.connect();
    let wait = format!("read line < {}", fifo.path());
    let plan = json!({"tasks": [{"command": wait, "cwd": "/"}, {"argv": ["true"]}]});
    let batch_id = submit(&mut client, &plan);
    let named = json!({"batch_id": batch_id});
    let mut other = supervisor.connect();
    for client in [&mut client, &mut other] {
        client.call("batch.attach", &named).unwrap();
        // Once more is no mistake, and changes nothing.
        let again = client.call("batch.attach", &named).unwrap();
        assert_eq!(again["batch_id"], batch_id.as_str());
    }
    other.call("batch.detach", &named).unwrap();
    assert_eq!(other.call("batch.detach", &named).unwrap_err()["code"], -32602);
    let unknown = json!({"batch_id": "nonesuch"});
    assert_eq!(other.call("batch.detach", &unknown).unwrap_err()["code"], -32015);
    fifo.release();
    let events = client.recv_until_method("batch.completed");
    let ping = client.send_request("ping", &json!({}));
    let rest = client.recv_until(|message| message["id"] == ping);
    assert!(rest.iter().all(|message| message["method"] != "batch.completed"), "once: {rest:?}");
    let changed: Vec<&Value> =
        events.iter().flat_map(|event| event["params"]["rows"].as_array().unwrap()).collect();
    assert!(changed.iter().any(|row| row["index"] == 1 && row["verdict"] == "succeeded"));
    assert!(other.call("ping", &json!({})).is_ok());
    let page = json!({"batch_id": batch_id, "after_index": 0, "limit": 1});
    let rows = other.call("batch.rows", &page).unwrap();
    assert_eq!((&rows["rows"][0]["index"], &rows["has_more"]), (&json!(1), &json!(false)));
    let list = other.call("batch.list", &json!({"state": "over"})).unwrap();
    assert_eq!(list["batches"][0]["batch_id"], batch_id.as_str());
}

#[test]
fn a_batch_waits_for_room_among_the_supervisors_tasks() {
    let supervisor = Supervisor::start(&options().flag("--max-tasks", 1));
    let mut fifo = Fifo::create();
    let mut client = supervisor.connect();
    let wait = json!({"command": format!("read line < {}", fifo.path()), "cwd": "/"});
    client.execute(&wait).unwrap();
    let mut other = supervisor.connect();
    let batch_id = submit(&mut other, &json!({"tasks": [{"argv": ["true"]}, {"argv": ["true"]}]}));
    wait_until("it is its turn", || get(&mut other, &batch_id)["counts"]["running"] == 1);
    fifo.release();
    let completed = wait_for(&mut other, &batch_id);
    assert_eq!(completed["batch"]["outcome"], "succeeded", "{completed}");
}

#[test]
fn a_batch_goes_on_after_an_upgrade_and_several_run_side_by_side() {
    let mut supervisor = supervisor();
    let mut fifo = Fifo::create();
    let mut client = supervisor.connect();
    let wait = json!({"command": format!("read line < {}", fifo.path()), "cwd": "/"});
    let plan = json!({"options": {"jobs": 3}, "tasks": [wait, wait, wait, {"argv": ["true"]}]});
    let batch_id = submit(&mut client, &plan);
    let running = |client: &mut Client| {
        get(client, &batch_id)["running"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["task_id"].as_str().unwrap().to_owned())
            .collect::<Vec<String>>()
    };
    wait_until("all three run", || {
        let tasks = running(&mut client);
        tasks.len() == 3
            && tasks.iter().all(|id| client.task(id).is_ok_and(|task| task["pid"].is_number()))
    });
    let before = running(&mut client);
    supervisor.leave();
    supervisor.start_again(&options());
    let mut client = supervisor.connect();
    assert_eq!(running(&mut client), before);
    for _ in 0..3 {
        fifo.release();
    }
    let completed = wait_for(&mut client, &batch_id);
    assert_eq!(completed["batch"]["counts"]["succeeded"], 4, "{completed}");
    assert_eq!(completed["batch"]["retries"], 0);
}
