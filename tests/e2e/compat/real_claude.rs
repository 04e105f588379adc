//! Real Claude tasks through the real supervisor; only the model is a stand-in.

use std::time::Duration;

use cc_tests::{
    Follower, Options, Supervisor, Transcript,
    cgroup::Containment,
    fifo::Fifo,
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict, wait, wait_for_line, with_tools},
    },
    processes, unique_tag,
};
use serde_json::{Value, json};

/// Runs one task with the CLI as it is.
fn run(params: &Value) -> Transcript {
    let cli = RealCli::start();
    let transcript = Supervisor::start(&cli.options(Options::new())).connect().run_to_end(params);
    assert_nothing_left(&transcript);
    transcript
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn fifty_tasks_in_a_row_on_one_connection_all_succeed_and_leave_nothing() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let mut client = supervisor.connect();
    for number in 1..=50 {
        let answer = format!("answer {number}");
        let transcript = client.run_to_end(&json!({"prompt": format!("say: {answer}")}));
        assert_eq!(verdict(&transcript), "succeeded", "{number}: {}", transcript.completed());
        assert_eq!(transcript.end(), ("exit", 0));
        assert_eq!(result(&transcript)["result"], *answer);
        assert_nothing_left(&transcript);
    }
    assert_eq!(cli.api().requests(), 50, "every task asked once");
}

fn cancel_in_a_tool_call(containment: &Containment) {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(containment.options()));
    let mut client = supervisor.connect();
    let (tag, fifo) = (unique_tag("tool"), Fifo::create());
    let tool = format!("bash: sh -c 'echo ready >{}; tail -f /dev/null; true' {tag}", fifo.path());
    let answer = client.execute(&with_tools(&tool)).unwrap();
    assert_eq!(answer["containment"], containment.name());
    wait_for_line(&fifo);
    let alive = processes::survivors(&tag);
    let main_session = answer["pid"].to_string();
    let session = |pid: &i32| processes::stat(*pid).map(|fields| fields[3].clone());
    assert!(
        alive.iter().filter_map(session).any(|session| session != main_session),
        "the tool runs in a session of its own, where killing Claude's group would miss it: {}",
        processes::describe(&alive)
    );
    client.control("CANCEL").unwrap();
    let transcript = client.collect(answer);
    assert_eq!(processes::survivors(&tag), [0; 0]);
    assert_nothing_left(&transcript);
    assert_eq!(transcript.completed()["reason"], "canceled");
    assert_eq!(verdict(&transcript), "canceled");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_cancel_in_the_middle_of_a_tool_call_leaves_no_process_with_cgroup() {
    if let Some(containment) = Containment::cgroup() {
        cancel_in_a_tool_call(&containment);
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_cancel_in_the_middle_of_a_tool_call_leaves_no_process_with_subreaper() {
    cancel_in_a_tool_call(&Containment::Subreaper);
}

fn the_kill_of_the_supervisor_in_a_tool_call(containment: &Containment) {
    let cli = RealCli::start();
    let options = cli.options(containment.options());
    let mut supervisor = Supervisor::start(&options);
    let (ready, mut go) = (Fifo::create(), Fifo::create());
    let tool = format!("bash: sh -c 'echo ready >{}; read go <{}'", ready.path(), go.path());
    let mut follower = Follower::start(&supervisor, &with_tools(&tool));
    assert_eq!(follower.answer["containment"], containment.name());
    wait_for_line(&ready);
    supervisor.kill();
    follower.lose();
    supervisor.start_again(&options);
    let resumed = follower.come_back(&supervisor);
    assert_eq!(resumed["tasks"][0]["state"], "running", "{resumed}");
    go.release();
    let transcript = follower.finish(&supervisor);
    assert_nothing_left(&transcript);
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["is_error"], false);
    // Every line of the stream is whole: none was lost between the supervisors.
    assert!(stream(&transcript).iter().any(|line| line["type"] == "result"));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_kill_of_the_supervisor_in_the_middle_of_a_tool_call_costs_nothing_with_cgroup() {
    if let Some(containment) = Containment::cgroup() {
        the_kill_of_the_supervisor_in_a_tool_call(&containment);
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_kill_of_the_supervisor_in_the_middle_of_a_tool_call_costs_nothing_with_subreaper() {
    the_kill_of_the_supervisor_in_a_tool_call(&Containment::Subreaper);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_wrong_key_is_told_with_the_first_retry_and_judged_as_auth() {
    let transcript = run(&json!({"prompt": "status: 401"}));
    let retry = transcript.params_of("task.retrying").next().unwrap();
    assert_eq!((&retry["attempt"], &retry["error_status"]), (&json!(1), &json!(401)));
    assert_eq!(retry["error"], "authentication_failed");
    assert_eq!(result(&transcript)["api_error_status"], 401);
    assert_eq!(verdict(&transcript), "auth");
    assert_eq!(transcript.params_of("error.rate_limit_exceeded").count(), 0);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_wrong_key_is_judged_as_auth_also_when_the_deadline_ends_the_retries() {
    // With a key the CLI tries ten times, with a login only twice.
    let env = json!({"ANTHROPIC_API_KEY": "wrong", "CLAUDE_CODE_MAX_RETRIES": "10"});
    let transcript = run(&json!({"prompt": "status: 401", "timeout": 8, "env": env}));
    assert_eq!(transcript.completed()["reason"], "timeout");
    assert_eq!(verdict(&transcript), "auth");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn no_login_is_judged_as_auth() {
    let transcript =
        run(&json!({"prompt": "say: hello", "env": {"CLAUDE_CODE_OAUTH_TOKEN": null}}));
    assert_eq!(verdict(&transcript), "auth");
    assert_eq!(result(&transcript)["api_error_status"], Value::Null);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_rate_limit_is_told_and_judged_as_rate_limited() {
    // With a login the CLI does not try again: the limit is the subscription's.
    let env = json!({"ANTHROPIC_API_KEY": "given"});
    let transcript = run(&json!({"prompt": "status: 429", "env": env}));
    assert_eq!(transcript.params_of("task.retrying").next().unwrap()["error"], "rate_limit");
    assert!(transcript.params_of("error.rate_limit_exceeded").count() >= 1);
    assert_eq!(verdict(&transcript), "rate_limited");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn the_usage_limit_of_a_login_is_told_with_its_end() {
    let cli = RealCli::start();
    cli.api().limit(1, Duration::from_secs(3_600));
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let transcript = supervisor.connect().run_to_end(&json!({"prompt": "say: hello"}));
    assert_nothing_left(&transcript);
    assert_eq!(verdict(&transcript), "rate_limited");
    let told: Vec<&Value> = transcript.params_of("error.rate_limit_exceeded").collect();
    assert!(told.iter().any(|params| params["resets_at"].is_u64()), "{told:?}");
    assert_eq!(cli.api().refused(), 1, "the CLI does not try again");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_server_error_is_told_and_judged_as_failed() {
    let transcript = run(&json!({"prompt": "status: 500"}));
    let retry = transcript.params_of("task.retrying").next().unwrap();
    assert_eq!(retry["error_status"], 500);
    assert_eq!(result(&transcript)["is_error"], true);
    assert_eq!(verdict(&transcript), "failed");
    assert_eq!(transcript.end(), ("exit", 1));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_connection_that_breaks_in_the_middle_of_an_answer_is_judged_as_failed() {
    let transcript = run(&json!({"prompt": "drop connection"}));
    assert_eq!(verdict(&transcript), "failed");
    assert_eq!(result(&transcript)["is_error"], true);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_prompt_of_two_megabytes_arrives() {
    // As much as the models of both versions have room for by the CLI's own reckoning, with a key.
    let prompt = format!("say: read it all\n{}", "0123456789abcde\n".repeat(2 * 65_536));
    let env = json!({"ANTHROPIC_API_KEY": "given"});
    let transcript = run(&json!({"prompt": prompt, "env": env}));
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["result"], "read it all");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_prompt_that_is_too_long_for_the_model_is_told_as_a_token_limit() {
    let transcript = run(&json!({"prompt": "0123456789abcde\n".repeat(5 * 65_536)}));
    assert_eq!(result(&transcript)["terminal_reason"], "blocking_limit");
    assert_eq!(transcript.params_of("error.token_limit_exceeded").count(), 1);
    assert_eq!(verdict(&transcript), "failed");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_request_that_hangs_is_ended_by_the_deadline() {
    let transcript = run(&json!({"prompt": "hang", "timeout": 5}));
    assert_eq!(transcript.completed()["reason"], "timeout");
    assert_eq!(verdict(&transcript), "timed_out");
    assert_ne!(transcript.completed()["exit_code"], 0);
    assert_eq!(transcript.params_of("task.result").count(), 0);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_result_is_kept_when_the_process_does_not_exit_after_it() {
    let cli = RealCli::start();
    let agent = cli.wrapper("sleep 120");
    let options = cli.options_with_agent(Options::new(), &agent).flag("--linger", 1);
    let supervisor = Supervisor::start(&options);
    let transcript = supervisor.connect().run_to_end(&json!({"prompt": "say: the answer"}));
    assert_nothing_left(&transcript);
    assert_eq!(transcript.end(), ("lingered", 0));
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["result"], "the answer");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_command_in_the_background_prolongs_the_linger_until_its_result_came() {
    let cli = RealCli::start();
    let options = cli.options(Options::new()).flag("--linger", 1);
    let supervisor = Supervisor::start(&options);
    let background = format!("background: {}", wait(Duration::from_secs(3)));
    let transcript = supervisor.connect().run_to_end(&with_tools(&background));
    assert_nothing_left(&transcript);
    assert_eq!(transcript.end(), ("exit", 0), "it ended by itself, after more than the linger");
    let results = stream(&transcript).iter().filter(|line| line["type"] == "result").count();
    assert_eq!(results, 2, "one when the command ran, one when it was over");
    assert_eq!(verdict(&transcript), "succeeded");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_paused_task_goes_on_where_it_was_and_succeeds() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let mut client = supervisor.connect();
    let answer = client.execute(&json!({"prompt": "slow: 10"})).unwrap();
    let events = client.recv_until_output("\"init\"");
    client.control("PAUSE").unwrap();
    client.control("RESUME").unwrap();
    let transcript = client.collect_after(answer, events);
    assert_eq!(verdict(&transcript), "succeeded");
    let methods = transcript.methods();
    let place = |method| methods.iter().position(|found| *found == method).unwrap();
    assert!(place("process.paused") < place("process.resumed"));
    assert!(place("process.resumed") < place("task.result"));
}
