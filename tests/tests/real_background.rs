//! Real Claude tasks that begin work in the background, and tool calls that take long: what the CLI has
//! said to be running is no silence, and the answer is the answer, whichever of several results brings it.
//!
//! The two tested versions do not agree: 2.1.332 waits for whatever runs and gives a second result, 2.1.197
//! kills a command 5 s after the result and puts no subagent into the background by itself. What a user
//! gets must be right with both, so the tests look at what the stream says and not at the version.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::time::Duration;

use cc_tests::{
    Options, Supervisor, Transcript,
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict, wait, with_tools},
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
