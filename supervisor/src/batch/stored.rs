//! Batches as the database has them.

use std::sync::Arc;

use cc_batch::{Batch, Plan, life::TaskState};
use cc_protocol::{
    batch::BatchSummary,
    error::{ErrorCode, ErrorObject},
};
use cc_state::BatchTaskRow;

use crate::batch::batches::Batches;
use crate::batch::{
    attempts::Record,
    batches::no_such_batch,
    run_state::{BatchFacts, RunState, StoredHead},
};
use crate::task::lookup::failed;

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
pub async fn row(batches: &Batches, batch_id: &str) -> Result<cc_state::BatchRow, ErrorObject> {
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
