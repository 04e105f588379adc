//! Batches that can be left alone: task files, reports and resuming, as a script in the night meets them.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use cc_tests::{binaries, fifo::Fifo, processes, unique_tag, wait_until};
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which `ccx` is started.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(folder.path(name), text).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(binaries::ccx());
        command
            .arg("batch")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("CC_EXECUTOR_CGROUP", "off");
        for name in ["CC_EXECUTOR_URL", "CC_EXECUTOR_TOKEN", "ANTHROPIC_API_KEY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `ccx batch` to an exit code.
    fn run(&self, arguments: &str, code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        output
    }

    /// `Seq`, `Exitval` and `Command` of each line of a joblog.
    fn jobs(&self, name: &str) -> Vec<String> {
        let text = self.read(name);
        let lines = text.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 9, "{line}");
            format!("{} {} {}", cells[0], cells[6], cells[8])
        });
        lines.collect()
    }

    fn results(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_batch_of_a_toml_file_leaves_all_four_reports() {
    let folder = Folder::with(
        "tasks.toml",
        r#"
[defaults]
timeout = 60
[options]
agent = "stand-in"
joblog = "night.joblog"
junit = "night.xml"
[[tasks]]
label = "good"
prompt = "What is 2+2?"
[[tasks]]
label = "bad"
prompt = "fail"
[[tasks]]
label = "leaver"
prompt = "leave a daemon"
[[tasks]]
argv = ["no-such-program-anywhere"]
[[tasks]]
label = "key"
prompt = "wrong key"
[[tasks]]
label = "after the key"
prompt = "What is 2+2?"
"#,
    );
    let output = folder.run("tasks.toml --results night.jsonl --report night.md", 3);
    assert_eq!(
        folder.jobs("night.joblog"),
        [
            "1 0 prompt: What is 2+2?",
            "2 1 prompt: fail",
            "3 0 prompt: leave a daemon",
            "4 127 no-such-program-anywhere",
            "5 143 prompt: wrong key",
        ]
    );
    let results = folder.results("night.jsonl");
    let verdicts: Vec<&str> = results.iter().map(|row| row["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["succeeded", "failed", "succeeded", "spawn_failed", "auth"]);
    assert!(results[0]["result"].as_str().unwrap().contains("stand-in"));
    assert!(results[0]["started"].as_str().unwrap() <= results[0]["ended"].as_str().unwrap());
    assert_eq!(results[0]["usage"]["input_tokens"], 1);
    assert_eq!(results[2]["killed_leftovers"], 1);
    // The same credentials were good for the tasks before: one refusal may be a lost race, two are not.
    assert_eq!(results[4]["attempts"].as_array().unwrap().len(), 2);
    let junit = folder.read("night.xml");
    assert!(junit.contains(r#"tests="6" skipped="0" failures="1" errors="3""#), "{junit}");
    let markdown = folder.read("night.md");
    assert!(
        markdown.contains("**2 of 6 tasks succeeded**, 3 did not, 1 did not run."),
        "{markdown}"
    );
    assert!(markdown.contains("claude /login"), "{markdown}");
    // Refused credentials end the batch at once, and whoever wakes up reads that first.
    assert!(markdown.lines().next().unwrap().starts_with("**Stopped: "), "{markdown}");
    let table = text(&output.stdout);
    // Of those that were ended before their result nobody knows what they have cost.
    assert!(table.contains("cost: unknown; tokens: 2 in, 2 out; retries: 1"), "{table}");
    assert!(table.contains("leftovers killed: 1"), "{table}");
}

#[test]
fn a_resume_runs_what_has_not_succeeded_and_nothing_that_has() {
    let folder = Folder::with(
        "tasks.jsonl",
        r#"{"command":"echo one >> ran"}
{"command":"echo two >> ran; test -e mended"}
{"command":"echo three >> ran"}
"#,
    );
    folder.run("tasks.jsonl --fail-fast --joblog log --results results", 1);
    assert_eq!(folder.read("ran"), "one\ntwo\n");
    folder.run("tasks.jsonl --resume-failed log --results results --report report.md", 1);
    assert_eq!(folder.read("ran"), "one\ntwo\ntwo\n");
    assert!(folder.read("report.md").contains("succeeded earlier"));
    fs::write(folder.path("mended"), "").unwrap();
    let output = folder.run("tasks.jsonl --resume log --results results", 0);
    assert!(text(&output.stderr).contains("1 task succeeded before; 2 to run"));
    assert_eq!(folder.read("ran"), "one\ntwo\ntwo\ntwo\nthree\n");
    assert_eq!(folder.jobs("log").len(), 5);
    assert_eq!(folder.results("results").len(), 5);
    // As often as anybody likes.
    folder.run("tasks.jsonl --resume log", 0);
    folder.run("tasks.jsonl --resume-failed log", 0);
    assert_eq!(folder.jobs("log").len(), 5);
    assert_eq!(folder.read("ran").lines().count(), 5);
}

#[test]
fn a_resumed_task_gets_the_results_of_tasks_that_succeeded_earlier() {
    let folder = Folder::with(
        "tasks.jsonl",
        "{\"name\":\"first\",\"command\":\"echo 'it is $5'\"}\n\
         {\"command\":\"test -e ready && echo {{tasks.first.result}} > used\",\"retries\":0}\n",
    );
    folder.run("tasks.jsonl --joblog log --results results", 1);
    // Without the results it is refused, and says what to do.
    let output = folder.run("tasks.jsonl --resume log", 2);
    for words in ["task 2 uses the result of task 1", "--results", "--resume ID"] {
        assert!(text(&output.stderr).contains(words), "{words}: {}", text(&output.stderr));
    }
    let output = folder.run("tasks.jsonl --resume log --results others", 2);
    assert!(text(&output.stderr).contains("others has no whole result of it"));
    fs::write(folder.path("ready"), "").unwrap();
    folder.run("tasks.jsonl --resume log --results results", 0);
    assert_eq!(folder.read("used"), "it is $5\n");
    assert_eq!(folder.jobs("log").len(), 3);
}

#[test]
fn a_joblog_of_another_file_is_refused_with_the_first_difference() {
    let folder =
        Folder::with("tasks.jsonl", "{\"argv\":[\"true\"]}\n{\"argv\":[\"true\",\"2\"]}\n");
    folder.run("tasks.jsonl --joblog log", 0);
    let before = folder.read("log");
    fs::write(
        folder.path("other.jsonl"),
        "{\"argv\":[\"true\"]}\n{\"argv\":[\"touch\",\"ran\"]}\n",
    )
    .unwrap();
    let output = folder.run("other.jsonl --resume log", 2);
    let complaint = text(&output.stderr);
    assert!(complaint.contains("line 3: task 2 is another one"), "{complaint}");
    assert!(complaint.contains("true 2") && complaint.contains("touch ran"), "{complaint}");
    assert!(!folder.path("ran").exists());
    assert_eq!(folder.read("log"), before);
    // And never is one run's joblog overwritten by another's.
    let output = folder.run("tasks.jsonl --joblog log", 2);
    assert!(text(&output.stderr).contains("--resume"), "{}", text(&output.stderr));
    assert_eq!(folder.read("log"), before);
}

#[test]
fn a_ccx_that_is_killed_leaves_what_was_done_and_a_resume_goes_on_there() {
    let tag = unique_tag("killed-batch");
    let (mut begun, mut go) = (Fifo::create(), Fifo::create());
    let second =
        format!("echo begun > {}; read go < {}; echo {tag} >> ran", begun.path(), go.path());
    let folder = Folder::with(
        "tasks.jsonl",
        &format!("{{\"command\":\"echo one >> ran\"}}\n{{\"command\":\"{second}\"}}\n"),
    );
    let arguments = "tasks.jsonl --quiet --joblog log --results results --report report.md";
    let mut child = folder.command(arguments).spawn().unwrap();
    assert_eq!(begun.read(), "begun\n");
    // The server does not wait for whoever writes the reports.
    wait_until("the first task is in all reports", || {
        !folder.jobs("log").is_empty()
            && !folder.results("results").is_empty()
            && folder.read("report.md").contains("1 to go")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    processes::wait_until_gone(&tag);
    assert_eq!(folder.jobs("log"), ["1 0 echo one >> ran"]);
    assert_eq!(folder.results("results").len(), 1);
    assert!(folder.read("report.md").contains("1 to go"));
    let mut resumed = folder.command("tasks.jsonl --quiet --resume log").spawn().unwrap();
    assert_eq!(begun.read(), "begun\n");
    go.release();
    assert!(resumed.wait().unwrap().success());
    assert_eq!(folder.read("ran"), format!("one\n{tag}\n"));
    assert_eq!(folder.jobs("log").len(), 2);
}

#[test]
fn a_report_that_cannot_be_written_starts_nothing() {
    let folder = Folder::with("tasks.jsonl", "{\"argv\":[\"touch\",\"ran\"]}\n");
    for option in ["--joblog", "--results", "--junit", "--report"] {
        let output = folder.run(&format!("tasks.jsonl {option} no/such/folder/file"), 2);
        assert!(text(&output.stderr).contains("no/such/folder/file"));
    }
    assert!(!folder.path("ran").exists());
}

#[test]
fn a_report_that_fails_later_is_named_and_ends_no_task() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder =
        Folder::with("tasks.jsonl", "{\"command\":\"echo one >> ran\"}\n".repeat(2).as_str());
    let output = folder.run("tasks.jsonl --results /dev/full", 125);
    assert!(text(&output.stderr).contains("cannot write /dev/full"), "{}", text(&output.stderr));
    assert_eq!(folder.read("ran"), "one\none\n");
}

#[test]
fn a_dry_run_shows_what_would_run_and_starts_nothing() {
    let folder = Folder::with(
        "tasks.toml",
        "[defaults]\ntimeout = 5\n[[tasks]]\nlabel = \"first\"\ncommand = \"touch ran\"\n[[tasks]]\nprompt = \"hi\"\n",
    );
    // Neither an agent nor a supervisor is looked for, and no report is begun.
    let arguments = "tasks.toml --agent no-such-agent --joblog log --dry-run";
    let output = folder.command(arguments).env("PATH", "/nonexistent").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for word in ["first", "touch ran", "prompt: hi", "5 s", "2 tasks to run"] {
        assert!(table.contains(word), "{word} is missing:\n{table}");
    }
    let output = folder.run("tasks.toml --dry-run --json", 0);
    let stdout = text(&output.stdout);
    let lines: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["execute"]["command"], "touch ran");
    assert_eq!(lines[1]["execute"]["timeout"], 5.0);
    assert!(!folder.path("ran").exists() && !folder.path("log").exists());
}

#[test]
fn every_mistake_of_a_toml_file_is_named_with_line_and_column() {
    let folder = Folder::with(
        "tasks.toml",
        "[[tasks]]\ncommand = \"touch ran\"\n[[tasks]]\nprompt = \"x\"\n  timeuot = 5\n[optoins]\n",
    );
    let output = folder.run("tasks.toml --dry-run", 2);
    let complaint = text(&output.stderr);
    for mistake in [
        "2 mistakes in tasks.toml; nothing was started",
        "tasks.toml:5:3: timeuot is unknown; did you mean \"timeout\"?",
        "tasks.toml:6:2: optoins is unknown; did you mean \"options\"?",
    ] {
        assert!(complaint.contains(mistake), "{mistake} is missing:\n{complaint}");
    }
    assert!(!folder.path("ran").exists());
}

/// The first line of every stream.
const INIT: &str =
    r#"{"type":"system","subtype":"init","session_id":"c0ffee00-0000-4000-8000-000000000001"}"#;

/// A result line with these further members.
fn result_line(members: &str) -> String {
    format!(
        r#"{{"usage":{{"input_tokens":20,"cache_read_input_tokens":7,"output_tokens":3}},"is_error":false,"num_turns":2,"subtype":"success",{members},"type":"result"}}"#
    )
}

impl Folder {
    /// An agent that prints the file that the first word of its prompt names, and runs the rest of the prompt as a
    /// line of shell.
    fn with_player(tasks: &str, streams: &[(&str, String)]) -> Self {
        let folder = Self::with("tasks.jsonl", tasks);
        let player = "#!/bin/sh\nread -r stream line\n[ ! -e \"$stream\" ] || cat \"$stream\"\neval \"$line\"\n";
        fs::write(folder.path("player"), player).unwrap();
        fs::set_permissions(folder.path("player"), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, stream) in streams {
            fs::write(folder.path(name), stream).unwrap();
        }
        folder
    }

    /// Runs the tasks with that agent, and all reports.
    fn play(&self, arguments: &str, code: i32) -> Output {
        let all = "--results results --report report.md --junit junit.xml --joblog log";
        self.run(&format!("tasks.jsonl --agent {} {all} {arguments}", self.player()), code)
    }

    fn player(&self) -> String {
        self.path("player").display().to_string()
    }
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
    // A prompt that was ended can be gone on with, and its stream is not its last words.
    let ended = &results[2];
    assert_eq!(ended["claude_session_id"], "c0ffee00-0000-4000-8000-000000000001");
    assert_eq!(ended["attempts"][0]["stdout_tail"], "a word of its wrapper");
    let markdown = folder.read("report.md");
    assert!(markdown.contains("the settings cannot be read; line 7."), "{markdown}");
    assert!(markdown.contains("claude --resume c0ffee00"), "{markdown}");
    assert!(!markdown.contains("{\"type\""), "{markdown}");
}

/// A success that nobody should take for one without a look, and one after it that needs it.
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
        let mut command = Command::new(binaries::ccx());
        command
            .args(["run", "--agent", &folder.player(), "--prompt", "stream true"])
            .args(json)
            .current_dir(folder.path(""))
            .stdin(Stdio::null())
            .env("CC_EXECUTOR_CGROUP", "off")
            .env_remove("CC_EXECUTOR_URL");
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
