//! What tests of several rooms begin with.

use cc_protocol::{
    EndReason, OutputCounts, Verdict,
    batch::{BatchCounts, BatchRow, BatchState, BatchSummary, RowState},
    notification::{Position, ProcessCompleted},
};

/// A terminal event with plausible numbers.
pub(crate) fn completed(verdict: Verdict, exit_code: i32) -> ProcessCompleted {
    ProcessCompleted {
        status: if exit_code == 0 { "completed" } else { "failed" }.into(),
        pid: 7,
        pgid: 7,
        exit_code,
        error: None,
        execution_time: 1.234,
        reason: EndReason::Exit,
        verdict,
        signal: None,
        duration_ms: 1234,
        cpu_ms: 900,
        max_rss_bytes: 5_000_000,
        output: OutputCounts { lines: 3, bytes: 1_500, ..OutputCounts::default() },
        killed_leftovers: 0,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        position: Position { task_id: "t".to_owned(), seq: 9 },
    }
}

/// A running batch of ten tasks.
pub(crate) fn summary(batch_id: &str) -> BatchSummary {
    BatchSummary {
        batch_id: batch_id.to_owned(),
        name: None,
        state: BatchState::Running,
        outcome: None,
        reason: None,
        counts: BatchCounts {
            tasks: 10,
            waiting: 6,
            running: 1,
            succeeded: 2,
            failed: 1,
            ..BatchCounts::default()
        },
        jobs: 1,
        cost_usd: 0.25,
        input_tokens: 12_345,
        output_tokens: 678,
        cache_read_tokens: 0,
        cache_creation_tokens: 0,
        unknown_costs: 0,
        warnings: 0,
        retries: 0,
        killed_leftovers: 0,
        submitted_ms: 1_000,
        started_ms: Some(1_000),
        ended_ms: None,
        waits: None,
        running: Vec::new(),
    }
}

/// A task whose turn has not come.
pub(crate) fn row(index: u64) -> BatchRow {
    BatchRow {
        index,
        name: None,
        label: None,
        title: format!("task {index}"),
        state: RowState::Waiting,
        verdict: None,
        reason: None,
        exit_code: None,
        error: None,
        why: None,
        attempts: Vec::new(),
        result: None,
        result_truncated: false,
        is_error: None,
        cost_usd: None,
        unknown_costs: 0,
        input_tokens: 0,
        output_tokens: 0,
        cache_read_tokens: 0,
        cache_creation_tokens: 0,
        num_turns: None,
        usage: None,
        claude_session_id: None,
        warnings: Vec::new(),
        structured_output: None,
        startup_failure_reason: None,
        api_error: None,
        permission_denials: Vec::new(),
        parts: Vec::new(),
        cli_version: None,
        api_key_source: None,
        duration_ms: None,
        killed_leftovers: 0,
        timeout_s: None,
        timeout_why: None,
    }
}
