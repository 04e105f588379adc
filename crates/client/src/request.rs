//! What a [`crate::Session`] sends, and how it knows the answers again.

use cc_protocol::{
    control::ControlType,
    execute::Execute,
    session::SessionConfigure,
    task::{TaskAttach, TaskNamed},
};
use serde_json::{Value, json};

use crate::{batches::BatchRequest, calls::written, error::Error};

/// Something to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// Lines in batches; whether the server knows them shows in what it sends.
    Configure,
    /// A task.
    Start(Box<Execute>),
    /// A control with this number of ours.
    Control(u64, ControlType),
    /// To follow a task.
    Attach(TaskAttach),
    /// How a task is that is just starting.
    Look(String),
    /// Something about a batch, with this number of ours.
    Batch(u64, BatchRequest),
}

/// What a request that is under way was.
#[derive(Debug)]
pub(crate) enum Asked {
    Configure,
    Start,
    Control(u64),
    Attach(String),
    Look,
    Batch(u64),
}

impl Request {
    /// Method, parameters, and what to remember until the answer.
    pub(crate) fn to_wire(&self) -> Result<(&'static str, Value, Asked), Error> {
        Ok(match self {
            Self::Configure => {
                let params = written(&SessionConfigure { output_batch: true })?;
                ("session.configure", params, Asked::Configure)
            }
            Self::Start(execute) => ("execute", written(execute)?, Asked::Start),
            Self::Control(id, control) => {
                ("control", json!({ "type": control.as_str() }), Asked::Control(*id))
            }
            Self::Attach(attach) => {
                ("task.attach", written(attach)?, Asked::Attach(attach.task_id.clone()))
            }
            Self::Look(task_id) => {
                let task_id = task_id.clone();
                ("task.get", written(&TaskNamed { task_id })?, Asked::Look)
            }
            Self::Batch(id, request) => {
                let (method, params) = request.to_wire()?;
                (method, params, Asked::Batch(*id))
            }
        })
    }
}
