//! Alerts: what changes among the conditions of [`crate::ops::health`], for those who want to be told.
//!
//! The operator's command is run by this process and not by a worker, because workers may be what is wrong. Its time is
//! bounded. One runs at a time: what changes meanwhile follows, and what is raised and cleared meanwhile is not told.

use std::{io, process::Stdio};

use cc_protocol::worker::Alert;
use tokio::{io::AsyncWriteExt as _, process::Command, sync::watch, time::timeout};

use crate::{
    config::limits,
    ops::health::{Condition, Problem, Problems},
};

/// What has been raised and cleared between two looks. A condition that was cleared and raised again between them is both.
#[must_use]
pub(crate) fn changes(before: &Problems, now: &Problems) -> Vec<Alert> {
    let stands = |problems: &Problems, condition, other: &Problem| {
        problems.get(condition).is_some_and(|problem| problem.since_ms == other.since_ms)
    };
    let alert = |condition: Condition, since_ms, text, cleared| Alert {
        kind: condition.name().to_owned(),
        text,
        since_ms,
        cleared,
    };
    let cleared = before
        .standing()
        .filter(|(condition, problem)| !stands(now, *condition, problem))
        .map(|(condition, Problem { since_ms, .. })| {
            alert(condition, *since_ms, now.recovery(condition, *since_ms), true)
        });
    let raised =
        now.standing().filter(|(condition, problem)| !stands(before, *condition, problem)).map(
            |(condition, problem)| alert(condition, problem.since_ms, problem.text.clone(), false),
        );
    cleared.chain(raised).collect()
}

/// Runs the operator's command for every alert, until the supervisor ends. `command` gives the command line, if there is one
/// now.
pub(crate) async fn run_commands(
    mut problems: watch::Receiver<Problems>,
    command: impl Fn() -> Option<(String, String)>,
) {
    let mut seen = Problems::default();
    loop {
        let now = problems.borrow_and_update().clone();
        for alert in changes(&seen, &now) {
            let Some((shell, line)) = command() else { continue };
            if let Err(error) = run(&shell, &line, &alert).await {
                tracing::warn!(alert = alert.kind, %error, "the alert command failed");
            }
        }
        seen = now;
        if problems.changed().await.is_err() {
            return;
        }
    }
}

/// Runs `line` with the alert as JSON on its standard input, and the most of it in variables.
async fn run(shell: &str, line: &str, alert: &Alert) -> io::Result<()> {
    let mut child = Command::new(shell)
        .args(["-c", line])
        .env("CC_EXECUTOR_ALERT", &alert.kind)
        .env("CC_EXECUTOR_ALERT_TEXT", &alert.text)
        .env("CC_EXECUTOR_ALERT_STATE", if alert.cleared { "cleared" } else { "raised" })
        .env_remove("CC_EXECUTOR_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut json = serde_json::to_vec(alert)?;
    json.push(b'\n');
    let running = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read it closes it.
            stdin.write_all(&json).await.ok();
        }
        child.wait().await
    };
    match timeout(limits::ALERT_COMMAND, running).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(io::Error::other(status.to_string())),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems<const N: usize>(stand: [(Condition, u64); N]) -> Problems {
        let problem = |since_ms| Problem { text: "text".to_owned(), since_ms };
        let stand = stand.map(|(condition, since_ms)| (condition, problem(since_ms)));
        Problems::of(stand.into_iter().collect())
    }

    fn told(before: &Problems, now: &Problems) -> Vec<(String, u64, bool)> {
        let alerts = changes(before, now).into_iter();
        alerts.map(|alert| (alert.kind, alert.since_ms, alert.cleared)).collect()
    }

    #[test]
    fn what_stands_on_is_not_told_again() {
        let none = Problems::default();
        let one = problems([(Condition::RestartRate, 1)]);
        let later = problems([(Condition::RestartRate, 2)]);
        let name = || "restart_rate".to_owned();
        assert_eq!(told(&none, &one), [(name(), 1, false)]);
        assert_eq!(told(&one, &one), []);
        assert_eq!(told(&one, &none), [(name(), 1, true)]);
        let text = changes(&one, &none).remove(0).text;
        assert!(
            text.contains("no more often than"),
            "it is not the text of the raised one: {text}"
        );
        assert_eq!(told(&one, &later), [(name(), 1, true), (name(), 2, false)]);
    }

    #[tokio::test]
    async fn the_command_gets_the_alert_on_its_standard_input_and_in_variables() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("told");
        let alert = Alert {
            kind: "restart_rate".to_owned(),
            text: "too many".to_owned(),
            since_ms: 7,
            cleared: true,
        };
        let line = format!(
            "echo $CC_EXECUTOR_ALERT $CC_EXECUTOR_ALERT_STATE > {0}; cat >> {0}",
            path.display()
        );
        run("sh", &line, &alert).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (variables, json) = text.split_once('\n').unwrap();
        assert_eq!(variables, "restart_rate cleared");
        assert_eq!(serde_json::from_str::<Alert>(json).unwrap(), alert);
        assert!(run("sh", "exit 3", &alert).await.is_err());
    }
}
