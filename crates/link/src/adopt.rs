//! Adoption: a supervisor takes over a worker that an earlier one started.
//!
//! A worker listens on the Unix socket [`SOCKET_NAME`] in its task's directory, which only its user can enter. A
//! supervisor that connects sends [`crate::control::Control::Adopt`] and gets [`crate::notice::Notice::Adopted`] or
//! [`crate::notice::Notice::AdoptionRefused`] as the first record. These three messages are the same in every version,
//! because they negotiate the version. The newest adopter wins; the connection of an earlier one is closed.

use std::path::PathBuf;

use cc_events::{EndReason, Started};
use serde::{Deserialize, Serialize};

use crate::{LINK_VERSION, key::Key, spec::Deadlines};

/// File name of a worker's socket, beside the task log.
pub const SOCKET_NAME: &str = "worker.sock";
/// Longest first line on that socket, its newline included: a [`crate::control::Control::Adopt`] of any version
/// is far shorter. A worker closes a connection that sends more without a newline.
pub const ADOPT_LINE_BYTES_LIMIT: usize = 4096;

/// The versions of the link that a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest version.
    pub oldest: u32,
    /// The newest version.
    pub newest: u32,
}

impl VersionRange {
    /// What this build speaks.
    pub const OWN: Self = Self { oldest: LINK_VERSION, newest: LINK_VERSION };

    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// The request of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// What it speaks.
    #[serde(flatten)]
    pub versions: VersionRange,
    /// That of the state directory. A worker closes a connection that shows another one, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// What a supervisor must know to continue with a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The version that both speak on this connection.
    pub link_version: u32,
    /// A uuid in text form.
    pub task_id: String,
    /// The main process and the worker.
    pub started: Started,
    /// End of the task log: the offset of the first record that comes on this connection.
    pub end_offset: u64,
    /// The seq of the last record before it; 0 when there is none.
    pub last_seq: u64,
    /// Whether the tree is stopped.
    pub is_paused: bool,
    /// Why the task is being ended; `None` while it is not.
    pub ending: Option<EndReason>,
    /// The task's clocks, as its spec has them.
    pub deadlines: Deadlines,
    /// What is left of the total deadline.
    pub total_left_ms: Option<u64>,
    /// The task's cgroup leaf, where it has one.
    pub leaf: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_programs_speak_the_newest_version_that_both_know() {
        let range = |oldest, newest| VersionRange { oldest, newest };
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(2, 5).common(range(1, 3)), Some(3));
        assert_eq!(range(1, 1).common(range(1, 1)), Some(1));
        assert_eq!(range(1, 2).common(range(3, 4)), None);
        assert_eq!(range(3, 4).common(range(1, 2)), None);
    }
}
