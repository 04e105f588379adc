//! Batches of earlier supervisors.

use std::sync::Arc;

use cc_state::BatchRow;

use crate::batch::{batches::Batches, owner::Owner, stored};

use crate::batch::gatekeeper;
/// Goes on with the batches of earlier supervisors, as soon as their tasks are seen to. `rows`: those that are
/// not over.
pub async fn restore(batches: &Arc<Batches>, rows: Vec<BatchRow>) {
    for row in rows {
        let batch_id = row.id.clone();
        match stored::load(batches, row).await {
            Ok(loaded) => Owner::restore(batches, loaded),
            Err(error) => tracing::error!(batch_id, error, "a batch cannot be gone on with"),
        }
    }
    tokio::spawn(gatekeeper::keep(Arc::clone(batches)));
}
