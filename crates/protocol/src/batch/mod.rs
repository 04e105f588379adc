//! `batch.*`: lists of tasks that the supervisor runs on its own, and their progress.
//!
//! A batch belongs to no session: it outlives its client and its supervisor. The crate `cc-batch` reads the plan of
//! `batch.submit`, since all mistakes in it are reported at once. The tasks of a batch are ordinary tasks, which
//! `task.*` shows and controls.

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
