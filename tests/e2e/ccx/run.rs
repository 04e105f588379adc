//! The command line, as people and scripts meet it: exit codes, streams, Ctrl-C, task files.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Output, Stdio},
};

use cc_tests::{
    Options, PATIENCE, Supervisor,
    binaries::{self, misbehave},
    fifo::Fifo,
    processes::{self, Process},
    unique_tag,
};
use rustix::process::Signal;

use super::output::{stderr, stdout};

/// `ccx` with a private supervisor, whose environment holds nothing that changes a test.
fn ccx(arguments: &[&str]) -> Command {
    let mut command = binaries::private_ccx_command();
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    ccx(arguments).output().unwrap()
}

#[test]
fn run_exits_with_the_tasks_own_code() {
    for code in [0, 1, 3, 77, 255] {
        let output = run(&["run", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

#[test]
fn run_exits_with_128_and_the_signal_that_ended_the_task() {
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let output = run(&["run", "--", "sh", "-c", &format!("ulimit -c 0; kill -{signal} $$")]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

#[test]
fn run_exits_with_124_for_either_timeout() {
    for option in ["--timeout", "--idle-timeout"] {
        let output = run(&["run", option, "0.5", "--", "sleep", "100"]);
        assert_eq!(output.status.code(), Some(124), "{option}: {}", stderr(&output));
        assert!(stderr(&output).contains("timeout"), "{}", stderr(&output));
    }
}

#[test]
fn run_shows_a_cut_line_and_the_next_one_as_two_lines() {
    let mut command = ccx(&["run", "--", "printf", "aaaaaaaaaaaaaaaa\\nb\\n"]);
    let output = command.env("MAX_BUFFER_SIZE", "10").output().unwrap();
    assert_eq!(stdout(&output), "aaaaaaaaaa[TRUNCATED]\nb\n", "{}", stderr(&output));
}

#[test]
fn run_exits_with_127_for_a_missing_program_and_126_for_an_unusable_one() {
    let output = run(&["run", "--", "no-such-program-anywhere"]);
    assert_eq!(output.status.code(), Some(127), "{}", stderr(&output));
    assert!(stderr(&output).contains("no-such-program-anywhere"));
    let output = run(&["run", "--", "/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
}

#[test]
fn run_exits_with_125_when_there_is_nobody_to_talk_to() {
    let output = run(&["--url", "ws://127.0.0.1:1/ws/mcp", "run", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("127.0.0.1:1"), "{}", stderr(&output));
}

#[test]
fn run_keeps_stdout_and_stderr_apart_byte_for_byte() {
    let output =
        run(&["run", "--", "sh", "-c", r"printf 'out\r\n\tno newline'; printf 'err\n' >&2"]);
    assert_eq!(stdout(&output), "out\r\n\tno newline");
    assert_eq!(stderr(&output), "err\n");
}

#[test]
fn run_delivers_megabytes_and_the_last_line() {
    let output = run(&["run", "--", &misbehave(), "flood", "5000000"]);
    assert_eq!(output.stdout.len(), 5_000_014);
    assert!(output.stdout.ends_with(b"the last line\n"));
}

#[test]
fn run_prints_as_the_task_prints_and_not_at_the_end() {
    let mut fifo = Fifo::create();
    let mut child = ccx(&["run", "--", "sh", "-c"])
        .arg(format!("echo first; read go < {}; echo second", fifo.path()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    fifo.release();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    assert!(child.wait().unwrap().success());
}

#[test]
fn run_gives_the_task_cwd_and_environment() {
    let output = run(&[
        "run",
        "--cwd",
        "/usr",
        "--env",
        "MINE=a b",
        "--",
        "sh",
        "-c",
        "pwd; echo \"$MINE\"",
    ]);
    assert_eq!(stdout(&output), "/usr\na b\n");
}

#[test]
fn run_with_json_prints_every_notification_as_a_line() {
    let output = run(&["run", "--json", "--", "echo", "hello"]);
    let text = stdout(&output);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["method"], "process.started");
    assert_eq!(lines.last().unwrap()["method"], "process.completed");
}

/// A `ccx run` whose task has children in sessions of their own, all in place.
fn start_family(tag: &str) -> (Child, Process) {
    let arguments = ["run", "--", &misbehave(), "setsid-sleepers", "3", "stay", tag];
    let mut child = ccx(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "the sleepers sleep\n");
    let process = Process::open(child.id().cast_signed()).unwrap();
    (child, process)
}

/// Everything with the tag is gone, and so are the supervisor and the worker of this `ccx`.
fn assert_nothing_left(tag: &str, family: &[Process]) {
    processes::assert_gone(tag);
    for process in family {
        assert!(process.wait_gone(PATIENCE), "{}", processes::describe(&[process.pid]));
    }
}

/// The private supervisor, its keeper and its workers.
fn servants(ccx: u32) -> Vec<Process> {
    let supervisors = processes::children(ccx.cast_signed());
    let keepers: Vec<i32> = supervisors.iter().flat_map(|pid| processes::children(*pid)).collect();
    let workers: Vec<i32> = keepers.iter().flat_map(|pid| processes::children(*pid)).collect();
    [supervisors, keepers, workers].concat().into_iter().filter_map(Process::open).collect()
}

#[test]
fn ctrl_c_cancels_the_task_and_returns_when_its_tree_is_gone() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let tag = unique_tag("ctrl-c");
        let (mut child, process) = start_family(&tag);
        let servants = servants(child.id());
        assert!(servants.len() >= 3, "supervisor, keeper and worker");
        process.signal(signal);
        let status = child.wait().unwrap();
        assert_nothing_left(&tag, &servants);
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_a_deaf_task() {
    let tag = unique_tag("deaf");
    let arguments = ["run", "--", &misbehave(), "ignore-term", &tag];
    let mut child = ccx(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let servants = servants(child.id());
    let process = Process::open(child.id().cast_signed()).unwrap();
    process.signal(Signal::INT);
    process.signal(Signal::INT);
    let status = child.wait().unwrap();
    assert!(!status.success());
    assert_nothing_left(&tag, &servants);
}

#[test]
fn a_ccx_that_is_killed_takes_its_private_supervisor_and_the_task_with_it() {
    let tag = unique_tag("killed");
    let (mut child, process) = start_family(&tag);
    let servants = servants(child.id());
    process.signal(Signal::KILL);
    child.wait().unwrap();
    processes::wait_until_gone(&tag);
    assert_nothing_left(&tag, &servants);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_task_quietly() {
    let tag = unique_tag("head");
    let mut child = ccx(&["run", "--", "yes", &tag])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(processes::survivors(&tag).is_empty());
    assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
}

#[test]
fn a_prompt_prints_the_answer_and_nothing_else() {
    let output = run(&["run", "--agent", "stand-in", "--prompt", "What is 2+2?"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).trim().is_empty());
    assert!(!stdout(&output).contains("{\"type\""), "{}", stdout(&output));
}

#[test]
fn a_prompt_without_a_result_is_no_success_and_says_why() {
    let output = run(&["run", "--agent", "stand-in", "--prompt", "no result"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("no_result"), "{}", stderr(&output));
}

#[test]
fn a_prompt_may_come_from_stdin() {
    let agent = format!("{} agent", misbehave());
    let mut child = ccx(&["run", "--agent", &agent, "--prompt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"say: from stdin").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "from stdin\n");
}

/// Runs a batch of this text.
fn batch(name: &str, text: &str, options: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    run(&[&["batch", path.to_str().unwrap()], options].concat())
}

#[test]
fn a_batch_ends_with_a_table_a_summary_and_the_number_of_failures() {
    let text = r#"{"argv": ["true"], "label": "a good one"}
{"command": "exit 3", "label": "a bad one"}
{"argv": ["sleep", "100"], "timeout": 0.5, "label": "a slow one"}
"#;
    let output = batch("tasks.jsonl", text, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let table = stdout(&output);
    for word in ["a good one", "a bad one", "a slow one", "succeeded", "failed", "timed_out"] {
        assert!(table.contains(word), "{word} is missing:\n{table}");
    }
    assert!(table.contains("left behind: 0"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "wider than 80:\n{table}");
}

#[test]
fn a_batch_of_prompts_runs_in_order_on_the_stand_in() {
    let output = batch("tasks.txt", "# a comment\nfirst\n\nsecond\n", &["--agent", "stand-in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.find("first").unwrap() < table.find("second").unwrap(), "{table}");
    assert!(!table.contains("a comment"));
}

#[test]
fn a_batch_may_be_a_markdown_list() {
    let text = "# Group\n\n- [ ] open\n- [x] already done\n- another\n  with more\n\n1. [ ] numbered\n\n\
                * without a box\n";
    let output = batch("tasks.md", text, &["--agent", "stand-in"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = stdout(&output);
    for word in ["open", "numbered"] {
        assert!(table.contains(word), "{table}");
    }
    for word in ["already done", "another", "without a box"] {
        assert!(!table.contains(word), "{table}");
    }
    // What is passed over is said, with its lines.
    for said in ["line 4: passed over, done: already done", "lines 5, 10: passed over"] {
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
}

#[test]
fn all_mistakes_of_a_task_file_are_named_with_their_lines_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let proof = directory.path().join("ran");
    let text = format!(
        "{{\"argv\": [\"touch\", {proof:?}]}}\n{{\"argv\": [\"true\"], \"timeuot\": 5}}\n\nnonsense\n{{\"timeout\": 5}}\n"
    );
    let output = batch("tasks.jsonl", &text, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let text = stderr(&output);
    for mistake in ["tasks.jsonl:2", "timeuot", "tasks.jsonl:4", "tasks.jsonl:5"] {
        assert!(text.contains(mistake), "{mistake} is missing:\n{text}");
    }
    assert!(!proof.exists(), "a task ran although the file has mistakes");
}

#[test]
fn a_missing_agent_is_one_clear_line_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tasks.txt");
    fs::write(&path, "hello\n").unwrap();
    let output =
        ccx(&["batch", path.to_str().unwrap(), "--agent", "no-such-agent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    let text = stderr(&output);
    assert!(text.contains("no-such-agent") && text.contains("stand-in"), "{text}");
}

#[test]
fn a_batch_with_fail_fast_stops_at_the_first_failure() {
    let directory = tempfile::tempdir().unwrap();
    let proof = directory.path().join("ran");
    let text = format!("{{\"argv\": [\"false\"]}}\n{{\"argv\": [\"touch\", {proof:?}]}}\n");
    let output = batch("tasks.jsonl", &text, &["--fail-fast"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(!proof.exists());
}

#[test]
fn the_demo_ends_as_it_should_and_says_that_no_model_is_called() {
    let output = run(&["demo", "--tasks", "12"]);
    let text = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.to_lowercase().contains("no model is called"), "{text}");
    assert!(text.contains("left behind: 0"), "{text}");
}

#[test]
fn a_running_supervisor_is_used_where_its_url_is_given() {
    let supervisor = Supervisor::start(&Options::new().env("FROM_THE_RUNNING_ONE", "yes"));
    let url = supervisor.url();
    let output =
        run(&["--url", &url, "run", "--", "sh", "-c", "echo $FROM_THE_RUNNING_ONE; exit 5"]);
    assert_eq!(stdout(&output), "yes\n");
    assert_eq!(output.status.code(), Some(5));
    let output = run(&["--url", &url, "run", "--agent", "stand-in", "--prompt", "x"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("--agent"), "{}", stderr(&output));
}

#[test]
fn version_and_help_are_there() {
    assert!(stdout(&run(&["--version"])).starts_with("ccx "));
    for command in ["run", "batch", "demo"] {
        let output = run(&[command, "--help"]);
        assert!(output.status.success() && stdout(&output).contains("Usage:"));
    }
}
