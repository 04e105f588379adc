//! `batch.result`: the whole text of one task's result, as far as it was kept. The task's row has only its beginning.
//!
//! It is read from the database where another task refers to it, else from the log of the last attempt. The text that
//! is found must begin as the row does: then it is of the same attempt and complete up to the cut. Where retention has
//! removed the log, only the row's beginning is left.

use cc_batch::plan::PlanTask;
use cc_protocol::batch::{BatchTask, WholeResult};

use crate::{
    batch::{attempts::LastAttempt, batches::Batches, error::BatchError, observe, query, stored},
    task::spec,
};

/// Answers `batch.result`.
pub(crate) async fn result(
    batches: &Batches,
    wanted: &BatchTask,
) -> Result<WholeResult, BatchError> {
    let batch_id = &wanted.batch_id;
    let plan = query::plan(batches, batch_id).await?;
    let index = usize::try_from(wanted.index).unwrap_or(usize::MAX);
    let task = plan.tasks.get(index).ok_or_else(|| BatchError::NoSuchTask {
        batch_id: batch_id.clone(),
        tasks: plan.tasks.len(),
    })?;
    let found = stored::tasks(batches, batch_id, index, index + 1).await?.pop();
    let attempts = found.map(|(_, attempts)| attempts).unwrap_or_default();
    let task_id = attempts.newest.last().map(|attempt| attempt.task_id.clone());
    let last = attempts.last.unwrap_or_default();
    let whole = match (&last.result, &task_id) {
        (Some(beginning), Some(task_id)) if last.result_truncated => {
            let kept = kept(batches, wanted, beginning, &last).await?;
            match kept {
                Some(kept) => Some(kept),
                None => logged(batches, task, task_id, beginning).await,
            }
        }
        (Some(_) | None, Some(_) | None) => None,
    };
    let (result, truncated) = match whole {
        Some((text, truncated)) => (Some(text), truncated),
        None => (last.result, last.result_truncated),
    };
    Ok(WholeResult { result, truncated, task_id })
}

/// The text that was kept for tasks that refer to it. It may be of an earlier attempt.
async fn kept(
    batches: &Batches,
    wanted: &BatchTask,
    beginning: &str,
    last: &LastAttempt,
) -> Result<Option<(String, bool)>, BatchError> {
    let BatchTask { batch_id, index } = wanted.clone();
    let reading = batches.tasks.store.read(move |db| db.batch_results(&batch_id, &[index]));
    let kept = reading.await?.pop().map(|(_, text)| text);
    let kept = kept.filter(|text| text.starts_with(beginning));
    Ok(kept.map(|text| (text, last.whole_result_truncated)))
}

async fn logged(
    batches: &Batches,
    task: &PlanTask,
    task_id: &str,
    beginning: &str,
) -> Option<(String, bool)> {
    let is_agent = spec::is_claude(&task.execute.program);
    let (text, truncated) = observe::text_of(batches, task_id, is_agent).await;
    text.filter(|text| text.starts_with(beginning)).map(|text| (text, truncated))
}
