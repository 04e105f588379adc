//! `gate.*`: which tasks may not begin because their account has met a limit.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{error::ErrorObject, params::Params};

/// A gate of an account, or what shuts it for the tasks of one family of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSummary {
    /// For `gate.open`: the account's fingerprint, and the model if it is for one.
    pub gate_id: String,
    /// A fingerprint of the variables that say which account the CLI uses. It gives nothing away.
    pub account: String,
    /// The family of models that it is for; null for all.
    pub model: Option<String>,
    /// Until when it is shut, milliseconds since the Unix epoch; null while it is open.
    pub closed_until_ms: Option<u64>,
    /// Why it is shut, in the CLI's words.
    pub reason: Option<String>,
    /// Tasks that wait at it.
    pub waiting: u64,
    /// Tasks of the account that have passed and run, whatever their model.
    pub running: u64,
}

/// The result of `gate.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateListResult {
    /// Those that are shut, or at which a task waits, or behind which one runs.
    pub gates: Vec<GateSummary>,
}

/// Parameters of `gate.open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOpen {
    /// Which one; null, or missing, for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_id: Option<String>,
}

impl GateOpen {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`crate::error::ErrorCode::InvalidParams`], naming the parameter.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, ErrorObject> {
        let mut params = Params::new(params, &["gate_id"])?;
        Ok(Self { gate_id: params.text("gate_id")? })
    }
}

/// Reads the parameters of `gate.list`: there are none.
///
/// # Errors
/// [`crate::error::ErrorCode::InvalidParams`], naming one that is there.
pub fn no_params(params: &Map<String, Value>) -> Result<(), ErrorObject> {
    Params::new(params, &[]).map(drop)
}

/// The result of `gate.open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOpenResult {
    /// The ids of those that were shut and are open now.
    pub opened: Vec<String>,
}
