//! `batch.cancel`.

use tokio::sync::oneshot;

use crate::batch::{batches::Batches, error::BatchError, messages::Message, stored};

/// Cancels a batch. Returns when that is stored; its tasks may still be running.
pub(crate) async fn cancel(batches: &Batches, batch_id: &str) -> Result<(), BatchError> {
    let over = || BatchError::Over { batch_id: batch_id.to_owned() };
    let Some(handle) = batches.get(batch_id) else {
        stored::row(batches, batch_id).await?;
        return Err(over());
    };
    let (done, is_done) = oneshot::channel();
    handle.messages.send(Message::Cancel(done)).await.map_err(|_| over())?;
    is_done.await.map_err(|_| over())
}
