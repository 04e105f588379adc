//! A session on its connection: reads messages, has each call answered, and queues what the client is sent.
//!
//! Owns the order of what the client sees: the answer to `execute` before anything of its task, the answer to
//! a control before the event that it causes. It never writes to the socket itself and never touches a task: it
//! queues for the [`crate::delivery`] and asks the task's owner. What of a session outlives its connection belongs to
//! [`crate::session::registry`].

use std::{collections::HashMap, sync::Arc};

use cc_protocol::{
    CallError,
    envelope::{Id, Response},
    error::ErrorObject,
    notification::{Connected, Limits, Notification},
};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    batch::Following,
    config::{limits, tokens::Access},
    delivery::{Outgoing, notification::to_text},
    ops::identity::Identity,
    session::{
        budget::Claim,
        current_task::CurrentTask,
        delivered::Delivered,
        message::Message,
        registry::{ConnectionHandle, ResumeToken, Session},
        reply::{CallOutcome, Then},
        request,
        services::Services,
        state::Input,
        subscription::Subscription,
        waiting::WaitingExecute,
    },
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

/// One client's session, as its connection has it.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(super) services: Services,
    pub(super) identity: Identity,
    /// What the client may do, as it was at its last call.
    pub(super) access: Access,
    pub(super) connection: ConnectionHandle,
    pub(super) session: Arc<Session>,
    /// The session that the connection began with, while another one is being resumed.
    pub(super) former: Option<Arc<Session>>,
    pub(super) current: Option<CurrentTask>,
    /// Tasks that the connection is attached to, each with the wait for its terminal event.
    pub(super) attached: HashMap<String, Delivered>,
    pub(super) attached_batches: HashMap<String, Following>,
    pub(super) outgoing: mpsc::Sender<Box<Outgoing>>,
    /// Boxed: few connections ever have one.
    pub(super) waiting: Option<Box<WaitingExecute>>,
    pub(super) is_closing: bool,
    /// Sends alerts to the client, if it wants them.
    pub(super) subscription: Option<Subscription>,
    /// The writer reads no cursors before the message is answered.
    pub(super) is_held: bool,
    /// What the loss of the connection entails is done.
    has_left: bool,
}

impl Handler {
    /// Begins a session of this client on this connection, whose writer reads from `outgoing` and outlives the handler. Queues
    /// `connected`, the first message of every session.
    ///
    /// # Errors
    /// When the system has no random numbers for the resume token.
    pub(crate) async fn begin(
        services: Services,
        identity: Identity,
        connection: ConnectionHandle,
        outgoing: mpsc::Sender<Box<Outgoing>>,
    ) -> Result<Self, getrandom::Error> {
        // A token that was removed in the meantime allows nothing: its connection is about to be closed.
        let access = services.tasks.tokens.access(identity.token.as_ref()).unwrap_or_default();
        let (session, token) = services.sessions.begin(&connection, access.owner())?;
        let handler = Self {
            services,
            identity,
            access,
            connection,
            session,
            former: None,
            current: None,
            attached: HashMap::new(),
            attached_batches: HashMap::new(),
            outgoing,
            waiting: None,
            is_closing: false,
            subscription: None,
            is_held: false,
            has_left: false,
        };
        handler.send(Outgoing::Text(handler.greeting(&token))).await;
        let greeted = Input::Greeted(handler.connection.number);
        handler.services.sessions.happened(&handler.session, greeted).await;
        Ok(handler)
    }

    #[must_use]
    pub(crate) fn id(&self) -> &str {
        self.session.id()
    }

    fn greeting(&self, token: &ResumeToken) -> String {
        let config = self.services.tasks.config();
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

    /// Answers one text message, which is as long as `claim` says.
    pub(crate) async fn handle(&mut self, text: &str, claim: Option<Claim>) {
        // A refused `execute` is answered before what the client sent after it.
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_refused()) {
            self.answer_waiting().await;
        }
        let count = request::count_values(text);
        let values = self.claim_values(count).await;
        let message = Message::of(request::read(text, count), claim, values);
        self.answer(message, Vec::new()).await;
    }

    /// Answers the calls of a message that are left, then the message, and does what follows: `then`, from a call that
    /// is answered already, and what its other calls add. An `execute` that waits keeps the rest of its message
    /// waiting.
    pub(super) async fn answer(&mut self, mut message: Message, mut then: Vec<Then>) {
        while let Some(call) = message.calls.next() {
            let call = match call {
                Ok(call) => call,
                Err(response) => {
                    message.answers.push(response);
                    continue;
                }
            };
            match self.call(&call.method, call.params).await {
                CallOutcome::Replied(reply) => {
                    if let Some(id) = call.id {
                        message.answers.push(response(id, reply.result));
                    }
                    then.extend(reply.then);
                }
                CallOutcome::Waits { execute, canceled } => {
                    let (id, since, refusal) = (call.id, Instant::now(), None);
                    let waiting = WaitingExecute { id, execute, canceled, message, since, refusal };
                    self.waiting = Some(Box::new(waiting));
                    return self.follow_up(then).await;
                }
            }
        }
        // They have gone with the calls; the answer may wait for long.
        message.values = None;
        if let Some(answer) = message.answers.into_text() {
            self.send_answer(answer).await;
        }
        self.follow_up(then).await;
    }

    /// Does what follows a message, whose answer is queued.
    async fn follow_up(&mut self, then: Vec<Then>) {
        self.is_held = false;
        for step in then {
            match step {
                Then::Send(outgoing) => self.send(outgoing).await,
                Then::FollowBatch(attachment) => self.follow_batch(*attachment),
                Then::CloseSession => {
                    self.is_closing = true;
                    self.refuse_waiting(CallError::SessionLost);
                    self.services.sessions.happened(&self.session, Input::Close).await;
                }
            }
        }
        let current = self.current.as_mut().map(|current| &mut current.delivered);
        current.into_iter().chain(self.attached.values_mut()).for_each(Delivered::answered);
    }

    /// Has the waiting `execute` answered with this error. False when none waits.
    pub(super) fn refuse_waiting(&mut self, refusal: CallError) -> bool {
        let Some(waiting) = &mut self.waiting else { return false };
        waiting.refuse(refusal);
        true
    }

    /// Queues an answer. A long one is waited for, so that no more than one of them is ever kept for a client.
    async fn send_answer(&self, answer: String) {
        if answer.len() < limits::QUEUED_TEXT_BYTES {
            return self.send(Outgoing::Text(answer)).await;
        }
        let (taken, is_taken) = oneshot::channel();
        self.send(Outgoing::Awaited(answer, taken)).await;
        // An error means that the writer is gone.
        drop(is_taken.await);
    }

    /// Queues this for the writer. Waits while the client does not read.
    pub(super) async fn send(&self, outgoing: Outgoing) {
        // It cannot fail: the writer outlives the handler.
        self.outgoing.send(Box::new(outgoing)).await.ok();
    }

    /// Waits until the current task's terminal event has been handed to the socket. Dropping the future loses nothing.
    pub(super) async fn delivered(&mut self) {
        self.release().await;
        if let Some(current) = &mut self.current {
            current.delivered.wait().await;
        }
    }

    /// Lets the writer read cursors again, where an earlier call of the same message has stopped it: what this one waits
    /// for would never be sent.
    pub(super) async fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            self.send(Outgoing::Release).await;
        }
    }

    /// To be called when the connection is over: the session waits for its client, or ends.
    pub(crate) async fn connection_lost(mut self) {
        let is_all_sent = self.waiting.is_none()
            && self.current.as_mut().is_none_or(|task| !task.delivered.is_pending());
        if is_all_sent {
            self.session.everything_was_sent(self.connection.number);
        }
        let lost = Input::Lost(self.connection.number);
        self.services.sessions.happened(&self.session, lost).await;
        self.close_former().await;
        self.has_left = true;
    }

    /// Ends the session that the connection began with, which no client can resume any more.
    pub(super) async fn close_former(&mut self) {
        if let Some(former) = self.former.take()
            && former.is_held_by(self.connection.number)
        {
            self.services.sessions.happened(&former, Input::Close).await;
        }
    }
}

impl Drop for Handler {
    /// Where the future of the connection has panicked, or was dropped, its session waits for its client all the same.
    fn drop(&mut self) {
        let Some(runtime) = Handle::try_current().ok().filter(|_| !self.has_left) else { return };
        let (sessions, number) = (Arc::clone(&self.services.sessions), self.connection.number);
        let (session, former) = (Arc::clone(&self.session), self.former.take());
        runtime.spawn(async move {
            sessions.happened(&session, Input::Lost(number)).await;
            if let Some(former) = former.filter(|former| former.is_held_by(number)) {
                sessions.happened(&former, Input::Close).await;
            }
        });
    }
}

/// The response to a call that has an id.
pub(super) fn response(id: Id, result: Result<Value, ErrorObject>) -> Response {
    match result {
        Ok(value) => Response::result(id, value),
        Err(error) => Response::error(id, error),
    }
}

#[cfg(test)]
mod tests;
