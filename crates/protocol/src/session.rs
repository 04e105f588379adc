//! `session.resume`, `session.configure` and `session.close`: a session outlives its connections.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::ErrorObject,
    params::{Params, invalid},
    position::Position,
    task::TaskSummary,
};

/// The parameters of `session.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResume {
    /// The session to take over, as `connected` named it.
    pub session_id: String,
    /// The secret that `connected` gave with it.
    pub resume_token: String,
    /// The last event that the client has; without one everything that the session's tasks have said
    /// is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Position>,
}

impl SessionResume {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["session_id", "resume_token", "after"])?;
        let after = match params.object("after")? {
            None => None,
            Some(after) => {
                let mut after = Params::new(&after, &["task_id", "seq"])?;
                Some(Position {
                    task_id: after.required_text("task_id")?,
                    seq: after.count("seq")?.ok_or_else(|| invalid("seq", "is missing"))?,
                })
            }
        };
        Ok(Self {
            session_id: params.required_text("session_id")?,
            resume_token: params.required_text("resume_token")?,
            after,
        })
    }
}

/// The result of `session.resume`. The events after the named position follow it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionResumeResult {
    /// The session that this connection has now.
    pub session_id: String,
    /// The session's tasks from the named one on, oldest first. One that is newer than what the client
    /// knows is the one whose `execute` it never saw answered.
    pub tasks: Vec<TaskSummary>,
}

/// The parameters and the result of `session.configure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConfigure {
    /// Whether several lines that are ready come in one `process.output_batch`.
    pub output_batch: bool,
}

impl SessionConfigure {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["output_batch"])?;
        let output_batch =
            params.flag("output_batch")?.ok_or_else(|| invalid("output_batch", "is missing"))?;
        Ok(Self { output_batch })
    }
}

/// Checks that `session.close` came without parameters.
///
/// # Errors
/// [`crate::error::ErrorCode::InvalidParams`], naming the first one.
pub fn check_close_params(params: &Map<String, Value>) -> Result<(), ErrorObject> {
    Params::new(params, &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resume(params: Value) -> Result<SessionResume, ErrorObject> {
        let Value::Object(params) = params else { panic!("no object") };
        SessionResume::from_params(&params)
    }

    #[test]
    fn a_position_is_a_task_and_a_number_or_nothing() {
        let whole = json!({"session_id": "s", "resume_token": "t",
                           "after": {"task_id": "a", "seq": 7}});
        let read = resume(whole.clone()).unwrap();
        assert_eq!(read.after, Some(Position { task_id: "a".to_owned(), seq: 7 }));
        assert_eq!(serde_json::to_value(read).unwrap(), whole);
        let without = resume(json!({"session_id": "s", "resume_token": "t", "after": null}));
        assert_eq!(without.unwrap().after, None);
    }

    #[test]
    fn a_misspelt_position_is_named_and_never_taken_for_the_beginning() {
        for (params, field) in [
            (json!({"session_id": "s", "resume_token": "t", "aftr": {}}), "aftr"),
            (json!({"session_id": "s", "resume_token": "t", "after": {"task_id": "a"}}), "seq"),
            (json!({"session_id": "s", "resume_token": "t", "after": 3}), "after"),
            (json!({"resume_token": "t"}), "session_id"),
            (json!({"session_id": "s", "resume_token": 1}), "resume_token"),
        ] {
            let error = resume(params).unwrap_err();
            assert_eq!(error.data["field"], field, "{}", error.message);
        }
    }
}
