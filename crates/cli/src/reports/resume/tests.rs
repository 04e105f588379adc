//! What a joblog leaves to be done, whatever became of its file.

use std::time::Duration;

use super::{super::joblog::HEADER, history::Mismatch, *};
use crate::reports::tests::command;

fn tasks() -> Vec<Task> {
    ["one", "two\nlines", "drüben"]
        .iter()
        .zip(1..)
        .map(|(line, number)| command(number, line))
        .collect()
}

fn line(seq: usize, exit_value: i32, command: &str) -> String {
    format!("{seq}\t:\t1700000000.000\t     1.500\t0\t7\t{exit_value}\t0\t{command}\n")
}

fn ended(history: &History) -> Vec<(usize, bool)> {
    history.ended.iter().map(|(number, is_success)| (*number, *is_success)).collect()
}

#[test]
fn a_task_that_ever_succeeded_has_succeeded() {
    let text = [
        HEADER,
        &line(1, 0, "one"),
        &line(2, 3, "two\\nlines"),
        &line(1, 5, "one"),
        &line(2, 0, "two\\nlines"),
    ]
    .concat();
    let history = History::read(text.as_bytes(), &tasks()).unwrap();
    assert_eq!(ended(&history), [(1, true), (2, true)]);
    assert_eq!(history.done.len(), 2);
    assert_eq!(history.done[0].duration, Duration::from_millis(1500));
    assert_eq!((history.kept_bytes, history.missing), (text.len() as u64, ""));
}

#[test]
fn the_first_difference_is_named_and_nothing_is_guessed() {
    for (lines, expected) in [
        (
            line(1, 0, "one") + &line(2, 0, "another") + &line(3, 0, "x"),
            r#"line 3: task 2 is another one: the joblog has "another", the task file "two\\nlines""#,
        ),
        (
            line(4, 0, "four"),
            "line 2: task 4 is not in the task file, which has 3: this joblog is of another file",
        ),
        ("1\t:\t0\n".to_owned(), "line 2: has 3 of 9 columns"),
        (
            line(1, 0, "one").replace("\t7\t0", "\t7\tx"),
            "line 2: has \"x\" as Exitval, which is no number",
        ),
        ("\n".to_owned(), "line 2: has 1 of 9 columns"),
    ] {
        let found = History::read(format!("{HEADER}{lines}").as_bytes(), &tasks()).unwrap_err();
        // The shown text is escaped once more.
        assert_eq!(found.to_string().replace("\\\\\\\\", "\\\\"), expected);
    }
    assert!(
        History::read(b"{\"type\":\"task\"}\n", &tasks())
            .unwrap_err()
            .to_string()
            .contains("no joblog")
    );
}

#[test]
fn a_joblog_that_was_cut_anywhere_loses_at_most_its_last_task() {
    let whole = [HEADER, &line(1, 0, "one"), &line(3, 0, "drüben")].concat();
    for cut in 0..=whole.len() {
        let history = History::read(&whole.as_bytes()[..cut], &tasks()).unwrap();
        let kept = usize::try_from(history.kept_bytes).unwrap();
        let repaired = format!("{}{}", &whole[..kept], history.missing);
        assert!(whole.starts_with(&repaired), "cut at {cut}: {repaired:?}");
        assert!(repaired.ends_with('\n'), "cut at {cut}: {repaired:?}");
        let lines_whole =
            whole.bytes().take(cut).filter(|byte| *byte == b'\n').count().saturating_sub(1);
        assert!(history.done.len() >= lines_whole, "cut at {cut}");
        assert_eq!(repaired.matches('\n').count(), history.done.len() + 1, "cut at {cut}");
    }
}

#[test]
fn a_resume_runs_what_has_not_succeeded_or_only_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("joblog");
    std::fs::write(&path, [HEADER, &line(1, 0, "one"), &line(2, 1, "two\\nlines")].concat())
        .unwrap();
    for (which, expected, expected_out) in
        [(Which::NotSucceeded, &[2, 3][..], &[][..]), (Which::Failed, &[2], &[3])]
    {
        let past = Past::read(&path, &tasks(), Ticks::default()).unwrap();
        let (selected, left_out) = past.select(tasks(), which);
        let numbers = |tasks: &[Task]| tasks.iter().map(|task| task.number).collect::<Vec<_>>();
        assert_eq!((&*numbers(&selected), &*numbers(&left_out)), (expected, expected_out));
        assert_eq!(past.done(), 1);
    }
}

/// What is to run and what is done, by number; `ticked` are the numbers of those that the file says are done.
fn by_command(
    lines: &[String],
    commands: &[&str],
    ticked: &[usize],
    others: usize,
) -> Result<Vec<(usize, bool)>, Mismatch> {
    let text = [&[HEADER.to_owned()], lines].concat().concat();
    let tasks: Vec<Task> =
        commands.iter().zip(1..).map(|(line, number)| command(number, line)).collect();
    let ticks = Ticks { among_tasks: ticked.iter().copied().collect(), others };
    History::read_by_command(text.as_bytes(), &tasks, &ticks).map(|history| ended(&history))
}

#[test]
fn where_boxes_were_ticked_a_line_belongs_to_the_task_with_its_command() {
    let night = [line(1, 0, "one"), line(2, 3, "two"), line(3, 0, "three")];
    // Of three, "zero" was done by hand before the first run, and "four" was added.
    let found = by_command(&night, &["one", "two", "four", "three"], &[1, 4], 1);
    assert_eq!(found.unwrap(), [(1, true), (2, false), (4, true)]);
    // What is nested in a task may be ticked, too.
    let found = by_command(&[line(3, 1, "a\\n- [ ] b")], &["a\n- [x] b"], &[], 1);
    assert_eq!(found.unwrap(), [(1, false)]);
    // The second run had other numbers.
    let later = [&night[..], &[line(1, 0, "two")]].concat();
    assert_eq!(by_command(&later, &["two"], &[], 2).unwrap(), [(1, true)]);
}

#[test]
fn of_equal_tasks_the_successes_belong_first_to_those_that_are_ticked() {
    let night = [line(1, 0, "x"), line(2, 1, "x"), line(3, 0, "x")];
    for (ticked, expected) in [
        (&[1, 3][..], [(1, true), (2, false), (3, true)]),
        (&[2], [(1, true), (2, true), (3, false)]),
        (&[], [(1, true), (2, true), (3, false)]),
    ] {
        assert_eq!(by_command(&night, &["x", "x", "x"], ticked, 1).unwrap(), expected);
    }
    // One was ticked and reworded; the one that is left is that which failed.
    let night = [line(1, 0, "x"), line(2, 1, "x")];
    assert_eq!(by_command(&night, &["x"], &[], 1).unwrap(), [(1, false)]);
}

#[test]
fn a_line_whose_command_is_nowhere_counts_only_if_it_may_have_been_reworded_when_it_was_ticked() {
    let night = [line(1, 0, "gone"), line(2, 3, "two")];
    assert_eq!(by_command(&night, &["two"], &[], 1).unwrap(), [(1, false)]);
    let refused = by_command(&night, &["two"], &[], 0).unwrap_err().to_string();
    assert!(refused.starts_with("line 2: task 1 is not in the task file"), "{refused}");
    let refused = by_command(&[line(1, 3, "gone")], &["two"], &[], 5).unwrap_err().to_string();
    assert!(refused.ends_with("neither to be done nor done: \"gone\""), "{refused}");
}

#[test]
fn what_is_ticked_is_not_run_even_where_it_failed_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("joblog");
    std::fs::write(&path, [HEADER, &line(1, 0, "one"), &line(2, 1, "two\\nlines")].concat())
        .unwrap();
    assert_eq!(commands(&path).len(), 2);
    let ticks = Ticks { among_tasks: HashSet::from([2]), others: 0 };
    let past = Past::read(&path, &tasks(), ticks).unwrap();
    assert!(!past.is_by_command(), "the numbers are the same");
    let (selected, left_out) = past.select(tasks(), Which::NotSucceeded);
    assert_eq!((selected.len(), selected[0].number), (1, 3));
    assert_eq!(past.ticked_failures(&left_out).len(), 1);
}

#[test]
fn a_missing_joblog_is_no_empty_one() {
    let failure = Past::read(Path::new("/no/such/joblog"), &tasks(), Ticks::default()).unwrap_err();
    assert!(failure.to_string().contains("no such joblog"), "{failure}");
}
