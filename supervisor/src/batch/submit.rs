//! `batch.submit` and `batch.resume`: a plan becomes a batch.
//!
//! A batch exists as soon as its row is committed; only then does its owner begin.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cc_batch::{Batch, Mistakes, Plan, Rules, life::TaskState};
use cc_events::Verdict;
use cc_protocol::batch::{BatchResume, BatchSubmitted, ResumeOnly};
use cc_state::{Change, PlanHash};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    batch::{
        attempts::Attempts,
        batches::Batches,
        error::BatchError,
        owner::Owner,
        run_state::{BatchFacts, RunState, StoredHead},
        snapshot::Snapshot,
        stored,
    },
    ops::clock::now_ms,
};

/// Answers `batch.submit`.
pub(crate) async fn submit(
    batches: &Arc<Batches>,
    token: Option<Arc<str>>,
    params: Map<String, Value>,
) -> Result<BatchSubmitted, BatchError> {
    // A long plan would block the runtime.
    let reading = tokio::task::spawn_blocking(move || {
        let plan = Plan::from_params(params)?;
        let hash = hash(&plan);
        Ok::<_, Mistakes>((plan, hash))
    });
    let (plan, hash) = reading.await??;
    begin(batches, token, plan, hash).await
}

/// Answers `batch.resume`. The new batch belongs to the token of the client that asks.
pub(crate) async fn resume(
    batches: &Arc<Batches>,
    token: Option<Arc<str>>,
    params: BatchResume,
) -> Result<BatchSubmitted, BatchError> {
    let row = stored::row(batches, &params.batch_id).await?;
    if row.over_ms.is_none() {
        return Err(BatchError::NotOver);
    }
    let stored = stored::load(batches, row).await?;
    let (plan, states) = (&stored.facts.plan, &stored.state.batch.tasks);
    let is_kept =
        |index: usize| states.get(index).is_some_and(|state| is_wanted(state, params.only));
    if !(0..states.len()).any(is_kept) {
        return Err(BatchError::NothingLeft);
    }
    let needs = plan.needs().iter().flatten();
    let places: BTreeSet<u64> =
        needs.filter(|need| need.result).map(|need| need.task as u64).collect();
    let places: Vec<u64> = places.into_iter().collect();
    let id = params.batch_id.clone();
    let results = batches.tasks.store.read(move |db| db.batch_results(&id, &places)).await?;
    let results: HashMap<u64, String> = results.into_iter().collect();
    let result_of = |index: usize| results.get(&(index as u64)).map(String::as_str);
    let rest = plan.rest(is_kept, result_of).map_err(BatchError::NotResumable)?;
    let hash = hash(&rest);
    begin(batches, token, rest, hash).await
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
    token: Option<Arc<str>>,
    mut plan: Plan,
    plan_hash: PlanHash,
) -> Result<BatchSubmitted, BatchError> {
    let key = plan.idempotency_key.clone();
    if let Some(found) = same_key(batches, token.as_deref(), key.as_deref(), plan_hash).await? {
        return Ok(found);
    }
    if batches.tasks.stage.is_stopping() {
        return Err(BatchError::Stopping);
    }
    if batches.tasks.drain.is_on() {
        return Err(BatchError::Draining);
    }
    batches.has_room()?;
    batches.tasks.config().hooks.fill(&mut plan.options.hooks);
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
        token: token.as_deref().map(str::to_owned),
    };
    batches.tasks.store.commit(vec![Change::BatchSubmitted(Box::new(row))]).await?;
    // A concurrent request with the same key may have been first.
    if let Some(found) = same_key(batches, token.as_deref(), key.as_deref(), plan_hash).await?
        && found.batch_id != batch_id
    {
        return Ok(found);
    }
    let tasks = plan.tasks.len() as u64;
    tracing::info!(batch_id, name = plan.name, tasks, "a batch begins");
    let state = RunState {
        batch: begun.batch.clone(),
        attempts: vec![Attempts::default(); plan.tasks.len()],
        started_ms: None,
        over_ms: None,
    };
    let (id, plan) = (batch_id.clone(), Arc::new(plan));
    let facts = BatchFacts { batch_id: id, plan, submitted_ms: now_ms, token };
    Owner::begin(batches, Snapshot::new(facts, state), rules, begun);
    Ok(BatchSubmitted { batch_id, is_new: true, tasks })
}

/// The batch that was submitted with this token and this idempotency key.
async fn same_key(
    batches: &Batches,
    token: Option<&str>,
    key: Option<&str>,
    plan_hash: PlanHash,
) -> Result<Option<BatchSubmitted>, BatchError> {
    let Some(key) = key.map(str::to_owned) else { return Ok(None) };
    let token = token.map(str::to_owned);
    let reading = batches.tasks.store.read(move |db| db.batch_of_key(token.as_deref(), &key));
    let row = reading.await?;
    let Some(row) = row else { return Ok(None) };
    if row.plan_hash != plan_hash {
        return Err(BatchError::OtherPlan { batch_id: row.id });
    }
    let tasks = stored::plan_of(&row)?.tasks.len() as u64;
    Ok(Some(BatchSubmitted { batch_id: row.id, is_new: false, tasks }))
}

/// The hash of the parsed plan: its formatting does not matter.
fn hash(plan: &Plan) -> PlanHash {
    Sha256::digest(json!(plan).to_string()).into()
}
