//! The reports of a batch with a row of every kind, as people and programs read them.

use std::{fs, path::Path};

use cc_protocol::{
    Verdict,
    execute::{Execute, Program, Prompt},
    notification::{Position, TaskResult},
};
use serde_json::{Value, json};

use super::*;
use crate::{report, sequence::Fate};

/// Four tasks that ended, in every way, and one that did not run.
fn batch() -> Vec<(Task, Row)> {
    let mut rows = report::tests::rows();
    if let Fate::Ended(ended) = &mut rows[0].fate {
        ended.result = Some(TaskResult {
            is_error: false,
            result: Some("It is 4.".to_owned()),
            result_truncated: false,
            api_error_status: None,
            claude_session_id: Some("c-1".to_owned()),
            num_turns: Some(2),
            total_cost_usd: Some(0.0123),
            usage: Some(
                json!({"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": 12_000}),
            ),
            model: Some("sonnet".to_owned()),
            terminal_reason: None,
            subtype: None,
            position: Position { task_id: "t".to_owned(), seq: 8 },
        });
    }
    if let Fate::Ended(ended) = &mut rows[2].fate {
        ended.completed.verdict = Verdict::TimedOut;
        ended.completed.reason = cc_protocol::EndReason::Timeout;
        ended.completed.error = Some("no end after 125 s | and <more>".to_owned());
    }
    if let Some(attempt) = &mut rows[2].attempt {
        attempt.retries = 3;
    }
    rows.into_iter().map(|row| (task(&row), row)).collect()
}

fn task(row: &Row) -> Task {
    let prompt = Prompt { prompt: row.title.clone() + "\n\tin two lines\\", ..Prompt::default() };
    let program = match row.number {
        1 => Program::Prompt(Box::new(prompt)),
        2 => Program::Command { command: "yes | head".to_owned() },
        _ => Program::Argv { argv: vec!["x".to_owned(), "a b".to_owned()] },
    };
    Task {
        title: row.title.clone(),
        ..Task::new(row.number, Execute { program, ..Execute::default() })
    }
}

fn wanted(folder: &Path) -> Wanted {
    let path = |name: &str| Some(folder.join(name));
    Wanted {
        joblog: path("joblog"),
        results: path("results"),
        junit: path("junit"),
        markdown: path("markdown"),
        resume: None,
    }
}

fn end() -> AccountEnd {
    AccountEnd {
        elapsed: Duration::from_millis(130_000),
        stopped: Some("a task did not succeed (--fail-fast)".to_owned()),
        left_behind: Some(0),
    }
}

/// Opens the reports and records all that ended.
fn write(folder: &Path) -> Reports {
    let batch = batch();
    let tasks: Vec<Task> = batch.iter().map(|(task, _)| task.clone()).collect();
    let mut reports = Reports::open(&wanted(folder), "tasks.toml", &tasks, &[], None).unwrap();
    // The tests' own clock would be in the reports.
    reports.account.begun_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for (task, row) in batch.iter().filter(|(_, row)| !matches!(row.fate, Fate::NotRun)) {
        reports.record(Entry::new(task, row), row);
    }
    reports
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_joblog_has_the_columns_of_gnu_parallel() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    insta::assert_snapshot!(read(folder.path(), "joblog").replace('\t', " ⇥ "), @r#"
        Seq ⇥ Host ⇥ Starttime ⇥ JobRuntime ⇥ Send ⇥ Receive ⇥ Exitval ⇥ Signal ⇥ Command
        1 ⇥ : ⇥ 1800000001.000 ⇥      1.234 ⇥ 0 ⇥ 1500 ⇥ 0 ⇥ 0 ⇥ prompt: What is 2+2?\n\tin two lines\\
        2 ⇥ : ⇥ 1800000002.000 ⇥      1.234 ⇥ 0 ⇥ 20000000 ⇥ 0 ⇥ 0 ⇥ yes | head
        3 ⇥ : ⇥ 1800000003.000 ⇥    125.000 ⇥ 0 ⇥ 1500 ⇥ 124 ⇥ 0 ⇥ x 'a b'
        4 ⇥ : ⇥ 1800000004.000 ⇥      1.300 ⇥ 0 ⇥ 0 ⇥ 125 ⇥ 0 ⇥ x 'a b'
        "#);
}

#[test]
fn every_result_has_every_member() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let text = read(folder.path(), "results");
    let results: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.len(), 4);
    insta::assert_snapshot!(serde_json::to_string_pretty(&results[0]).unwrap(), @r#"
        {
          "api_error_status": null,
          "attempts": 1,
          "claude_session_id": "c-1",
          "command": "prompt: What is 2+2?\\n\\tin two lines\\\\",
          "cpu_ms": 900,
          "cwd": null,
          "duration_ms": 1234,
          "ended": "2027-01-15T08:00:02.300Z",
          "error": null,
          "exit_code": 0,
          "form": "prompt",
          "is_error": false,
          "killed_leftovers": 0,
          "label": null,
          "max_rss_bytes": 5000000,
          "model": "sonnet",
          "num_turns": 2,
          "number": 1,
          "output": {
            "bytes": 1500,
            "dropped_bytes": 0,
            "dropped_lines": 0,
            "lines": 3,
            "truncated_lines": 0
          },
          "overhead_ms": 2.0,
          "reason": "exit",
          "result": "It is 4.",
          "result_truncated": false,
          "retries": 0,
          "signal": null,
          "started": "2027-01-15T08:00:01.000Z",
          "task_id": "t",
          "title": "What is 2+2?",
          "total_cost_usd": 0.0123,
          "type": "task",
          "usage": {
            "cache_read_input_tokens": 12000,
            "input_tokens": 20,
            "output_tokens": 5
          },
          "verdict": "succeeded"
        }
        "#);
    for result in &results {
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(result), names(&results[0]));
    }
    assert_eq!(results[2]["retries"], 3);
    assert_eq!(results[3]["error"], "program \"x\" was not found");
}

#[test]
fn junit_counts_failures_and_what_did_not_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    insta::assert_snapshot!(read(folder.path(), "junit"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="ccx batch" tests="5" skipped="0" failures="1" errors="2" timestamp="2027-01-15T08:00:00.000+00:00" time="130.000">
            <testsuite name="tasks.toml" tests="5" skipped="0" errors="2" failures="1" timestamp="2027-01-15T08:00:00.000+00:00" time="127.468">
                <properties>
                    <property name="total_cost_usd" value="0.0123"/>
                    <property name="retries" value="3"/>
                    <property name="killed_leftovers" value="2"/>
                </properties>
                <testcase name="What is 2+2?" classname="tasks.toml" timestamp="2027-01-15T08:00:01.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t"/>
                        <property name="claude_session_id" value="c-1"/>
                        <property name="total_cost_usd" value="0.0123"/>
                    </properties>
                    <system-out>It is 4.</system-out>
                </testcase>
                <testcase name="Print much, and then say so in a title that goes on and on" classname="tasks.toml" timestamp="2027-01-15T08:00:02.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t"/>
                    </properties>
                </testcase>
                <testcase name="日本語のタイトル" classname="tasks.toml" timestamp="2027-01-15T08:00:03.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t"/>
                    </properties>
                    <failure message="timeout: no end after 125 s | and &lt;more&gt;" type="timed_out">timed_out: timeout: no end after 125 s | and &lt;more&gt;
        what to do: it had to be ended at its deadline: allow more with timeout or idle_timeout, or make the task smaller</failure>
                </testcase>
                <testcase name="x" classname="tasks.toml" timestamp="2027-01-15T08:00:04.000+00:00" time="1.300">
                    <error message="program &quot;x&quot; was not found" type="spawn_failed">spawn_failed: program &quot;x&quot; was not found
        what to do: it could not be started: see that program, cwd and permissions are right</error>
                </testcase>
                <testcase name="later" classname="tasks.toml">
                    <error message="it was not its turn any more; resume" type="not run"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
}

#[test]
fn the_markdown_report_says_what_failed_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let text = read(folder.path(), "markdown");
    let text = text.replace(folder.path().to_str().unwrap(), "/reports");
    insta::assert_snapshot!(text, @r#"
        # tasks.toml

        **2 of 5 tasks succeeded**, 2 did not, 1 did not run. Stopped: a task did not succeed (--fail-fast).

        | | |
        |---|---|
        | started | 2027-01-15T08:00:00.000Z |
        | took | 2 min 10 s |
        | time of the tasks themselves | 2 min 7 s |
        | cost | 0.0123 USD |
        | tokens | 12.0 k in (12.0 k of them cached), 5 out |
        | API requests tried again | 3 |
        | leftover processes killed | 2 |
        | processes left behind | 0 |

        ## Tasks

        | # | task | verdict | time | cost | turns |
        |--:|---|---|--:|--:|--:|
        | 1 | What is 2+2? | succeeded | 1.2 s | 0.0123 USD | 2 |
        | 2 | Print much, and then say so in a title that goes on and on | succeeded | 1.2 s | - | - |
        | 3 | 日本語のタイトル | **timed_out** | 2 min 5 s | - | - |
        | 4 | x | **spawn_failed** | 1.3 s | - | - |
        | 5 | later | not run | - | - | - |

        ## What did not succeed, and why

        ### 3. 日本語のタイトル

        **timed_out** after 2 min 5 s: timeout: no end after 125 s \| and \<more\>.

        What to do: it had to be ended at its deadline: allow more with timeout or idle_timeout, or make the task smaller.

        - `x 'a b'`
        - task t
        - 2 leftover processes killed

        ### 4. x

        **spawn_failed** after 1.3 s: program "x" was not found.

        What to do: it could not be started: see that program, cwd and permissions are right.

        - `x 'a b'`

        ## To go on

            ccx batch tasks.toml --resume /reports/joblog

        runs what has not succeeded and nothing that has.
        "#);
}

#[test]
fn a_ccx_that_is_killed_leaves_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut reports = write(folder.path());
    reports.rewrite();
    // Never finished.
    std::mem::forget(reports);
    assert_eq!(read(folder.path(), "joblog").lines().count(), 5);
    assert_eq!(read(folder.path(), "results").lines().count(), 4);
    assert!(read(folder.path(), "junit").contains(r#"tests="5""#));
    assert!(read(folder.path(), "markdown").contains("The batch runs"));
}

#[test]
fn a_resume_adds_to_the_logs_and_counts_what_was_done_before() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let tasks: Vec<Task> = batch().into_iter().map(|(task, _)| task).collect();
    let past = Past::read(&folder.path().join("joblog"), &tasks).unwrap();
    let (left, left_out) = past.select(tasks, Which::Failed);
    assert_eq!(left.iter().map(|task| task.number).collect::<Vec<_>>(), [3, 4]);
    let wanted = wanted(folder.path());
    let mut reports = Reports::open(&wanted, "tasks.toml", &left, &left_out, Some(past)).unwrap();
    let (task, row) = batch().swap_remove(2);
    reports.record(Entry::new(&task, &row), &row);
    assert!(reports.finish(end()));
    assert_eq!(read(folder.path(), "joblog").lines().count(), 6);
    assert_eq!(read(folder.path(), "results").lines().count(), 5);
    let markdown = read(folder.path(), "markdown");
    assert!(
        markdown.contains("**2 of 5 tasks succeeded**, 1 did not, 2 did not run."),
        "{markdown}"
    );
    assert!(markdown.contains("| 1 | What is 2+2? | succeeded earlier |"), "{markdown}");
    assert!(read(folder.path(), "junit").contains("succeeded in an earlier run"));
}

#[test]
fn a_report_that_cannot_be_written_is_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Some(folder.path().join("no/such/file"));
    for wanted in [
        Wanted { joblog: nowhere.clone(), ..Wanted::default() },
        Wanted { results: nowhere.clone(), ..Wanted::default() },
        Wanted { junit: nowhere.clone(), ..Wanted::default() },
        Wanted { markdown: nowhere.clone(), ..Wanted::default() },
    ] {
        let failure = Reports::open(&wanted, "x", &[], &[], None).unwrap_err();
        assert!(failure.text.contains("no/such/file"), "{failure}");
        assert_eq!(failure.exit_code, 2);
    }
}

#[test]
fn a_report_that_fails_later_makes_the_end_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let reports = write(&inner);
    fs::remove_dir_all(&inner).unwrap();
    assert!(!reports.finish(end()));
}

#[test]
fn a_long_command_is_cut_and_its_change_still_seen() {
    let cell = |last: char| {
        let command = "ä".repeat(5_000) + &last.to_string();
        let program = Program::Command { command };
        command_cell(&Execute { program, ..Execute::default() })
    };
    assert!(cell('a').len() < 4_200);
    assert_ne!(cell('a'), cell('b'));
}

#[test]
fn one_file_cannot_be_two_reports_and_a_resume_has_one_joblog() {
    let path = |name: &str| Some(PathBuf::from(name));
    let file = crate::task_file::FileOptions { joblog: path("file"), ..Default::default() };
    let settle = |options: ReportOptions| options.settle(&file);
    let line = |options: &ReportOptions| settle(options.clone()).unwrap().joblog;
    assert_eq!(line(&ReportOptions::default()), path("file"));
    assert_eq!(line(&ReportOptions { joblog: path("own"), ..Default::default() }), path("own"));
    assert_eq!(line(&ReportOptions { resume: path("old"), ..Default::default() }), path("old"));
    let twice = ReportOptions { results: path("file"), ..Default::default() };
    assert!(settle(twice).unwrap_err().text.contains("two reports"));
    let two = ReportOptions { joblog: path("a"), resume: path("b"), ..Default::default() };
    assert!(settle(two).unwrap_err().text.contains("gone on with"));
}
