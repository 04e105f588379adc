//! All sessions: who has them, what they run, how long they wait for their clients.
//!
//! A session outlives its connections. This module owns the registry and the grace periods, and makes what
//! [`crate::session::state`] decides happen; what a client says on a connection belongs to [`crate::session`]. A
//! session's token is a secret: only its hash is kept, and it is compared in constant time.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::Engine as _;
use cc_events::EndReason;
use cc_state::{Change, SessionRow, TokenHash};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    config::limits,
    ops::{clock::now_ms, uptime},
    session::state::{ConnectionNumber, Effect, Input, State, transition},
    storage::database::Store,
    task::{
        Request, TaskHandle,
        registry::{Refusal, Registry},
    },
};

/// The secret by which a session is resumed. Never printed.
pub struct ResumeToken(String);

impl ResumeToken {
    fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret)))
    }

    /// For the one message that tells it to its client.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(text: &str) -> TokenHash {
        Sha256::digest(text.as_bytes()).into()
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResumeToken(…)")
    }
}

/// Why a session cannot be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSession {
    /// There is none of this name, or the token is another's.
    Unknown,
    /// It is over.
    Expired,
}

/// A connection, as sessions know it.
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    /// Tells it from all others.
    pub number: ConnectionNumber,
    /// Told when another connection has taken its session over.
    pub evicted: Arc<Notify>,
}

/// One session, apart from its connections.
#[derive(Debug)]
pub struct Session {
    id: String,
    token_hash: TokenHash,
    begun_ms: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// The connection that has it, as far as it has one.
    holder: Option<ConnectionHandle>,
    /// Ends the session when its grace period is over.
    grace: Option<AbortOnDrop>,
    /// The latest task, by id, so that an ended one keeps no memory.
    current_task_id: Option<String>,
    /// It has had a task, so the database knows it.
    is_recorded: bool,
}

impl Session {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its latest task, if that is not over.
    #[must_use]
    pub fn running(&self, registry: &Registry) -> Option<TaskHandle> {
        let task_id = self.inner().current_task_id.clone()?;
        registry.get(&task_id).filter(|handle| !handle.is_done())
    }

    /// Takes a task on for the session, if `connection` still speaks for it.
    ///
    /// # Errors
    /// `None` when another connection has it; else as [`crate::task::accept`].
    pub fn accept<T>(
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
        Ok(accepted)
    }

    /// What the database has to be told of it with a task of its own; it may know already.
    #[must_use]
    pub fn record(&self) -> Change {
        let (id, token_hash) = (self.id.clone(), self.token_hash);
        Change::SessionBegun { id, token_hash, at_ms: self.begun_ms }
    }

    fn is_idle(&self, registry: &Registry) -> bool {
        self.running(registry).is_none()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    grace: Duration,
    registry: Arc<Registry>,
    store: Store,
    last_connection: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<String, Arc<Session>>,
    /// Ids and token hashes of those that are over, the oldest first: whoever asks is told so.
    over: VecDeque<(String, TokenHash)>,
}

impl Sessions {
    /// None yet. Without a connection one waits for `grace`.
    #[must_use]
    pub fn new(grace: Duration, registry: Arc<Registry>, store: Store) -> Self {
        // 0 belongs to the connections of earlier supervisors.
        let last_connection = AtomicU64::new(0);
        Self { grace, registry, store, last_connection, known: Mutex::default() }
    }

    /// How long a session without a connection waits.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// A new connection.
    pub fn connection_handle(&self) -> ConnectionHandle {
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        ConnectionHandle { number, evicted: Arc::default() }
    }

    /// A new session on this connection.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn begin(
        &self,
        connection_handle: &ConnectionHandle,
    ) -> Result<(Arc<Session>, ResumeToken), getrandom::Error> {
        let token = ResumeToken::random()?;
        let session = Arc::new(Session {
            id: uuid::Uuid::new_v4().to_string(),
            token_hash: ResumeToken::hash(token.reveal()),
            begun_ms: now_ms(),
            inner: Mutex::new(Inner {
                state: State::Connecting { connection: connection_handle.number },
                holder: Some(connection_handle.clone()),
                grace: None,
                current_task_id: None,
                is_recorded: false,
            }),
        });
        self.known().sessions.insert(session.id.clone(), Arc::clone(&session));
        Ok((session, token))
    }

    /// A session of an earlier supervisor. Its client has a whole grace period from now on.
    pub fn restore(self: &Arc<Self>, row: SessionRow, current_task_id: Option<String>) {
        let session = Arc::new(Session {
            id: row.id,
            token_hash: row.token_hash,
            begun_ms: row.begun_ms,
            inner: Mutex::new(Inner {
                state: State::Disconnected { since: 0 },
                holder: None,
                grace: None,
                current_task_id,
                is_recorded: true,
            }),
        });
        self.known().sessions.insert(session.id.clone(), Arc::clone(&session));
        self.wait(&session, 0);
    }

    /// The session with this id, if the token is its own.
    ///
    /// # Errors
    /// See [`NoSession`].
    pub fn find(&self, id: &str, token: &str) -> Result<Arc<Session>, NoSession> {
        let known = self.known();
        if let Some(session) = known.sessions.get(id) {
            let is_own = is_token_of(token, &session.token_hash);
            return if is_own { Ok(Arc::clone(session)) } else { Err(NoSession::Unknown) };
        }
        let over = known.over.iter().find(|(over, _)| over == id);
        match over {
            Some((_, hash)) if is_token_of(token, hash) => Err(NoSession::Expired),
            Some(_) | None => Err(NoSession::Unknown),
        }
    }

    /// Gives the session to another connection; the one that has it is evicted.
    ///
    /// # Errors
    /// When it has just ended.
    pub fn take_over(
        &self,
        session: &Arc<Session>,
        connection_handle: &ConnectionHandle,
    ) -> Result<(), NoSession> {
        let mut inner = session.inner();
        let input = Input::Resume(connection_handle.number);
        let (state, effect) = transition(inner.state, input, self.has_grace());
        if effect == Effect::Refuse {
            return Err(NoSession::Expired);
        }
        inner.state = state;
        inner.grace = None;
        if let Some(old) = inner.holder.replace(connection_handle.clone())
            && effect == Effect::Evict(old.number)
        {
            old.evicted.notify_one();
        }
        Ok(())
    }

    /// Something happened to a session; does what follows from it.
    pub async fn happened(self: &Arc<Self>, session: &Arc<Session>, input: Input) {
        let effect = {
            let mut inner = session.inner();
            let (state, effect) = transition(inner.state, input, self.has_grace());
            inner.state = state;
            effect
        };
        match effect {
            Effect::None | Effect::Refuse | Effect::Evict(_) => {}
            Effect::Wait(since) => {
                self.wait(session, since);
                self.make_room().await;
            }
            Effect::End => {
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

    /// Sessions that wait for their clients.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        let is_waiting =
            |session: &&Arc<Session>| matches!(session.inner().state, State::Disconnected { .. });
        self.known().sessions.values().filter(is_waiting).count()
    }

    fn has_grace(&self) -> bool {
        !self.grace.is_zero()
    }

    fn wait(self: &Arc<Self>, session: &Arc<Session>, since: ConnectionNumber) {
        let sessions = Arc::downgrade(self);
        let waiting = Arc::downgrade(session);
        let grace = self.grace;
        let timer = tokio::spawn(async move {
            uptime::sleep(grace).await;
            // What follows is not to be aborted by what it does itself.
            tokio::spawn(async move {
                if let (Some(sessions), Some(session)) = (sessions.upgrade(), waiting.upgrade()) {
                    let input = Input::GraceOver(since);
                    Box::pin(sessions.happened(&session, input)).await;
                }
            });
        });
        let mut inner = session.inner();
        // It may have been resumed already.
        if inner.state == (State::Disconnected { since }) {
            inner.grace = Some(AbortOnDrop(timer.abort_handle()));
        } else {
            timer.abort();
        }
    }

    /// Of more waiting sessions than there may be, the one that has waited longest and runs nothing ends.
    async fn make_room(self: &Arc<Self>) {
        while let Some(session) = self.superfluous() {
            tracing::info!(session_id = session.id, "too many sessions wait: the oldest ends");
            Box::pin(self.happened(&session, Input::Close)).await;
        }
    }

    fn superfluous(&self) -> Option<Arc<Session>> {
        if self.waiting_count() <= limits::WAITING_SESSIONS {
            return None;
        }
        let sessions: Vec<Arc<Session>> = self.known().sessions.values().cloned().collect();
        sessions
            .into_iter()
            .filter_map(|session| {
                let state = session.inner().state;
                match state {
                    State::Disconnected { since } => Some((since, session)),
                    State::Connecting { .. }
                    | State::Connected { .. }
                    | State::Reconnecting { .. }
                    | State::Closed => None,
                }
            })
            .filter(|(_, session)| session.is_idle(&self.registry))
            .min_by_key(|(since, _)| *since)
            .map(|(_, session)| session)
    }

    async fn end(&self, session: &Arc<Session>, reason: EndReason) {
        let (is_recorded, task_id) = {
            let mut inner = session.inner();
            inner.holder = None;
            inner.grace = None;
            (inner.is_recorded, inner.current_task_id.take())
        };
        {
            let mut known = self.known();
            known.sessions.remove(&session.id);
            remember(&mut known.over, session.id.clone(), session.token_hash);
        }
        let running = task_id.and_then(|task_id| self.registry.get(&task_id));
        if let Some(running) = running
            && !running.is_done()
        {
            running.request(Request::Cancel(reason, None)).await;
        }
        if is_recorded {
            let closed = Change::SessionClosed { id: session.id.clone(), at_ms: now_ms() };
            self.store.write(vec![closed]).await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a token is the one with this hash; takes the same time whatever it is.
#[must_use]
pub fn is_token_of(token: &str, hash: &TokenHash) -> bool {
    ResumeToken::hash(token).ct_eq(hash).into()
}

/// A task that is of no use to anybody without this.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn remember(over: &mut VecDeque<(String, TokenHash)>, id: String, token_hash: TokenHash) {
    over.push_back((id, token_hash));
    if over.len() > limits::ENDED_SESSIONS {
        over.pop_front();
    }
}

#[cfg(test)]
mod tests;
