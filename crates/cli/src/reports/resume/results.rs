//! Results of earlier runs, from their `--results` file, for tasks that use the result of a task that does not run again.
//! A result counts only if it is whole, of a success, and of the same command.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind},
    path::Path,
};

use serde::Deserialize;

use crate::{
    display::{command_cell, task::Task},
    error::CommandError,
};

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    number: usize,
    command: String,
    verdict: String,
    result: Option<String>,
    result_truncated: bool,
}

/// The results of these tasks, by number; without the file there are none. Where the earlier
/// runs had other numbers, a result belongs to the task with its command.
pub(crate) fn results(
    path: &Path,
    tasks: &[&Task],
    is_by_command: bool,
) -> Result<HashMap<usize, String>, CommandError> {
    let refused = |error| {
        CommandError::usage(format!("results cannot be read from {}: {error}", path.display()))
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(refused(error)),
    };
    let mut results = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        // A line may have been cut off when its `ccx` was killed, and others are no tasks.
        let Ok(line) = serde_json::from_slice::<Line>(&line.map_err(refused)?) else { continue };
        if line.verdict != "succeeded" || line.result_truncated {
            continue;
        }
        let Some(result) = line.result else { continue };
        let is_of = |task: &&&Task| {
            command_cell::key(&task.command) == command_cell::key(&line.command)
                && (is_by_command || task.number == line.number)
        };
        for task in tasks.iter().filter(is_of) {
            results.insert(task.number, result.clone());
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reports::tests::command;

    #[test]
    fn only_whole_results_of_successes_of_the_same_command_count_and_the_last_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        let line = |number: usize, command: &str, verdict: &str, cut: bool, result: &str| {
            json!({"type": "task", "number": number, "command": command, "verdict": verdict,
                "result": result, "result_truncated": cut})
            .to_string()
        };
        let lines = [
            line(1, "one", "succeeded", false, "first"),
            line(1, "one", "succeeded", false, "second"),
            line(1, "one", "failed", false, "third"),
            line(2, "another", "succeeded", false, "of another file"),
            line(3, "three", "succeeded", true, "the beginn"),
            line(4, "four", "succeeded", false, "not asked for"),
            "{\"type\":\"task\",\"num".to_owned(),
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let tasks = [command(1, "one"), command(2, "two"), command(3, "three")];
        let tasks: Vec<&Task> = tasks.iter().collect();
        let found = results(&path, &tasks, false).unwrap();
        assert_eq!(found, HashMap::from([(1, "second".to_owned())]));
        let moved = [command(7, "one"), command(1, "another")];
        let moved: Vec<&Task> = moved.iter().collect();
        assert!(results(&path, &moved, false).unwrap().is_empty());
        let by_command =
            HashMap::from([(7, "second".to_owned()), (1, "of another file".to_owned())]);
        assert_eq!(results(&path, &moved, true).unwrap(), by_command);
        assert!(results(&folder.path().join("none"), &tasks, false).unwrap().is_empty());
    }
}
