//! The batches that an earlier supervisor left unfinished.

use std::sync::Arc;

use cc_state::BatchRow;

use crate::{
    batch::{batches::Batches, gatekeeper, owner::Owner, stored},
    ops::panics,
};

/// Continues the batches of earlier supervisors as soon as their tasks are recovered, and starts the timer of the
/// gates. `rows` are the batches that are not over.
pub(crate) async fn restore(batches: &Arc<Batches>, rows: Vec<BatchRow>) {
    for row in rows {
        let batch_id = row.id.clone();
        match stored::load(batches, row).await {
            Ok(stored) => Owner::restore(batches, stored),
            Err(error) => tracing::error!(batch_id, %error, "a batch cannot be continued"),
        }
    }
    let kept = Arc::clone(batches);
    tokio::spawn(panics::forever("the keeper of the gates", move || {
        gatekeeper::keep(Arc::clone(&kept))
    }));
}
