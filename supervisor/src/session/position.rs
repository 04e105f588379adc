//! How far a task's events have come, compared with what a client says that it has.

use cc_protocol::UnfitParam;

use crate::task::lookup::TaskRef;

/// `member` is the parameter, or its member, in which the client has sent the position.
pub(super) fn check_position(
    task: &TaskRef,
    member: &'static str,
    seq: u64,
) -> Result<(), UnfitParam> {
    let last_seq = task.last_seq();
    if seq <= last_seq {
        Ok(())
    } else {
        Err(UnfitParam::BeyondLastEvent { member, seq, last_seq })
    }
}

pub(super) fn is_over(task: &TaskRef) -> bool {
    match task {
        TaskRef::Live(handle) => handle.is_done(),
        TaskRef::Stored(row) => row.ended.is_some(),
    }
}
