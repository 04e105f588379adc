//! What clients ask about batches, answered from the snapshots of those that are not over and from the database.

use std::sync::Arc;

use cc_batch::{Batch, Plan, life::TaskState};
use cc_protocol::{
    batch::{
        BatchFilter, BatchList, BatchListResult, BatchRow, BatchRows, BatchRowsResult, BatchSummary,
    },
    error::{ErrorCode, ErrorObject},
};
use cc_state::BatchTaskRow;

use crate::batch::{
    attempts::Record,
    no_such_batch, render,
    snapshot::{BatchFacts, RunState, StoredHead},
};
use crate::{batch::Batches, config::limits, task::lookup::failed};

/// A batch as the database has it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What never changes.
    pub facts: BatchFacts,
    /// Where it stands.
    pub standing: RunState,
}

/// Reads a batch with the state of all its tasks.
///
/// # Errors
/// When it cannot be read, or a newer program has written it.
pub async fn load(batches: &Batches, row: cc_state::BatchRow) -> Result<Loaded, String> {
    let id = row.id.clone();
    let tasks = batches.tasks.store.read(move |db| db.batch_tasks(&id, 0, u64::MAX)).await;
    let tasks = tasks.map_err(|error| error.to_string())?;
    let unreadable = |error: serde_json::Error| format!("its state cannot be read: {error}");
    let plan: Plan = serde_json::from_str(&row.plan).map_err(unreadable)?;
    let stored: StoredHead = serde_json::from_str(&row.head).map_err(unreadable)?;
    let count = plan.tasks.len();
    let mut states = vec![TaskState::Waiting; count];
    let mut records = vec![Record::default(); count];
    for task in tasks {
        let index = usize::try_from(task.place).unwrap_or(usize::MAX);
        let (state, record) = parse(&task).map_err(unreadable)?;
        if let (Some(to_state), Some(to_record)) = (states.get_mut(index), records.get_mut(index)) {
            *to_state = state;
            *to_record = record.short();
        }
    }
    let (batch_id, submitted_ms) = (row.id, row.submitted_ms);
    Ok(Loaded {
        facts: BatchFacts { batch_id, plan: Arc::new(plan), submitted_ms },
        standing: RunState {
            batch: Batch { head: stored.head, tasks: states },
            records,
            started_ms: stored.started_ms,
            over_ms: row.over_ms,
        },
    })
}

fn parse(task: &BatchTaskRow) -> Result<(TaskState, Record), serde_json::Error> {
    let record = task.record.as_deref().map(serde_json::from_str).transpose()?;
    Ok((serde_json::from_str(&task.state)?, record.unwrap_or_default()))
}

/// The row of a batch.
///
/// # Errors
/// That there is none, or that the database cannot be read.
pub async fn stored(batches: &Batches, batch_id: &str) -> Result<cc_state::BatchRow, ErrorObject> {
    let id = batch_id.to_owned();
    let row =
        batches.tasks.store.read(move |db| db.batch(&id)).await.map_err(|error| failed(&error))?;
    row.ok_or_else(|| no_such_batch(batch_id))
}

/// The last word about a batch that is over.
///
/// # Errors
/// When it is not over, or a newer program has written it.
pub fn last_summary(row: &cc_state::BatchRow) -> Result<BatchSummary, ErrorObject> {
    let stored: Option<StoredHead> = serde_json::from_str(&row.head).ok();
    stored.and_then(|stored| stored.summary).ok_or_else(|| {
        let message = format!("the state of batch {} cannot be read", row.id);
        ErrorObject::new(ErrorCode::InternalError, message)
    })
}

/// Answers `batch.get`.
///
/// # Errors
/// That there is none, or that the database cannot be read.
pub async fn get(batches: &Batches, batch_id: &str) -> Result<BatchSummary, ErrorObject> {
    let gates = &batches.gates;
    if let Some(handle) = batches.get(batch_id) {
        return Ok(handle.snapshot.summary(gates));
    }
    last_summary(&stored(batches, batch_id).await?)
}

/// Answers `batch.list`.
///
/// # Errors
/// When the database cannot be read.
pub async fn list(batches: &Batches, list: BatchList) -> Result<BatchListResult, ErrorObject> {
    let filter = match list.state {
        BatchFilter::All => cc_state::BatchFilter::All,
        BatchFilter::Running => cc_state::BatchFilter::Open,
        BatchFilter::Over => cc_state::BatchFilter::Over,
    };
    let limit = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let before = list.before;
    let reading =
        batches.tasks.store.read(move |db| db.batches(filter, before.as_deref(), limit + 1));
    let rows = reading.await.map_err(|error| failed(&error))?;
    let mut has_more = rows.len() > limit;
    let (mut listed, mut list_bytes) = (Vec::new(), 0);
    for row in rows.into_iter().take(limit) {
        let summary = match batches.get(&row.id) {
            Some(handle) => handle.snapshot.summary(&batches.gates),
            // One whose state a newer program has written must not hide the others.
            None => match last_summary(&row) {
                Ok(summary) => summary,
                Err(error) => {
                    tracing::error!(batch_id = row.id, error = error.message, "batch.list");
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
///
/// # Errors
/// That there is no such batch, or that the database cannot be read.
pub async fn rows(batches: &Batches, wanted: &BatchRows) -> Result<BatchRowsResult, ErrorObject> {
    let plan = plan(batches, &wanted.batch_id).await?;
    let index = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let first = wanted.after_index.map_or(0, |after| index(after).saturating_add(1));
    let end = plan.tasks.len().min(first.saturating_add(index(wanted.limit)));
    let (rows, next) =
        rows_from(batches, &wanted.batch_id, &plan, first, end, limits::LIST_BYTES).await?;
    Ok(BatchRowsResult { rows, has_more: next < plan.tasks.len() })
}

/// The plan of a batch.
///
/// # Errors
/// That there is none, or that the database cannot be read.
pub async fn plan(batches: &Batches, batch_id: &str) -> Result<Arc<Plan>, ErrorObject> {
    if let Some(handle) = batches.get(batch_id) {
        return Ok(Arc::clone(&handle.snapshot.facts().plan));
    }
    plan_of(&stored(batches, batch_id).await?).map(Arc::new)
}

/// The plan of a stored batch.
///
/// # Errors
/// When a newer program has written it.
pub fn plan_of(row: &cc_state::BatchRow) -> Result<Plan, ErrorObject> {
    serde_json::from_str(&row.plan).map_err(|error| {
        let message = format!("the plan of batch {} cannot be read: {error}", row.id);
        ErrorObject::new(ErrorCode::InternalError, message)
    })
}

/// The rows of the tasks from `first` on and before `end`, as many as `bytes_limit` holds, but at least one; and the
/// task that follows them.
///
/// # Errors
/// When the database cannot be read.
pub async fn rows_from(
    batches: &Batches,
    batch_id: &str,
    plan: &Plan,
    first: usize,
    end: usize,
    bytes_limit: usize,
) -> Result<(Vec<BatchRow>, usize), ErrorObject> {
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
) -> Result<Vec<BatchRow>, ErrorObject> {
    let tasks = (first..).zip(tasks(batches, batch_id, first, end).await?);
    Ok(tasks.map(|(index, (state, record))| render::row(plan, index, &state, record)).collect())
}

/// The tasks from `first` on and before `end`, with all that is stored of them.
///
/// # Errors
/// When the database cannot be read.
pub async fn tasks(
    batches: &Batches,
    batch_id: &str,
    first: usize,
    end: usize,
) -> Result<Vec<(TaskState, Record)>, ErrorObject> {
    let id = batch_id.to_owned();
    let reading = batches.tasks.store.read(move |db| db.batch_tasks(&id, first as u64, end as u64));
    let mut stored = reading.await.map_err(|error| failed(&error))?.into_iter().peekable();
    let tasks = (first..end).map(|index| {
        let task = stored.next_if(|task| task.place == index as u64);
        match task.map(|task| parse(&task)) {
            None => (TaskState::Waiting, Record::default()),
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                tracing::error!(batch_id = %batch_id, index, %error, "a task of a batch");
                (TaskState::Waiting, Record::default())
            }
        }
    });
    Ok(tasks.collect())
}

/// How long it is as JSON.
pub fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |text| text.len())
}
