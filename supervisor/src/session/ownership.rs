//! What a client sees: what was made with its own token. Anything else does not exist for it, unless it operates.

use cc_protocol::CallError;

use crate::{batch, session::handler::Handler, task::lookup::TaskRef};

impl Handler {
    /// The task with this id, if this client sees it.
    ///
    /// # Errors
    /// The same whether it is another one's or there is none.
    pub(super) async fn find_task(&self, task_id: &str) -> Result<TaskRef, CallError> {
        let task = TaskRef::find(&self.services.tasks, task_id).await?;
        if self.access.sees(task.token()) {
            Ok(task)
        } else {
            Err(CallError::NoSuchTask { task_id: task_id.to_owned() })
        }
    }

    /// Checks that this client sees the batch with this id.
    ///
    /// # Errors
    /// As [`Self::find_task`].
    pub(super) async fn check_batch(&self, batch_id: &str) -> Result<(), CallError> {
        if self.access.only().is_none() {
            return Ok(());
        }
        let token = batch::token_of(&self.services.batches, batch_id).await?;
        if self.access.sees(token.as_deref()) {
            Ok(())
        } else {
            Err(CallError::NoSuchBatch { batch_id: batch_id.to_owned() })
        }
    }
}
