//! What a client asks about batches: the parameters of `batch.*` but for the plan of `batch.submit`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::ROWS_LIMIT;
use crate::{
    error::ErrorObject,
    params::{Params, invalid},
    task::{LIST_DEFAULT, LIST_LIMIT, limit},
};

/// The parameters of `batch.get`, `batch.cancel`, `batch.attach` and `batch.detach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchNamed {
    /// The batch's id.
    pub batch_id: String,
}

impl BatchNamed {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id"])?;
        Ok(Self { batch_id: params.required_text("batch_id")? })
    }
}

/// Which batches `batch.list` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchFilter {
    /// All that are known.
    #[default]
    All,
    /// Those that are not over.
    Running,
    /// Those that are over.
    Over,
}

/// The parameters of `batch.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchList {
    /// Only batches in this state.
    #[serde(default)]
    pub state: BatchFilter,
    /// At most this many, the newest first.
    pub limit: u64,
    /// Only batches that were submitted before this one: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl Default for BatchList {
    fn default() -> Self {
        Self { state: BatchFilter::All, limit: LIST_DEFAULT, before: None }
    }
}

impl BatchList {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["state", "limit", "before"])?;
        let state = match params.text("state")?.as_deref() {
            None | Some("all") => BatchFilter::All,
            Some("running") => BatchFilter::Running,
            Some("over") => BatchFilter::Over,
            Some(_) => return Err(invalid("state", "must be \"all\", \"running\" or \"over\"")),
        };
        let limit = limit(&mut params, LIST_LIMIT)?.unwrap_or(LIST_DEFAULT);
        Ok(Self { state, limit, before: params.text("before")? })
    }
}

/// The parameters of `batch.rows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRows {
    /// The batch's id.
    pub batch_id: String,
    /// Only tasks after this one, from 0: the last one of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_index: Option<u64>,
    /// At most this many.
    pub limit: u64,
}

impl BatchRows {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "after_index", "limit"])?;
        Ok(Self {
            batch_id: params.required_text("batch_id")?,
            after_index: params.count("after_index")?,
            limit: limit(&mut params, ROWS_LIMIT)?.unwrap_or(ROWS_LIMIT),
        })
    }
}

/// The parameters of `batch.result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTask {
    /// Of which batch.
    pub batch_id: String,
    /// Which task of it, from 0.
    pub index: u64,
}

impl BatchTask {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "index"])?;
        let batch_id = params.required_text("batch_id")?;
        let index = params.count("index")?.ok_or_else(|| invalid("index", "is missing"))?;
        Ok(Self { batch_id, index })
    }
}

/// Which tasks `batch.resume` runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeOnly {
    /// Those that have not succeeded, be it that they were skipped.
    #[default]
    Unsuccessful,
    /// Those that have another verdict than `succeeded`, and no skipped ones.
    Failed,
}

/// The parameters of `batch.resume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResume {
    /// A batch that is over.
    pub batch_id: String,
    /// Which of its tasks.
    #[serde(default)]
    pub only: ResumeOnly,
}

impl BatchResume {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["batch_id", "only"])?;
        let only = match params.text("only")?.as_deref() {
            None | Some("unsuccessful") => ResumeOnly::Unsuccessful,
            Some("failed") => ResumeOnly::Failed,
            Some(_) => return Err(invalid("only", "must be \"unsuccessful\" or \"failed\"")),
        };
        Ok(Self { batch_id: params.required_text("batch_id")?, only })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(params: Value) -> Map<String, Value> {
        let Value::Object(params) = params else { panic!("no object") };
        params
    }

    #[test]
    fn a_misspelt_position_or_choice_is_named_and_never_taken_for_the_default() {
        let list = |params| BatchList::from_params(&map(params)).unwrap_err();
        let rows = |params| BatchRows::from_params(&map(params)).unwrap_err();
        let resume = |params| BatchResume::from_params(&map(params)).unwrap_err();
        let result = |params| BatchTask::from_params(&map(params)).unwrap_err();
        for (error, field) in [
            (list(json!({"state": "ended"})), "state"),
            (list(json!({"limit": 0})), "limit"),
            (rows(json!({"batch_id": "b", "after": 3})), "after"),
            (rows(json!({"after_index": 3})), "batch_id"),
            (resume(json!({"batch_id": "b", "only": "all"})), "only"),
            (result(json!({"batch_id": "b"})), "index"),
            (result(json!({"batch_id": "b", "index": -1})), "index"),
            (result(json!({"batch_id": "b", "index": 0, "attempt": 1})), "attempt"),
        ] {
            assert_eq!(error.data["field"], field, "{}", error.message);
        }
        let first = BatchRows::from_params(&map(json!({"batch_id": "b"}))).unwrap();
        assert_eq!((first.after_index, first.limit), (None, ROWS_LIMIT));
    }
}
