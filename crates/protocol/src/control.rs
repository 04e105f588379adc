//! `control`: pause, resume and cancel the session's task; and what such a call is answered with.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{ErrorCode, ErrorObject};

/// What to do with the running task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ControlType {
    /// Stop the whole tree.
    Pause,
    /// Let the whole tree run again.
    Resume,
    /// End the task.
    Cancel,
}

impl ControlType {
    /// The word for it in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Cancel => "CANCEL",
        }
    }

    /// The method that does the same to any task, by its id.
    #[must_use]
    pub fn task_method(self) -> &'static str {
        match self {
            Self::Pause => "task.pause",
            Self::Resume => "task.resume",
            Self::Cancel => "task.cancel",
        }
    }

    /// The `status` of the answer, and the last part of the notification's name.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "canceled",
        }
    }

    /// Reads the parameters of a `control` request. Others than `type` are ignored, as they always were.
    ///
    /// # Errors
    /// When `type` is missing or unknown.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        match params.get("type").and_then(Value::as_str) {
            Some("PAUSE") => Ok(Self::Pause),
            Some("RESUME") => Ok(Self::Resume),
            Some("CANCEL") => Ok(Self::Cancel),
            Some(unknown) => Err(invalid(&format!("unknown control type {unknown:?}"))),
            None => Err(invalid("control needs the parameter \"type\"")),
        }
    }
}

/// The result of `control`, of `task.cancel`, `task.pause` and `task.resume`, of `task.detach` and of
/// `session.close`: the word for what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// `paused`, `resumed`, `canceled`, `detached` or `closed`.
    pub status: Cow<'static, str>,
}

impl Done {
    /// The result with this word.
    #[must_use]
    pub fn new(status: &'static str) -> Self {
        Self { status: Cow::Borrowed(status) }
    }
}

fn invalid(what: &str) -> ErrorObject {
    let text = format!("Invalid params: {what}; use \"PAUSE\", \"RESUME\" or \"CANCEL\"");
    ErrorObject::new(ErrorCode::InvalidParams, text).with("field", "type")
}
