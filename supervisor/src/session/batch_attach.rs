//! `batch.attach` and `batch.detach`: which batches' changes this connection is sent.

use cc_protocol::{CallError, UnfitParam, batch::BatchNamed, control::Done};

use crate::{
    batch::{self, Attachment, Following},
    config::limits,
    session::{
        handler::Handler,
        reply::{Reply, Then},
    },
};

impl Handler {
    pub(super) async fn batch_attach(
        &mut self,
        BatchNamed { batch_id }: BatchNamed,
    ) -> Result<Reply, CallError> {
        let (summary, attachment) = batch::attach(&self.services.batches, batch_id.clone()).await?;
        self.attached_batches.retain(|_, following| !following.is_done());
        if self.attached_batches.contains_key(&batch_id) {
            // The connection gets its changes already: only the summary was wanted.
            return Ok(Reply::new(summary));
        }
        if self.attached_batches.len() >= limits::ATTACHED_BATCHES {
            let limit = limits::ATTACHED_BATCHES;
            return Err(CallError::AttachedFull { what: "batches", limit });
        }
        Ok(Reply::new(summary).then(Then::FollowBatch(Box::new(attachment))))
    }

    /// Begins to send what changes in a batch; called once the answer to `batch.attach` is queued.
    pub(super) fn follow_batch(&mut self, attachment: Attachment) {
        let batch_id = attachment.batch_id.clone();
        let following = Following::begin(&self.services.batches, attachment, self.outgoing.clone());
        self.attached_batches.insert(batch_id, following);
    }

    /// Nothing of the batch is sent after the answer.
    pub(super) async fn batch_detach(
        &mut self,
        BatchNamed { batch_id }: BatchNamed,
    ) -> Result<Reply, CallError> {
        if self.attached_batches.remove(&batch_id).is_some() {
            return Ok(Reply::new(Done::new("detached")));
        }
        batch::get(&self.services.batches, &batch_id).await?;
        Err(UnfitParam::BatchNotAttached { batch_id }.into())
    }
}
