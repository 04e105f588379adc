//! A plan becomes a batch.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cc_batch::{Batch, Mistakes, Plan, Rules, life::TaskState};
use cc_events::Verdict;
use cc_protocol::{
    batch::{BatchResume, BatchSubmitted, ResumeOnly},
    error::{ErrorCode, ErrorObject},
};
use cc_state::{Change, PlanHash};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::batch::{
    attempts::Record,
    owner::Owner,
    run_state::{BatchFacts, RunState, StoredHead},
    snapshot::Snapshot,
    stored,
};
use crate::{batch::batches::Batches, ops::clock::now_ms, task::lookup::failed};

/// Answers `batch.submit`.
///
/// # Errors
/// What is wrong with the plan, or why no batch may begin now.
pub async fn submit(
    batches: &Arc<Batches>,
    params: Map<String, Value>,
) -> Result<BatchSubmitted, ErrorObject> {
    // A long plan takes a while.
    let reading = tokio::task::spawn_blocking(move || {
        let plan = Plan::from_params(params)?;
        let hash = hash(&plan);
        Ok::<_, Mistakes>((plan, hash))
    });
    let internal = |error: tokio::task::JoinError| {
        ErrorObject::new(ErrorCode::InternalError, format!("reading the plan: {error}"))
    };
    let (plan, hash) = reading.await.map_err(internal)?.map_err(|mistakes| refused(&mistakes))?;
    begin(batches, plan, hash).await
}

/// Answers `batch.resume`.
///
/// # Errors
/// That there is no such batch, that it is not over, or that nothing is left to be done.
pub async fn resume(
    batches: &Arc<Batches>,
    params: BatchResume,
) -> Result<BatchSubmitted, ErrorObject> {
    let row = stored::row(batches, &params.batch_id).await?;
    if row.over_ms.is_none() {
        let message =
            "Invalid params: batch_id is a batch that is not over: wait for it, or cancel it";
        return Err(ErrorObject::new(ErrorCode::InvalidParams, message).with("field", "batch_id"));
    }
    let unreadable = |error: String| ErrorObject::new(ErrorCode::InternalError, error);
    let loaded = stored::load(batches, row).await.map_err(unreadable)?;
    let (plan, states) = (&loaded.facts.plan, &loaded.standing.batch.tasks);
    let is_kept =
        |index: usize| states.get(index).is_some_and(|state| is_wanted(state, params.only));
    if !(0..states.len()).any(is_kept) {
        let message = "nothing is left to be done of this batch";
        return Err(ErrorObject::new(ErrorCode::NoProcess, message));
    }
    let needs = plan.needs().iter().flatten();
    let places: BTreeSet<u64> =
        needs.filter(|need| need.result).map(|need| need.task as u64).collect();
    let places: Vec<u64> = places.into_iter().collect();
    let id = params.batch_id.clone();
    let results = batches.tasks.store.read(move |db| db.batch_results(&id, &places)).await;
    let results: HashMap<u64, String> =
        results.map_err(|error| failed(&error))?.into_iter().collect();
    let result_of = |index: usize| results.get(&(index as u64)).map(String::as_str);
    let rest = plan.rest(is_kept, result_of).map_err(|error| {
        let message =
            format!("Invalid params: batch_id is a batch that cannot be resumed: {error}");
        ErrorObject::new(ErrorCode::InvalidParams, message).with("field", "batch_id")
    })?;
    let hash = hash(&rest);
    begin(batches, rest, hash).await
}

fn is_wanted(state: &TaskState, only: ResumeOnly) -> bool {
    let verdict = state.outcome().map(|outcome| outcome.verdict);
    match (only, verdict) {
        (_, Some(Verdict::Succeeded)) | (ResumeOnly::Failed, None) => false,
        (ResumeOnly::Failed | ResumeOnly::Unsuccessful, Some(_))
        | (ResumeOnly::Unsuccessful, None) => true,
    }
}

async fn begin(
    batches: &Arc<Batches>,
    mut plan: Plan,
    plan_hash: PlanHash,
) -> Result<BatchSubmitted, ErrorObject> {
    let key = plan.idempotency_key.clone();
    if let Some(found) = same_key(batches, key.as_deref(), plan_hash).await? {
        return Ok(found);
    }
    if batches.tasks.stage.is_stopping() {
        let message = "the supervisor is stopping and takes no new batches";
        return Err(ErrorObject::new(ErrorCode::Draining, message));
    }
    batches.has_room()?;
    batches.tasks.config.hooks.fill(&mut plan.options.hooks);
    let batch_id = uuid::Uuid::now_v7();
    let now_ms = now_ms();
    let rules = Rules::of(&plan);
    let (_, seed) = batch_id.as_u64_pair();
    let begun = Batch::begin(&rules, seed, now_ms);
    let batch_id = batch_id.to_string();
    let head = StoredHead { head: begun.batch.head.clone(), started_ms: None, summary: None };
    let row = cc_state::BatchRow {
        id: batch_id.clone(),
        idempotency_key: key.clone(),
        plan_hash,
        plan: json!(plan).to_string(),
        head: json!(head).to_string(),
        submitted_ms: now_ms,
        over_ms: None,
    };
    let stored = batches.tasks.store.commit(vec![Change::BatchSubmitted(Box::new(row))]).await;
    stored.map_err(|error| failed(&error))?;
    // Somebody else may have been first.
    if let Some(found) = same_key(batches, key.as_deref(), plan_hash).await?
        && found.batch_id != batch_id
    {
        return Ok(found);
    }
    let tasks = plan.tasks.len() as u64;
    tracing::info!(batch_id, name = plan.name, tasks, "a batch begins");
    let standing = RunState {
        batch: begun.batch.clone(),
        records: vec![Record::default(); plan.tasks.len()],
        started_ms: None,
        over_ms: None,
    };
    let facts =
        BatchFacts { batch_id: batch_id.clone(), plan: Arc::new(plan), submitted_ms: now_ms };
    Owner::begin(batches, Snapshot::new(facts, standing), rules, begun);
    Ok(BatchSubmitted { batch_id, is_new: true, tasks })
}

/// The batch that was submitted under this key.
async fn same_key(
    batches: &Batches,
    key: Option<&str>,
    plan_hash: PlanHash,
) -> Result<Option<BatchSubmitted>, ErrorObject> {
    let Some(key) = key.map(str::to_owned) else { return Ok(None) };
    let row = batches.tasks.store.read(move |db| db.batch_of_key(&key)).await;
    let Some(row) = row.map_err(|error| failed(&error))? else { return Ok(None) };
    if row.plan_hash != plan_hash {
        let message = format!(
            "Invalid params: idempotency_key is that of batch {}, which has another plan: give this one another key",
            row.id
        );
        return Err(ErrorObject::new(ErrorCode::InvalidParams, message)
            .with("field", "idempotency_key")
            .with("batch_id", row.id));
    }
    let tasks = stored::plan_of(&row)?.tasks.len() as u64;
    Ok(Some(BatchSubmitted { batch_id: row.id, is_new: false, tasks }))
}

/// Of the plan as it was understood: how it was written does not matter.
fn hash(plan: &Plan) -> PlanHash {
    Sha256::digest(json!(plan).to_string()).into()
}

/// The answer to a plan with mistakes: all of them, as many as an answer holds.
fn refused(mistakes: &Mistakes) -> ErrorObject {
    let count = mistakes.count();
    let first = mistakes.list.first();
    let text = first.map(ToString::to_string).unwrap_or_default();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let message = format!("Invalid params: {count} {noun} in the plan; the first: {text}");
    let list: Vec<Value> = mistakes
        .list
        .iter()
        .map(|mistake| {
            json!({
                "task": mistake.task_index,
                "name": mistake.task_name,
                "field": mistake.field,
                "what": mistake.what,
            })
        })
        .collect();
    ErrorObject::new(ErrorCode::InvalidParams, message)
        .with("field", first.map(|mistake| mistake.field.clone()))
        .with("mistakes", list)
        .with("further", mistakes.further)
}
