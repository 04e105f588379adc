//! What agents say at their ends (warnings, failures, last words), as the reports of a batch show it.

use std::fs;

use cc_tests::binaries;
use serde_json::Value;

use super::{folder::Folder, output::text};

/// The first line of every stream.
const INIT: &str =
    r#"{"type":"system","subtype":"init","session_id":"c0ffee00-0000-4000-8000-000000000001"}"#;

/// A result line with these further members.
fn result_line(members: &str) -> String {
    format!(
        r#"{{"usage":{{"input_tokens":20,"cache_read_input_tokens":7,"output_tokens":3}},"is_error":false,"num_turns":2,"subtype":"success",{members},"type":"result"}}"#
    )
}

#[test]
fn every_attempt_leaves_its_last_words_in_every_report() {
    let line = "test -e again && { seq 60000; printf '\\033[31mlast of all\\033[0m'; exit 2; }; \
                touch again; echo first try >&2; exit 75";
    let task = serde_json::json!({"label": "twice", "command": line, "retries": 1});
    let folder = Folder::with("tasks.jsonl", &format!("{task}\n"));
    let output = folder
        .run("tasks.jsonl --results results --report report.md --junit junit.xml --joblog log", 1);
    let attempts = folder.results("results")[0]["attempts"].clone();
    assert_eq!(attempts[0]["stderr_tail"], "first try");
    assert_eq!(attempts[0]["stdout_tail"], Value::Null);
    let tail = attempts[1]["stdout_tail"].as_str().unwrap();
    assert!(tail.ends_with("59999\n60000\nlast of all"), "{tail}");
    assert!((2_000..=4_096).contains(&tail.len()), "{}", tail.len());
    let markdown = folder.read("report.md");
    assert!(markdown.contains("Its last words on standard output:"), "{markdown}");
    assert!(markdown.contains("    60000\n    last of all\n"), "{markdown}");
    let words = "Last words of attempt 1 (failed) on standard error:\n\n    first try\n";
    assert!(markdown.contains(words), "{markdown}");
    let junit = folder.read("junit.xml");
    assert!(junit.contains("60000\nlast of all</system-out>"), "{junit}");
    assert!(junit.contains("<system-err>attempt 1 (failed):\nfirst try"), "{junit}");
    let table = text(&output.stdout);
    assert!(
        table.contains("1. twice: failed\n   | 59999\n   | 60000\n   | last of all\n"),
        "{table}"
    );
}

#[test]
fn what_an_agent_says_when_it_fails_is_what_people_read() {
    let errors = r#""is_error":true,"errors":["the settings cannot be read","line 7"]"#;
    let streams = [
        ("errors", format!("{INIT}\n{}\n", result_line(errors))),
        ("words", format!("{INIT}\na word of its wrapper\n")),
        ("cut", format!("{INIT}\n{}", &result_line(r#""result":"the answer""#)[..90])),
    ];
    let folder = Folder::with_player(
        "{\"prompt\":\"errors exit 1\"}\n\
         {\"prompt\":\"none echo No such conversation: 17 >&2; exit 1\"}\n\
         {\"prompt\":\"words sleep 60\",\"timeout\":1}\n\
         {\"prompt\":\"cut true\"}\n",
        &streams,
    );
    folder.play("--retries 0", 4);
    let results = folder.results("results");
    let verdicts: Vec<&str> = results.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["failed", "no_result", "timed_out", "no_result"]);
    let error = |index: usize| results[index]["error"].as_str().unwrap();
    assert_eq!(error(0), "the settings cannot be read; line 7");
    assert_eq!(error(1), "No such conversation: 17");
    assert!(error(2).contains("1 s"), "{}", error(2));
    assert!(error(3).contains("cut") || error(3).contains("middle"), "{}", error(3));
    // A prompt that was ended can be continued, and its stream is not its last words.
    let ended = &results[2];
    assert_eq!(ended["claude_session_id"], "c0ffee00-0000-4000-8000-000000000001");
    assert_eq!(ended["attempts"][0]["stdout_tail"], "a word of its wrapper");
    let markdown = folder.read("report.md");
    assert!(markdown.contains("the settings cannot be read; line 7."), "{markdown}");
    assert!(markdown.contains("claude --resume c0ffee00"), "{markdown}");
    assert!(!markdown.contains("{\"type\""), "{markdown}");
}

/// A success that deserves a look, and one after it that needs its result.
fn doubtful() -> Folder {
    let server = r#""mcp_servers":[{"name":"ledger","status":"failed"}]"#;
    let init = INIT.replacen('{', &format!("{{{server},"), 1);
    let result = result_line(r#""result":"42","total_cost_usd":0.01"#);
    Folder::with_player(
        "{\"name\":\"a\",\"prompt\":\"stream true\"}\n\
         {\"command\":\"echo got {{tasks.a.result}}\"}\n",
        &[("stream", format!("{init}\n{result}\n"))],
    )
}

#[test]
fn a_success_with_warnings_is_one_that_everybody_is_told_about() {
    let folder = doubtful();
    let output = folder.play("", 0);
    let results = folder.results("results");
    assert_eq!(results[0]["verdict"], "succeeded");
    assert_eq!(results[0]["warnings"][0]["kind"], "mcp_server");
    let message = results[0]["warnings"][0]["message"].as_str().unwrap();
    assert!(message.contains("ledger"), "{message}");
    assert_eq!(results[1]["result"], "got 42");
    assert_eq!(results[1]["warnings"], serde_json::json!([]));
    let table = text(&output.stdout);
    assert!(table.lines().next().unwrap().contains("warnings"), "{table}");
    assert!(table.contains("2 tasks: 2 succeeded, 0 failed, 1 with warnings"), "{table}");
    assert!(table.contains("1 task succeeded with warnings:\n1. stream true: "), "{table}");
    let progress = text(&output.stderr);
    assert!(progress.contains("[1/2] succeeded (1 warning)"), "{progress}");
    let markdown = folder.read("report.md");
    assert!(markdown.contains("**2 of 2 tasks succeeded** (1 with warnings)."), "{markdown}");
    assert!(markdown.contains("## What succeeded with warnings"), "{markdown}");
    let junit = folder.read("junit.xml");
    assert!(junit.contains(r#"failures="0""#) && junit.contains("warning: MCP"), "{junit}");
    assert!(junit.contains(r#"<property name="with_warnings" value="1"/>"#), "{junit}");
}

#[test]
fn a_strict_batch_takes_warnings_for_failures_everywhere() {
    let folder = doubtful();
    let output = folder.play("--strict --halt soon,fail=1", 1);
    let results = folder.results("results");
    assert_eq!(results.len(), 1);
    assert_eq!((&results[0]["verdict"], &results[0]["exit_code"]), (&"failed".into(), &0.into()));
    assert_eq!(results[0]["warnings"][0]["kind"], "mcp_server");
    let error = results[0]["error"].as_str().unwrap();
    assert!(error.contains("strict") && error.contains("ledger"), "{error}");
    assert!(text(&output.stdout).contains("2 tasks: 0 succeeded, 1 failed"), "{output:?}");
    assert_eq!(folder.jobs("log"), ["1 1 prompt: stream true"]);
    let junit = folder.read("junit.xml");
    assert!(junit.contains(r#"failures="1" errors="1""#), "{junit}");
    // What is left is what has not succeeded.
    let resumed = format!("tasks.jsonl --agent {} --resume log --strict", folder.player());
    let output = folder.run(&resumed, 1);
    assert!(text(&output.stderr).contains("[1/2] failed (1 warning)"), "{output:?}");
}

#[test]
fn a_toml_file_can_be_strict_and_money_is_the_same_in_every_form() {
    let costs = ["0.01", "0.015", "0.0123"];
    let line = |cost: &str| result_line(&format!(r#""result":"{cost}","total_cost_usd":{cost}"#));
    let streams = costs.map(|cost| (cost, format!("{INIT}\n{}\n", line(cost))));
    let folder = Folder::with_player("", &streams);
    let tasks: String =
        costs.iter().map(|cost| format!("[[tasks]]\nprompt = \"{cost} true\"\n")).collect();
    fs::write(folder.path("tasks.toml"), format!("[options]\nstrict = true\n{tasks}")).unwrap();
    let reports = "--report report.md --junit junit.xml --results results";
    let arguments = format!("tasks.toml --agent {} {reports}", folder.player());
    let output = folder.run(&arguments, 0);
    let sum = 0.01 + 0.015 + 0.0123;
    let table = text(&output.stdout);
    let words = "cost: 0.0373 USD; tokens: 81 in (21 of them cached), 9 out";
    assert!(table.contains(words), "{table}");
    let markdown = folder.read("report.md");
    assert!(markdown.contains("| cost | 0.0373 USD |"), "{markdown}");
    assert!(markdown.contains("| tokens | 81 in (21 of them cached), 9 out |"), "{markdown}");
    for cost in costs {
        assert!(markdown.contains(&format!("| {cost} USD |")), "{markdown}");
    }
    let junit = folder.read("junit.xml");
    assert!(junit.contains(&format!(r#"name="total_cost_usd" value="{sum}""#)), "{junit}");
    let of_rows: f64 =
        folder.results("results").iter().map(|row| row["total_cost_usd"].as_f64().unwrap()).sum();
    assert_eq!(of_rows, sum);
    let output =
        folder.run(&format!("tasks.toml --agent {} --json --retries 0", folder.player()), 0);
    let last: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!((&last["total_cost_usd"], &last["with_warnings"]), (&sum.into(), &0.into()));
    assert_eq!(
        last["tokens"],
        serde_json::json!({"input": 60, "output": 9, "cache_creation": 0, "cache_read": 21})
    );
}

#[test]
fn denied_and_unfinished_work_have_verdicts_of_their_own_and_say_what_to_do() {
    let denied = r#""result":"I may not.","permission_denials":[{"tool_name":"Edit","tool_use_id":"t1"},{"tool_name":"Edit","tool_use_id":"t2"}]"#;
    let nothing = r#""result":"","num_turns":0"#;
    let announced = r#"{"type":"system","subtype":"task_started","task_id":"b7","description":"count the words"}"#;
    let folder = Folder::with_player(
        "{\"prompt\":\"denied true\"}\n{\"prompt\":\"nothing true\"}\n{\"prompt\":\"announced true\"}\n",
        &[
            ("denied", format!("{INIT}\n{}\n", result_line(denied))),
            (
                "nothing",
                format!("{INIT}\n{}\n", result_line(nothing).replacen("\"num_turns\":2,", "", 1)),
            ),
            (
                "announced",
                format!("{INIT}\n{announced}\n{}\n", result_line(r#""result":"It counts.""#)),
            ),
        ],
    );
    let output = folder.play("--retries 0", 3);
    let results = folder.results("results");
    let verdicts: Vec<&str> = results.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["denied", "incomplete", "incomplete"]);
    assert_eq!(results[0]["permission_denials"], serde_json::json!(["Edit", "Edit"]));
    for (row, word) in results.iter().zip(["Edit", "nothing was done", "count the words"]) {
        assert!(row["error"].as_str().unwrap().contains(word), "{row}");
    }
    let markdown = folder.read("report.md");
    assert!(markdown.contains("name the tools in allowed_tools"), "{markdown}");
    assert_eq!(folder.jobs("log")[0], "1 1 prompt: denied true");
    assert!(text(&output.stdout).contains("3 tasks: 0 succeeded, 3 failed, 3 with warnings"));
}

#[test]
fn ccx_run_says_warnings_on_standard_error_and_programs_get_them_too() {
    let folder = doubtful();
    let run = |json: &[&str]| {
        let mut command = binaries::private_ccx_command();
        command
            .args(["run", "--agent", &folder.player(), "--prompt", "stream true"])
            .args(json)
            .current_dir(folder.path(""));
        command.output().unwrap()
    };
    let output = run(&[]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "42\n".to_owned()));
    let said = text(&output.stderr);
    assert!(said.contains("ccx: warning: ") && said.contains("ledger"), "{said}");
    let lines = text(&run(&["--json"]).stdout);
    let completed: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(completed["params"]["warnings"][0]["kind"], "mcp_server");
}
