//! `batch.result`: the text of one task's result as far as it was kept, of which its row has the beginning.
//!
//! Taken from the database where a later task refers to it, else from the log of the last attempt. What is found
//! must begin as the row does: then it is of the same attempt, and no part before the cut is missing. Where
//! retention has removed the log, the row's beginning is all there is.

use cc_batch::plan::PlanTask;
use cc_protocol::{
    batch::{BatchTask, WholeResult},
    error::{ErrorCode, ErrorObject},
};

use crate::batch::{attempts::Last, observe, query, stored};
use crate::{
    batch::batches::Batches,
    task::{lookup::failed, spec},
};

/// Answers `batch.result`.
///
/// # Errors
/// That there is no such batch or task, or that the database cannot be read.
pub async fn result(batches: &Batches, wanted: &BatchTask) -> Result<WholeResult, ErrorObject> {
    let batch_id = &wanted.batch_id;
    let plan = query::plan(batches, batch_id).await?;
    let index = usize::try_from(wanted.index).unwrap_or(usize::MAX);
    let task = plan.tasks.get(index).ok_or_else(|| no_such_index(wanted, plan.tasks.len()))?;
    let found = stored::tasks(batches, batch_id, index, index + 1).await?.pop();
    let record = found.map(|(_, record)| record).unwrap_or_default();
    let task_id = record.attempts.last().map(|attempt| attempt.task_id.clone());
    let last = record.last.unwrap_or_default();
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

/// What was kept for tasks that refer to it. An earlier attempt may have left it.
async fn kept(
    batches: &Batches,
    wanted: &BatchTask,
    beginning: &str,
    last: &Last,
) -> Result<Option<(String, bool)>, ErrorObject> {
    let BatchTask { batch_id, index } = wanted.clone();
    let reading = batches.tasks.store.read(move |db| db.batch_results(&batch_id, &[index]));
    let kept = reading.await.map_err(|error| failed(&error))?.pop().map(|(_, text)| text);
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

fn no_such_index(wanted: &BatchTask, count: usize) -> ErrorObject {
    let message = format!(
        "Invalid params: index must be less than {count}, the number of tasks of batch {}",
        wanted.batch_id
    );
    ErrorObject::new(ErrorCode::InvalidParams, message)
        .with("field", "index")
        .with("batch_id", wanted.batch_id.clone())
}
