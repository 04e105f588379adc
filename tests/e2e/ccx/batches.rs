//! `ccx batch` with a supervisor that lives longer than it: submit, leave, come back, look, end, go on.

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use cc_tests::{
    Cut, Options, Proxy, Supervisor, Terminal,
    batches::{Notes, Over, attempts, get, with},
    binaries,
    fifo::Fifo,
    processes::Process,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A supervisor, what its tasks note, and a folder for files.
struct Desk {
    supervisor: Supervisor,
    notes: Notes,
}

impl Desk {
    fn new() -> Self {
        let options = options().flag("--resume-grace", 0);
        let supervisor = Supervisor::start(&options);
        let notes = Notes::new(&supervisor);
        Self { supervisor, notes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.supervisor.scratch().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write_tasks(&self, tasks: impl IntoIterator<Item = Value>) {
        let lines: String = tasks.into_iter().map(|task| format!("{task}\n")).collect();
        fs::write(self.path("tasks.jsonl"), lines).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_at(&self.supervisor.url(), arguments)
    }

    fn command_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = binaries::ccx_command(url);
        command.args(arguments).current_dir(self.supervisor.scratch());
        command
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `ccx` to this exit code.
    fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output));
        output
    }

    /// Submits `tasks.jsonl` and leaves it; returns the id.
    fn detach(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["batch", "tasks.jsonl", "--detach"], arguments].concat(), 0);
        let text = stdout(&output);
        let id = text.strip_suffix('\n').unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok(), "only the id: {text:?}");
        id.to_owned()
    }

    fn over(&self, batch_id: &str) -> Over {
        Over::of(&mut self.supervisor.connect(), batch_id)
    }

    /// The id of the only batch.
    fn only_batch(&self) -> String {
        let list = self.supervisor.connect().call("batch.list", &json!({"state": "all"})).unwrap();
        let batches = list["batches"].as_array().unwrap();
        assert_eq!(batches.len(), 1, "{list}");
        batches[0]["batch_id"].as_str().unwrap().to_owned()
    }

    /// A task that waits for the gate, between two others.
    fn gated(&self, gate: &Fifo) -> [Value; 3] {
        [
            self.notes.prompt("first", ["say: 1"]),
            self.notes.shell("gated", &format!("read go < {}", gate.path())),
            self.notes.prompt("last", ["say: 3"]),
        ]
    }
}

fn options() -> Options {
    Options::new().fixture_agent().flag("--grace", 1)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(output: &Output) -> String {
    format!("stdout: {}\nstderr: {}", stdout(output), stderr(output))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_batch_that_is_left_runs_on_and_can_be_watched_to_its_end_by_several() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let id = desk.detach(&["--name", "night"]);
    desk.notes.ledger.wait_for_starts(2);
    let listed = stdout(&desk.run(&["batches"], 0));
    assert!(listed.contains(&id) && listed.contains("night"), "{listed}");
    let watchers: Vec<Child> = (0..2).map(|_| desk.spawn(&["batch", "attach", &id])).collect();
    gate.release();
    for watcher in watchers {
        let output = watcher.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    }
    desk.over(&id).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
    // What is over is listed only with all, and can still be attached to.
    let listed = stdout(&desk.run(&["batches"], 0));
    assert!(!listed.contains(&id), "{listed}");
    let listed = json_lines(&stdout(&desk.run(&["batches", "--all", "--json"], 0)));
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["batch_id"], &listed[0]["outcome"]), (&json!(id), &json!("succeeded")));
    desk.run(&["batch", "attach", &id], 0);
}

#[test]
fn the_exit_code_is_the_number_of_tasks_that_did_not_succeed_also_for_whoever_attaches() {
    let desk = Desk::new();
    let failing = |number: usize| json!({"argv": ["sh", "-c", format!("exit {}", 1 + number % 3)]});
    let tasks = [json!({"argv": ["true"]})].into_iter().chain((0..3).map(failing));
    desk.write_tasks(tasks);
    desk.run(&["batch", "tasks.jsonl"], 3);
    let id = desk.only_batch();
    desk.run(&["batch", "attach", &id], 3);
    desk.write_tasks((0..103).map(failing));
    desk.run(&["batch", "tasks.jsonl"], 101);
}

#[test]
fn cancel_ends_a_batch_with_everything_that_it_started() {
    let desk = Desk::new();
    let gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let id = desk.detach(&[]);
    desk.notes.ledger.wait_for_starts(2);
    let watcher = desk.spawn(&["batch", "attach", &id]);
    desk.run(&["batch", "cancel", &id], 0);
    let over = desk.over(&id);
    assert_eq!(over.verdicts(), ["succeeded", "canceled", "skipped"]);
    let output = watcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    // It is over, and so it cannot be ended.
    let output = desk.command(&["batch", "cancel", &id]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
}

#[test]
fn ctrl_c_without_a_terminal_cancels_and_waits_until_nothing_is_left() {
    let desk = Desk::new();
    let gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let child = desk.spawn(&["batch", "tasks.jsonl"]);
    desk.notes.ledger.wait_for_starts(2);
    Process::open(child.id().cast_signed()).unwrap().signal(Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let batch = get(&mut desk.supervisor.connect(), &desk.only_batch());
    assert_eq!((&batch["state"], &batch["outcome"]), (&json!("over"), &json!("canceled")));
    assert_eq!(desk.notes.ledger.starts(), ["first", "gated"]);
}

#[test]
fn a_killed_client_costs_nothing_and_its_batch_can_be_attached_to() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let mut child = desk.spawn(&["batch", "tasks.jsonl", "--joblog", "night.joblog"]);
    desk.notes.ledger.wait_for_starts(2);
    child.kill().unwrap();
    child.wait().unwrap();
    let id = desk.only_batch();
    gate.release();
    desk.run(&["batch", "attach", &id], 0);
    desk.over(&id).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
}

#[test]
fn a_batch_is_shown_to_its_end_although_connections_are_cut() {
    let desk = Desk::new();
    let proxy = Proxy::start(desk.supervisor.address());
    let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    desk.write_tasks(names.iter().map(|name| desk.notes.shell(name, "sleep 0.05")));
    for _ in 0..8 {
        proxy.plan(8_000, Cut::Reset);
    }
    let output =
        desk.command_at(&proxy.url(), &["batch", "tasks.jsonl", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(proxy.accepted() > 1, "{} connections", proxy.accepted());
    desk.over(&desk.only_batch()).assert_all_succeeded_at_once();
    desk.notes.ledger.assert_sequence(names);
}

#[test]
fn a_batch_is_shown_to_its_end_although_its_supervisor_is_killed() {
    let options = options();
    let mut desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let child = desk.spawn(&["batch", "tasks.jsonl"]);
    desk.notes.ledger.wait_for_starts(2);
    desk.supervisor.kill();
    desk.supervisor.start_again(&options);
    gate.release();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    desk.notes.ledger.assert_sequence(["first", "gated", "last"]);
}

#[test]
fn the_reports_hold_what_the_server_has_on_record() {
    let desk = Desk::new();
    desk.write_tasks([
        json!({"name": "sum", "label": "the sum", "prompt": "say: 4"}),
        desk.notes.prompt("tried", ["status 529: ", "say: at last"]),
        json!({"name": "reader", "prompt": "say: {{tasks.sum.result}}!"}),
        desk.notes.shell("bad", "echo no >&2; exit 3"),
        with(desk.notes.shell("skipped", "true"), json!({"needs": ["bad"]})),
    ]);
    let reports = [
        "batch",
        "tasks.jsonl",
        "--joblog",
        "n.joblog",
        "--results",
        "n.jsonl",
        "--junit",
        "n.xml",
        "--report",
        "n.md",
    ];
    desk.run(&reports, 1);
    let over = desk.over(&desk.only_batch());
    let joblog = desk.read("n.joblog");
    let rows: Vec<Vec<&str>> = joblog.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0].len(), 9, "{joblog}");
    let ended: Vec<(&str, bool)> = rows[1..].iter().map(|row| (row[0], row[6] == "0")).collect();
    assert_eq!(ended, [("1", true), ("2", true), ("3", true), ("4", false)], "{joblog}");
    let results = json_lines(&desk.read("n.jsonl"));
    let verdicts: Vec<&Value> = results.iter().map(|result| &result["verdict"]).collect();
    assert_eq!(verdicts[..4], ["succeeded", "succeeded", "succeeded", "failed"]);
    assert_eq!(results[0]["result"], "4");
    assert_eq!(results[0]["task_id"], over.row("sum")["attempts"][0]["task_id"]);
    assert_eq!(results[2]["result"], "4!");
    assert_eq!(results[3]["exit_code"], 3);
    assert_eq!(attempts(over.row("tried")).len(), 2);
    assert_eq!(results[1]["attempts"].as_array().unwrap().len(), 2, "{}", results[1]);
    let junit = desk.read("n.xml");
    assert!(junit.contains("tests=\"5\"") && junit.contains("failures=\"1\""), "{junit}");
    let markdown = desk.read("n.md");
    for word in ["the sum", "bad", "skipped"] {
        assert!(markdown.contains(word), "{word}: {markdown}");
    }
}

#[test]
fn the_first_line_of_a_report_says_why_a_batch_was_stopped() {
    let desk = Desk::new();
    desk.write_tasks([
        desk.notes.prompt("locked-out", ["retry without end: "]),
        desk.notes.prompt("never", ["say: 4"]),
    ]);
    let output = desk.run(&["batch", "tasks.jsonl", "--report", "n.md"], 1);
    let batch = get(&mut desk.supervisor.connect(), &desk.only_batch());
    let reason = batch["reason"].as_str().unwrap();
    let report = desk.read("n.md");
    assert!(report.lines().next().unwrap().contains(reason), "{report}");
    assert!(shown(&output).contains(reason), "{}", shown(&output));
}

#[test]
fn what_has_not_succeeded_is_run_again_by_id_and_by_joblog() {
    let desk = Desk::new();
    desk.write_tasks([
        desk.notes.prompt("good", ["say: 4"]),
        desk.notes.prompt("bad", ["error: no", "error: no", "say: at last"]),
        with(desk.notes.shell("needy", "true"), json!({"needs": ["bad"]})),
    ]);
    desk.run(&["batch", "tasks.jsonl", "--joblog", "n.joblog"], 1);
    let id = desk.only_batch();
    desk.run(&["batch", "--resume-failed", &id], 1);
    assert_eq!(desk.notes.ledger.starts(), ["good", "bad", "bad"]);
    desk.run(&["batch", "--resume", &id], 0);
    assert_eq!(desk.notes.ledger.starts(), ["good", "bad", "bad", "bad", "needy"]);
    desk.run(&["batch", "tasks.jsonl", "--resume", "n.joblog"], 0);
    assert_eq!(desk.notes.ledger.starts_of("good"), 1, "what succeeded does not run again");
    assert_eq!(desk.notes.ledger.starts_of("needy"), 2);
    // Now all of it has succeeded.
    desk.run(&["batch", "tasks.jsonl", "--resume", "n.joblog"], 0);
    assert_eq!(desk.notes.ledger.starts().len(), 7);
}

#[test]
fn the_same_idempotency_key_shows_the_same_batch() {
    let desk = Desk::new();
    desk.write_tasks([desk.notes.prompt("once", ["say: 4"])]);
    for _ in 0..2 {
        desk.run(&["batch", "tasks.jsonl", "--idempotency-key", "monday"], 0);
    }
    assert_eq!(desk.detach(&["--idempotency-key", "monday"]), desk.only_batch());
    desk.notes.ledger.assert_sequence(["once"]);
}

#[test]
fn options_reach_the_server() {
    let desk = Desk::new();
    let many = |count: usize| (0..count).map(|_| json!({"prompt": "say: 4"}));
    desk.write_tasks((0..3).map(|_| json!({"argv": ["false"]})));
    desk.run(&["batch", "tasks.jsonl", "--halt", "now,fail=1"], 1);
    desk.write_tasks(many(4));
    // A quarter of a dollar each. Nothing has failed, but not all ran.
    desk.run(&["batch", "tasks.jsonl", "--max-cost", "0.4"], 1);
    desk.write_tasks([json!({"argv": ["sleep", "100"]})]);
    desk.run(&["batch", "tasks.jsonl", "--max-time", "1"], 1);
    let (mut gate, shell) = (Fifo::create(), "read go <");
    let gated = |name: &str| desk.notes.shell(name, &format!("{shell} {}", gate.path()));
    desk.write_tasks(["a", "b", "c"].map(gated));
    let id = desk.detach(&["--jobs", "3"]);
    desk.notes.ledger.wait_for_starts(3);
    gate.write(b"go\ngo\ngo\n");
    desk.over(&id).assert_all_succeeded_at_once();
    desk.write_tasks([with(desk.notes.prompt("r", ["status 500: ", "say: 4"]), json!({}))]);
    desk.run(&["batch", "tasks.jsonl", "--retries", "0"], 1);
    let told = desk.path("told");
    let hook = |word: &str| format!("echo {word} >> {}", told.display());
    desk.write_tasks(many(1));
    let (before, after, over) = (hook("before"), hook("after"), hook("over"));
    let hooks = [
        "--before-task",
        &before,
        "--after-task",
        &after,
        "--after-batch",
        &over,
        "--timeout",
        "auto",
    ];
    let id = desk.detach(&hooks);
    let row = desk.over(&id).rows[0].clone();
    assert!(row["timeout_why"].as_str().unwrap().contains("default"), "{row}");
    assert_eq!(desk.read("told"), "before\nafter\nover\n");
}

#[test]
fn a_program_gets_an_object_a_task_and_one_for_the_batch() {
    let desk = Desk::new();
    desk.write_tasks([
        json!({"prompt": "say: 4"}),
        json!({"argv": ["false"]}),
        json!({"prompt": "say: 5"}),
    ]);
    let lines = json_lines(&stdout(&desk.run(&["batch", "tasks.jsonl", "--json"], 1)));
    assert_eq!(lines.len(), 4, "{lines:#?}");
    let results: Vec<&Value> = lines[..3].iter().map(|line| &line["result"]).collect();
    assert_eq!((results[0], results[2]), (&json!("4"), &json!("5")));
    assert_eq!(lines[1]["verdict"], "failed");
    assert_eq!(lines[3]["batch_id"], desk.only_batch());
    assert_eq!((&lines[3]["succeeded"], &lines[3]["failed"]), (&json!(2), &json!(1)));
}

#[test]
fn a_file_with_mistakes_is_told_where_they_are_and_nothing_is_submitted() {
    let desk = Desk::new();
    let lines = "{\"name\": \"a\", \"prompt\": \"{{prev.result}}\"}\n\
                 {\"prompt\": \"x\", \"timeuot\": 5}\n\
                 {\"name\": \"c\", \"prompt\": \"x\", \"needs\": [\"nobody\"]}\n";
    fs::write(desk.path("tasks.jsonl"), lines).unwrap();
    for extra in [&[][..], &["--dry-run"], &["--detach"]] {
        let output = desk.run(&[&["batch", "tasks.jsonl"], extra].concat(), 2);
        let told = stderr(&output);
        assert!(told.contains("tasks.jsonl:2:") && told.contains("timeout"), "{told}");
    }
    // Mistakes of single members first hide those between tasks.
    fs::write(desk.path("tasks.jsonl"), lines.replace(", \"timeuot\": 5", "")).unwrap();
    let told = stderr(&desk.run(&["batch", "tasks.jsonl", "--dry-run"], 2));
    for (line, word) in [(1, "prev"), (3, "nobody")] {
        let place = format!("tasks.jsonl:{line}:");
        let found = told.lines().any(|told| told.contains(&place) && told.contains(word));
        assert!(found, "{place} {word}: {told}");
    }
    let list = desk.supervisor.connect().call("batch.list", &json!({"state": "all"})).unwrap();
    assert_eq!(list["batches"], json!([]));
}

#[test]
fn a_limit_is_waited_out_and_the_countdown_says_why() {
    let desk = Desk::new();
    let ends_at_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3;
    let prompts = format!("limit until {ends_at_s}\nWhat is 2 + 2?\n");
    fs::write(desk.path("tasks.txt"), prompts).unwrap();
    // With a supervisor of its own.
    let mut command = Command::new(binaries::ccx());
    command
        .args(["batch", "tasks.txt", "--agent", "stand-in"])
        .current_dir(desk.supervisor.scratch())
        .env("CC_EXECUTOR_CGROUP", "off")
        .env_remove("CC_EXECUTOR_URL")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(shown(&output).contains("limit"), "{}", shown(&output));
}

#[test]
fn on_a_terminal_ctrl_c_asks_and_a_detached_batch_runs_on() {
    let desk = Desk::new();
    let mut gate = Fifo::create();
    desk.write_tasks(desk.gated(&gate));
    let line = format!(
        "'{}' --url {} batch tasks.jsonl",
        binaries::ccx().display(),
        desk.supervisor.url()
    );
    let mut terminal = Terminal::start(&line, desk.supervisor.scratch());
    desk.notes.ledger.wait_for_starts(2);
    terminal.press("\x03");
    terminal.wait_for("[d]etach");
    terminal.press("d\n");
    terminal.wait();
    let id = desk.only_batch();
    assert_eq!(get(&mut desk.supervisor.connect(), &id)["state"], "running");
    gate.release();
    desk.over(&id).assert_all_succeeded_at_once();
}

#[test]
fn results_are_whole_in_the_reports_however_long_a_row_may_be() {
    let desk = Desk::new();
    let long = |name: &str, letter: &str, bytes: usize| {
        desk.notes.shell(name, &format!("head -c {bytes} /dev/zero | tr '\\0' {letter}"))
    };
    desk.write_tasks([
        long("long", "a", 200 * 1024),
        desk.notes.prompt("short", ["say: 4"]),
        long("longer", "b", 300 * 1024),
    ]);
    let arguments = ["--results", "live.jsonl", "--json", "--joblog", "jobs"];
    let output = desk.run(&[&["batch", "tasks.jsonl"], &arguments[..]].concat(), 0);
    let batch_id = desk.only_batch();
    let jobs = desk.read("jobs");
    let received = |line: &str| line.split('\t').nth(5).unwrap().parse::<usize>().unwrap();
    let received: Vec<usize> = jobs.lines().skip(1).map(received).collect();
    assert_eq!((received[0], received[2]), (200 * 1024, 300 * 1024), "{jobs}");
    desk.run(&["batch", "attach", &batch_id, "--results", "later.jsonl"], 0);
    for text in [desk.read("live.jsonl"), desk.read("later.jsonl"), stdout(&output)] {
        let lines = json_lines(&text);
        let result = |index: usize| {
            assert_eq!(lines[index]["number"], index + 1, "in the order of their ends, once each");
            let text = lines[index]["result"].as_str().unwrap();
            (text.len(), text.chars().next(), lines[index]["result_truncated"] == true)
        };
        assert_eq!(result(0), (200 * 1024, Some('a'), false));
        assert_eq!(result(1), (1, Some('4'), false));
        assert_eq!(result(2), (256 * 1024, Some('b'), true));
        assert!(lines.iter().skip(3).all(|line| line["type"] != "task"), "once each");
    }
}
