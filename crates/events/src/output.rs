//! How much a task printed, and what is missing of it.

use serde::{Deserialize, Serialize};

/// Output that was read and is in no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Lines of which at least a part is missing.
    pub lines: u64,
    /// Bytes that are missing.
    pub bytes: u64,
}

/// What a task printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputCounts {
    /// Lines, the unfinished last one included.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of `lines`, those that are missing or incomplete because of the output limit.
    pub dropped_lines: u64,
    /// Of `bytes`, those that are missing because of the output limit.
    pub dropped_bytes: u64,
    /// Lines that were cut at the line limit.
    pub truncated_lines: u64,
}

/// Stands at the end of a line that was cut at the line limit, in place of its rest and newline.
pub const TRUNCATION_MARK: &[u8] = b"[TRUNCATED]";
