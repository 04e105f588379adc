//! Batches as the database has them: their rows, and what is stored in them as JSON, become the types of this room.

use std::sync::Arc;

use cc_batch::{Batch, Plan, life::TaskState};
use cc_protocol::batch::BatchSummary;
use cc_state::{BatchRow, BatchTaskRow};

use crate::batch::{
    attempts::Attempts,
    batches::Batches,
    error::BatchError,
    run_state::{BatchFacts, RunState, StoredHead},
};

/// A batch with the state of all its tasks.
#[derive(Clone, Debug)]
pub(super) struct StoredBatch {
    pub(super) facts: BatchFacts,
    pub(super) state: RunState,
}

pub(super) async fn load(batches: &Batches, row: BatchRow) -> Result<StoredBatch, BatchError> {
    let id = row.id.clone();
    let tasks = batches.tasks.store.read(move |db| db.batch_tasks(&id, 0, u64::MAX)).await?;
    let plan: Plan = serde_json::from_str(&row.plan)?;
    let stored: StoredHead = serde_json::from_str(&row.head)?;
    let mut states = vec![TaskState::Waiting; plan.tasks.len()];
    let mut attempts = vec![Attempts::default(); plan.tasks.len()];
    for task in tasks {
        let index = usize::try_from(task.place).unwrap_or(usize::MAX);
        let (state, of_task) = parse(&task)?;
        if let (Some(to_state), Some(to_attempts)) =
            (states.get_mut(index), attempts.get_mut(index))
        {
            *to_state = state;
            *to_attempts = of_task.short();
        }
    }
    let (batch_id, submitted_ms) = (row.id, row.submitted_ms);
    let token = row.token.map(Arc::from);
    Ok(StoredBatch {
        facts: BatchFacts { batch_id, plan: Arc::new(plan), submitted_ms, token },
        state: RunState {
            batch: Batch { head: stored.head, tasks: states },
            attempts,
            started_ms: stored.started_ms,
            over_ms: row.over_ms,
        },
    })
}

fn parse(task: &BatchTaskRow) -> Result<(TaskState, Attempts), serde_json::Error> {
    let attempts = task.record.as_deref().map(serde_json::from_str).transpose()?;
    Ok((serde_json::from_str(&task.state)?, attempts.unwrap_or_default()))
}

pub(super) async fn row(batches: &Batches, batch_id: &str) -> Result<BatchRow, BatchError> {
    let id = batch_id.to_owned();
    let row = batches.tasks.store.read(move |db| db.batch(&id)).await?;
    row.ok_or_else(|| BatchError::NoSuchBatch { batch_id: batch_id.to_owned() })
}

/// The summary of a batch that is over.
pub(super) fn last_summary(row: &BatchRow) -> Result<BatchSummary, BatchError> {
    let stored: Option<StoredHead> = serde_json::from_str(&row.head).ok();
    stored
        .and_then(|stored| stored.summary)
        .ok_or_else(|| BatchError::SummaryUnreadable { batch_id: row.id.clone() })
}

pub(super) fn plan_of(row: &BatchRow) -> Result<Plan, BatchError> {
    serde_json::from_str(&row.plan)
        .map_err(|error| BatchError::PlanUnreadable { batch_id: row.id.clone(), error })
}

/// The tasks from `first` up to but not including `end`, with all that is stored of their attempts. A task that cannot
/// be read is logged and shown as waiting.
pub(super) async fn tasks(
    batches: &Batches,
    batch_id: &str,
    first: usize,
    end: usize,
) -> Result<Vec<(TaskState, Attempts)>, BatchError> {
    let id = batch_id.to_owned();
    let reading = batches.tasks.store.read(move |db| db.batch_tasks(&id, first as u64, end as u64));
    let mut stored = reading.await?.into_iter().peekable();
    let tasks = (first..end).map(|index| {
        let task = stored.next_if(|task| task.place == index as u64);
        match task.map(|task| parse(&task)) {
            None => (TaskState::Waiting, Attempts::default()),
            Some(Ok(read)) => read,
            Some(Err(error)) => {
                tracing::error!(batch_id = %batch_id, index, %error, "reading a task of a batch");
                (TaskState::Waiting, Attempts::default())
            }
        }
    });
    Ok(tasks.collect())
}
