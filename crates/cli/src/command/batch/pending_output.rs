//! Rows that are still to be recorded, in the order in which the tasks ended: the first one may wait for its whole
//! result, and the others wait for the first one. Sends no request itself.

use std::collections::VecDeque;

use cc_protocol::batch::{BatchRow, WholeResult};

#[derive(Debug, Default)]
pub(super) struct PendingRows {
    rows: VecDeque<Waiting>,
    /// The request for the first row's result, if one was sent.
    request: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    row: BatchRow,
    wants_whole: bool,
}

impl PendingRows {
    /// Appends a row. `wants_whole`: it waits for its whole result.
    pub(super) fn push(&mut self, row: BatchRow, wants_whole: bool) {
        self.rows.push_back(Waiting { row, wants_whole });
    }

    /// The first row, if it does not wait.
    pub(super) fn ready(&mut self) -> Option<BatchRow> {
        self.rows.pop_front_if(|first| !first.wants_whole).map(|first| first.row)
    }

    /// The first row, even if it waits.
    pub(super) fn give_up(&mut self) -> Option<BatchRow> {
        self.request = None;
        self.rows.pop_front().map(|first| first.row)
    }

    /// The task whose result is to be requested.
    pub(super) fn wanted(&self) -> Option<u64> {
        let first = self.rows.front().filter(|first| first.wants_whole)?;
        self.request.is_none().then_some(first.row.index)
    }

    /// Notes the request for it.
    pub(super) fn asked(&mut self, request: u64) {
        self.request = Some(request);
    }

    /// Whether this is the open request.
    pub(super) fn is_answer(&self, request: u64) -> bool {
        self.request == Some(request)
    }

    /// The answer to the request; `None` leaves the truncated result.
    pub(super) fn answered(&mut self, whole: Option<WholeResult>) {
        self.request = None;
        let Some(first) = self.rows.front_mut() else { return };
        first.wants_whole = false;
        if let Some(WholeResult { result: Some(result), truncated, task_id: _ }) = whole {
            first.row.result = Some(result);
            first.row.result_truncated = truncated;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
