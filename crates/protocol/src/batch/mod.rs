//! `batch.*`: lists of tasks that run by themselves, and how far they are.
//!
//! A batch belongs to no session: it outlives its client and its supervisor. What `batch.submit` takes, the
//! plan, is the crate `cc-batch`'s to read, since all its mistakes are told at once. The tasks of a batch are
//! ordinary tasks, which `task.*` shows and steers.

mod params;

mod rows;
mod summary;

mod money;
mod progress;

pub use self::{
    money::{usd, usd_at_least},
    params::{BatchFilter, BatchList, BatchNamed, BatchResume, BatchRows, BatchTask, ResumeOnly},
    progress::{BatchCompleted, BatchProgress},
    rows::{
        AttemptClass, BatchAttempt, BatchRow, BatchRowsResult, EARLIER_TAIL_BYTES_LIMIT,
        RESULT_BYTES_LIMIT, ROWS_LIMIT, RowState, STRUCTURED_OUTPUT_BYTES_LIMIT, TAIL_BYTES_LIMIT,
        WHOLE_RESULT_BYTES_LIMIT, WholeResult,
    },
    summary::{
        BatchCounts, BatchListResult, BatchOutcome, BatchRunning, BatchState, BatchSubmitted,
        BatchSummary, BatchWait, RUNNING_LIMIT,
    },
};
