//! Sessions that are over, so that a client that comes too late gets the reason. Bounded: the oldest are removed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cc_state::TokenHash;

use crate::{config::limits, session::registry::session::Session};

#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    /// The oldest first.
    sessions: Mutex<VecDeque<EndedSession>>,
}

#[derive(Debug)]
struct EndedSession {
    id: String,
    token_hash: TokenHash,
    owner: Option<Arc<str>>,
}

impl EndedSessions {
    pub(super) fn insert(&self, session: &Session) {
        let (id, token_hash) = (session.id().to_owned(), *session.token_hash());
        let owner = session.owner_name();
        let mut sessions = self.sessions();
        sessions.push_back(EndedSession { id, token_hash, owner });
        if sessions.len() > limits::ENDED_SESSIONS {
            sessions.pop_front();
        }
    }

    /// The hash of a session's resume token, and its owner.
    pub(super) fn find(&self, id: &str) -> Option<(TokenHash, Option<Arc<str>>)> {
        let sessions = self.sessions();
        let ended = sessions.iter().find(|ended| ended.id == id)?;
        Some((ended.token_hash, ended.owner.clone()))
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<EndedSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
