//! What the operator does not allow: by a token's scopes, by its limits, or by a list of directories.

use serde_json::{Map, Value, json};

use crate::{call_error::shown::shown_word, error::ErrorCode, scope::Scope};

/// Why the operator's rules refuse a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Denied {
    /// The client's token does not allow the method.
    ScopeMissing {
        /// As it was sent.
        method: String,
        /// What the token lacks.
        scope: Scope,
    },
    /// The token was removed after its client had connected, or no longer allows to run tasks.
    TokenRemoved,
    /// As many tasks of the client's token run as may.
    TasksFull {
        /// Most that run at the same time.
        limit: usize,
    },
    /// The tasks of the client's token have cost what they may.
    BudgetSpent {
        /// US dollars.
        spent_usd: f64,
        /// Most of them.
        budget_usd: f64,
        /// In so many days; `None`: in all.
        days: Option<u32>,
    },
    /// The task would run outside the directories that the operator allows.
    Directory {
        /// The directory, before symbolic links are followed.
        directory: String,
        /// Those that are allowed.
        allowed: Vec<String>,
    },
}

impl Denied {
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::ScopeMissing { .. } | Self::TokenRemoved => ErrorCode::NotAuthorized,
            Self::TasksFull { .. } => ErrorCode::QueueFull,
            Self::BudgetSpent { .. } => ErrorCode::BudgetSpent,
            Self::Directory { .. } => ErrorCode::DirectoryNotAllowed,
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::ScopeMissing { method, scope } => {
                let (method, scope) = (shown_word(method), scope.as_str());
                format!("Not allowed: {method} needs a token with the scope {scope}")
            }
            Self::TokenRemoved => {
                "Not allowed: the token was removed, or no longer allows this; present another one"
                    .to_owned()
            }
            Self::TasksFull { limit } => {
                let tasks = if *limit == 1 { "task runs" } else { "tasks run" };
                format!(
                    "{limit} {tasks} with this token already, the most that it allows: try again later"
                )
            }
            Self::BudgetSpent { spent_usd, budget_usd, days } => {
                let time = match days {
                    None => "in all".to_owned(),
                    Some(1) => "today".to_owned(),
                    Some(days) => format!("in {days} days"),
                };
                format!(
                    "the tasks of this token have cost {spent_usd:.2} USD {time}, and may cost {budget_usd:.2}"
                )
            }
            Self::Directory { directory, allowed } => {
                let (shown, allowed) = (shown_word(directory), allowed.join(", "));
                format!(
                    "Directory not allowed: {shown:?} is not there, or really outside of {allowed}"
                )
            }
        }
    }

    pub(super) fn into_data(self) -> Map<String, Value> {
        let data = match self {
            Self::ScopeMissing { method, scope } => {
                json!({"method": shown_word(&method), "scope": scope.as_str()})
            }
            Self::TokenRemoved => json!({}),
            Self::TasksFull { limit } => json!({ "limit": limit }),
            Self::BudgetSpent { spent_usd, budget_usd, days } => {
                json!({"spent_usd": spent_usd, "budget_usd": budget_usd, "days": days})
            }
            Self::Directory { .. } => json!({"field": "cwd"}),
        };
        if let Value::Object(data) = data { data } else { Map::new() }
    }
}
