//! What holds for a batch as a whole.

use std::{fmt, str::FromStr};

use cc_protocol::execute::Execute;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{members::Members, task};
use crate::{
    limits::{HOOK_TIMEOUT_S_DEFAULT, HOOK_TIMEOUT_S_LIMIT, JOBS_LIMIT},
    mistake::{Mistakes, Place},
};

pub const OPTION_MEMBERS: [&str; 10] = [
    "jobs",
    "claude_jobs",
    "halt",
    "max_cost_usd",
    "max_time_s",
    "on_lost",
    "auth",
    "strict",
    "defaults",
    "hooks",
];
const HOOK_NAMES: [&str; 3] = ["before_task", "after_task", "after_batch"];
const HOOK_MEMBERS: [&str; 3] = ["command", "argv", "timeout"];

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Tasks that are under way at once; with 1 they run strictly in order.
    pub jobs: u32,
    /// Of these, Claude tasks: parallel CLIs race on the login's refresh token.
    pub claude_jobs: u32,
    /// When failures stop the batch.
    pub halt: Halt,
    /// No task begins after this much was spent, US dollars by the CLI's own reckoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// The batch is stopped and its running tasks are ended after this time, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<f64>,
    /// What follows when it cannot be known how far a task came.
    pub on_lost: OnLost,
    /// What follows when the CLI reports that its credentials were refused and that it tries again.
    pub auth: OnAuthRefused,
    /// A task that succeeds with warnings has failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Commands around the tasks.
    #[serde(skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: 1,
            claude_jobs: 1,
            halt: Halt::Never,
            max_cost_usd: None,
            max_time_s: None,
            on_lost: OnLost::Stop,
            auth: OnAuthRefused::FailFast,
            strict: false,
            hooks: Hooks::default(),
        }
    }
}

/// A word that an option does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {word:?}; it takes {takes}")]
pub struct UnknownWord {
    word: String,
    takes: &'static str,
}

impl UnknownWord {
    fn new(word: &str, takes: &'static str) -> Self {
        Self { word: word.to_owned(), takes }
    }
}

/// When failures stop a batch: `never`, `soon,fail=N` or `now,fail=N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halt {
    /// Every task gets its turn.
    #[default]
    Never,
    /// After so many failures no task begins; what runs may end.
    Soon {
        /// At least 1.
        failures: u32,
    },
    /// After so many failures what runs is ended too.
    Now {
        /// At least 1.
        failures: u32,
    },
}

impl FromStr for Halt {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wrong = || UnknownWord::new(text, "\"never\", \"soon,fail=N\" and \"now,fail=N\"");
        if text == "never" {
            return Ok(Self::Never);
        }
        let (when, failures) = text.split_once(",fail=").ok_or_else(wrong)?;
        let failures = failures.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        match when {
            "soon" => Ok(Self::Soon { failures }),
            "now" => Ok(Self::Now { failures }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => formatter.write_str("never"),
            Self::Soon { failures } => write!(formatter, "soon,fail={failures}"),
            Self::Now { failures } => write!(formatter, "now,fail={failures}"),
        }
    }
}

impl Serialize for Halt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What follows when a task's worker died, so that it is not known how far the task came and what it
/// has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// No further task begins; a person has to look first.
    #[default]
    Stop,
    /// The task has failed; the next one begins.
    Continue,
    /// It is started again, as an attempt. It may do things twice.
    Retry,
}

impl FromStr for OnLost {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "stop" => Ok(Self::Stop),
            "continue" => Ok(Self::Continue),
            "retry" => Ok(Self::Retry),
            _ => Err(UnknownWord::new(text, "\"stop\", \"continue\" and \"retry\"")),
        }
    }
}

/// What follows when the CLI reports that its credentials were refused and that it tries again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAuthRefused {
    /// The task is ended at once: a wrong key does not become right.
    #[default]
    FailFast,
    /// The CLI tries as often as it likes: a proxy may renew the key meanwhile.
    LetCliRetry,
}

impl FromStr for OnAuthRefused {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "fail_fast" => Ok(Self::FailFast),
            "let_cli_retry" => Ok(Self::LetCliRetry),
            _ => Err(UnknownWord::new(text, "\"fail_fast\" and \"let_cli_retry\"")),
        }
    }
}

/// Commands around the tasks, run as bounded tasks of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hooks {
    /// Once before each task's first attempt; if it fails, the task has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_task: Option<Hook>,
    /// Once after each task that has a verdict; whether it fails changes no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_task: Option<Hook>,
    /// Once at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_batch: Option<Hook>,
}

impl Hooks {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One command of [`Hooks`]: `command` or `argv`, and a `timeout`, which it always has.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Hook {
    pub execute: Execute,
}

/// Reads `options` but for its `defaults`, which come back as they are.
pub(super) fn read(
    map: Map<String, Value>,
    mistakes: &mut Mistakes,
) -> (Options, Map<String, Value>) {
    let place = Place::Plan { prefix: "options." };
    let mut members = Members { map, place, mistakes };
    members.refuse_unknown(&OPTION_MEMBERS);
    let default = Options::default();
    let mut options = Options {
        jobs: members.whole("jobs", 1, JOBS_LIMIT).unwrap_or(default.jobs),
        claude_jobs: members.whole("claude_jobs", 1, JOBS_LIMIT).unwrap_or(default.claude_jobs),
        halt: members.word("halt").unwrap_or(default.halt),
        max_cost_usd: members.amount("max_cost_usd", "US dollars"),
        max_time_s: members.amount("max_time_s", "seconds"),
        on_lost: members.word("on_lost").unwrap_or(default.on_lost),
        auth: members.word("auth").unwrap_or(default.auth),
        strict: members.flag("strict").unwrap_or(default.strict),
        hooks: Hooks::default(),
    };
    let defaults = members.object("defaults").unwrap_or_default();
    if let Some(hooks) = members.object("hooks") {
        options.hooks = read_hooks(hooks, mistakes);
    }
    (options, defaults)
}

fn read_hooks(map: Map<String, Value>, mistakes: &mut Mistakes) -> Hooks {
    let mut members = Members { map, place: Place::Plan { prefix: "options.hooks." }, mistakes };
    members.refuse_unknown(&HOOK_NAMES);
    let [before_task, after_task, after_batch] = HOOK_NAMES.map(|name| members.object(name));
    let mut read = |prefix, map: Option<Map<String, Value>>| {
        map.and_then(|map| read_hook(Members { map, place: Place::Plan { prefix }, mistakes }))
    };
    Hooks {
        before_task: read("options.hooks.before_task.", before_task),
        after_task: read("options.hooks.after_task.", after_task),
        after_batch: read("options.hooks.after_batch.", after_batch),
    }
}

fn read_hook(mut members: Members<'_, '_>) -> Option<Hook> {
    members.refuse_unknown(&HOOK_MEMBERS);
    let mut execute = task::read_execute(&mut members)?;
    let timeout_s = execute.timeout.unwrap_or(HOOK_TIMEOUT_S_DEFAULT);
    if timeout_s > HOOK_TIMEOUT_S_LIMIT {
        members.mistake("timeout", format!("must be at most {HOOK_TIMEOUT_S_LIMIT} seconds"));
        return None;
    }
    execute.timeout = Some(timeout_s);
    Some(Hook { execute })
}
