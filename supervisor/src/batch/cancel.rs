//! A batch's end, asked for by a client.

use cc_protocol::error::{ErrorCode, ErrorObject};
use tokio::sync::oneshot;

use crate::batch::{batches::Batches, messages::Message};

use crate::batch::batches::no_such_batch;
/// Asks for a batch's end.
///
/// # Errors
/// That there is none, or that it is over.
pub async fn cancel(batches: &Batches, batch_id: &str) -> Result<(), ErrorObject> {
    let over =
        || ErrorObject::new(ErrorCode::NoProcess, "this batch is over").with("batch_id", batch_id);
    let Some(handle) = batches.get(batch_id) else {
        let id = batch_id.to_owned();
        let row = batches.tasks.store.read(move |db| db.batch(&id)).await;
        return match row.map_err(|error| crate::task::lookup::failed(&error))? {
            Some(_) => Err(over()),
            None => Err(no_such_batch(batch_id)),
        };
    };
    let (done, is_done) = oneshot::channel();
    handle.messages.send(Message::Cancel(done)).await.map_err(|_| over())?;
    is_done.await.map_err(|_| over())
}
