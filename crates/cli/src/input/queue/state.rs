//! Members that say how far a task is.

use serde_json::Value;

use super::super::mistake::Wrong;

const OPEN: [&str; 15] = [
    "",
    "backlog",
    "error",
    "failed",
    "incomplete",
    "new",
    "not done",
    "not started",
    "open",
    "pending",
    "planned",
    "queued",
    "ready",
    "to do",
    "todo",
];
const DONE: [&str; 13] = [
    "checked",
    "closed",
    "complete",
    "completed",
    "done",
    "finished",
    "merged",
    "pass",
    "passed",
    "resolved",
    "shipped",
    "succeeded",
    "success",
];

/// Members with a word.
const STATUSES: [&str; 6] =
    ["currentstatus", "progressstatus", "state", "status", "taskstatus", "workflowstate"];
/// Members that say by `true` that nothing is left to do; with `at`, `on` or `date` behind them they say since when.
const DONE_FLAGS: [&str; 13] = [
    "checked",
    "closed",
    "complete",
    "completed",
    "done",
    "finished",
    "merged",
    "pass",
    "passed",
    "passes",
    "resolved",
    "shipped",
    "ticked",
];
/// Members that say by `true` that a task is not to be run.
const OFF_FLAGS: [&str; 15] = [
    "archived",
    "blocked",
    "canceled",
    "cancelled",
    "deferred",
    "deleted",
    "disabled",
    "dropped",
    "exclude",
    "excluded",
    "ignore",
    "ignored",
    "obsolete",
    "skip",
    "skipped",
];
/// Members that say so by `false`.
const ON_FLAGS: [&str; 3] = ["active", "enable", "enabled"];

/// The state of a task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Open,
    Done,
    /// It must not run, for this reason.
    Other(String),
}

impl State {
    fn of_word(name: &str, word: &str) -> Self {
        let plain = word.trim().to_lowercase().replace(['_', '-'], " ");
        // `DONE ✅`
        let plain = plain.trim_matches(|letter: char| !letter.is_alphanumeric());
        if DONE.contains(&plain) {
            Self::Done
        } else if OPEN.contains(&plain) && (!plain.is_empty() || word.trim().is_empty()) {
            Self::Open
        } else {
            Self::Other(format!("with the {name} {word:?}, which is neither open nor done"))
        }
    }
}

/// What a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    Done,
    DoneSince,
    Off,
    On,
}

impl Kind {
    /// By the member's name in any spelling: `is_done`, `isDone`.
    pub(super) fn of(name: &str) -> Option<Self> {
        let plain = name.to_lowercase().replace(['_', '-', ' '], "");
        let since =
            ["at", "on", "date", "time"].into_iter().find_map(|end| plain.strip_suffix(end));
        let plain = plain.strip_prefix("is").unwrap_or(&plain);
        match plain {
            plain if STATUSES.contains(&plain) => Some(Self::Status),
            plain if DONE_FLAGS.contains(&plain) => Some(Self::Done),
            plain if OFF_FLAGS.contains(&plain) => Some(Self::Off),
            plain if ON_FLAGS.contains(&plain) => Some(Self::On),
            _ if since.is_some_and(|flag| DONE_FLAGS.contains(&flag)) => Some(Self::DoneSince),
            _ => None,
        }
    }

    /// What the member says, which is not null; the error is what is wrong with it.
    pub(super) fn read(self, name: &str, value: &Value) -> Result<State, Wrong> {
        let off = |value: bool| State::Other(format!("with {name}: {value}"));
        let flag = || value.as_bool().ok_or_else(|| Wrong(format!("{name} must be true or false")));
        Ok(match self {
            Self::Status => {
                let word =
                    value.as_str().ok_or_else(|| Wrong(format!("{name} must be a string")))?;
                State::of_word(name, word)
            }
            Self::Done if flag()? => State::Done,
            Self::Off if flag()? => off(true),
            Self::On if !flag()? => off(false),
            Self::DoneSince if value.as_str() != Some("") && *value != Value::Bool(false) => {
                State::Done
            }
            Self::Done | Self::Off | Self::On | Self::DoneSince => State::Open,
        })
    }
}
