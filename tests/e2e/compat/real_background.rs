//! Real Claude tasks that begin work in the background, and tool calls that take long: what the CLI has
//! said to be running is no silence, and the answer is the answer, whichever of several results brings it.
//!
//! The two tested versions do not agree: 2.1.332 waits for whatever runs and gives a second result, 2.1.197
//! kills a command 5 s after the result and puts no subagent into the background by itself. What a user
//! gets must be right with both, so the tests look at what the stream says and not at the version.

use std::time::Duration;

use cc_tests::{
    Options, Supervisor, Transcript,
    batches::{plan, run as run_batch},
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict, wait, warnings, with_tools},
    },
};
use serde_json::{Value, json};

const ANSWER: &str = "The answer is 4.";
const CHATTER: &str = "Nothing new.";

/// A prompt whose answer comes when the call has been made; what the notice brings is chatter.
fn answered_at_once(call: &str) -> String {
    format!("{call}\nafter the call: {ANSWER}\nwhen told: {CHATTER}")
}

/// A prompt whose answer comes when the background work is over.
fn answered_when_told(call: &str) -> String {
    format!("{call}\nafter the call: I wait for it.\nwhen told: {ANSWER}")
}

fn seconds(seconds: u64) -> String {
    wait(Duration::from_secs(seconds))
}

fn run(params: &Value) -> Transcript {
    let cli = RealCli::start();
    let transcript = Supervisor::start(&cli.options(Options::new())).connect().run_to_end(params);
    assert_nothing_left(&transcript);
    transcript
}

fn assert_answered(transcript: &Transcript) {
    assert_eq!(verdict(transcript), "succeeded", "{}", transcript.completed());
    let answer = result(transcript)["result"].as_str().unwrap();
    assert!(answer.contains(ANSWER), "{answer:?}");
    assert_eq!(transcript.end(), ("exit", 0));
}

/// Whether the CLI says that something which it had in the background did not come to its end.
fn was_broken_off(transcript: &Transcript) -> bool {
    stream(transcript)
        .iter()
        .any(|line| line["subtype"] == "task_notification" && line["status"] == "stopped")
}

fn results_of_stream(transcript: &Transcript) -> Vec<Value> {
    stream(transcript).into_iter().filter(|line| line["type"] == "result").collect()
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_that_comes_with_the_notice_of_a_command_is_the_answer() {
    let call = format!("background: {}", seconds(2));
    let transcript = run(&with_tools(&answered_when_told(&call)));
    assert_answered(&transcript);
    assert_eq!(results_of_stream(&transcript).len(), 2, "both versions wait for two seconds");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_that_comes_with_the_notice_of_a_subagent_is_the_answer() {
    let call = format!("background agent: bash: {}", seconds(2));
    let transcript = run(&with_tools(&answered_when_told(&call)));
    assert_answered(&transcript);
    assert_eq!(results_of_stream(&transcript).len(), 2);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_task_in_the_background_does_not_outlast_its_linger_and_is_gone() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()).flag("--linger", 1));
    let call = format!("background: {}", seconds(7));
    let transcript = supervisor.connect().run_to_end(&with_tools(&answered_at_once(&call)));
    assert_nothing_left(&transcript);
    // It ends by itself: what the CLI says to be running prolongs the linger.
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(verdict(&transcript), "succeeded");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_command_that_takes_longer_than_the_linger_does_not_end_its_task() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()).flag("--linger", 1));
    let call = format!("bash: {}; echo done", seconds(5));
    let transcript = supervisor.connect().run_to_end(&with_tools(&call));
    assert_nothing_left(&transcript);
    assert_eq!(verdict(&transcript), "succeeded");
    assert_eq!(result(&transcript)["result"], "The tool said: done");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_deadline_in_a_tool_call_is_a_timeout_whatever_the_cli_makes_of_its_signal() {
    // 2.1.197 tells the model that the tool failed, gets an answer and exits with 0 and a good result.
    let params = json!({
        "prompt": "bash: tail -f /dev/null", "timeout": 6,
        "extra_args": ["--dangerously-skip-permissions"],
    });
    let transcript = run(&params);
    assert_eq!(transcript.completed()["reason"], "timeout");
    assert_eq!(verdict(&transcript), "timed_out");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_before_the_notice_of_a_command_stays_the_answer() {
    let call = format!("background: {}", seconds(2));
    let transcript = run(&with_tools(&answered_at_once(&call)));
    assert_answered(&transcript);
    let parts = result(&transcript)["parts"].as_array().unwrap().clone();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((&parts[0]["result"], &parts[0]["origin"]), (&json!(ANSWER), &Value::Null));
    assert_eq!(parts[1]["result"], CHATTER);
    assert_eq!(parts[1]["origin"], "task-notification");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn an_answer_before_the_notice_of_a_subagent_stays_the_answer() {
    let call = format!("background agent: bash: {}", seconds(2));
    assert_answered(&run(&with_tools(&answered_at_once(&call))));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_subagent_that_nobody_asked_for_in_the_background_does_not_take_the_answers_place() {
    let call = format!("agent: bash: {}", seconds(2));
    let transcript = run(&with_tools(&answered_at_once(&call)));
    assert_answered(&transcript);
    let results = results_of_stream(&transcript).len();
    let parts = result(&transcript)["parts"].as_array().map_or(1, Vec::len);
    assert_eq!(parts, results, "all of them are kept");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn the_next_task_of_a_batch_gets_the_answer_and_not_the_chatter() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let call = format!("background: {}", seconds(2));
    let first = with_tools(&answered_at_once(&call));
    let over = run_batch(&supervisor, &plan([first, json!({"prompt": "say: {{prev.result}}"})]));
    assert_eq!(over.verdicts(), ["succeeded"; 2], "{:#?}", over.rows);
    let told = over.rows[1]["result"].as_str().unwrap();
    assert!(told.contains(ANSWER), "{told:?}");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn background_work_that_the_cli_breaks_off_is_a_warning_and_what_ends_is_none() {
    let call = format!("background: {}", seconds(7));
    let transcript = run(&with_tools(&answered_at_once(&call)));
    assert_answered(&transcript);
    let is_warned = warnings(&transcript).contains(&"background_unfinished");
    assert_eq!(is_warned, was_broken_off(&transcript), "{}", transcript.completed());
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_tool_call_that_the_cli_has_announced_is_no_silence() {
    let mut params = with_tools(&format!("bash: {}; echo done", seconds(9)));
    // The CLI announces a call after three seconds.
    params["idle_timeout"] = json!(5);
    let transcript = run(&params);
    assert_eq!(verdict(&transcript), "succeeded", "{}", transcript.completed());
    assert_eq!(result(&transcript)["result"], "The tool said: done");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_subagent_at_work_is_no_silence() {
    let call = format!("agent: bash: {}; echo done", seconds(9));
    let mut params = with_tools(&answered_at_once(&call));
    params["idle_timeout"] = json!(5);
    assert_answered(&run(&params));
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn a_command_in_the_background_is_no_silence() {
    let call = format!("background: {}", seconds(9));
    let mut params = with_tools(&answered_at_once(&call));
    params["idle_timeout"] = json!(5);
    assert_answered(&run(&params));
}
