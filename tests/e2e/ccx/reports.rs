//! Batches that can be left alone: task files, reports and resuming, as a script in the night meets them.

use std::{fs, path::Path};

use cc_tests::{fifo::Fifo, processes, unique_tag, wait_until};
use serde_json::Value;

use super::{folder::Folder, output::text};

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
    // Refused credentials end the batch at once, and that is the first line of the report.
    assert!(markdown.lines().next().unwrap().starts_with("**Stopped: "), "{markdown}");
    let table = text(&output.stdout);
    // The cost of those that were ended before their result is unknown.
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
    // As often as one likes.
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
    // The server does not wait for the client that writes the reports.
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
