//! How far a task's events have come, compared with what a client says that it has.

use crate::{session::errors::CallError, task::lookup::TaskRef};

/// `member` is the parameter, or its member, in which the client has sent the position.
pub(super) fn check_position(
    task: &TaskRef,
    member: &'static str,
    seq: u64,
) -> Result<(), CallError> {
    let last_seq = task.last_seq();
    if seq <= last_seq { Ok(()) } else { Err(CallError::BeyondLastEvent { member, seq, last_seq }) }
}

pub(super) fn is_over(task: &TaskRef) -> bool {
    match task {
        TaskRef::Live(handle) => handle.is_done(),
        TaskRef::Stored(row) => row.ended.is_some(),
    }
}
