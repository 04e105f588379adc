//! The setting of the audit log.

use std::path::PathBuf;

/// Where the audit log is, and how long it may become.
#[derive(Clone, Debug)]
pub(crate) struct AuditSetting {
    pub(crate) path: PathBuf,
    /// Size at which the file is rotated.
    pub(crate) bytes_limit: u64,
    /// Files that are kept, the current one included.
    pub(crate) files: usize,
}
