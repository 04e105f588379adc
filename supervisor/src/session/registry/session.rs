//! One session, apart from its connections: where it is in its life, who has it, and its latest task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cc_state::{Change, SessionRow, TokenHash};
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    ops::{clock::now_ms, metrics::Debt},
    session::{
        registry::token::ResumeToken,
        state::{ConnectionNumber, Effect, Input, State, transition},
    },
    task::{
        TaskHandle,
        registry::{Refusal, Registry},
    },
};

/// A connection, as sessions know it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) number: ConnectionNumber,
    /// Notified when another connection has taken the session over.
    pub(crate) evicted: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    token_hash: TokenHash,
    begun_ms: u64,
    /// The name of the client's token.
    owner: Option<Arc<str>>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// The connection that has it.
    holder: Option<ConnectionHandle>,
    /// Ends the session when its grace period is over.
    grace: Option<AbortOnDrop>,
    /// The latest task, by id, so that an ended one keeps no memory.
    current_task_id: Option<String>,
    /// It has had a task, so the database knows it.
    is_recorded: bool,
    debt: Debt,
}

/// What is left to do for a session that is over.
pub(super) struct Remains {
    pub(super) task_id: Option<String>,
    pub(super) is_recorded: bool,
}

impl Session {
    pub(super) fn begin(
        token: &ResumeToken,
        connection: &ConnectionHandle,
        owner: Option<Arc<str>>,
    ) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            token_hash: ResumeToken::hash(token.reveal()),
            begun_ms: now_ms(),
            owner,
            inner: Mutex::new(Inner {
                state: State::Connecting { connection: connection.number },
                holder: Some(connection.clone()),
                grace: None,
                current_task_id: None,
                is_recorded: false,
                debt: Debt::Nothing,
            }),
        }
    }

    /// A session of an earlier supervisor.
    pub(super) fn restore(row: SessionRow, current_task_id: Option<String>) -> Self {
        Self {
            id: row.id,
            token_hash: row.token_hash,
            begun_ms: row.begun_ms,
            owner: row.token.map(Arc::from),
            inner: Mutex::new(Inner {
                state: State::Disconnected { since: 0 },
                holder: None,
                grace: None,
                current_task_id,
                is_recorded: true,
                debt: Debt::Unsent,
            }),
        }
    }

    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The name of the token with which it was begun.
    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(super) fn owner_name(&self) -> Option<Arc<str>> {
        self.owner.clone()
    }

    pub(super) fn token_hash(&self) -> &TokenHash {
        &self.token_hash
    }

    pub(super) fn state(&self) -> State {
        self.inner().state
    }

    /// Its latest task, if that is not over.
    #[must_use]
    pub(crate) fn running(&self, registry: &Registry) -> Option<TaskHandle> {
        let task_id = self.inner().current_task_id.clone()?;
        registry.get(&task_id).filter(|handle| !handle.is_done())
    }

    /// Has `accept` give a task an owner, and makes it the session's latest, if `connection` still has the session.
    ///
    /// # Errors
    /// `None` when another connection has it; else as [`crate::task::accept`].
    pub(crate) fn accept<T>(
        &self,
        connection: ConnectionNumber,
        task_id: &str,
        accept: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Option<Refusal>> {
        let mut inner = self.inner();
        if inner.state.connection() != Some(connection) {
            return Err(None);
        }
        let accepted = accept().map_err(Some)?;
        inner.current_task_id = Some(task_id.to_owned());
        inner.is_recorded = true;
        inner.debt = Debt::Unsent;
        Ok(accepted)
    }

    /// Takes note that this connection, which is about to be lost, was handed everything of the session's tasks.
    pub(crate) fn everything_was_sent(&self, connection: ConnectionNumber) {
        let mut inner = self.inner();
        if inner.state.connection() == Some(connection) && inner.is_recorded {
            inner.debt = Debt::Unread;
        }
    }

    pub(super) fn debt(&self) -> Debt {
        self.inner().debt
    }

    /// The session's row, to be written with each of its tasks. Writing it again changes nothing.
    #[must_use]
    pub(crate) fn record(&self) -> Change {
        let (id, token_hash) = (self.id.clone(), self.token_hash);
        let token = self.owner().map(str::to_owned);
        Change::SessionBegun { id, token_hash, at_ms: self.begun_ms, token }
    }

    /// Moves it to its next state, and says what follows from that.
    pub(super) fn apply(&self, input: Input, has_grace: bool) -> Effect {
        let mut inner = self.inner();
        let (state, effect) = transition(inner.state, input, has_grace);
        inner.state = state;
        effect
    }

    /// Gives it to another connection; the one that has it is evicted. False when the session is over.
    pub(super) fn hand_over(&self, connection: &ConnectionHandle, has_grace: bool) -> bool {
        let mut inner = self.inner();
        let (state, effect) = transition(inner.state, Input::Resume(connection.number), has_grace);
        if effect == Effect::Refuse {
            return false;
        }
        inner.state = state;
        inner.grace = None;
        if let Some(old) = inner.holder.replace(connection.clone())
            && effect == Effect::Evict(old.number)
        {
            old.evicted.notify_one();
        }
        true
    }

    /// Keeps the timer of the wait since this connection. The timer ends at once if the session was resumed meanwhile.
    pub(super) fn keep_timer(&self, since: ConnectionNumber, timer: AbortHandle) {
        let timer = AbortOnDrop(timer);
        let mut inner = self.inner();
        if inner.state == (State::Disconnected { since }) {
            inner.grace = Some(timer);
        }
    }

    /// Lets go of everything that a session needs while it is not over.
    pub(super) fn end(&self) -> Remains {
        let mut inner = self.inner();
        inner.holder = None;
        inner.grace = None;
        Remains { task_id: inner.current_task_id.take(), is_recorded: inner.is_recorded }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tokio task that ends with this.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
