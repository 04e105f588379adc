//! `ccx batch --dry-run`: what would run. Text only; prints and starts nothing.

use cc_batch::{
    Plan,
    plan::{PlanTask, Timeout},
};
use serde_json::json;

use super::{
    grid::{self, Layout},
    task::Task,
    text,
};

const LABEL_COLUMNS_LIMIT: usize = 32;
/// Longest part of a command that is formatted; the table cuts it to the terminal's width.
const COMMAND_CHARS_LIMIT: usize = 400;
/// Numbers and times are right-aligned; the command gets the remaining width.
const LAYOUT: Layout = Layout { flexible: 2, is_left: |index| matches!(index, 1 | 2 | 4 | 5) };

/// A line a task, in the width of a terminal. `tasks` are those of the plan.
pub(crate) fn table(plan: Option<&Plan>, tasks: &[Task], columns: usize) -> String {
    let planned = plan.map_or(&[][..], |plan| plan.tasks.as_slice());
    let has_needs = planned.iter().any(|task| !task.needs.is_empty());
    let mut header = vec!["#", "label", "what", "timeout", "cwd"];
    header.extend(has_needs.then_some("needs"));
    let mut lines = vec![header.into_iter().map(str::to_owned).collect()];
    lines.extend(planned.iter().zip(tasks).map(|(planned, task)| {
        let mut line = cells(planned, task);
        line.extend(has_needs.then(|| planned.needs.join(", ")));
        line
    }));
    let table = grid::draw(&LAYOUT, &lines, columns, &[]);
    format!("{table}\n{} to run; nothing was started\n", text::count(planned.len(), "task"))
}

fn cells(planned: &PlanTask, task: &Task) -> Vec<String> {
    let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let label = task.label.as_ref().or(task.name.as_ref());
    vec![
        task.number.to_string(),
        or_none(label.map(|label| text::one_line(label, LABEL_COLUMNS_LIMIT))),
        text::one_line(&task.command, COMMAND_CHARS_LIMIT),
        match planned.timeout {
            Timeout::Default => "-".to_owned(),
            Timeout::Seconds(seconds) => format!("{seconds} s"),
            Timeout::Auto => "auto".to_owned(),
        },
        or_none(task.cwd.clone()),
    ]
}

/// An object of JSON a task: its number and title, and the task of the plan that would be submitted.
pub(crate) fn json(plan: Option<&Plan>, tasks: &[Task]) -> String {
    let planned = plan.map_or(&[][..], |plan| plan.tasks.as_slice());
    let lines = planned.iter().zip(tasks).map(|(planned, task)| {
        let line = json!({
            "type": "planned", "number": task.number, "title": task.title, "form": task.form,
            "command": task.command, "execute": planned,
        });
        format!("{line}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> (Plan, Vec<Task>) {
        let plan: Plan = serde_json::from_value(json!({"tasks": [
            {"prompt": "What is\n2+2?", "timeout": "auto"},
            {"argv": ["ls", "a b"], "label": "日本語", "timeout": 1.5, "cwd": "/srv"},
            {"command": "x".repeat(100)},
        ]}))
        .unwrap();
        let tasks = plan.tasks.iter().zip(9..).map(|(task, number)| Task::of_plan(task, number));
        let tasks = tasks.collect();
        (plan, tasks)
    }

    #[test]
    fn people_see_number_label_what_timeout_and_folder() {
        let (plan, tasks) = planned();
        insta::assert_snapshot!(table(Some(&plan), &tasks, 80), @r#"
             #  label   what                                                   timeout  cwd
            ──  ──────  ─────────────────────────────────────────────────────  ───────  ────
             9  -       prompt: What is\n2+2?                                     auto  -
            10  日本語  ls 'a b'                                                 1.5 s  /srv
            11  -       xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…        -  -

            3 tasks to run; nothing was started
            "#);
    }

    #[test]
    fn programs_see_the_task_that_would_be_submitted() {
        let (plan, tasks) = planned();
        let text = json(Some(&plan), &tasks);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["execute"]["prompt"], "What is\n2+2?");
        assert_eq!(lines[1]["execute"]["timeout"], 1.5);
        assert_eq!((&lines[1]["number"], &lines[2]["form"]), (&json!(10), &json!("command")));
    }
}
