//! All sessions: who has them, what they run, how long they wait for their clients.
//!
//! A session outlives its connections. The registry finds it again for its client, measures the grace periods, and does
//! what [`crate::session::state`] decides. What a client asks on a connection belongs to [`crate::session::handler`].

mod ended;
mod session;
mod token;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cc_events::EndReason;
use cc_state::{Change, SessionRow};

use self::{ended::EndedSessions, session::Remains};
pub(crate) use self::{
    session::{ConnectionHandle, Session},
    token::{ResumeToken, is_token_of},
};
use crate::{
    config::{limits, tokens::Access},
    ops::{
        clock::now_ms,
        metrics::{Debt, Label as _, Metrics, Timeout},
        uptime,
    },
    session::state::{ConnectionNumber, Effect, Input, State},
    storage::database::Store,
    task::{Request, registry::Registry},
};

const EVICTED: &str =
    "too many sessions wait for their clients: this one ends before its grace period is over";

/// Why a session cannot be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// There is none with this id, or the token is another one's.
    Unknown,
    /// It is over.
    Expired,
}

#[derive(Debug)]
pub(crate) struct Sessions {
    /// How long a session without a connection waits.
    grace: Mutex<Duration>,
    registry: Arc<Registry>,
    store: Store,
    metrics: Arc<Metrics>,
    last_connection: AtomicU64,
    /// Those that are not over, by id.
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    ended: EndedSessions,
}

impl Sessions {
    #[must_use]
    pub(crate) fn new(
        grace: Duration,
        registry: Arc<Registry>,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            grace: Mutex::new(grace),
            registry,
            store,
            metrics,
            // 0 belongs to the connections of earlier supervisors.
            last_connection: AtomicU64::new(0),
            sessions: Mutex::default(),
            ended: EndedSessions::default(),
        }
    }

    #[must_use]
    pub(crate) fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it for the sessions that lose their connections from now on.
    pub(crate) fn set_grace(&self, grace: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    /// The handle of a new connection.
    pub(crate) fn connection_handle(&self) -> ConnectionHandle {
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        ConnectionHandle { number, evicted: Arc::default() }
    }

    /// A new session on this connection, of a client with this token.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn begin(
        &self,
        connection_handle: &ConnectionHandle,
        owner: Option<Arc<str>>,
    ) -> Result<(Arc<Session>, ResumeToken), getrandom::Error> {
        let token = ResumeToken::random()?;
        let session = Arc::new(Session::begin(&token, connection_handle, owner));
        self.sessions().insert(session.id().to_owned(), Arc::clone(&session));
        Ok((session, token))
    }

    /// A session of an earlier supervisor. Its client has a whole grace period again.
    pub(crate) fn restore(self: &Arc<Self>, row: SessionRow, current_task_id: Option<String>) {
        let session = Arc::new(Session::restore(row, current_task_id));
        self.sessions().insert(session.id().to_owned(), Arc::clone(&session));
        self.wait(&session, 0);
    }

    /// The session with this id, if the resume token is its own and this client sees it.
    ///
    /// # Errors
    /// See [`NoSession`].
    pub(crate) fn find(
        &self,
        id: &str,
        token: &str,
        access: &Access,
    ) -> Result<Arc<Session>, NoSession> {
        let session = self.sessions().get(id).cloned();
        if let Some(session) = session {
            let is_own = is_token_of(token, session.token_hash()) && access.sees(session.owner());
            return if is_own { Ok(session) } else { Err(NoSession::Unknown) };
        }
        match self.ended.find(id) {
            Some((hash, owner)) if is_token_of(token, &hash) && access.sees(owner.as_deref()) => {
                Err(NoSession::Expired)
            }
            Some(_) | None => Err(NoSession::Unknown),
        }
    }

    /// Gives the session to another connection; the one that has it is evicted.
    ///
    /// # Errors
    /// When it has just ended.
    pub(crate) fn take_over(
        &self,
        session: &Session,
        connection_handle: &ConnectionHandle,
    ) -> Result<(), NoSession> {
        let is_taken = session.hand_over(connection_handle, self.has_grace());
        if is_taken { Ok(()) } else { Err(NoSession::Expired) }
    }

    /// Takes note of what happened to a session, and does what follows from it.
    pub(crate) async fn happened(self: &Arc<Self>, session: &Arc<Session>, input: Input) {
        match session.apply(input, self.has_grace()) {
            Effect::None | Effect::Refuse | Effect::Evict(_) => {}
            Effect::Wait(since) => {
                self.wait(session, since);
                self.make_room().await;
            }
            Effect::End => {
                if let Input::GraceOver(_) = input {
                    self.note_grace_over(session);
                }
                let reason = match input {
                    Input::Close => EndReason::Canceled,
                    Input::Greeted(_)
                    | Input::Lost(_)
                    | Input::Resume(_)
                    | Input::Resumed(_)
                    | Input::ResumeFailed(_)
                    | Input::GraceOver(_) => EndReason::Disconnected,
                };
                self.end(session, reason).await;
            }
        }
    }

    fn note_grace_over(&self, session: &Session) {
        let (kind, limit) = (Timeout::ResumeGrace, self.grace());
        let text = "a session ends because its client did not come back";
        tracing::warn!(session_id = session.id(), timeout = kind.value(), ?limit, "{text}");
        self.metrics.timeouts.passed(kind);
    }

    /// How many sessions wait for their clients.
    #[must_use]
    pub(crate) fn waiting_count(&self) -> usize {
        self.counts().1
    }

    /// How many sessions have a connection, and how many wait for their clients.
    #[must_use]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let sessions = self.sessions();
        let waiting = sessions.values().filter(|session| waits_since(session).is_some()).count();
        (sessions.len() - waiting, waiting)
    }

    fn has_grace(&self) -> bool {
        !self.grace().is_zero()
    }

    fn wait(self: &Arc<Self>, session: &Arc<Session>, since: ConnectionNumber) {
        let sessions = Arc::downgrade(self);
        let waiting = Arc::downgrade(session);
        let grace = self.grace();
        let timer = tokio::spawn(async move {
            uptime::sleep(grace).await;
            // Spawned, because the end of the session aborts this timer.
            tokio::spawn(async move {
                if let (Some(sessions), Some(session)) = (sessions.upgrade(), waiting.upgrade()) {
                    let input = Input::GraceOver(since);
                    Box::pin(sessions.happened(&session, input)).await;
                }
            });
        });
        session.keep_timer(since, timer.abort_handle());
    }

    /// Where more sessions wait than may, evicts those that owe their clients least, the oldest of them first. One that
    /// runs a task stays.
    async fn make_room(self: &Arc<Self>) {
        while let Some((session, debt)) = self.superfluous() {
            let (session_id, owes) = (session.id(), debt.value());
            match debt {
                Debt::Nothing => tracing::debug!(session_id, owes, EVICTED),
                Debt::Unread | Debt::Unsent => tracing::warn!(session_id, owes, EVICTED),
            }
            self.metrics.sessions.evicted(debt);
            Box::pin(self.happened(&session, Input::Close)).await;
        }
    }

    fn superfluous(&self) -> Option<(Arc<Session>, Debt)> {
        let count = self.waiting_count();
        if count <= limits::WAITING_SESSIONS {
            return None;
        }
        let sessions: Vec<Arc<Session>> = self.sessions().values().cloned().collect();
        let (session, debt) = sessions
            .into_iter()
            .filter_map(|session| Some((session.debt(), waits_since(&session)?, session)))
            .filter(|(_, _, session)| session.running(&self.registry).is_none())
            .min_by_key(|(debt, since, _)| (*debt, *since))
            .map(|(debt, _, session)| (session, debt))?;
        let limit = match debt {
            Debt::Nothing | Debt::Unread => limits::WAITING_SESSIONS,
            Debt::Unsent => limits::OWING_SESSIONS,
        };
        (count > limit).then_some((session, debt))
    }

    async fn end(&self, session: &Session, reason: EndReason) {
        let Remains { task_id, is_recorded } = session.end();
        // In this order: a client that asks in between must not hear that there was no such session.
        self.ended.insert(session);
        self.sessions().remove(session.id());
        let running = task_id.and_then(|task_id| self.registry.get(&task_id));
        if let Some(running) = running
            && !running.is_done()
        {
            running.request(Request::Cancel(reason, None)).await;
        }
        if is_recorded {
            let closed = Change::SessionClosed { id: session.id().to_owned(), at_ms: now_ms() };
            self.store.write(vec![closed]).await;
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last connection of a session that waits for its client.
fn waits_since(session: &Session) -> Option<ConnectionNumber> {
    match session.state() {
        State::Disconnected { since } => Some(since),
        State::Connecting { .. }
        | State::Connected { .. }
        | State::Reconnecting { .. }
        | State::Closed => None,
    }
}

#[cfg(test)]
mod tests;
