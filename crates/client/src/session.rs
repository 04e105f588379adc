//! A session that survives its connections: whatever breaks, its caller hears every event of its tasks
//! once and in order.
//!
//! ```text
//!          ┌────────────── resumed ───────────────┐
//!          ▼                                      │
//!        up ──connection lost──▶ down ──attempt───┤
//!          │                      │ ▲             │
//!          │                      │ └── failed ◀──┘
//!          └──taken over──▶ over ◀┴── session gone, patience ended
//! ```
//! No call waits for its answer: answers are events among the others, so that a caller hears of an outage
//! while it waits for one. What is decided after a resume is decided in
//! `ledger.rs`; the attempts are made by `outage.rs`.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Duration,
};

use cc_protocol::{
    control::ControlType,
    error::{ErrorCode, ErrorObject},
    execute::{Execute, ExecuteResult},
    session::SessionResume,
    task::TaskSummary,
};
use serde_json::Value;
use tokio::time::{self, Instant};

use crate::{
    address::Token,
    batches::Batches,
    connection::{Connection, read_result},
    error::{Error, Severity},
    event::{Event, Response},
    identity::Identity,
    ledger::{Ledger, Recovery},
    outage::{Outage, Reconnect, Regained, Step, Target},
    request::{BatchRequest, Pending, Request},
    session_event::{SessionEvent, StartedTask},
};

/// Between two questions about a task that is just starting.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

enum State {
    Up(Box<Connection>),
    Down(Box<Outage>),
    Over,
}

/// See the module. Dropping it leaves the session to its grace period; [`Session::close`] ends it.
///
/// Must live inside a tokio runtime with I/O and time enabled.
pub struct Session {
    url: String,
    token: Option<Token>,
    settings: Reconnect,
    identity: Identity,
    state: State,
    ledger: Ledger,
    batches: Batches,
    /// What is to be sent on this connection; what a lost one took with it the ledger knows.
    outbox: VecDeque<Request>,
    /// By their ids on the connection.
    pending: HashMap<u64, Pending>,
    look_at: Option<(Instant, String)>,
    ready: VecDeque<SessionEvent>,
    last_control_id: u64,
    last_batch_request_id: u64,
}

impl Session {
    /// Connects, as [`Connection::open`] does. An address where no server listens is an error at once.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn open(
        url: &str,
        token: Option<&Token>,
        settings: Reconnect,
    ) -> Result<Self, Error> {
        let connection = Connection::open(url, token).await?;
        Self::over(connection, url, token, settings).await
    }

    /// Uses a connection to this address, on which no task was started and none is followed.
    ///
    /// # Errors
    /// When it is lost, and there is no grace period.
    pub async fn over(
        connection: Connection,
        url: &str,
        token: Option<&Token>,
        settings: Reconnect,
    ) -> Result<Self, Error> {
        let mut session = Self {
            url: url.to_owned(),
            token: token.cloned(),
            settings,
            identity: Identity::of(&connection),
            state: State::Up(Box::new(connection)),
            ledger: Ledger::default(),
            batches: Batches::default(),
            outbox: VecDeque::from([Request::Configure]),
            pending: HashMap::new(),
            look_at: None,
            ready: VecDeque::new(),
            last_control_id: 0,
            last_batch_request_id: 0,
        };
        session.flush().await?;
        Ok(session)
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.identity.session_id
    }

    /// Whether there is a connection, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Asks for a task. The answer is [`SessionEvent::Started`] or [`SessionEvent::NotStarted`]; only
    /// after it, and after the end of the task before, another one may be asked for.
    ///
    /// # Errors
    /// [`Error::Detached`] for a task that would not be this session's, and whatever ends a session.
    pub async fn execute(&mut self, task: &Execute) -> Result<(), Error> {
        if task.detach {
            return Err(Error::Detached);
        }
        self.outbox.push_back(self.ledger.begin(task));
        self.flush().await
    }

    /// Asks for the running task to be paused, resumed or canceled, and returns the number that
    /// [`SessionEvent::Controlled`] will have. An outage in between does not lose it.
    ///
    /// # Errors
    /// Whatever ends a session.
    pub async fn control(&mut self, control: ControlType) -> Result<u64, Error> {
        self.last_control_id += 1;
        self.outbox.push_back(self.ledger.control(self.last_control_id, control));
        self.flush().await?;
        Ok(self.last_control_id)
    }

    /// Follows any task after this event (0: from the first), to its end, whatever session it has. The
    /// only answer is [`SessionEvent::AttachRefused`].
    ///
    /// # Errors
    /// Whatever ends a session.
    pub async fn attach(&mut self, task_id: &str, after_seq: u64) -> Result<(), Error> {
        self.outbox.push_back(self.ledger.attach(task_id, after_seq));
        self.flush().await
    }

    /// Asks about a batch, and returns the number that [`SessionEvent::Batch`] will have. A batch belongs
    /// to no session: an outage, and even the end of the session, does not end what is asked or followed.
    ///
    /// # Errors
    /// [`Error::Unrepeatable`] for a plan without an idempotency key, and whatever ends a session.
    pub async fn ask_batch(&mut self, request: BatchRequest) -> Result<u64, Error> {
        if let BatchRequest::Submit(plan) = &request
            && plan["idempotency_key"].is_null()
        {
            return Err(Error::Unrepeatable);
        }
        self.last_batch_request_id += 1;
        let request = self.batches.ask(self.last_batch_request_id, request);
        self.outbox.push_back(request);
        self.flush().await?;
        Ok(self.last_batch_request_id)
    }

    /// The next thing that happens. Cancel safe.
    ///
    /// # Errors
    /// When the session is over or the server breaks the protocol; then it is over. Without a grace
    /// period that is when its connection ends.
    pub async fn next_event(&mut self) -> Result<SessionEvent, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.flush().await?;
            let outcome = match &mut self.state {
                State::Over => return Err(Error::Lost("the session is over".into())),
                State::Up(connection) => match listen(connection, self.look_at.as_ref()).await {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => self.lose(error),
                    None => {
                        self.outbox
                            .extend(self.look_at.take().map(|(_, task_id)| Request::Look(task_id)));
                        Ok(())
                    }
                },
                State::Down(outage) => match outage.step().await {
                    Step::Regained(regained) => self.regain(*regained),
                    Step::Failed { attempt, error, delay } => {
                        self.ready.push_back(SessionEvent::Reconnecting { attempt, error, delay });
                        Ok(())
                    }
                    Step::GivenUp { last } => {
                        let (patience, unknown) = (self.patience(), self.ledger.unknown());
                        Err(Error::GivenUp { patience, last: Box::new(last), unknown })
                    }
                    Step::Refused(error) => Err(self.last_error(error)),
                },
            };
            if let Err(error) = outcome {
                self.state = State::Over;
                return Err(error);
            }
        }
    }

    /// Ends the session politely, within 2 s; a running task of it is canceled. Without a connection the
    /// session is left to its grace period.
    pub async fn close(self) {
        match self.state {
            State::Up(connection) => connection.close().await,
            State::Down(_) | State::Over => {}
        }
    }

    fn patience(&self) -> Duration {
        self.settings.patience.unwrap_or(self.identity.grace)
    }

    /// Sends what is to be sent; without a connection that is nothing. Cancel safe.
    async fn flush(&mut self) -> Result<(), Error> {
        while let (State::Up(connection), Some(request)) = (&mut self.state, self.outbox.front()) {
            let (method, params, pending) = request.to_wire()?;
            let sent = connection.send(method, params).await;
            self.outbox.pop_front();
            match sent {
                Ok(id) => drop(self.pending.insert(id, pending)),
                Err(error @ Error::MessageTooLarge { .. }) => {
                    let refusal = ErrorObject::new(ErrorCode::InvalidParams, error.to_string());
                    self.answered(pending, Err(refusal))?;
                }
                Err(error) => self.lose(error).inspect_err(|_| self.state = State::Over)?,
            }
        }
        Ok(())
    }

    /// The connection is gone. `Err` is the end of the session.
    fn lose(&mut self, error: Error) -> Result<(), Error> {
        // Batches need no session: any connection does.
        let is_session_needed = self.ledger.is_busy() || !self.batches.is_any_pending();
        let is_session_kept = !self.identity.grace.is_zero();
        let can_resume = !self.patience().is_zero() && (is_session_kept || !is_session_needed);
        if error.severity() != Severity::Passing || !can_resume {
            return Err(self.last_error(error));
        }
        self.outbox.clear();
        self.pending.clear();
        self.look_at = None;
        let resume = SessionResume {
            session_id: self.identity.session_id.clone(),
            resume_token: self.identity.resume_token.clone(),
            after: self.ledger.position(),
        };
        let target = Target { url: self.url.clone(), token: self.token.clone(), resume };
        let (outage, delay) = Outage::begin(target, &self.settings, self.patience());
        let attempt = outage.attempt();
        self.state = State::Down(Box::new(outage));
        self.ready.push_back(SessionEvent::Reconnecting { attempt, error, delay });
        Ok(())
    }

    /// The error as it is, unless it says that another connection has the session.
    fn last_error(&self, error: Error) -> Error {
        match error.severity() {
            Severity::TakenOver => Error::TakenOver { unknown: self.ledger.unknown() },
            Severity::Passing | Severity::Final => error,
        }
    }

    fn regain(&mut self, regained: Regained) -> Result<(), Error> {
        let Regained { connection, session } = regained;
        let recovery = match session {
            Ok(resumed) => self.ledger.resumed(&resumed.tasks),
            Err(error) if self.ledger.is_busy() => {
                let unknown = self.ledger.unknown();
                return Err(Error::SessionOver { error, unknown });
            }
            // Nothing was under way, so the new session is as good as the old one.
            Err(_) => {
                self.identity = Identity::of(&connection);
                self.ledger.renewed()
            }
        };
        self.state = State::Up(Box::new(connection));
        self.ready.push_back(SessionEvent::Reconnected);
        self.outbox.push_back(Request::Configure);
        self.carry_out(recovery);
        self.outbox.extend(self.batches.repeated());
        Ok(())
    }

    fn carry_out(&mut self, recovery: Recovery) {
        self.ready.extend(recovery.events);
        self.outbox.extend(recovery.requests);
        if let Some(task_id) = recovery.look {
            self.look_at = Some((Instant::now() + LOOK_INTERVAL, task_id));
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Notification(received) => {
                self.batches.heard(&received.notification);
                self.ready.extend(self.ledger.heard(received)?);
                Ok(())
            }
            Event::Response(Response { id: Some(id), outcome }) => match self.pending.remove(&id) {
                Some(pending) => self.answered(pending, outcome),
                None => Err(Error::Protocol(format!("an answer to {id}, which nobody asked"))),
            },
            Event::Response(Response { id: None, outcome: Err(error) }) => {
                Err(Error::SessionRefused(error))
            }
            Event::Response(Response { id: None, outcome: Ok(_) }) => {
                Err(Error::Protocol("an answer without an id".to_owned()))
            }
        }
    }

    fn answered(
        &mut self,
        request: Pending,
        outcome: Result<Value, ErrorObject>,
    ) -> Result<(), Error> {
        match (request, outcome) {
            (Pending::Start, Ok(result)) => {
                let ExecuteResult { task_id, pid, .. } = read_result("execute", result)?;
                let started = StartedTask { task_id, pid: Some(pid) };
                self.ready.push_back(self.ledger.answered(Ok(started)));
            }
            (Pending::Start, Err(error)) => {
                self.ready.push_back(self.ledger.answered(Err(error)));
            }
            (Pending::Control(id), outcome) => {
                self.ready.push_back(self.ledger.controlled(id, outcome.map(drop)));
            }
            (Pending::Attach(task_id), Err(error)) => {
                self.ready.push_back(self.ledger.attach_refused(task_id, error));
            }
            (Pending::Look, Ok(result)) => {
                let task: TaskSummary = read_result("task.get", result)?;
                let mut recovery = Recovery::default();
                self.ledger.looked(&task, &mut recovery);
                self.carry_out(recovery);
            }
            (Pending::Look, Err(error)) => self.ready.extend(self.ledger.look_refused(error)),
            (Pending::Batch(id), outcome) => {
                let answer = self.batches.answered(id, outcome)?;
                self.ready.extend(answer.map(|outcome| SessionEvent::Batch { id, outcome }));
            }
            (Pending::Attach(_), Ok(_)) | (Pending::Configure, Ok(_) | Err(_)) => {}
        }
        Ok(())
    }
}

/// The next event; `None` when it is time to look.
async fn listen(
    connection: &mut Connection,
    look_at: Option<&(Instant, String)>,
) -> Option<Result<Event, Error>> {
    match look_at {
        None => Some(connection.next_event().await),
        Some((at, _)) => time::timeout_at(*at, connection.next_event()).await.ok(),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The resume token stays out of it.
        formatter
            .debug_struct("Session")
            .field("url", &self.url)
            .field("id", &self.identity.session_id)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
