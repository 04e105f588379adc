//! One text message of a client while it is answered: the calls that are left, and the responses so far.

use std::vec;

use cc_protocol::envelope::{Call, Incoming, Response};

use tokio::sync::OwnedSemaphorePermit;

use crate::session::{budget::Claim, response};

#[derive(Debug)]
pub(super) struct Message {
    pub(super) calls: vec::IntoIter<Result<Call, Response>>,
    pub(super) responses: Vec<Response>,
    is_batch: bool,
    /// What it takes of the budget, for as long as it is there.
    _claims: Claims,
}

/// On its bytes, and on its values.
type Claims = (Option<Claim>, Option<OwnedSemaphorePermit>);

impl Message {
    pub(super) fn of(read: Result<Incoming, Response>, claims: Claims) -> Self {
        let (calls, is_batch) = match read {
            Ok(Incoming::Single(call)) => (vec![call], false),
            Ok(Incoming::Batch(calls)) => (calls, true),
            Err(response) => (vec![Err(response)], false),
        };
        Self { calls: calls.into_iter(), responses: Vec::new(), is_batch, _claims: claims }
    }

    /// The text that answers it; `None` where it had only notifications.
    pub(super) fn answer(&self) -> Option<String> {
        if self.is_batch && !self.responses.is_empty() {
            return Some(response::batch(&self.responses));
        }
        self.responses.first().map(response::single)
    }
}
