//! What `ccx batch` reports, what it refuses, and how its options reach the server.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use cc_tests::{
    batches::{attempts, get, with},
    binaries,
    fifo::Fifo,
};
use serde_json::{Value, json};

use super::{
    desk::{Desk, json_lines},
    output::{shown, stderr, stdout},
};

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
    let mut command = binaries::private_ccx_command();
    command
        .args(["batch", "tasks.txt", "--agent", "stand-in"])
        .current_dir(desk.supervisor.scratch());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(shown(&output).contains("limit"), "{}", shown(&output));
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
