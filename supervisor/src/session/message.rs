//! One text message of a client while it is answered: the calls that are left, and the answers so far.

use std::vec;

use cc_protocol::envelope::{Call, Incoming, Response};

use tokio::sync::OwnedSemaphorePermit;

use crate::session::{budget::Claim, response::Answers};

#[derive(Debug)]
pub(super) struct Message {
    pub(super) calls: vec::IntoIter<Result<Call, Response>>,
    pub(super) answers: Answers,
    /// What its bytes take of the budget, for as long as it is there.
    bytes: Option<Claim>,
    /// What the values of its calls take, until they are answered.
    pub(super) values: Option<OwnedSemaphorePermit>,
}

impl Message {
    pub(super) fn of(
        read: Result<Incoming, Response>,
        bytes: Option<Claim>,
        values: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (calls, is_batch) = match read {
            Ok(Incoming::Single(call)) => (vec![call], false),
            Ok(Incoming::Batch(calls)) => (calls, true),
            Err(response) => (vec![Err(response)], false),
        };
        Self { calls: calls.into_iter(), answers: Answers::new(is_batch), bytes, values }
    }

    /// Whether it keeps a part of what the messages of all clients may take.
    pub(super) fn has_claims(&self) -> bool {
        self.bytes.is_some() || self.values.is_some()
    }
}
