//! Task files as people and their agents write them: what is run, what is said not to be, and what is refused before
//! anything starts.

use std::{fs, path::PathBuf, process::Output};

use cc_tests::binaries;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Notes its prompt and its arguments, ticks the box that begins with its prompt's first word, and answers. A prompt that
/// begins with "two" fails until there is a file `mended`.
const AGENT: &str = r#"#!/bin/sh
prompt=$(cat)
printf '<%s>\n' "$prompt" >> prompts
printf '%s\n' "$@" > arguments
word=${prompt%%[!a-z]*}
if [ "$word" = two ] && [ ! -e mended ]; then exit 1; fi
[ ! -e plan.md ] || sed -i "s/^- \[ \] $word/- [x] $word/" plan.md
printf '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"answer to %s"}\n' "$word"
"#;

/// A folder in which `ccx` is started, with an agent of its own.
struct Folder {
    folder: TempDir,
}

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        folder.write(name, text);
        binaries::install_script(&folder.path("agent"), AGENT);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs `ccx batch` to an exit code; returns what it said on standard error.
    fn run(&self, arguments: &str, code: i32) -> String {
        let mut command = binaries::private_ccx_command();
        command
            .arg("batch")
            .args(arguments.split_whitespace())
            .args(["--agent", self.path("agent").to_str().unwrap(), "--retries", "0"])
            .current_dir(self.folder.path());
        let output: Output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
        stderr
    }

    fn results(&self) -> Vec<Value> {
        self.read("results").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in:\n{said}");
    }
}

#[test]
fn agents_that_tick_their_boxes_leave_a_batch_that_can_be_gone_on_with() {
    let plan = "- [x] zero\n- [ ] one\n- [ ] two, after {{prev.result}}\n- [ ] three\n";
    let folder = Folder::with("plan.md", plan);
    folder.run("plan.md --joblog log --results results", 1);
    assert_eq!(
        folder.read("plan.md"),
        plan.replace("[ ] one", "[x] one").replace("[ ] three", "[x] three")
    );
    folder.write("mended", "");
    // What two uses is the answer of a task that the file does not have to be run any more.
    let said = folder.run("plan.md --resume log --results results", 0);
    assert_says(&said, &["2 tasks succeeded before; 1 to run"]);
    assert_eq!(
        folder.read("prompts"),
        "<one>\n<two, after answer to one>\n<three>\n<two, after answer to one>\n"
    );
    // Nothing is left, and that is no mistake.
    folder.run("plan.md --resume log", 0);
    assert_eq!(folder.read("prompts").lines().count(), 4);
}

#[test]
fn what_was_reworded_when_it_was_ticked_holds_up_no_resume_and_another_file_does() {
    let folder = Folder::with("plan.md", "- [ ] one\n- [ ] two\n");
    folder.run("plan.md --joblog log", 1);
    folder.write("mended", "");
    folder.write("plan.md", "- [x] one (see commit 5f3c)\n- [ ] two\n- [ ] three\n");
    folder.run("plan.md --resume log", 0);
    assert_eq!(folder.read("prompts"), "<one>\n<two>\n<two>\n<three>\n");
    let log = folder.read("log");
    folder.write("other.md", "- [x] done\n- [ ] eight\n");
    let said = folder.run("other.md --resume log", 2);
    assert_says(&said, &["log: line 3: task 2 is not in the task file", "two"]);
    assert_eq!(folder.read("log"), log);
}

#[test]
fn what_is_passed_over_is_said_with_its_lines_by_a_dry_run_and_at_the_start() {
    let plan = "- [Parts](#parts)\n\n## Parts\n\n- [x] zero\n- [-] minus\n- [ ] ~~struck~~\n  - [ ] in it\n- [ ] one\n";
    let folder = Folder::with("tasks.md", plan);
    let expected = [
        "ccx: note: tasks.md, line 1: passed over, without a check box: [Parts](#parts)",
        "ccx: note: tasks.md, line 5: passed over, done: zero",
        "ccx: note: tasks.md, line 6: passed over, marked [-], which is neither open nor done: minus",
        "ccx: note: tasks.md, line 7: passed over, struck out: ~~struck~~",
    ];
    assert_says(&folder.run("tasks.md --dry-run", 0), &expected);
    assert_eq!(folder.read("prompts"), "");
    assert_says(&folder.run("tasks.md", 0), &expected);
    assert_eq!(folder.read("prompts"), "<one>\n");
    // Who wants no progress hears only of what may surprise.
    let said = folder.run("tasks.md --quiet", 0);
    assert_says(&said, &[expected[2], expected[3]]);
    assert!(!said.contains("done: zero"), "{said}");
}

#[test]
fn what_a_file_says_is_done_is_not_run_in_any_notation() {
    let queue = json!([{"prompt": "zero", "done": true}, {"prompt": "one", "state": "open"}]);
    for (name, text) in [
        ("tasks.txt", "Tonight:\n- [x] zero\n- [ ] one\n".to_owned()),
        ("tasks.md", "Done:\n- zero\n\nTo do:\n- one\n".to_owned()),
        ("bullets.md", "- [x] zero\n• [ ] one\n- none\n".to_owned()),
        ("steps.md", "## 1. zero ✅\n\n## 2. one\n".to_owned()),
        ("queue.json", queue.to_string()),
    ] {
        let folder = Folder::with(name, &text);
        assert_says(&folder.run(name, 0), &[name, ": passed over, done: "]);
        let prompts = folder.read("prompts").replace("2. ", "");
        assert_eq!(prompts, "<one>\n", "{name}");
    }
}

#[test]
fn each_file_of_a_folder_is_one_prompt() {
    let folder = Folder::with("tasks.md", "");
    fs::create_dir(folder.path("prompts.d")).unwrap();
    folder.write("prompts.d/10.md", "one\n\n- [ ] with\n- [ ] boxes\n");
    folder.write("prompts.d/9.md", "---\nstatus: To Do\n---\nthree\n");
    folder.write("prompts.d/README.md", "not run\n");
    let said = folder.run("prompts.d", 0);
    assert_says(&said, &["prompts.d, README.md: passed over"]);
    assert_eq!(folder.read("prompts"), "<three>\n<one\n\n- [ ] with\n- [ ] boxes>\n");
}

#[test]
fn a_reference_that_fills_in_to_nothing_starts_no_agent() {
    let folder = Folder::with(
        "tasks.jsonl",
        "{\"name\":\"none\",\"command\":\"printf ' \\\\n'\"}\n{\"prompt\":\"{{tasks.none.result}}\"}\n\
         {\"prompt\":\"one {{tasks.none.result}}\"}\n{\"argv\":[\"true\"],\"cwd\":\"{{tasks.none.result}}\"}\n",
    );
    folder.run("tasks.jsonl --results results --report report.md", 2);
    assert_eq!(folder.read("prompts").lines().count(), 1, "the prompt that has other words");
    let results = folder.results();
    for (index, member) in [(1, "prompt"), (3, "cwd")] {
        let result = &results[index];
        assert_eq!((&result["verdict"], &result["retries"]), (&json!("failed"), &json!(0)));
        let error = result["error"].as_str().unwrap();
        let expected = format!(
            "it was not started: its {member} is empty: {{{{tasks.none.result}}}} filled in to nothing"
        );
        assert_eq!(error, expected);
    }
    assert!(folder.read("report.md").contains("its prompt is empty"));
}

#[test]
fn a_folder_that_is_not_there_is_a_mistake_or_a_warning_where_a_task_may_make_it() {
    let folder = Folder::with(
        "tasks.jsonl",
        "{\"prompt\":\"one\",\"cwd\":\"away\"}\n{\"prompt\":\"three\",\"cwd\":\"away\"}\n",
    );
    for arguments in ["tasks.jsonl --dry-run", "tasks.jsonl"] {
        let said = folder.run(arguments, 2);
        assert_says(
            &said,
            &["tasks.jsonl:1:1: the folder ", "/away does not exist (the same in line 2)"],
        );
    }
    assert_eq!(folder.read("prompts"), "");
    folder.write(
        "tasks.jsonl",
        "{\"command\":\"mkdir away\"}\n{\"command\":\"touch here\",\"cwd\":\"away\"}\n",
    );
    let warning = "/away does not exist; a task before it would have to make it";
    assert_says(
        &folder.run("tasks.jsonl --dry-run", 0),
        &["ccx: warning: tasks.jsonl, line 2: ", warning],
    );
    assert_says(&folder.run("tasks.jsonl --quiet", 0), &[warning]);
    assert!(folder.path("away/here").exists());
    let said = folder.run("tasks.jsonl --dry-run", 0);
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn tasks_that_may_run_side_by_side_in_one_folder_get_a_warning() {
    let folder = Folder::with("tasks.txt", "one\nthree\n");
    let warning = "ccx: warning: tasks.txt, lines 1-2: tasks may run side by side in one folder (";
    for arguments in
        ["tasks.txt --jobs 2 --claude-jobs 2 --dry-run", "tasks.txt --jobs 2 --claude-jobs 2 -q"]
    {
        assert_says(&folder.run(arguments, 0), &[warning, "worktree"]);
    }
    for arguments in ["tasks.txt --dry-run", "tasks.txt --jobs 2 --dry-run"] {
        let said = folder.run(arguments, 0);
        assert!(!said.contains("warning"), "{said}");
    }
}

#[test]
fn what_an_agent_cannot_be_given_is_refused_and_what_looks_like_an_option_arrives() {
    let too_long = "x".repeat(131_072);
    let line = json!({"prompt": "one", "append_system_prompt": too_long});
    let folder = Folder::with("tasks.jsonl", &format!("{line}\n"));
    let said = folder.run("tasks.jsonl", 2);
    assert_says(
        &said,
        &["append_system_prompt has 131072 bytes", "at most 131071", "--append-system-prompt-file"],
    );
    assert!(said.len() < 1_000, "the text itself is not shown");
    for id in ["-x", "--dangerously-skip-permissions", " "] {
        let line = json!({"prompt": "one", "resume_claude_session": id});
        folder.write("tasks.jsonl", &line.to_string());
        assert_says(&folder.run("tasks.jsonl", 2), &["resume_claude_session must not"]);
    }
    for blank in [" ", "\n\t", "\u{a0}", "\u{200b}\u{feff}"] {
        folder.write("tasks.jsonl", &json!({ "prompt": blank }).to_string());
        assert_says(&folder.run("tasks.jsonl", 2), &["prompt must not be empty"]);
    }
    assert_eq!(folder.read("prompts"), "");
    let line = json!({"prompt": "one", "append_system_prompt": "--- rules", "model": "-m",
        "allowed_tools": ["-t", "Edit"], "resume_claude_session": "5f3c"});
    folder.write("tasks.jsonl", &line.to_string());
    folder.run("tasks.jsonl", 0);
    let arguments = folder.read("arguments");
    let arguments: Vec<&str> = arguments.lines().collect();
    for pair in [
        ["--append-system-prompt", "--- rules"],
        ["--model", "-m"],
        ["--allowedTools=-t", "--allowedTools"],
        ["--allowedTools", "Edit"],
    ] {
        assert!(arguments.windows(2).any(|window| window == pair), "{pair:?} in {arguments:?}");
    }
    assert!(arguments.contains(&"--resume=5f3c"), "{arguments:?}");
}

#[test]
fn a_queue_of_another_program_is_run_in_its_order_and_what_it_has_done_is_not() {
    let queue = json!({"branch": "b", "tasks": [
        {"id": "c", "title": "three", "blocked_by": ["b"], "passes": false},
        {"id": "a", "title": "zero", "status": "done"},
        {"id": "b", "prompt": "one", "dependencies": ["a"], "status": "pending", "authority": "auto"},
    ]});
    let folder = Folder::with("queue.json", &queue.to_string());
    let said = folder.run("queue.json", 0);
    assert_says(&said, &["branch is not used", "authority is not used", "passed over, done: zero"]);
    assert_eq!(folder.read("prompts"), "<one>\n<three>\n");
}
