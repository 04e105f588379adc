//! `batch.*`: what a client may ask about batches, and do to them.
//!
//! Every client that is admitted is the same user, so every batch is its own. The work is done in [`crate::batch`].

use cc_protocol::{
    batch::{BatchList, BatchNamed, BatchResume, BatchRows, BatchTask},
    error::{ErrorCode, ErrorObject},
    gate::{self, GateListResult, GateOpen, GateOpenResult},
};
use serde_json::{Map, Value, json};

use crate::{
    batch::{self, Attachment, Following},
    config::limits,
    session::handler::{After, CallResult, Handler},
};

impl Handler {
    /// Answers `batch.submit`.
    pub(crate) async fn batch_submit(&self, params: Map<String, Value>) -> CallResult {
        Ok(json!(batch::submit(&self.services.batches, params).await?))
    }

    /// Answers `batch.resume`.
    pub(crate) async fn batch_resume(&self, params: &Map<String, Value>) -> CallResult {
        Ok(json!(batch::resume(&self.services.batches, BatchResume::from_params(params)?).await?))
    }

    /// Answers `batch.get`.
    pub(crate) async fn batch_get(&self, params: &Map<String, Value>) -> CallResult {
        let BatchNamed { batch_id } = BatchNamed::from_params(params)?;
        Ok(json!(batch::get(&self.services.batches, &batch_id).await?))
    }

    /// Answers `batch.list`.
    pub(crate) async fn batch_list(&self, params: &Map<String, Value>) -> CallResult {
        Ok(json!(batch::list(&self.services.batches, BatchList::from_params(params)?).await?))
    }

    /// Answers `batch.rows`.
    pub(crate) async fn batch_rows(&self, params: &Map<String, Value>) -> CallResult {
        Ok(json!(batch::rows(&self.services.batches, &BatchRows::from_params(params)?).await?))
    }

    /// Answers `batch.result`.
    pub(crate) async fn batch_result(&self, params: &Map<String, Value>) -> CallResult {
        Ok(json!(batch::result(&self.services.batches, &BatchTask::from_params(params)?).await?))
    }

    /// Answers `batch.cancel`.
    pub(crate) async fn batch_cancel(&self, params: &Map<String, Value>) -> CallResult {
        let BatchNamed { batch_id } = BatchNamed::from_params(params)?;
        batch::cancel(&self.services.batches, &batch_id).await?;
        Ok(json!({"status": "canceled"}))
    }

    /// Answers `batch.attach`.
    pub(crate) async fn batch_attach(
        &mut self,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> CallResult {
        let BatchNamed { batch_id } = BatchNamed::from_params(params)?;
        let (summary, attachment) = batch::attach(&self.services.batches, batch_id.clone()).await?;
        self.attached_batches.retain(|_, following| !following.is_done());
        if self.attached_batches.contains_key(&batch_id) {
            // It is told of everything already; only how it stands was asked.
            return Ok(json!(summary));
        }
        if self.attached_batches.len() >= limits::ATTACHED_BATCHES {
            let limit = limits::ATTACHED_BATCHES;
            let message =
                format!("a connection can be attached to {limit} batches: detach one first");
            return Err(ErrorObject::new(ErrorCode::QueueFull, message).with("limit", limit));
        }
        after.push(After::FollowBatch(Box::new(attachment)));
        Ok(json!(summary))
    }

    /// Begins to tell of a batch, after the answer.
    pub(crate) fn follow_batch(&mut self, attachment: Attachment) {
        let batch_id = attachment.batch_id.clone();
        let following = Following::begin(&self.services.batches, attachment, self.outgoing.clone());
        self.attached_batches.insert(batch_id, following);
    }

    /// Answers `batch.detach`. Nothing of the batch is sent after the answer.
    pub(crate) async fn batch_detach(&mut self, params: &Map<String, Value>) -> CallResult {
        let BatchNamed { batch_id } = BatchNamed::from_params(params)?;
        if self.attached_batches.remove(&batch_id).is_some() {
            return Ok(json!({"status": "detached"}));
        }
        batch::get(&self.services.batches, &batch_id).await?;
        let message = "Invalid params: batch_id is a batch that this connection is not attached to";
        Err(ErrorObject::new(ErrorCode::InvalidParams, message)
            .with("field", "batch_id")
            .with("batch_id", batch_id))
    }

    /// Answers `gate.list`.
    pub(crate) fn gate_list(&self, params: &Map<String, Value>) -> CallResult {
        gate::no_params(params)?;
        let facts = self.services.batches.gates.facts();
        let gates = facts.into_iter().map(|facts| facts.summary()).collect();
        Ok(json!(GateListResult { gates }))
    }

    /// Answers `gate.open`.
    pub(crate) async fn gate_open(&self, params: &Map<String, Value>) -> CallResult {
        let GateOpen { gate_id } = GateOpen::from_params(params)?;
        let opened = batch::open_gates(&self.services.batches, gate_id.as_deref()).await?;
        Ok(json!(GateOpenResult { opened }))
    }
}
