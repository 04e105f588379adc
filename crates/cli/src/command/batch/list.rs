//! `ccx batches` and `ccx batch cancel`, and finding a batch by a part of its id.

use cc_client::{Connection, Error};
use cc_protocol::{
    batch::{BatchFilter, BatchList, BatchState, BatchSummary, usd_at_least},
    error::ErrorCode,
    task::LIST_LIMIT,
};

use crate::{
    args::{BatchCancelArguments, BatchesArguments, ServerOptions},
    connect::RunningSupervisor,
    display::{
        grid::{self, Layout},
        terminal, text,
    },
    error::CommandError,
};

/// Candidates that are listed.
const SHOWN_LIMIT: usize = 10;
/// Length of a whole id.
const ID_CHARS: usize = 36;
/// The exit code if a batch could not be canceled.
const SOME_FAILED: u8 = 1;
/// Numbers are right-aligned; the name gets the remaining width.
const LAYOUT: Layout = Layout { flexible: 7, is_left: |column| matches!(column, 0 | 1 | 7) };

/// `ccx batches`.
pub(crate) async fn run(
    options: ServerOptions,
    arguments: BatchesArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let which = if arguments.all { BatchFilter::All } else { BatchFilter::Running };
    let batches = all(&mut connection, which).await?;
    connection.close().await;
    if arguments.json {
        let line = |batch: &BatchSummary| serde_json::to_string(batch).unwrap_or_default() + "\n";
        terminal::print(&batches.iter().map(line).collect::<String>());
    } else {
        terminal::print(&table(&batches, text::now_ms(), terminal::columns()));
    }
    Ok(0)
}

/// `ccx batch cancel`.
pub(super) async fn cancel(
    options: ServerOptions,
    arguments: BatchCancelArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let mut code = 0;
    for typed in &arguments.ids {
        match cancel_one(&mut connection, typed).await {
            Ok(batch_id) => terminal::print(&format!("{batch_id} canceled\n")),
            Err(failure) => {
                terminal::note(&format!("ccx: {failure}"));
                code = SOME_FAILED;
            }
        }
    }
    connection.close().await;
    Ok(code)
}

async fn cancel_one(connection: &mut Connection, typed: &str) -> Result<String, CommandError> {
    let batch = resolve(connection, typed).await?;
    match connection.batch_cancel(&batch.batch_id).await {
        Ok(_) => Ok(batch.batch_id),
        Err(Error::Server(error)) if error.code == ErrorCode::NoProcess.code() => {
            Err(CommandError::failed(format!("batch {} is over already", batch.batch_id)))
        }
        Err(Error::Server(error)) => {
            Err(CommandError::failed(format!("batch {}: {}", batch.batch_id, error.message)))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn resolve(
    connection: &mut Connection,
    typed: &str,
) -> Result<BatchSummary, CommandError> {
    let typed = typed.trim().to_ascii_lowercase();
    if typed.len() == ID_CHARS {
        return match connection.batch_get(&typed).await {
            Ok(batch) => Ok(batch),
            Err(Error::Server(error)) if error.code == ErrorCode::NoSuchBatch.code() => {
                Err(unknown(&typed))
            }
            Err(error) => Err(error.into()),
        };
    }
    if typed.is_empty() {
        return Err(CommandError::usage(
            "the batch id is empty; `ccx batches --all` shows all ids",
        ));
    }
    choose(&typed, all(connection, BatchFilter::All).await?)
}

async fn all(
    connection: &mut Connection,
    state: BatchFilter,
) -> Result<Vec<BatchSummary>, CommandError> {
    let mut batches: Vec<BatchSummary> = Vec::new();
    loop {
        let before = batches.last().map(|batch| batch.batch_id.clone());
        let page = connection.batch_list(&BatchList { state, limit: LIST_LIMIT, before }).await?;
        let is_last = !page.has_more || page.batches.is_empty();
        batches.extend(page.batches);
        if is_last {
            return Ok(batches);
        }
    }
}

fn choose(typed: &str, batches: Vec<BatchSummary>) -> Result<BatchSummary, CommandError> {
    let is_meant =
        |batch: &BatchSummary| batch.batch_id.starts_with(typed) || batch.batch_id.ends_with(typed);
    let mut candidates: Vec<BatchSummary> = batches.into_iter().filter(is_meant).collect();
    match (candidates.pop(), candidates.len()) {
        (None, _) => Err(unknown(typed)),
        (Some(batch), 0) => Ok(batch),
        (Some(last), others) => {
            let mut text =
                format!("{typed:?} may be any of {} batches; type more of its id:", others + 1);
            for batch in candidates.iter().chain([&last]).take(SHOWN_LIMIT) {
                let name = batch.name.as_deref().unwrap_or_default();
                text.push_str(&format!("\n  {}  {}  {name}", batch.batch_id, state(batch)));
            }
            Err(CommandError::failed(text))
        }
    }
}

fn unknown(typed: &str) -> CommandError {
    CommandError::failed(format!(
        "there is no batch {typed:?}, neither as a whole id nor as the beginning or end of one; `ccx batches --all` shows all ids"
    ))
}

/// A batch that is over shows its outcome instead.
fn state(batch: &BatchSummary) -> &'static str {
    match (batch.state, batch.outcome) {
        (BatchState::Over, Some(outcome)) => outcome.as_str(),
        (state, _) => state.as_str(),
    }
}

fn table(batches: &[BatchSummary], now_ms: u64, columns: usize) -> String {
    let header = ["id", "state", "done", "failed", "warned", "age", "cost", "name"];
    let mut cells = vec![header.map(str::to_owned).to_vec()];
    cells.extend(batches.iter().map(|batch| {
        let counts = &batch.counts;
        let done = counts.succeeded + counts.failed;
        let age = std::time::Duration::from_millis(now_ms.saturating_sub(batch.submitted_ms));
        vec![
            batch.batch_id.clone(),
            state(batch).to_owned(),
            format!("{done}/{}", counts.tasks),
            counts.failed.to_string(),
            batch.warnings.to_string(),
            text::duration(age),
            usd_at_least(batch.cost_usd, batch.unknown_costs),
            batch.name.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }));
    grid::draw(&LAYOUT, &cells, columns, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::summary;

    #[test]
    fn a_beginning_or_an_end_is_enough_where_only_one_batch_has_it() {
        let batches = || vec![summary("0199-aaa-1f"), summary("0199-bbb-2f")];
        assert_eq!(choose("1f", batches()).unwrap().batch_id, "0199-aaa-1f");
        assert_eq!(choose("0199-b", batches()).unwrap().batch_id, "0199-bbb-2f");
        let failure = choose("0199", batches()).unwrap_err();
        assert!(failure.to_string().contains("0199-aaa-1f  running"), "{failure}");
        assert!(choose("aaa", batches()).unwrap_err().to_string().contains("ccx batches --all"));
    }

    #[test]
    fn a_row_says_how_far_it_is_or_how_it_ended() {
        let over = BatchSummary {
            state: BatchState::Over,
            outcome: Some(cc_protocol::batch::BatchOutcome::Halted),
            name: Some("nightly".to_owned()),
            ..summary("0199f3a1-7001-7abc-9def-0123456789ab")
        };
        let running = summary("0199f3a2-8001-7abc-9def-0123456789ab");
        insta::assert_snapshot!(table(&[running, over], 61_000, usize::MAX), @r#"
        id                                    state    done  failed  warned        age      cost  name
        ────────────────────────────────────  ───────  ────  ──────  ──────  ─────────  ────────  ───────
        0199f3a2-8001-7abc-9def-0123456789ab  running  3/10       1       0  1 min 0 s  0.25 USD  -
        0199f3a1-7001-7abc-9def-0123456789ab  halted   3/10       1       0  1 min 0 s  0.25 USD  nightly
        "#);
    }
}
