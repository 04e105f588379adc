//! The reports of a batch with a task of every kind: when they are written, and what stops them.

mod contents;

use std::{
    fs,
    path::{Path, PathBuf},
};

use cc_protocol::{
    EndReason, Verdict, Warning, WarningKind,
    batch::{AttemptClass, BatchAttempt, BatchRow, RowState},
};
use serde_json::{Value, json};

use super::*;
use crate::{args::ReportOptions, display::batch_row::shown, exit_code, fixtures::row};

/// A task of a file that runs this line.
pub(super) fn command(number: usize, line: &str) -> Task {
    let task = json!({ "tasks": [{ "command": line }] });
    let plan: cc_batch::Plan = serde_json::from_value(task).unwrap();
    Task::of_plan(&plan.tasks[0], number)
}

fn attempt(index: u64, number: u32, verdict: Verdict, reason: EndReason) -> BatchAttempt {
    let started_ms = (1_800_000_001 + index) * 1_000;
    BatchAttempt {
        task_id: format!("t-{index}-{number}"),
        attempt: number,
        started_ms,
        ended_ms: Some(started_ms + 1_300),
        verdict: Some(verdict),
        reason: Some(reason),
        exit_code: Some(0),
        output_bytes: Some(100),
        class: None,
        wait_until_ms: None,
        stdout_tail: None,
        stderr_tail: None,
    }
}

fn over(index: u64, verdict: Verdict, reason: EndReason, exit_code: i32) -> BatchRow {
    BatchRow {
        state: RowState::Over,
        verdict: Some(verdict),
        reason: Some(reason),
        exit_code: Some(exit_code),
        attempts: vec![attempt(index, 1, verdict, reason)],
        duration_ms: Some(1_234),
        ..row(index)
    }
}

/// Four tasks that ended, in every way, and one that did not run.
fn batch() -> Vec<(Task, BatchRow)> {
    let answered = BatchRow {
        result: Some("It is 4.".to_owned()),
        is_error: Some(false),
        claude_session_id: Some("c-1".to_owned()),
        num_turns: Some(2),
        cost_usd: Some(0.0123),
        usage: Some(
            json!({"input_tokens": 20, "output_tokens": 5, "cache_read_input_tokens": 12_000}),
        ),
        timeout_s: Some(600.0),
        timeout_why: Some("too few earlier runs".to_owned()),
        ..over(0, Verdict::Succeeded, EndReason::Exit, 0)
    };
    let mut hung = BatchRow {
        error: Some("no end after 125 s | and <more>".to_owned()),
        duration_ms: Some(125_000),
        killed_leftovers: 2,
        ..over(2, Verdict::TimedOut, EndReason::Timeout, -15)
    };
    let limited = BatchAttempt {
        class: Some(AttemptClass::Limit),
        wait_until_ms: Some(1_800_000_900_000),
        ..attempt(2, 1, Verdict::RateLimited, EndReason::Exit)
    };
    let failed = BatchAttempt {
        class: Some(AttemptClass::Transient),
        ..attempt(2, 1, Verdict::NoResult, EndReason::Exit)
    };
    hung.attempts = vec![limited, failed, attempt(2, 2, Verdict::TimedOut, EndReason::Timeout)];
    // Markup in the output of a model or a program has no meaning in a report.
    hung.attempts[0].stderr_tail = Some("Retry later | <b>".to_owned());
    hung.attempts[2].stdout_tail = Some("step 1\n\n# step 2 ```".to_owned());
    hung.attempts[2].stderr_tail = Some("warning: *slow* <x> & ]]>".to_owned());
    let missing = BatchRow {
        error: Some("program \"x\" was not found".to_owned()),
        duration_ms: None,
        ..over(3, Verdict::SpawnFailed, EndReason::SpawnFailed, 127)
    };
    let later = BatchRow {
        state: RowState::Skipped,
        why: Some("task 4, which it needs, failed".to_owned()),
        ..row(4)
    };
    let mut doubtful = BatchRow {
        warnings: vec![
            Warning {
                kind: WarningKind::PermissionDenied,
                message: "the tool Bash was denied, 2 times".to_owned(),
            },
            Warning {
                kind: WarningKind::McpServer,
                message: "the MCP server stock_db failed".to_owned(),
            },
        ],
        result: Some("I was not allowed to.".to_owned()),
        permission_denials: vec!["Bash".to_owned(), "Bash".to_owned()],
        structured_output: Some(json!({"done": false})),
        cli_version: Some("2.1.332".to_owned()),
        api_key_source: Some("none".to_owned()),
        ..over(1, Verdict::Succeeded, EndReason::Exit, 0)
    };
    doubtful.attempts[0].stdout_tail = Some("I was not allowed to.".to_owned());
    let rows = [answered, doubtful, hung, missing, later];
    tasks().into_iter().zip(rows).collect()
}

fn tasks() -> Vec<Task> {
    let plan: cc_batch::Plan = serde_json::from_value(json!({"tasks": [
        {"prompt": "What is 2+2?\n\tin two lines\\"},
        {"command": "yes | head", "label": "Print much, and then say so in a title that goes on and on"},
        {"argv": ["x", "a b"], "label": "日本語のタイトル"},
        {"argv": ["x", "a b"], "label": "x"},
        {"argv": ["x", "a b"], "label": "later"},
    ]}))
    .unwrap();
    plan.tasks.iter().zip(1..).map(|(task, number)| Task::of_plan(task, number)).collect()
}

fn wanted(folder: &Path) -> ReportPaths {
    let path = |name: &str| Some(folder.join(name));
    ReportPaths {
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
        stopped: Some("2 tasks failed (halt soon,fail=2)".to_owned()),
        left_behind: Some(0),
    }
}

/// Opens the reports and records all that ended.
fn write(folder: &Path) -> Reports {
    let mut reports = Reports::open(&wanted(folder), "tasks.toml", &tasks(), &[], None).unwrap();
    // The tests' own clock would be in the reports.
    reports.account.begun_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for (task, row) in &batch() {
        match &row.why {
            None => reports.record(Entry::new(task, row), &shown(task, Some(row))),
            Some(why) => reports.skip(task.number, why),
        }
    }
    reports
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
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
    let past = Past::read(&folder.path().join("joblog"), &tasks(), Ticks::default()).unwrap();
    let (left, left_out) = past.select(tasks(), Which::Failed);
    assert_eq!(left.iter().map(|task| task.number).collect::<Vec<_>>(), [3, 4]);
    let wanted = wanted(folder.path());
    let mut reports = Reports::open(&wanted, "tasks.toml", &left, &left_out, Some(past)).unwrap();
    let (task, row) = batch().swap_remove(2);
    reports.record(Entry::new(&task, &row), &shown(&task, Some(&row)));
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
        ReportPaths { joblog: nowhere.clone(), ..ReportPaths::default() },
        ReportPaths { results: nowhere.clone(), ..ReportPaths::default() },
        ReportPaths { junit: nowhere.clone(), ..ReportPaths::default() },
        ReportPaths { markdown: nowhere.clone(), ..ReportPaths::default() },
    ] {
        let failure = Reports::open(&wanted, "x", &[], &[], None).unwrap_err();
        assert!(failure.to_string().contains("no/such/file"), "{failure}");
        assert_eq!(exit_code::of_error(&failure), 2);
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
fn one_file_cannot_be_two_reports_and_a_resume_has_one_joblog() {
    let path = |name: &str| Some(PathBuf::from(name));
    let mut file = crate::input::FileOptions::default();
    file.joblog = path("file");
    let settle = |options: &ReportOptions, resume: Option<&str>| {
        ReportPaths::settle(options, &file, resume.map(|path| (path.into(), Which::Failed)))
    };
    let line = |options, resume| settle(options, resume).unwrap().joblog;
    let none = ReportOptions::default();
    assert_eq!(line(&none, None), path("file"));
    assert_eq!(line(&none, Some("old")), path("old"));
    let own = ReportOptions { joblog: path("own"), ..ReportOptions::default() };
    assert_eq!(line(&own, None), path("own"));
    assert!(settle(&own, Some("old")).unwrap_err().to_string().contains("resumed joblog"));
    let twice = ReportOptions { results: path("file"), ..ReportOptions::default() };
    assert!(settle(&twice, None).unwrap_err().to_string().contains("two reports"));
}

#[test]
fn a_report_is_never_written_over_the_plan_by_whatever_name_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.md");
    std::fs::write(&plan, "- [ ] a\n").unwrap();
    let link = folder.path().join("link.md");
    std::os::unix::fs::symlink(&plan, &link).unwrap();
    let file = crate::input::FileOptions::default();
    for (report, is_refused) in [
        (plan.clone(), true),
        (folder.path().join("./plan.md"), true),
        (link, true),
        (folder.path().join("other.md"), false),
    ] {
        let options = ReportOptions { report: Some(report.clone()), ..ReportOptions::default() };
        let wanted = ReportPaths::settle(&options, &file, None).unwrap();
        assert_eq!(wanted.check_apart_from(&plan).is_err(), is_refused, "{report:?}");
    }
}
