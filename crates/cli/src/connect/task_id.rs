//! Finds a task by its id, or by a beginning or end of it that only one task has.

use cc_client::{Connection, Error};
use cc_protocol::{
    error::ErrorCode,
    task::{LIST_LIMIT, ListFilter, TaskList, TaskSummary},
};

use crate::{display::text, error::CommandError};

/// Candidates that are listed.
const SHOWN_LIMIT: usize = 10;
/// Longest title of a candidate.
const TITLE_COLUMNS: usize = 40;
/// Length of a whole id.
const ID_CHARS: usize = 36;

pub(crate) async fn resolve(
    connection: &mut Connection,
    typed: &str,
) -> Result<TaskSummary, CommandError> {
    let typed = typed.trim().to_ascii_lowercase();
    if typed.len() == ID_CHARS {
        return match connection.task(&typed).await {
            Ok(task) => Ok(task),
            Err(Error::Server(error)) if error.code == ErrorCode::NoSuchTask.code() => {
                Err(unknown(&typed))
            }
            Err(error) => Err(error.into()),
        };
    }
    if typed.is_empty() {
        return Err(CommandError::usage("the task id is empty; `ccx ps --all` shows all ids"));
    }
    let task = choose(&typed, all(connection, ListFilter::All).await?)?;
    // The list leaves out what takes a look at the disk.
    Ok(connection.task(&task.task_id).await?)
}

/// All known tasks, the newest first.
pub(crate) async fn all(
    connection: &mut Connection,
    state: ListFilter,
) -> Result<Vec<TaskSummary>, CommandError> {
    let mut tasks: Vec<TaskSummary> = Vec::new();
    loop {
        let before = tasks.last().map(|task| task.task_id.clone());
        let page = connection.tasks(&TaskList { state, limit: LIST_LIMIT, before }).await?;
        let is_last = !page.has_more || page.tasks.is_empty();
        tasks.extend(page.tasks);
        if is_last {
            return Ok(tasks);
        }
    }
}

/// The label, else what it runs.
pub(crate) fn title(task: &TaskSummary) -> &str {
    task.label.as_deref().unwrap_or(&task.command)
}

fn choose(typed: &str, tasks: Vec<TaskSummary>) -> Result<TaskSummary, CommandError> {
    let mut candidates: Vec<TaskSummary> = tasks
        .into_iter()
        .filter(|task| task.task_id.starts_with(typed) || task.task_id.ends_with(typed))
        .collect();
    match (candidates.pop(), candidates.len()) {
        (None, _) => Err(unknown(typed)),
        (Some(task), 0) => Ok(task),
        (Some(last), _) => {
            candidates.push(last);
            Err(ambiguous(typed, &candidates))
        }
    }
}

fn unknown(typed: &str) -> CommandError {
    CommandError::failed(format!(
        "there is no task {typed:?}, neither as a whole id nor as the beginning or end of one; `ccx ps --all` shows all ids"
    ))
}

fn ambiguous(typed: &str, candidates: &[TaskSummary]) -> CommandError {
    let mut text =
        format!("{typed:?} may be any of {} tasks; type more of its id:", candidates.len());
    for task in candidates.iter().take(SHOWN_LIMIT) {
        let title = text::one_line(title(task), TITLE_COLUMNS);
        text.push_str(&format!("\n  {}  {}  {title}", task.task_id, task.state.as_str()));
    }
    if candidates.len() > SHOWN_LIMIT {
        text.push_str(&format!("\n  and {} more", candidates.len() - SHOWN_LIMIT));
    }
    CommandError::failed(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use cc_protocol::task::TaskState;

    use super::*;

    pub(crate) fn summary(task_id: &str) -> TaskSummary {
        TaskSummary {
            task_id: task_id.to_owned(),
            state: TaskState::Running,
            label: None,
            command: "sleep 60".to_owned(),
            is_prompt: false,
            session_id: None,
            accepted_ms: 1_000,
            ended_ms: None,
            containment: None,
            isolation: None,
            pid: Some(7),
            last_seq: 1,
            log_bytes: 150,
            reason: None,
            verdict: None,
            exit_code: None,
            warnings: 0,
            damaged_log: None,
        }
    }

    #[test]
    fn a_beginning_or_an_end_is_enough_where_only_one_task_has_it() {
        let tasks = || vec![summary("0199-aaa-1f"), summary("0199-bbb-2f"), summary("019a-ccc-3f")];
        for (typed, expected) in
            [("019a", "019a-ccc-3f"), ("1f", "0199-aaa-1f"), ("0199-bbb-2f", "0199-bbb-2f")]
        {
            assert_eq!(choose(typed, tasks()).unwrap().task_id, expected);
        }
        assert!(choose("bbb", tasks()).is_err(), "a middle is no name");
    }

    #[test]
    fn of_an_ambiguous_id_the_candidates_are_listed() {
        let failure = choose("0199", vec![summary("0199-a"), summary("0199-b")]).unwrap_err();
        insta::assert_snapshot!(failure.to_string(), @r#"
        "0199" may be any of 2 tasks; type more of its id:
          0199-a  running  sleep 60
          0199-b  running  sleep 60
        "#);
    }
}
