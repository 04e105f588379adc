//! A batch whose owner has panicked. A panic is a mistake of this program; even so the batch is continued: from its
//! stored state, as the next supervisor would continue it.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::time::sleep;

use crate::{
    batch::{batches::Batches, owner::Owner, stored},
    config::limits,
};

/// Runs the owner of a batch in a tokio task of its own.
pub(super) fn hold(
    batches: &Arc<Batches>,
    batch_id: &str,
    owner: impl Future<Output = ()> + Send + 'static,
) {
    let (batches, batch_id) = (Arc::clone(batches), batch_id.to_owned());
    tokio::spawn(async move {
        if AssertUnwindSafe(owner).catch_unwind().await.is_ok() {
            return;
        }
        tracing::error!(
            batch_id,
            "the owner of a batch has panicked: its stored state is taken up"
        );
        // Time for an operator to see it, should every attempt panic.
        tokio::select! {
            () = sleep(limits::PANICKED_BATCH) => take_up(&batches, &batch_id).await,
            () = batches.tasks.stage.stopping() => {}
        }
    });
}

async fn take_up(batches: &Arc<Batches>, batch_id: &str) {
    let former = batches.get(batch_id);
    batches.gates.leave_all(batch_id);
    let stored = async { stored::load(batches, stored::row(batches, batch_id).await?).await };
    match stored.await {
        Ok(stored) if stored.state.batch.is_over() => batches.remove(batch_id),
        Ok(stored) => Owner::restore(batches, stored),
        Err(error) => {
            tracing::error!(batch_id, %error, "a batch cannot be continued");
            batches.remove(batch_id);
        }
    }
    // Whoever follows the former owner's snapshot looks for the new one.
    if let Some(former) = former {
        former.snapshot.touch();
    }
}
