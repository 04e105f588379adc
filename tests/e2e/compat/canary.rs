//! What must hold with whatever CLI people install today: ten prompts are answered, and a cancel in the
//! middle of a tool call leaves nothing. Run by `.ci/canary` with the version that npm serves at that moment,
//! and with the tested versions, so that a failure is the new version's and not the test's.

use cc_tests::{
    Options, Supervisor,
    fifo::Fifo,
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, verdict, wait_for_line, with_tools},
    },
    processes, unique_tag,
};
use serde_json::json;

#[test]
#[ignore = "needs the real claude CLI: see .ci/canary"]
fn ten_prompts_in_a_row_are_answered_and_leave_nothing() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let mut client = supervisor.connect();
    for number in 1..=10 {
        let answer = format!("answer {number}");
        let transcript = client.run_to_end(&json!({"prompt": format!("say: {answer}")}));
        assert_eq!(verdict(&transcript), "succeeded", "{number}: {}", transcript.stdout());
        assert_eq!(transcript.end(), ("exit", 0));
        assert_eq!(result(&transcript)["result"], *answer);
        assert!(result(&transcript)["total_cost_usd"].as_f64() > Some(0.0), "its cost is seen");
        assert_nothing_left(&transcript);
    }
    assert_eq!(cli.api().requests(), 10, "every task asked once");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/canary"]
fn a_cancel_in_the_middle_of_a_bash_call_leaves_no_process() {
    let cli = RealCli::start();
    let supervisor = Supervisor::start(&cli.options(Options::new()));
    let mut client = supervisor.connect();
    let (tag, fifo) = (unique_tag("canary"), Fifo::create());
    let tool = format!("bash: sh -c 'echo ready >{}; tail -f /dev/null; true' {tag}", fifo.path());
    let answer = client.execute(&with_tools(&tool)).unwrap();
    wait_for_line(&fifo);
    client.control("CANCEL").unwrap();
    let transcript = client.collect(answer);
    assert_eq!(processes::survivors(&tag), [0; 0]);
    assert_nothing_left(&transcript);
    assert_eq!(verdict(&transcript), "canceled");
}
