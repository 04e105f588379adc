//! Going on with a batch: its joblog says what is left to do.
//!
//! A joblog counts only together with the file that it was written for: the first task that differs is
//! named and nothing runs. Only where agents tick boxes in the file while they work are the tasks other ones than before,
//! with other numbers: then a line belongs to the task with its command. A last line without its newline was cut off when its `ccx` was killed: it
//! counts if it is whole all the same, and is taken away if not.

pub(crate) mod results;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Task,
    joblog::{self, HEADER, Line},
    line_log::{self, LineLog},
};
use crate::error::Failure;

/// Longest beginning of a command that is shown of a task that the file does not have any more, columns.
const UNKNOWN_TITLE_COLUMNS: usize = 60;

/// Which tasks are to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that failed and those that did not run.
    NotSucceeded,
    /// Only those that ran and failed.
    Failed,
}

/// A task that succeeded in an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) title: String,
    pub(crate) duration: Duration,
}

/// What the task file says is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    /// The numbers of those that are among the tasks all the same, because a joblog has their commands.
    pub(crate) among_tasks: HashSet<usize>,
    /// How many others there are.
    pub(crate) others: usize,
}

impl Ticks {
    fn is_any(&self) -> bool {
        self.others > 0 || !self.among_tasks.is_empty()
    }
}

/// The commands that a joblog has, by their keys ([`joblog::key`]); none where it cannot be read, which is told when it is gone on with.
pub(crate) fn commands(path: &Path) -> HashSet<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip(1).filter_map(|line| joblog::read(line).ok());
    lines.map(|line| joblog::key(&line.command)).collect()
}

/// The joblog of an earlier run, read and found to be of this batch.
#[derive(Debug)]
pub(crate) struct Past {
    path: PathBuf,
    file: File,
    story: Story,
    ticks: Ticks,
}

/// What a joblog tells of a batch.
#[derive(Debug, Default, PartialEq)]
struct Story {
    /// Number to whether it ever succeeded, for each task that ended.
    ended: BTreeMap<usize, bool>,
    done: Vec<Done>,
    /// How much of the file is to be kept.
    kept_bytes: u64,
    /// What has to stand before the next line.
    missing: &'static str,
    /// Its lines belong to tasks with other numbers.
    is_by_command: bool,
}

impl Past {
    /// Reads the joblog, and locks it for as long as this lives.
    pub(crate) fn read(path: &Path, tasks: &[Task], ticks: Ticks) -> Result<Self, Failure> {
        let refused = |what: &str| Failure::usage(format!("{}: {what}", path.display()));
        if !path.exists() {
            return Err(refused("there is no such joblog; a first run writes it with --joblog"));
        }
        let mut file = line_log::open(path, false)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| refused(&format!("cannot be read: {error}")))?;
        let story = match Story::read(&bytes, tasks) {
            Err(_) if ticks.is_any() => Story::read_by_command(&bytes, tasks, &ticks),
            story => story,
        };
        let story = story.map_err(|what| refused(&what))?;
        Ok(Self { path: path.to_owned(), file, story, ticks })
    }

    /// Whether the earlier runs had other numbers for the same tasks.
    pub(crate) fn is_by_command(&self) -> bool {
        self.story.is_by_command
    }

    /// Those that the file says are done, although they failed when they ran.
    pub(crate) fn ticked_failures<'a>(&self, left_out: &'a [Task]) -> Vec<&'a Task> {
        left_out.iter().filter(|task| self.ticks.among_tasks.contains(&task.number)).collect()
    }

    /// The tasks that are to run, and then those that neither are nor have succeeded.
    pub(crate) fn select(&self, tasks: Vec<Task>, which: Which) -> (Vec<Task>, Vec<Task>) {
        let has_succeeded = |task: &Task| self.story.ended.get(&task.number) == Some(&true);
        let open = tasks.into_iter().filter(|task| !has_succeeded(task));
        open.partition(|task| match which {
            _ if self.ticks.among_tasks.contains(&task.number) => false,
            Which::NotSucceeded => true,
            Which::Failed => self.story.ended.contains_key(&task.number),
        })
    }

    /// How many tasks succeeded before.
    pub(crate) fn done(&self) -> usize {
        self.story.done.len()
    }

    /// The joblog, ready for the next line, and what it tells of earlier runs.
    pub(super) fn go_on(self) -> Result<(LineLog, Vec<Done>), Failure> {
        self.file.set_len(self.story.kept_bytes).map_err(|error| {
            Failure::usage(format!("cannot write {}: {error}", self.path.display()))
        })?;
        let log = LineLog::of(&self.path, self.file).after(self.story.missing.as_bytes());
        Ok((log, self.story.done))
    }
}

fn match_up<'a>(line: &Line, tasks: &BTreeMap<usize, &'a Task>) -> Result<&'a Task, String> {
    const SHOWN_CHARS_LIMIT: usize = 60;
    let Some(task) = tasks.get(&line.seq) else {
        return Err(format!(
            "task {} is not in the task file, which has {}: this joblog is of another file",
            line.seq,
            tasks.len()
        ));
    };
    let expected = &task.command;
    if line.command == *expected || joblog::key(&line.command) == joblog::key(expected) {
        return Ok(task);
    }
    let show = |text: &str| crate::display::text::one_line(text, SHOWN_CHARS_LIMIT);
    Err(format!(
        "task {} is another one: the joblog has {:?}, the task file {:?}",
        line.seq,
        show(&line.command),
        show(expected)
    ))
}

/// What is said of a line whose command no task has.
fn not_there(line: &Line) -> String {
    format!(
        "task {} is not in the task file, neither to be done nor done: {:?}",
        line.seq,
        crate::display::text::one_line(&line.command, UNKNOWN_TITLE_COLUMNS)
    )
}

impl Story {
    /// Reads a joblog against its tasks; says where it does not match them.
    fn read(bytes: &[u8], tasks: &[Task]) -> Result<Self, String> {
        let mut story = Self::default();
        let tasks: BTreeMap<usize, &Task> = tasks.iter().map(|task| (task.number, task)).collect();
        let mut found = Vec::new();
        story.lines(bytes, |line| match_up(&line, &tasks).map(|task| found.push((line, task))))?;
        for (line, task) in found {
            story.take(&line, task);
        }
        Ok(story)
    }

    /// The same where the file was changed meanwhile: by those that were ticked.
    fn read_by_command(bytes: &[u8], tasks: &[Task], ticks: &Ticks) -> Result<Self, String> {
        let mut story = Self { is_by_command: true, ..Self::default() };
        let mut by_command: HashMap<String, Vec<&Task>> = HashMap::new();
        for task in tasks {
            by_command.entry(joblog::key(&task.command)).or_default().push(task);
        }
        let (mut lines, mut unknown) = (HashMap::<String, Vec<Line>>::new(), Vec::new());
        story.lines(bytes, |line| {
            let key = joblog::key(&line.command);
            let is_known = by_command.contains_key(&key);
            // What is done may have got other words when it was ticked.
            if !is_known && (!line.is_success || unknown.len() >= ticks.others) {
                return Err(not_there(&line));
            }
            match is_known {
                true => lines.entry(key).or_default().push(line),
                false => unknown.push(line),
            }
            Ok(())
        })?;
        for (key, lines) in lines {
            let tasks = by_command.get(&key).map_or(&[][..], Vec::as_slice);
            story.assign(&lines, tasks, ticks);
        }
        for line in unknown {
            let title = crate::display::text::one_line(&line.command, UNKNOWN_TITLE_COLUMNS);
            story.done.push(Done { number: line.seq, title, duration: line.duration() });
        }
        story.done.sort_by_key(|done| done.number);
        Ok(story)
    }

    /// The ends of a command belong to the tasks that run it, and first to those that are ticked.
    fn assign(&mut self, lines: &[Line], tasks: &[&Task], ticks: &Ticks) {
        let (successes, failures): (Vec<&Line>, Vec<&Line>) =
            lines.iter().partition(|line| line.is_success);
        let is_alone = tasks.len() == 1;
        // Of two that were equal, one may have been ticked and reworded: the last end is that of the other one.
        let is_one_number =
            lines.iter().all(|line| Some(line.seq) == lines.first().map(|it| it.seq));
        let counts = !is_alone || is_one_number || lines.last().is_some_and(|last| last.is_success);
        let mut successes = successes.into_iter().filter(|_| counts);
        let mut failures = failures.into_iter();
        let (ticked, open): (Vec<&Task>, Vec<&Task>) =
            tasks.iter().partition(|task| ticks.among_tasks.contains(&task.number));
        for task in ticked.into_iter().chain(open) {
            if let Some(line) = successes.next().or_else(|| failures.next()) {
                self.take(line, task);
            }
        }
    }

    /// Reads the lines of a joblog, as far as they are whole; `take` says what is wrong with one.
    fn lines(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Line) -> Result<(), String>,
    ) -> Result<(), String> {
        self.missing = HEADER;
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line_bytes = line.len() as u64;
            // A line may be cut inside of a character.
            let line = String::from_utf8_lossy(line);
            let whole = line.strip_suffix('\n');
            if index == 0 {
                match whole {
                    Some(first) if first == HEADER.trim_end() => {}
                    None if HEADER.starts_with(&*line) => return Ok(()),
                    Some(_) | None => {
                        return Err("is no joblog: its first line is another one".to_owned());
                    }
                }
                self.kept_bytes = line_bytes;
                self.missing = "";
                continue;
            }
            match joblog::read(whole.unwrap_or(&line)).and_then(&mut take) {
                Ok(()) => self.missing = if whole.is_some() { "" } else { "\n" },
                // Only the last line can lack its end.
                Err(_) if whole.is_none() => return Ok(()),
                Err(what) => return Err(format!("line {}: {what}", index + 1)),
            }
            self.kept_bytes += line_bytes;
        }
        Ok(())
    }

    fn take(&mut self, line: &Line, task: &Task) {
        let has_succeeded = self.ended.entry(task.number).or_default();
        if line.is_success && !*has_succeeded {
            *has_succeeded = true;
            self.done.push(Done {
                number: task.number,
                title: task.title.clone(),
                duration: line.duration(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn ended(story: &Story) -> Vec<(usize, bool)> {
        story.ended.iter().map(|(number, is_success)| (*number, *is_success)).collect()
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
        let story = Story::read(text.as_bytes(), &tasks()).unwrap();
        assert_eq!(ended(&story), [(1, true), (2, true)]);
        assert_eq!(story.done.len(), 2);
        assert_eq!(story.done[0].duration, Duration::from_millis(1500));
        assert_eq!((story.kept_bytes, story.missing), (text.len() as u64, ""));
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
            let found = Story::read(format!("{HEADER}{lines}").as_bytes(), &tasks()).unwrap_err();
            // The shown text is escaped once more.
            assert_eq!(found.replace("\\\\\\\\", "\\\\"), expected);
        }
        assert!(Story::read(b"{\"type\":\"task\"}\n", &tasks()).unwrap_err().contains("no joblog"));
    }

    #[test]
    fn a_joblog_that_was_cut_anywhere_loses_at_most_its_last_task() {
        let whole = [HEADER, &line(1, 0, "one"), &line(3, 0, "drüben")].concat();
        for cut in 0..=whole.len() {
            let story = Story::read(&whole.as_bytes()[..cut], &tasks()).unwrap();
            let kept = usize::try_from(story.kept_bytes).unwrap();
            let repaired = format!("{}{}", &whole[..kept], story.missing);
            assert!(whole.starts_with(&repaired), "cut at {cut}: {repaired:?}");
            assert!(repaired.ends_with('\n'), "cut at {cut}: {repaired:?}");
            let lines_whole =
                whole.bytes().take(cut).filter(|byte| *byte == b'\n').count().saturating_sub(1);
            assert!(story.done.len() >= lines_whole, "cut at {cut}");
            assert_eq!(repaired.matches('\n').count(), story.done.len() + 1, "cut at {cut}");
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
    ) -> Result<Vec<(usize, bool)>, String> {
        let text = [&[HEADER.to_owned()], lines].concat().concat();
        let tasks: Vec<Task> =
            commands.iter().zip(1..).map(|(line, number)| command(number, line)).collect();
        let ticks = Ticks { among_tasks: ticked.iter().copied().collect(), others };
        Story::read_by_command(text.as_bytes(), &tasks, &ticks).map(|story| ended(&story))
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
    fn a_line_whose_command_is_nowhere_counts_only_if_it_may_have_been_reworded_when_it_was_ticked()
    {
        let night = [line(1, 0, "gone"), line(2, 3, "two")];
        assert_eq!(by_command(&night, &["two"], &[], 1).unwrap(), [(1, false)]);
        let refused = by_command(&night, &["two"], &[], 0).unwrap_err();
        assert!(refused.starts_with("line 2: task 1 is not in the task file"), "{refused}");
        let refused = by_command(&[line(1, 3, "gone")], &["two"], &[], 5).unwrap_err();
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
        let failure =
            Past::read(Path::new("/no/such/joblog"), &tasks(), Ticks::default()).unwrap_err();
        assert!(failure.text.contains("no such joblog"), "{failure}");
    }
}
