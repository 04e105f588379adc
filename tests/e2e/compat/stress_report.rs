//! The ten tests of the predecessor's stress report, by name, with the real Claude CLI and the command
//! lines that its clients send.

use cc_tests::{
    Client, Options, Supervisor, Transcript,
    messages_api::{
        RealCli,
        real_cli::{assert_nothing_left, result, stream, verdict, with_tools},
    },
};
use serde_json::{Value, json};

/// A supervisor, a connection to it, and the CLI on its path.
struct Bench {
    client: Client,
    // After the client, so that it is dropped after it; the CLI's home goes last.
    _supervisor: Supervisor,
    cli: RealCli,
}

impl Bench {
    fn new() -> Self {
        Self::with(Options::new())
    }

    fn with(options: Options) -> Self {
        let cli = RealCli::start();
        let supervisor = Supervisor::start(&cli.options(options));
        Self { client: supervisor.connect(), _supervisor: supervisor, cli }
    }

    /// The line that the predecessor's clients send. The prompt may hold no single quote.
    fn ask(&mut self, prompt: &str) -> Transcript {
        self.run(&json!({
            "command": format!("claude -p '{prompt}' --output-format stream-json --verbose"),
        }))
    }

    fn run(&mut self, params: &Value) -> Transcript {
        let transcript = self.client.run_to_end(params);
        assert_nothing_left(&transcript);
        transcript
    }
}

fn assert_answered(transcript: &Transcript, answer: &str) {
    assert_eq!(transcript.end(), ("exit", 0));
    assert_eq!(verdict(transcript), "succeeded");
    assert_eq!(result(transcript)["result"], answer);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn simple_prompt() {
    let transcript = Bench::new().ask("What is 2+2?");
    assert_answered(&transcript, "What is 2+2?");
    assert_eq!(transcript.stderr(), "");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn large_output() {
    let mut bench = Bench::new();
    // A megabyte in two lines: the CLI exits without waiting for a pipe that is full.
    for words in [1_000, 50_000] {
        let transcript = bench.ask(&format!("words: {words}"));
        let last = stream(&transcript).pop().unwrap();
        assert_eq!(last["type"], "result", "the last line has arrived");
        let answer = last["result"].as_str().unwrap().to_owned();
        assert_eq!(answer.split_whitespace().count(), words);
        assert_eq!(answer.split_whitespace().last().unwrap(), format!("word{words}"));
        assert_eq!(verdict(&transcript), "succeeded");
        assert_eq!(transcript.completed()["output"]["dropped_bytes"], 0);
    }
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn self_reflection_format() {
    let prompt = "Question: what is a pipe?\n\nAnswer, then rate yourself:\n\
                  ## Answer\n- “quoted”, tab\there, back\\slash\n## Self-reflection\n- [x] complete";
    let transcript = Bench::new().ask(prompt);
    // Line breaks, marks and quotes of the format come through to the letter.
    assert_answered(&transcript, prompt);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn json_streaming() {
    let transcript = Bench::new().ask("slow: 5");
    let lines = stream(&transcript);
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"system"));
    assert_eq!(kinds.last(), Some(&"result"));
    assert!(kinds.contains(&"assistant"));
    // They came as they were printed and not in one heap: each line has an event of its own.
    assert!(transcript.outputs().count() >= lines.len());
    assert_eq!(verdict(&transcript), "succeeded");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn timeout_handling() {
    let mut bench = Bench::new();
    let command = "claude -p hang --output-format stream-json --verbose";
    let transcript = bench.run(&json!({"command": command, "timeout": 5}));
    let completed = transcript.completed();
    assert_eq!((&completed["status"], &completed["reason"]), (&json!("failed"), &json!("timeout")));
    assert_ne!(completed["exit_code"], 0);
    assert_eq!(verdict(&transcript), "timed_out");
    // The connection is as good as before.
    assert_answered(&bench.ask("say: still here"), "still here");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn sequential_requests_3x() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        let answer = format!("number {number}");
        assert_answered(&bench.ask(&format!("say: {answer}")), &answer);
    }
    assert_eq!(bench.cli.api().requests(), 3);
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn error_handling() {
    let mut bench = Bench::new();
    let misused = bench.run(&json!({"command": "claude --no-such-option"}));
    assert_eq!(misused.end(), ("exit", 1));
    assert_eq!(verdict(&misused), "failed");
    assert!(misused.stderr().contains("--no-such-option"), "{}", misused.stderr());

    let refused = bench.ask("status: 400");
    assert_eq!(refused.end(), ("exit", 1));
    assert_eq!(result(&refused)["api_error_status"], 400);
    assert_eq!(verdict(&refused), "failed");

    assert_answered(&bench.ask("say: still here"), "still here");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn environment_validation() {
    // The key of the operator's shell, which once made every task fail, stays out …
    let options = Options::new().env("ANTHROPIC_API_KEY", "wrong").env("CLAUDECODE", 1);
    let mut bench = Bench::with(options);
    let transcript = bench.ask("say: hello");
    assert_eq!(stream(&transcript)[0]["apiKeySource"], "none");
    assert_answered(&transcript, "hello");
    let environment = bench.run(&json!({"command": "env"})).stdout();
    for name in ["ANTHROPIC_API_KEY=", "CLAUDECODE="] {
        assert!(!environment.lines().any(|line| line.starts_with(name)), "{name}");
    }
    // … and one that the client gives on purpose goes in.
    let params = json!({"prompt": "say: hello", "env": {"ANTHROPIC_API_KEY": "given"}});
    let transcript = bench.run(&params);
    assert_eq!(stream(&transcript)[0]["apiKeySource"], "ANTHROPIC_API_KEY");
    assert_answered(&transcript, "hello");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn buffer_handling() {
    let mut bench = Bench::new();
    // Far over the 64 KiB of a pipe and of a piece: the line comes in pieces, and whole.
    let transcript = bench.ask("long-line: 200000");
    assert!(transcript.outputs().any(|output| output["chunk_index"] == 1));
    let last = stream(&transcript).pop().unwrap();
    assert_eq!(last["result"].as_str().unwrap().len(), 200_000);
    assert_eq!(result(&transcript)["result"].as_str().unwrap().len(), 200_000);
    assert_eq!(verdict(&transcript), "succeeded");

    // With a bound that the answer exceeds, the last line is there all the same.
    let transcript = bench.run(&json!({"prompt": "long-line: 200000", "max_output_bytes": 4096}));
    assert_eq!(transcript.params_of("output.dropped").count(), 1);
    assert_eq!(result(&transcript)["result"].as_str().unwrap().len(), 200_000);
    assert_eq!(verdict(&transcript), "succeeded");
    let last: Value = serde_json::from_str(transcript.stdout().lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "result");
}

#[test]
#[ignore = "needs the real claude CLI: see .ci/run"]
fn claude_with_tools() {
    let mut bench = Bench::new();
    let transcript = bench.run(&with_tools("bash: echo from the $((20 + 22))nd tool"));
    assert_answered(&transcript, "The tool said: from the 42nd tool");
    assert_eq!(result(&transcript)["num_turns"], 2);
    assert!(transcript.stdout().contains("\"tool_result\""));
}
