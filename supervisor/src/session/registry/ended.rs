//! Sessions that are over, so that a client that comes too late gets the reason. Bounded: the oldest are removed.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cc_state::TokenHash;

use crate::config::limits;

#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    /// Ids and token hashes, the oldest first.
    sessions: Mutex<VecDeque<(String, TokenHash)>>,
}

impl EndedSessions {
    pub(super) fn insert(&self, id: String, token_hash: TokenHash) {
        let mut sessions = self.sessions();
        sessions.push_back((id, token_hash));
        if sessions.len() > limits::ENDED_SESSIONS {
            sessions.pop_front();
        }
    }

    pub(super) fn token_hash(&self, id: &str) -> Option<TokenHash> {
        self.sessions().iter().find(|(ended, _)| ended == id).map(|(_, hash)| *hash)
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<(String, TokenHash)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
