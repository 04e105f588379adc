//! What a session has asked about batches, and which ones it follows: the part of [`crate::Session`] that
//! decides what is asked again on a new connection. No I/O and no clock.
//!
//! Everything here may be asked twice without being done twice: a plan has an idempotency key, a cancel of
//! what is over is refused, and the rest only looks.

use cc_protocol::{
    batch::{BatchRowsResult, BatchSubmitted, BatchSummary, WholeResult},
    control::Done,
    error::ErrorObject,
    notification::Notification,
};
use serde_json::Value;

use crate::{
    connection::read_result,
    error::Error,
    request::{BatchRequest, Request},
};

/// The response to a [`BatchRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum BatchAnswer {
    /// The batch was created, or existed under this idempotency key.
    Submitted(BatchSubmitted),
    /// How it is now. Changes follow as notifications.
    Attached(Box<BatchSummary>),
    /// A page of the batch's tasks.
    Rows(BatchRowsResult),
    /// The whole result of one task.
    Result(WholeResult),
    /// The batch is being canceled.
    Canceled,
}

impl BatchAnswer {
    /// Reads the result of this request.
    fn read(request: &BatchRequest, result: Value) -> Result<Self, Error> {
        Ok(match request {
            BatchRequest::Submit(_) => Self::Submitted(read_result("batch.submit", result)?),
            BatchRequest::Attach(_) => Self::Attached(read_result("batch.attach", result)?),
            BatchRequest::Rows(_) => Self::Rows(read_result("batch.rows", result)?),
            BatchRequest::Result(_) => Self::Result(read_result("batch.result", result)?),
            BatchRequest::Cancel(_) => {
                let Done { .. } = read_result("batch.cancel", result)?;
                Self::Canceled
            }
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// Asked and not answered, and the attaches of batches that are not over.
    pending: Vec<(u64, BatchRequest)>,
}

impl Batches {
    /// Whether a new connection would need any request again.
    pub(crate) fn is_any_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Remembers a request until it is answered.
    pub(crate) fn ask(&mut self, id: u64, request: BatchRequest) -> Request {
        self.pending.push((id, request.clone()));
        Request::Batch(id, request)
    }

    /// Takes the response; `None` where no request has this number.
    pub(crate) fn answered(
        &mut self,
        id: u64,
        outcome: Result<Value, ErrorObject>,
    ) -> Result<Option<Result<BatchAnswer, ErrorObject>>, Error> {
        let Some(index) = self.pending.iter().position(|(pending, _)| *pending == id) else {
            return Ok(None);
        };
        let answer = match outcome {
            Ok(result) => Ok(BatchAnswer::read(&self.pending[index].1, result)?),
            Err(error) => Err(error),
        };
        if !matches!(answer, Ok(BatchAnswer::Attached(_))) {
            self.pending.remove(index);
        }
        Ok(Some(answer))
    }

    /// A batch that is over sends nothing more.
    pub(crate) fn heard(&mut self, notification: &Notification<'_>) {
        if let Notification::BatchCompleted(completed) = notification {
            let over = BatchRequest::Attach(completed.batch.batch_id.clone());
            self.pending.retain(|(_, request)| *request != over);
        }
    }

    /// The requests to repeat on a new connection.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = Request> + '_ {
        self.pending.iter().map(|(id, request)| Request::Batch(*id, request.clone()))
    }
}

#[cfg(test)]
mod tests {
    use cc_protocol::error::ErrorCode;
    use serde_json::json;

    use super::*;

    fn asked(batches: &Batches) -> Vec<u64> {
        let id = |request| {
            let Request::Batch(id, _) = request else { panic!("{request:?}") };
            id
        };
        batches.repeated().map(id).collect()
    }

    #[test]
    fn what_is_not_answered_is_asked_again_and_what_is_answered_is_not() {
        let mut batches = Batches::default();
        batches.ask(1, BatchRequest::Cancel("b".to_owned()));
        batches.ask(2, BatchRequest::Cancel("c".to_owned()));
        let answer = batches.answered(1, Ok(json!({"status": "canceled"}))).unwrap();
        assert_eq!(answer, Some(Ok(BatchAnswer::Canceled)));
        assert_eq!(asked(&batches), [2]);
        let error = ErrorObject::new(ErrorCode::NoProcess, "it is over");
        assert_eq!(batches.answered(2, Err(error.clone())).unwrap(), Some(Err(error)));
        assert!(!batches.is_any_pending());
    }

    #[test]
    fn a_batch_is_followed_through_outages_until_it_is_over() {
        let summary = json!({
            "batch_id": "b", "name": null, "state": "running", "outcome": null, "reason": null,
            "counts": {"tasks": 1, "waiting": 1, "running": 0, "retrying": 0, "succeeded": 0,
                "failed": 0, "skipped": 0},
            "jobs": 1, "cost_usd": 0.0, "input_tokens": 0, "output_tokens": 0, "retries": 0,
            "killed_leftovers": 0, "submitted_ms": 1, "started_ms": null, "ended_ms": null,
            "waits": null, "running": [],
        });
        let mut batches = Batches::default();
        batches.ask(1, BatchRequest::Attach("b".to_owned()));
        let answer = batches.answered(1, Ok(summary.clone())).unwrap();
        assert!(matches!(answer, Some(Ok(BatchAnswer::Attached(_)))), "{answer:?}");
        assert_eq!(asked(&batches), [1]);
        let text = json!({"jsonrpc": "2.0", "method": "batch.completed", "params": {
            "batch": summary, "rows": [], "rows_omitted": false}})
        .to_string();
        let message: cc_protocol::notification::Message<'_> = serde_json::from_str(&text).unwrap();
        batches.heard(&message.notification);
        assert!(!batches.is_any_pending());
    }
}
