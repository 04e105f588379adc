//! `batch.get`, `batch.list` and `batch.rows`: answered from the snapshots of running batches, else from the database.

use std::sync::Arc;

use cc_batch::Plan;
use cc_protocol::{
    batch::{
        BatchFilter, BatchList, BatchListResult, BatchRow, BatchRows, BatchRowsResult, BatchSummary,
    },
    status::StatusBatch,
};

use crate::{
    batch::{batches::Batches, error::BatchError, render, stored},
    config::limits,
};

/// Answers `batch.get`.
pub(crate) async fn get(batches: &Batches, batch_id: &str) -> Result<BatchSummary, BatchError> {
    let gates = &batches.gates;
    if let Some(handle) = batches.get(batch_id) {
        return Ok(handle.snapshot.summary(gates));
    }
    stored::last_summary(&stored::row(batches, batch_id).await?)
}

/// The name of the token with which a batch was submitted.
pub(crate) async fn token_of(
    batches: &Batches,
    batch_id: &str,
) -> Result<Option<Arc<str>>, BatchError> {
    if let Some(handle) = batches.get(batch_id) {
        return Ok(handle.snapshot.facts().token.clone());
    }
    Ok(stored::row(batches, batch_id).await?.token.map(Arc::from))
}

/// The batches that are not over, the oldest first, and how many of their tasks wait. With a `token`, of the batches that
/// were submitted with it.
pub(crate) fn progress(batches: &Batches, token: Option<&str>) -> (Vec<StatusBatch>, u64) {
    let mut snapshots = batches.snapshots();
    snapshots.retain(|it| token.is_none_or(|token| it.facts().token.as_deref() == Some(token)));
    let summaries = snapshots.into_iter().map(|batch| batch.summary(&batches.gates));
    let mut rows: Vec<StatusBatch> = summaries
        .map(|BatchSummary { batch_id, name, state, counts, .. }| StatusBatch {
            batch_id,
            name,
            state,
            counts,
        })
        .collect();
    // The ids are sortable by time.
    rows.sort_unstable_by(|one, other| one.batch_id.cmp(&other.batch_id));
    let waiting = rows.iter().map(|row| row.counts.waiting + row.counts.retrying).sum();
    (rows, waiting)
}

/// Answers `batch.list`. With a `token`, of the batches that were submitted with it.
pub(crate) async fn list(
    batches: &Batches,
    token: Option<Arc<str>>,
    list: BatchList,
) -> Result<BatchListResult, BatchError> {
    let filter = match list.state {
        BatchFilter::All => cc_state::BatchFilter::All,
        BatchFilter::Running => cc_state::BatchFilter::Open,
        BatchFilter::Over => cc_state::BatchFilter::Over,
    };
    let limit = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let before = list.before;
    let reading = batches
        .tasks
        .store
        .read(move |db| db.batches_of(token.as_deref(), filter, before.as_deref(), limit + 1));
    let rows = reading.await?;
    let mut has_more = rows.len() > limit;
    let (mut listed, mut list_bytes) = (Vec::new(), 0);
    for row in rows.into_iter().take(limit) {
        let summary = match batches.get(&row.id) {
            Some(handle) => handle.snapshot.summary(&batches.gates),
            // A batch whose state a newer program has written must not hide the others.
            None => match stored::last_summary(&row) {
                Ok(summary) => summary,
                Err(error) => {
                    tracing::error!(batch_id = row.id, %error, "a batch cannot be listed");
                    continue;
                }
            },
        };
        list_bytes += json_bytes(&summary);
        if list_bytes > limits::LIST_BYTES {
            has_more = true;
            break;
        }
        listed.push(summary);
    }
    Ok(BatchListResult { batches: listed, has_more })
}

/// Answers `batch.rows`.
pub(crate) async fn rows(
    batches: &Batches,
    wanted: &BatchRows,
) -> Result<BatchRowsResult, BatchError> {
    let plan = plan(batches, &wanted.batch_id).await?;
    let index = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let first = wanted.after_index.map_or(0, |after| index(after).saturating_add(1));
    let end = plan.tasks.len().min(first.saturating_add(index(wanted.limit)));
    let (rows, next) =
        rows_from(batches, &wanted.batch_id, &plan, first, end, limits::LIST_BYTES).await?;
    Ok(BatchRowsResult { rows, has_more: next < plan.tasks.len() })
}

/// The plan of a batch.
pub(crate) async fn plan(batches: &Batches, batch_id: &str) -> Result<Arc<Plan>, BatchError> {
    if let Some(handle) = batches.get(batch_id) {
        return Ok(Arc::clone(&handle.snapshot.facts().plan));
    }
    stored::plan_of(&stored::row(batches, batch_id).await?).map(Arc::new)
}

/// The rows of the tasks from `first` up to but not including `end`, as many as fit in `bytes_limit` but at least one;
/// and the index of the task that follows them.
pub(crate) async fn rows_from(
    batches: &Batches,
    batch_id: &str,
    plan: &Plan,
    first: usize,
    end: usize,
    bytes_limit: usize,
) -> Result<(Vec<BatchRow>, usize), BatchError> {
    let (mut rows, mut bytes, mut next) = (Vec::new(), 0, first);
    while next < end {
        let page_end = end.min(next.saturating_add(limits::BATCH_ROWS_READ));
        for row in page(batches, batch_id, plan, next, page_end).await? {
            bytes += json_bytes(&row);
            if bytes > bytes_limit && !rows.is_empty() {
                return Ok((rows, next));
            }
            rows.push(row);
            next += 1;
        }
    }
    Ok((rows, next))
}

async fn page(
    batches: &Batches,
    batch_id: &str,
    plan: &Plan,
    first: usize,
    end: usize,
) -> Result<Vec<BatchRow>, BatchError> {
    let tasks = (first..).zip(stored::tasks(batches, batch_id, first, end).await?);
    Ok(tasks.map(|(index, (state, attempts))| render::row(plan, index, &state, attempts)).collect())
}

/// The length of a value as JSON.
pub(crate) fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}
