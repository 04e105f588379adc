//! Limits of an account or of one model, and gates that a person opens; what ends a batch because no other task would
//! fare better; starts that want something for a while; what a conversation that goes on has cost.
//!
//! The agent prints its prompt: each prompt is the stream of a CLI, line by line.

use std::{os::unix::fs::symlink, process::Command};

use cc_tests::{
    Client, Options, Supervisor,
    batches::{Over, attach, attempts, classes, get, plan_with, progress_until, run, submit},
    binaries::{install_script, install_worker},
};
use serde_json::{Value, json};

const SESSION: &str = "7b0e4f32-3c57-4f0e-a6f1-0c7f3a5e9d10";

fn supervisor() -> Supervisor {
    Supervisor::start(&Options::new().flag("--agent", "sh -c cat").flag("--grace", 1))
}

/// A task whose agent prints these lines after its `init`.
fn says(name: &str, lines: &[Value]) -> Value {
    let init = json!({"type": "system", "subtype": "init", "session_id": SESSION, "model": "m"});
    let lines: Vec<String> = std::iter::once(&init).chain(lines).map(ToString::to_string).collect();
    json!({"name": name, "prompt": lines.join("\n") + "\n"})
}

fn of_model(mut task: Value, model: &str) -> Value {
    task["model"] = json!(model);
    task
}

/// Follows a batch until it stands so.
fn until(client: &mut Client, batch_id: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
    let batch = attach(client, batch_id);
    if is_so(&batch) {
        return batch;
    }
    let messages = progress_until(client, batch_id, |params| is_so(&params["batch"]));
    messages.last().unwrap()["params"]["batch"].clone()
}

fn result(members: Value) -> Value {
    let mut line = json!({
        "type": "result", "subtype": "success", "is_error": false, "num_turns": 1, "result": "done",
        "total_cost_usd": 0.25, "session_id": SESSION,
    });
    for (name, value) in members.as_object().unwrap() {
        line[name] = value.clone();
    }
    line
}

fn failure(status: Option<u64>, text: &str) -> Value {
    result(json!({"is_error": true, "api_error_status": status, "result": text}))
}

fn good(name: &str) -> Value {
    says(name, &[result(json!({}))])
}

fn limit(kind: &str, in_seconds: u64) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    json!({"type": "rate_limit_event", "rate_limit_info": {
        "status": "rejected", "rateLimitType": kind, "resetsAt": now.as_secs() + in_seconds,
    }})
}

fn marked(error: &str, text: &str) -> Value {
    let content = json!([{"type": "text", "text": text}]);
    json!({"type": "assistant", "error": error, "message": {"model": "<synthetic>", "content": content}})
}

fn answer() -> Value {
    json!({"type": "assistant", "message": {"model": "m", "content": [{"type": "text", "text": "x"}]}})
}

#[test]
fn a_limit_of_one_model_holds_up_only_its_own_tasks_and_the_gate_says_so() {
    let supervisor = supervisor();
    let limited = [limit("seven_day_opus", 90_000), failure(Some(429), "You've hit your limit")];
    let tasks = [
        of_model(says("opus", &limited), "claude-opus-4-1"),
        of_model(good("opus-too"), "opus"),
        of_model(good("sonnet"), "sonnet"),
        of_model(good("haiku"), "claude-haiku-4-5"),
    ];
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan_with(json!({"jobs": 4, "claude_jobs": 1}), tasks));
    let progress = until(&mut client, &batch_id, |batch: &Value| batch["counts"]["succeeded"] == 2);
    let batch = &progress;
    assert_eq!(batch["counts"]["retrying"], 1, "{batch}");
    assert_eq!(batch["counts"]["waiting"], 1, "{batch}");
    let gates = client.call("gate.list", &json!({})).unwrap()["gates"].clone();
    let opus = gates.as_array().unwrap().iter().find(|gate| gate["model"] == "opus").unwrap();
    assert!(opus["closed_until_ms"].is_u64(), "{gates}");
    assert_eq!(opus["waiting"], 1, "{gates}");
    assert_eq!(opus["reason"], "You've hit your limit");
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
}

#[test]
fn a_gate_that_somebody_opens_lets_one_task_see_whether_the_limit_is_over() {
    let supervisor = supervisor();
    let limited = says("limited", &[limit("five_hour", 9_000), failure(Some(429), "limit")]);
    let mut client = supervisor.connect();
    let batch_id = submit(&mut client, &plan_with(json!({"jobs": 2}), [limited, good("next")]));
    until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
    let gates = client.call("gate.list", &json!({})).unwrap()["gates"].clone();
    let gate_id = gates[0]["gate_id"].clone();
    assert_eq!(gates.as_array().unwrap().len(), 1, "{gates}");
    let unknown = client.call("gate.open", &json!({"gate_id": "0"})).unwrap_err();
    assert_eq!(unknown["data"]["field"], "gate_id");
    let opened = client.call("gate.open", &json!({ "gate_id": gate_id })).unwrap();
    assert_eq!(opened["opened"], json!([gate_id]));
    // The limit is not over for the one that asks first, or the other one gets through: no test waits for hours.
    until(&mut client, &batch_id, |batch: &Value| {
        batch["counts"]["succeeded"] == 1 || batch["retries"] == 1
    });
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
}

#[test]
fn many_tasks_beside_each_other_meet_one_limit_once() {
    let supervisor = supervisor();
    let task = |number: usize| {
        let name = format!("t{number}");
        says(&name, &[limit("five_hour", 9_000), failure(Some(429), "You've hit your limit")])
    };
    let mut client = supervisor.connect();
    let plan = plan_with(json!({"jobs": 12, "claude_jobs": 4}), (0..12).map(task));
    let batch_id = submit(&mut client, &plan);
    until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
    client.call("batch.cancel", &json!({ "batch_id": batch_id })).unwrap();
    let over = Over::of_attached(&mut client, &batch_id);
    let starts: usize = over.rows.iter().map(|row| attempts(row).len()).sum();
    assert_eq!(starts, 1, "the gate was shut before the next one began");
}

#[test]
fn a_limit_that_the_cli_got_over_is_not_the_reason_of_what_comes_later() {
    let supervisor = supervisor();
    let lines = [limit("five_hour", 9_000), answer(), failure(Some(500), "API Error: 500")];
    let mut task = says("later", &lines);
    task["retries"] = json!(0);
    let over = run(&supervisor, &plan_with(json!({}), [task, good("next")]));
    assert_eq!(over.verdicts(), ["failed", "succeeded"]);
    assert_eq!(classes(over.row("later")), [Some("transient")]);
}

#[test]
fn an_account_that_cannot_be_used_stops_the_batch_and_says_what_to_do() {
    let no_credits = json!({"type": "rate_limit_event", "rate_limit_info": {
        "status": "rejected", "overageStatus": "rejected", "overageDisabledReason": "out_of_credits",
        "errorCode": "credits_required",
    }});
    for (lines, advice) in [
        (vec![failure(Some(400), "Credit balance is too low")], "buy credits"),
        (vec![failure(Some(402), "API Error: 402")], "payment"),
        (vec![marked("account_on_hold", "on hold"), failure(Some(403), "API Error: 403")], "held"),
        (vec![marked("cloud_credential_error", "x"), failure(None, "API Error")], "log in"),
        (vec![no_credits, failure(Some(429), "Usage credits are required")], "buy credits"),
    ] {
        let supervisor = supervisor();
        let tasks = [says("first", &lines), good("never"), good("neither")];
        let over = run(&supervisor, &plan_with(json!({}), tasks));
        assert_eq!(over.verdicts(), ["account", "skipped", "skipped"], "{lines:?}");
        assert_eq!(over.outcome(), "stopped");
        assert!(over.reason().contains(advice), "{}", over.reason());
        assert!(over.row("first")["error"].as_str().unwrap().contains(advice));
        assert_eq!(classes(over.row("first")), [Some("final")]);
    }
}

#[test]
fn a_model_that_there_is_not_stops_its_own_tasks_and_no_others() {
    let supervisor = supervisor();
    let refused = [marked("model_not_found", "no"), failure(Some(404), "There is no such model")];
    let tasks = [
        of_model(says("first", &refused), "misspelt"),
        of_model(good("same"), "misspelt"),
        of_model(good("other"), "sonnet"),
        good("default"),
    ];
    let over = run(&supervisor, &plan_with(json!({}), tasks));
    assert_eq!(over.verdicts(), ["failed", "skipped", "succeeded", "succeeded"]);
    assert!(over.row("same")["why"].as_str().unwrap().contains("model"), "{}", over.row("same"));
    assert!(over.reason().contains("misspelt"), "{}", over.reason());
}

#[test]
fn three_tasks_in_a_row_that_end_alike_without_a_turn_halt_the_batch() {
    let supervisor = supervisor();
    let unknown = |name: &str| {
        let text = format!("API Error: 418 something new (request {name})");
        says(name, &[marked("a_new_word", "x"), failure(Some(418), "something new"), json!(text)])
    };
    let tasks: Vec<Value> = ["a", "b", "c", "d", "e"].map(unknown).to_vec();
    let over = run(&supervisor, &plan_with(json!({}), tasks));
    assert_eq!(over.verdicts(), ["failed", "failed", "failed", "skipped", "skipped"]);
    assert_eq!(over.outcome(), "halted");
    assert!(over.reason().contains("3 tasks in a row"), "{}", over.reason());
    assert!(over.reason().contains("something new"), "{}", over.reason());
    // With a good one between nothing is halted.
    let supervisor = self::supervisor();
    let tasks = [unknown("a"), unknown("b"), good("c"), unknown("d"), unknown("e"), good("f")];
    let over = run(&supervisor, &plan_with(json!({}), tasks));
    assert_eq!(over.outcome(), "failed");
    assert_eq!(over.verdicts().iter().filter(|verdict| **verdict == "failed").count(), 4);
}

#[test]
fn a_refusal_that_the_cli_gets_over_costs_nothing() {
    let supervisor = supervisor();
    let retry = |status: u64| {
        json!({"type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10,
            "retry_delay_ms": 500, "error_status": status, "error": "authentication_failed"})
    };
    let tasks = [
        says("once", &[retry(401), answer(), result(json!({}))]),
        says("now-and-then", &[retry(403), answer(), retry(401), answer(), result(json!({}))]),
        good("next"),
    ];
    run(&supervisor, &plan_with(json!({}), tasks)).assert_all_succeeded_at_once();
}

#[test]
fn credentials_that_were_good_for_another_task_are_tried_once_more() {
    let supervisor = supervisor();
    let refused = says("refused", &[failure(Some(401), "API Error: 401")]);
    let over = run(&supervisor, &plan_with(json!({}), [good("first"), refused, good("never")]));
    assert_eq!(over.verdicts(), ["succeeded", "auth", "skipped"]);
    assert_eq!(classes(over.row("refused")), [Some("transient"), Some("final")]);
    assert_eq!(over.outcome(), "stopped");
    // And those that never were are not.
    let supervisor = self::supervisor();
    let refused = says("refused", &[failure(Some(401), "API Error: 401")]);
    let over = run(&supervisor, &plan_with(json!({}), [refused, good("never")]));
    assert_eq!(classes(over.row("refused")), [Some("final")]);
}

#[test]
fn a_conversation_that_goes_on_is_paid_once() {
    let supervisor = supervisor();
    let mut options = json!({"max_cost_usd": 2.0});
    options["defaults"] = json!({ "resume_claude_session": SESSION });
    let task = |name: &str, cost: f64, output: u64| {
        let usage = json!({"opus": {"inputTokens": 10 * output, "outputTokens": output}});
        says(name, &[result(json!({"total_cost_usd": cost, "modelUsage": usage}))])
    };
    let tasks = [task("a", 1.0, 100), task("b", 1.25, 130), task("c", 1.5, 150)];
    let over = run(&supervisor, &plan_with(options, tasks));
    over.assert_all_succeeded_at_once();
    assert_eq!(over.batch["cost_usd"], 1.5);
    let costs: Vec<f64> = over.rows.iter().map(|row| row["cost_usd"].as_f64().unwrap()).collect();
    assert_eq!(costs, [1.0, 0.25, 0.25]);
    assert_eq!(over.batch["output_tokens"], 150);
    assert_eq!(over.batch["input_tokens"], 1_500);
}

#[test]
fn an_agent_that_is_away_for_a_while_costs_no_task_and_one_that_never_was_there_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("agent");
    symlink("/bin/sh", &agent).unwrap();
    let supervisor = Supervisor::start(
        &Options::new().flag("--agent", format!("{} -c cat", agent.display())).flag("--grace", 1),
    );
    let mut client = supervisor.connect();
    let gone = format!("rm {}", agent.display());
    let tasks = [json!({"name": "updater", "command": gone}), good("a"), good("b")];
    let batch_id = submit(&mut client, &plan_with(json!({}), tasks));
    let progress = until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
    let reason = progress["waits"]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("agent"), "{reason}");
    symlink("/bin/sh", &agent).unwrap();
    let over = Over::of_attached(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 3]);
    let row = over.row("a");
    assert_eq!(classes(row).last(), Some(&None), "{row}");
    assert_eq!(classes(row)[0], Some("unavailable"), "{row}");
    assert!(attempts(row).iter().all(|attempt| attempt["attempt"] == 1), "{row}");
    assert_eq!(get(&mut client, &batch_id)["state"], "over");

    let supervisor =
        Supervisor::start(&Options::new().flag("--agent", "/no/such/agent").flag("--grace", 1));
    let over = run(&supervisor, &plan_with(json!({}), [good("a")]));
    assert_eq!(over.verdicts(), ["spawn_failed"]);
    assert_eq!(classes(over.row("a")), [Some("final")]);
}

#[test]
fn an_agent_that_is_a_script_whose_interpreter_is_away_for_a_while_costs_no_task() {
    let folder = tempfile::tempdir().unwrap();
    let (agent, interpreter) = (folder.path().join("agent"), folder.path().join("interpreter"));
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    for script in [
        format!("#!/bin/sh\nexec {} -c cat\n", interpreter.display()),
        "#!/usr/bin/env interpreter\ncat\n".to_owned(),
    ] {
        install_script(&agent, &script);
        symlink("/bin/sh", &interpreter).unwrap();
        let options = Options::new().flag("--agent", agent.display()).flag("--grace", 1);
        let supervisor = Supervisor::start(&options.env("PATH", &path));
        let mut client = supervisor.connect();
        let gone = format!("rm {}", interpreter.display());
        let tasks = [json!({"name": "updater", "command": gone}), good("a"), good("b")];
        let batch_id = submit(&mut client, &plan_with(json!({}), tasks));
        let progress =
            until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
        let reason = progress["waits"]["reason"].clone();
        assert!(reason.as_str().unwrap().contains("interpreter"), "{reason}");
        symlink("/bin/sh", &interpreter).unwrap();
        let over = Over::of_attached(&mut client, &batch_id);
        assert_eq!(over.verdicts(), ["succeeded"; 3], "{script}");
        let row = over.row("a");
        assert_eq!(classes(row)[0], Some("unavailable"), "{row}");
        assert!(attempts(row).iter().all(|attempt| attempt["attempt"] == 1), "{row}");
        std::fs::remove_file(&interpreter).unwrap();
    }
}

#[test]
fn a_worker_that_is_away_for_a_while_costs_no_task_and_a_caller_may_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let worker = folder.path().join("cc-worker");
    install_worker(&worker);
    let options = Options::new().flag("--worker", worker.display()).flag("--grace", 1);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let gone = format!("rm {}", worker.display());
    let name = |number: usize| json!({"name": format!("t{number}"), "argv": ["true"]});
    let tasks: Vec<Value> = std::iter::once(json!({"name": "updater", "command": gone}))
        .chain((0..6).map(name))
        .collect();
    let batch_id = submit(&mut client, &plan_with(json!({"jobs": 2}), tasks));
    until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
    let refused = supervisor.connect().execute(&json!({"argv": ["true"]})).unwrap_err();
    assert_eq!(refused["code"], -32017, "{refused:?}");
    assert_eq!(refused["data"]["retryable"], true, "{refused:?}");
    install_worker(&worker);
    let over = Over::of_attached(&mut client, &batch_id);
    assert_eq!(over.outcome(), "succeeded", "{:#?}", over.rows);
}

/// How much address space the keeper, and each worker that it starts, may have from now on.
fn limit_memory(supervisor: &Supervisor, soft: &str) {
    for keeper in supervisor.keepers() {
        let arguments = [format!("--pid={keeper}"), format!("--as={soft}:")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    }
}

#[test]
fn workers_that_get_no_memory_before_they_have_started_their_task_cost_no_task() {
    let options = Options::new().flag("--grace", 1);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    assert_eq!(client.run_shell("true").end(), ("exit", 0));
    limit_memory(&supervisor, "1000000");
    let error = client.execute(&json!({"argv": ["true"]})).unwrap_err();
    assert_eq!(error["code"], -32017, "{error}");
    assert_eq!(error["data"]["retryable"], true, "{error}");
    let task = |number: usize| json!({"name": format!("t{number}"), "argv": ["true"]});
    let batch_id = submit(&mut client, &plan_with(json!({}), (0..3).map(task)));
    until(&mut client, &batch_id, |batch: &Value| batch["state"] == "waiting_limit");
    limit_memory(&supervisor, "unlimited");
    let over = Over::of_attached(&mut client, &batch_id);
    assert_eq!(over.verdicts(), ["succeeded"; 3], "{:#?}", over.rows);
    assert_eq!(classes(over.row("t0"))[0], Some("unavailable"));
}
