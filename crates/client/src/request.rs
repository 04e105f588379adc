//! What a [`crate::Session`] sends, and how it knows the answers again.

use cc_protocol::{
    batch::{BatchNamed, BatchRows, BatchTask},
    control::ControlType,
    execute::Execute,
    session::SessionConfigure,
    task::{TaskAttach, TaskNamed},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{calls::written, error::Error};

/// Something that a session asks about batches.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchRequest {
    /// To run this plan, which must have an idempotency key: see [`BatchRequest::submit`].
    Submit(Value),
    /// To be told what happens to this batch, from now to its end. After an outage this is asked again, and
    /// answered again: what happened meanwhile is in [`BatchRequest::Rows`].
    Attach(String),
    /// A page of its tasks.
    Rows(BatchRows),
    /// The whole result of one of its tasks.
    Result(BatchTask),
    /// To end it.
    Cancel(String),
}

impl BatchRequest {
    /// To run this plan, which must have an idempotency key.
    ///
    /// # Errors
    /// When the plan cannot be written as JSON.
    pub fn submit(plan: &impl Serialize) -> Result<Self, Error> {
        Ok(Self::Submit(written(plan)?))
    }

    pub(crate) fn to_wire(&self) -> Result<(&'static str, Value), Error> {
        let named = |batch_id: &str| written(&BatchNamed { batch_id: batch_id.to_owned() });
        Ok(match self {
            Self::Submit(plan) => ("batch.submit", plan.clone()),
            Self::Attach(batch_id) => ("batch.attach", named(batch_id)?),
            Self::Rows(rows) => ("batch.rows", written(rows)?),
            Self::Result(task) => ("batch.result", written(task)?),
            Self::Cancel(batch_id) => ("batch.cancel", named(batch_id)?),
        })
    }
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// Lines in batches; whether the server knows them shows in what it sends.
    Configure,
    /// `execute`.
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
pub(crate) enum Pending {
    Configure,
    Start,
    Control(u64),
    Attach(String),
    Look,
    Batch(u64),
}

impl Request {
    /// Method, parameters, and what to remember until the answer.
    pub(crate) fn to_wire(&self) -> Result<(&'static str, Value, Pending), Error> {
        Ok(match self {
            Self::Configure => {
                let params = written(&SessionConfigure { output_batch: true })?;
                ("session.configure", params, Pending::Configure)
            }
            Self::Start(execute) => ("execute", written(execute)?, Pending::Start),
            Self::Control(id, control) => {
                ("control", json!({ "type": control.as_str() }), Pending::Control(*id))
            }
            Self::Attach(attach) => {
                ("task.attach", written(attach)?, Pending::Attach(attach.task_id.clone()))
            }
            Self::Look(task_id) => {
                let task_id = task_id.clone();
                ("task.get", written(&TaskNamed { task_id })?, Pending::Look)
            }
            Self::Batch(id, request) => {
                let (method, params) = request.to_wire()?;
                (method, params, Pending::Batch(*id))
            }
        })
    }
}
