//! A session on its connection: what a client may ask, and the answers, one call after the other.
//!
//! Owns the order of what the client sees: the answer to `execute` before anything of its task, the answer to
//! a control before the event that it causes. It never writes to the socket itself and never touches a task: it
//! queues for the [`crate::delivery`] and asks the task's owner. What of a session outlives its connection belongs to
//! [`crate::session::registry`]; `execute` is in [`crate::session::execute`], and waits in [`crate::session::wait`]; `session.resume` is
//! in [`crate::session::resume`], `task.*` in [`crate::session::task_calls`].

use std::{collections::HashMap, sync::Arc};

use cc_protocol::{
    METHODS,
    control::ControlType,
    envelope::{Call, Id, Response},
    error::{ErrorCode, ErrorObject, close},
    legacy,
    notification::{Connected, Limits, Notification},
    session::{SessionConfigure, check_close_params},
};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    batch::{Attachment, Following},
    config::limits,
    delivery::{
        Follow, Outgoing,
        notification::{Translator, to_text},
        pending::PendingRecords,
    },
    ops::stage::StageWatch,
    session::{
        execute::{self, Turn},
        registry::{ConnectionHandle, ResumeToken, Session},
        request,
        services::Services,
        state::Input,
        waiting::{Message, Reply, Waiting, Wish},
    },
    task::{ControlReply, feed::Cursor, lookup::TaskRef},
};

const CAPABILITIES: [&str; 10] = [
    "execute",
    "control",
    "stream",
    "argv",
    "prompt",
    "output_chunks",
    "resume",
    "attach",
    "batches",
    "gates",
];

/// The connection's writer is gone: there is nobody to answer.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// One client's session, as its connection has it.
#[derive(Debug)]
pub struct Handler {
    pub(crate) services: Services,
    pub(crate) connection: ConnectionHandle,
    pub(crate) session: Arc<Session>,
    /// The session that the connection began with, while another one is being resumed.
    pub(crate) former: Option<Arc<Session>>,
    pub(crate) current: Option<Current>,
    /// Tasks that the connection is attached to, and who hears when their terminal event is sent.
    pub(crate) attached: HashMap<String, oneshot::Receiver<()>>,
    /// Batches that the connection is attached to.
    pub(crate) attached_batches: HashMap<String, Following>,
    pub(crate) outgoing: mpsc::Sender<Box<Outgoing>>,
    /// An `execute` whose turn comes when a canceled task is gone.
    pub(crate) waiting: Option<Box<Waiting>>,
    is_closing: bool,
}

/// The session's latest task whose events go to this connection.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) task_id: String,
    pub(crate) delivery: Delivery,
}

/// How far the latest task's notifications have come.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// The answer to its `execute` is not queued yet.
    Unanswered,
    /// They are being sent.
    UnderWay(oneshot::Receiver<()>),
    /// The terminal event has been sent.
    Done,
}

/// What has to happen after a call's answer is queued.
#[derive(Debug)]
pub(crate) enum After {
    /// Let the writer go on with the cursors.
    Release,
    /// Send a task's notifications after those of the session's earlier tasks.
    Follow(Box<Follow>),
    /// The last of them are the current task's; the receiver hears when they are sent.
    Answered(oneshot::Receiver<()>),
    /// Send a task's notifications beside everything else.
    Attach(Box<Follow>),
    /// Tell of a batch.
    FollowBatch(Box<Attachment>),
    /// Send lines together, or not.
    Batch(bool),
    /// End the session.
    Close,
}

/// The result of a call, or the error that answers it.
pub(crate) type CallResult = Result<Value, ErrorObject>;

impl Handler {
    /// A new one on this connection, whose answers go to `outgoing`. Queues `connected`, the first message of
    /// every session.
    ///
    /// # Errors
    /// When the system has no random numbers for the resume token.
    pub async fn begin(
        services: Services,
        connection: ConnectionHandle,
        outgoing: mpsc::Sender<Box<Outgoing>>,
    ) -> Result<Self, getrandom::Error> {
        let (session, token) = services.sessions.begin(&connection)?;
        let handler = Self {
            services,
            connection,
            session,
            former: None,
            current: None,
            attached: HashMap::new(),
            attached_batches: HashMap::new(),
            outgoing,
            waiting: None,
            is_closing: false,
        };
        // The queue is empty, and its reader lives as long as this.
        handler.send(Outgoing::Text(handler.greeting(&token))).await.ok();
        let greeted = Input::Greeted(handler.connection.number);
        handler.services.sessions.happened(&handler.session, greeted).await;
        Ok(handler)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.session.id()
    }

    fn greeting(&self, token: &ResumeToken) -> String {
        let config = &self.services.tasks.config;
        to_text(&Notification::Connected(Connected {
            session_id: self.id().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
            resume_token: token.reveal().to_owned(),
            resume_grace_s: self.services.sessions.grace().as_secs_f64(),
            heartbeat_interval_s: config.heartbeat.as_secs_f64(),
            limits: Limits {
                message_bytes: config.message_bytes_limit,
                sessions: config.sessions_limit,
                line_bytes: config.task.line_bytes_limit,
                output_bytes: config.task.output_bytes_limit,
            },
        }))
    }

    /// Answers one text message.
    ///
    /// # Errors
    /// When the writer is gone.
    pub async fn handle(&mut self, text: &str) -> Result<(), Gone> {
        // Its answer stands before those of what was sent after its end was asked for.
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_refused()) {
            self.take_turn().await?;
        }
        self.go_through(Message::of(request::read(text)), Vec::new()).await
    }

    /// Answers the calls of a message, and the message when all are; `after`: what has to happen then. One that waits
    /// for its turn keeps the rest of the message waiting.
    pub(crate) async fn go_through(
        &mut self,
        mut message: Message,
        mut after: Vec<After>,
    ) -> Result<(), Gone> {
        while let Some(call) = message.calls.next() {
            match call {
                Ok(call) => match self.call(call, &mut after).await? {
                    Reply::Now(response) => message.responses.extend(response),
                    Reply::Later(wish) => {
                        self.waiting = Some(Box::new(Waiting::new(wish, message)));
                        return self.settle(after).await;
                    }
                },
                Err(response) => message.responses.push(response),
            }
        }
        if let Some(answer) = message.answer() {
            self.send(Outgoing::Text(answer)).await?;
        }
        self.settle(after).await
    }

    async fn settle(&mut self, after: Vec<After>) -> Result<(), Gone> {
        for step in after {
            self.go_on(step).await?;
        }
        Ok(())
    }

    async fn go_on(&mut self, step: After) -> Result<(), Gone> {
        match step {
            After::Release => self.send(Outgoing::Release).await,
            After::Follow(follow) => self.send(Outgoing::Follow(follow)).await,
            After::Answered(delivery) => {
                if let Some(current) = &mut self.current {
                    current.delivery = Delivery::UnderWay(delivery);
                }
                Ok(())
            }
            After::Attach(follow) => self.send(Outgoing::Attach(follow)).await,
            After::FollowBatch(attachment) => {
                self.follow_batch(*attachment);
                Ok(())
            }
            After::Batch(is_batching) => self.send(Outgoing::Batch(is_batching)).await,
            After::Close => {
                self.is_closing = true;
                self.refuse_waiting(execute::lost_session);
                self.services.sessions.happened(&self.session, Input::Close).await;
                Ok(())
            }
        }
    }

    /// Returns when the connection may be closed from this side, and with which close frame: when the client has all
    /// there is, after it has closed its session or while the supervisor ends its tasks; at once when the
    /// supervisor leaves them to another one. Dropping the future loses nothing.
    pub(crate) async fn may_leave(&mut self, stage: &StageWatch) -> (u16, &'static str) {
        const RESTART: (u16, &str) =
            (close::RESTART, "the supervisor is restarting: reconnect and resume");
        // Boxed: what an end takes is not kept by a connection that waits for one.
        if self.is_closing {
            return Box::pin(async {
                tokio::select! {
                    () = self.idle() => (close::NORMAL, "the session is closed"),
                    () = stage.leaving() => RESTART,
                }
            })
            .await;
        }
        stage.stopping().await;
        if stage.is_leaving() {
            return RESTART;
        }
        Box::pin(self.idle()).await;
        (close::GOING_AWAY, "the supervisor is stopping")
    }

    /// Returns when the writer has nothing more to follow, or is gone.
    async fn idle(&self) {
        let (idle, is_idle) = oneshot::channel();
        if self.send(Outgoing::TellWhenIdle(idle)).await.is_ok() {
            drop(is_idle.await);
        }
    }

    /// The connection is over, for whatever reason: the session waits for its client, or ends.
    pub async fn connection_lost(mut self) {
        let lost = Input::Lost(self.connection.number);
        self.services.sessions.happened(&self.session, lost).await;
        self.close_former().await;
    }

    /// The session that the connection began with is of no use to anybody.
    pub(crate) async fn close_former(&mut self) {
        if let Some(former) = self.former.take() {
            self.services.sessions.happened(&former, Input::Close).await;
        }
    }

    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<(), Gone> {
        self.outgoing.send(Box::new(outgoing)).await.map_err(|_| Gone)
    }

    /// The response, unless the call was a notification.
    async fn call(&mut self, call: Call, after: &mut Vec<After>) -> Result<Reply, Gone> {
        let params = &call.params;
        let result = match call.method.as_str() {
            "execute" => match self.execute(call.params, after).await {
                Turn::Now(result) => result,
                Turn::After { execute, canceled } => {
                    let id = call.id;
                    return Ok(Reply::Later(Wish { id, execute, canceled }));
                }
            },
            "control" => self.control(params, after).await?,
            "ping" => Ok(json!({"type": "pong"})),
            "session.resume" => self.resume(params, after).await,
            "session.configure" => configure(params, after),
            "session.close" => check_close_params(params).map(|()| {
                after.push(After::Close);
                json!({"status": "closed"})
            }),
            "task.get" => self.task_get(params).await,
            "task.list" => self.task_list(params).await,
            "task.output" => self.task_output(params).await,
            "task.attach" => self.task_attach(params, after).await,
            "task.detach" => self.task_detach(params).await?,
            "task.cancel" => self.task_control(ControlType::Cancel, params, after).await?,
            "task.pause" => self.task_control(ControlType::Pause, params, after).await?,
            "task.resume" => self.task_control(ControlType::Resume, params, after).await?,
            "batch.submit" => self.batch_submit(call.params).await,
            "batch.get" => self.batch_get(params).await,
            "batch.list" => self.batch_list(params).await,
            "batch.rows" => self.batch_rows(params).await,
            "batch.result" => self.batch_result(params).await,
            "batch.cancel" => self.batch_cancel(params).await,
            "batch.attach" => self.batch_attach(params, after).await,
            "batch.detach" => self.batch_detach(params).await,
            "batch.resume" => self.batch_resume(params).await,
            "gate.list" => self.gate_list(params),
            "gate.open" => self.gate_open(params).await,
            other => legacy::result_of(other).ok_or_else(|| unknown_method(other)),
        };
        Ok(Reply::Now(call.id.map(|id| response(id, result))))
    }

    /// A task to be sent from a position on.
    pub(crate) fn follow(
        &self,
        task_id: &str,
        task: &TaskRef,
        after_seq: u64,
        delivered: oneshot::Sender<()>,
    ) -> Box<Follow> {
        let cursor = match task {
            TaskRef::Live(handle) => handle.feed().cursor_after(after_seq),
            TaskRef::Stored(_) => {
                Cursor::over_log(self.services.tasks.log_path(task_id), after_seq)
            }
        };
        let translator = Translator::new(task_id.to_owned(), task.pid().unwrap_or(0), after_seq);
        // A client that has the end already is not told it again.
        let terminal = task
            .stored_end()
            .filter(|(_, last_seq)| after_seq < *last_seq)
            .map(|(completed, last_seq)| translator.terminal(&completed, last_seq));
        let (task_id, pending) = (task_id.to_owned(), PendingRecords::default());
        Box::new(Follow { task_id, cursor, pending, translator, terminal, delivered })
    }

    async fn control(
        &mut self,
        params: &Map<String, Value>,
        after: &mut Vec<After>,
    ) -> Result<CallResult, Gone> {
        let control = match ControlType::from_params(params) {
            Ok(control) => control,
            Err(error) => return Ok(Err(error)),
        };
        if control == ControlType::Cancel && self.refuse_waiting(execute::withdrawn) {
            return Ok(Ok(json!({"status": control.done()})));
        }
        match self.session.running(&self.services.tasks.registry) {
            Some(handle) => self.steer(handle, control, after).await,
            None => Ok(Err(no_process())),
        }
    }

    /// Whether this task's events go to this connection because it is the session's own.
    pub(crate) fn is_sent_anyway(&mut self, task_id: &str) -> bool {
        let Some(current) = self.current.as_mut().filter(|current| current.task_id == task_id)
        else {
            return false;
        };
        match &mut current.delivery {
            Delivery::Unanswered => true,
            Delivery::UnderWay(delivery) => {
                matches!(delivery.try_recv(), Err(oneshot::error::TryRecvError::Empty))
            }
            Delivery::Done => false,
        }
    }

    /// Returns when the current task's terminal event has been handed to the socket, or at once when there is
    /// no task. Dropping the future loses nothing.
    pub(crate) async fn delivered(&mut self) {
        if let Some(current) = &mut self.current
            && let Delivery::UnderWay(delivery) = &mut current.delivery
        {
            drop(delivery.await);
            current.delivery = Delivery::Done;
        }
    }
}

/// A call's response.
pub(crate) fn response(id: Id, result: CallResult) -> Response {
    match result {
        Ok(value) => Response::result(id, value),
        Err(error) => Response::error(id, error),
    }
}

fn configure(params: &Map<String, Value>, after: &mut Vec<After>) -> CallResult {
    let configure = SessionConfigure::from_params(params)?;
    after.push(After::Batch(configure.output_batch));
    Ok(json!(configure))
}

/// Waits for the task's owner to confirm a pause or a resume.
pub(crate) async fn control_answer(
    control: ControlType,
    answered: oneshot::Receiver<ControlReply>,
) -> CallResult {
    match timeout(limits::CONTROL_ANSWER, answered).await {
        Ok(Ok(ControlReply::Done)) => Ok(json!({"status": control.done()})),
        Ok(Ok(ControlReply::NotRunning) | Err(_)) => Err(no_process()),
        Err(_) => {
            let seconds = limits::CONTROL_ANSWER.as_secs();
            let message = format!("the task was not {} within {seconds} s", control.done());
            Err(ErrorObject::new(ErrorCode::InternalError, message))
        }
    }
}

fn unknown_method(method: &str) -> ErrorObject {
    let shown: String = method.chars().take(100).collect();
    let nearest = METHODS
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&shown, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    let code = ErrorCode::MethodNotFound;
    match nearest {
        Some((_, known)) => {
            let message = format!("Method not found: {shown:?}; did you mean {known:?}?");
            ErrorObject::new(code, message).with("suggestion", known)
        }
        None => ErrorObject::new(
            code,
            format!("Method not found: {shown:?}; known are {}", METHODS.join(", ")),
        ),
    }
}

/// The answer when there is nothing to steer.
pub(crate) fn no_process() -> ErrorObject {
    ErrorObject::new(ErrorCode::NoProcess, "No process is running")
}
