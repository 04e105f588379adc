//! `ccx batch --dry-run`: what would run. Text only; prints and starts nothing.

use cc_protocol::execute::Program;
use serde_json::json;

use crate::{
    grid::{self, Layout},
    reports::command_cell,
    sequence::Task,
    text,
};

/// Widest label.
const LABEL_COLUMNS_LIMIT: usize = 32;
/// Longest part of a command that is looked at; what is shown is cut to the terminal's width.
const COMMAND_CHARS_LIMIT: usize = 400;
/// Numbers and times stand to the right, and what runs takes what the others leave.
const LAYOUT: Layout = Layout { flexible: 2, is_left: |index| matches!(index, 1 | 2 | 4) };

/// A line a task, in the width of a terminal.
pub(crate) fn table(tasks: &[Task], columns: usize) -> String {
    let header = ["#", "label", "what", "timeout", "cwd"].map(str::to_owned).to_vec();
    let cells: Vec<Vec<String>> = std::iter::once(header).chain(tasks.iter().map(cells)).collect();
    let table = grid::draw(&LAYOUT, &cells, columns, &[]);
    format!("{table}\n{} to run; nothing was started\n", text::count(tasks.len(), "task"))
}

fn cells(task: &Task) -> Vec<String> {
    let execute = &task.execute;
    let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    vec![
        task.number.to_string(),
        or_none(execute.label.as_deref().map(|label| text::one_line(label, LABEL_COLUMNS_LIMIT))),
        text::one_line(&command_cell(execute), COMMAND_CHARS_LIMIT),
        or_none(execute.timeout.map(|seconds| format!("{seconds} s"))),
        or_none(execute.cwd.clone()),
    ]
}

/// An object of JSON a task: its number and title, and the request that would be sent.
pub(crate) fn json(tasks: &[Task]) -> String {
    let lines = tasks.iter().map(|task| {
        let form = match &task.execute.program {
            Program::Prompt(_) => "prompt",
            Program::Argv { .. } => "argv",
            Program::Command { .. } => "command",
        };
        let line = json!({
            "type": "planned", "number": task.number, "title": task.title, "form": form,
            "command": command_cell(&task.execute), "execute": task.execute,
        });
        format!("{line}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use cc_protocol::execute::{Execute, Prompt};

    use super::*;

    fn tasks() -> Vec<Task> {
        let prompt = Prompt { prompt: "What is\n2+2?".to_owned(), ..Prompt::default() };
        let programs = [
            Program::Prompt(Box::new(prompt)),
            Program::Argv { argv: vec!["ls".to_owned(), "a b".to_owned()] },
            Program::Command { command: "x".repeat(100) },
        ];
        let mut tasks: Vec<Task> = programs
            .into_iter()
            .zip(9..)
            .map(|(program, number)| Task::new(number, Execute { program, ..Execute::default() }))
            .collect();
        tasks[1].execute.label = Some("日本語".to_owned());
        tasks[1].execute.timeout = Some(1.5);
        tasks[1].execute.cwd = Some("/srv".to_owned());
        tasks
    }

    #[test]
    fn people_see_number_label_what_timeout_and_folder() {
        insta::assert_snapshot!(table(&tasks(), 80), @r#"
         #  label   what                                                   timeout  cwd
        ──  ──────  ─────────────────────────────────────────────────────  ───────  ────
         9  -       prompt: What is\n2+2?                                        -  -
        10  日本語  ls 'a b'                                                 1.5 s  /srv
        11  -       xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…        -  -

        3 tasks to run; nothing was started
        "#);
    }

    #[test]
    fn programs_see_the_request_that_would_be_sent() {
        let text = json(&tasks());
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["execute"]["prompt"], "What is\n2+2?");
        assert_eq!(lines[1]["execute"]["timeout"], 1.5);
        assert_eq!((&lines[1]["number"], &lines[2]["form"]), (&json!(10), &json!("command")));
    }
}
