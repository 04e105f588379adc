//! One WebSocket connection from its upgrade to its end.
//!
//! Three things run side by side: the reader, which gives each message to the [`Handler`] and waits for it to be
//! answered; the [`Writer`]; and the heartbeat. The first to end ends the connection, and so does another connection that
//! takes the session over. Then the place among the connections is free at once, the session waits for its client, and
//! the client is sent a close frame with the reason.

use std::{future::pending, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use bytes::Bytes;
use cc_protocol::{error::close, legacy};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    config::{limits, tokens::Presented},
    connection::{
        context::{ConnectionContext, SessionPlace},
        heartbeat,
        intake::{ClaimSlot, Intake, Pause},
        websocket::{self, End, NotTaken, Patience, Sink, Stream},
    },
    delivery::{
        Outgoing, Writer,
        socket::{FrameLane, Liveness, Socket},
        transport::Transport,
    },
    ops::{
        identity::Identity,
        metrics::{CloseCode, Label as _, Timeout},
    },
    session::{Due, Handler},
};

const PANICKED: &str = "a mistake of the supervisor: reconnect and resume";

/// Serves an upgraded connection of this client; `early` is what came with its request, `place` is that among the admitted
/// connections.
///
/// Very many of these wait at once for clients that say nothing. So what it takes to begin and to end is boxed: it
/// is not kept in between.
pub(crate) async fn serve(
    context: Arc<ConnectionContext>,
    identity: Identity,
    stream: Transport,
    early: Bytes,
    place: OwnedSemaphorePermit,
) {
    let revoked = until_revoked(&context, identity.token.clone());
    let Some(mut open) = Box::pin(Open::begin(&context, identity, stream, early)).await else {
        return;
    };
    let serving = AssertUnwindSafe(open.serve(&context)).catch_unwind();
    let end = tokio::select! {
        // A mistake of this program: the session waits for its client, as after any other end.
        end = serving => end.unwrap_or_else(|_| End::close(close::INTERNAL, PANICKED)),
        () = revoked => End::close(close::POLICY, "the token of this connection was removed"),
    };
    let is_stopping = context.tasks().stage.is_stopping();
    let patience = if is_stopping { Patience::AT_STOP } else { Patience::USUAL };
    Box::pin(open.end(&context, end, patience)).await;
    drop(place);
}

/// Returns when a reload has removed the token, or begun to require one.
fn until_revoked(
    context: &ConnectionContext,
    token: Option<Presented>,
) -> impl Future<Output = ()> + Send + use<> {
    let tokens = Arc::clone(&context.tasks().tokens);
    let mut changes = tokens.changes();
    async move {
        while tokens.access(token.as_ref()).is_some() {
            if changes.changed().await.is_err() {
                pending::<()>().await;
            }
        }
    }
}

/// A connection that has a session.
struct Open {
    handler: Handler,
    reader: Reader,
    /// It reads what the handler queues, so it outlives the handler.
    writer: Writer,
    sink: Sink,
    /// Boxed: with the first message the channel makes room for 32.
    outgoing: mpsc::Sender<Box<Outgoing>>,
    life: Liveness,
    /// Notified when another connection has taken the session over.
    evicted: Arc<Notify>,
    place: SessionPlace,
}

impl Open {
    /// Makes a WebSocket of the connection and begins a session on it. `None`: there was no session to be had, and the
    /// client was sent the reason.
    async fn begin(
        context: &Arc<ConnectionContext>,
        identity: Identity,
        stream: Transport,
        early: Bytes,
    ) -> Option<Self> {
        let life = Liveness::default();
        let lane = FrameLane::default();
        let socket = Socket::new(stream, life.clone(), lane.clone());
        let message_bytes = context.tasks().config().message_bytes_limit;
        let (claims, pause) = (ClaimSlot::default(), Pause::default());
        let budget = Arc::clone(&context.services.budget);
        // What came with the request holds the whole buffer of the request.
        let early = Bytes::copy_from_slice(&early);
        let (slot, paused) = (claims.clone(), pause.clone());
        let intake = Intake::new(early, socket, budget, message_bytes, slot, paused);
        let (sink, stream) = websocket::accept(intake, message_bytes).await;
        let place = match context.session_place(&identity).await {
            Ok(place) => place,
            Err(limit) => {
                refuse(context, limit, sink, stream).await;
                return None;
            }
        };
        let (outgoing, queue) = mpsc::channel(limits::CONTROL_QUEUE_MESSAGES);
        let connection_handle = context.services.sessions.connection_handle();
        let evicted = Arc::clone(&connection_handle.evicted);
        let services = context.services.clone();
        match Handler::begin(services, identity, connection_handle, outgoing.clone()).await {
            Ok(handler) => {
                tracing::debug!(session_id = handler.id(), "connected");
                context.tasks().metrics.connections.opened();
                let writer = Writer::new(queue, lane);
                let reader = Reader { stream, early: None, claims, pause };
                Some(Self { handler, reader, writer, sink, outgoing, life, evicted, place })
            }
            Err(error) => {
                tracing::error!(%error, "no random numbers for a session");
                let frame = websocket::close_frame(close::INTERNAL, "no session");
                drop(
                    websocket::finish(sink, stream, Vec::new(), Some(frame), &Patience::USUAL)
                        .await,
                );
                None
            }
        }
    }

    /// Reads and writes until the connection is to end.
    async fn serve(&mut self, context: &ConnectionContext) -> End {
        tokio::select! {
            () = self.evicted.notified() => {
                End::close(close::TAKEN_OVER, "another connection has resumed this session")
            }
            end = self.reader.read(context, &mut self.handler) => end,
            error = self.writer.run(&mut self.sink) => {
                tracing::debug!(session_id = self.handler.id(), %error, "writing to a client");
                End::Lost("the connection broke")
            }
            () = heartbeat::until_dead(context, self.life.clone(), &self.outgoing) => {
                let limit = context.tasks().config().heartbeat * limits::HEARTBEAT_MISSES;
                let (kind, session_id) = (Timeout::Heartbeat, self.handler.id());
                tracing::warn!(session_id, timeout = kind.value(), ?limit, "a client did not answer");
                context.tasks().metrics.timeouts.passed(kind);
                End::Lost("the client does not answer")
            }
            () = stopped_asleep(context, &self.life) => {
                End::Lost("the client does not read, and the supervisor stops")
            }
        }
    }

    async fn end(mut self, context: &ConnectionContext, end: End, patience: Patience) {
        // Before the client can know that the connection is closed: its next one must find room.
        drop(self.place);
        let session_id = self.handler.id().to_owned();
        let code = match &end {
            End::Orderly(frame) => {
                tracing::debug!(session_id, ?frame, "disconnected");
                frame.as_ref().map_or(CloseCode::Client, |frame| CloseCode::of(frame.code.into()))
            }
            End::Lost(reason) => {
                tracing::info!(session_id, reason, "connection lost");
                CloseCode::Lost
            }
        };
        context.tasks().metrics.connections.closed(code);
        self.handler.connection_lost().await;
        if let End::Orderly(frame) = end {
            let texts = self.writer.leftovers();
            if let Err(NotTaken { limit }) =
                websocket::finish(self.sink, self.reader.stream, texts, frame, &patience).await
            {
                let kind = Timeout::Close;
                let text = "a client did not take the end of its connection";
                tracing::warn!(session_id, timeout = kind.value(), ?limit, "{text}");
                context.tasks().metrics.timeouts.passed(kind);
            }
        }
    }
}

/// Returns when the supervisor stops and the client takes nothing any more.
async fn stopped_asleep(context: &ConnectionContext, life: &Liveness) {
    context.tasks().stage.stopping().await;
    let mut taken = life.taken();
    loop {
        sleep(limits::STOP_ASLEEP).await;
        if life.is_full() && life.taken() == taken {
            return;
        }
        taken = life.taken();
    }
}

async fn refuse(context: &ConnectionContext, limit: usize, sink: Sink, stream: Stream) {
    tracing::warn!(limit, "session limit: connection refused");
    context.tasks().metrics.sessions.refused();
    let text = legacy::session_limit_message(limit).to_string();
    let frame = websocket::close_frame(close::POLICY, "session limit");
    drop(websocket::finish(sink, stream, vec![text], Some(frame), &Patience::USUAL).await);
}

/// The reading half of a connection.
struct Reader {
    stream: Stream,
    /// What the stream has returned before it was asked for.
    early: Option<Option<Result<Message, Error>>>,
    /// Of the message that the stream returned last.
    claims: ClaimSlot,
    /// The stream is in it while a message is answered.
    pause: Pause,
}

impl Reader {
    /// Reads messages and has each answered, until the connection is to end.
    async fn read(&mut self, context: &ConnectionContext, handler: &mut Handler) -> End {
        loop {
            let message = match self.early.take() {
                Some(message) => message,
                None => tokio::select! {
                    message = self.stream.next() => message,
                    due = handler.due(&context.tasks().stage) => match due {
                        Due::Close(code, reason) => return End::close(code, reason),
                        Due::AnswerWaiting => {
                            // Boxed, as below.
                            let answering = Box::pin(self.watch(handler.answer_waiting()));
                            if let Err(end) = answering.await {
                                return end;
                            }
                            continue;
                        }
                    },
                },
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let claim = self.claims.take();
                    let is_long = claim.is_some();
                    // Boxed: what it takes to answer a call is not kept by a connection that waits for one.
                    let answering = Box::pin(self.watch(handler.handle(text.as_str(), claim)));
                    if let Err(end) = answering.await {
                        return end;
                    }
                    if is_long {
                        // The codec uses the memory of a message for the next one, unless the message is still there when
                        // it begins to read on.
                        self.early = self.stream.next().now_or_never();
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    return End::close(close::UNSUPPORTED, "binary messages are not understood");
                }
                Some(Ok(Message::Close(_))) => return End::Orderly(None),
                Some(Err(error)) => return End::of_error(&error),
                None => return End::Lost("the client closed it"),
            }
        }
    }

    /// Waits until a message is answered, but not for long when the client has gone: the answer may wait for what only the
    /// client can bring about.
    async fn watch(&mut self, answering: impl Future<Output = ()>) -> Result<(), End> {
        let mut answering = pin!(answering);
        self.pause.set(true);
        let gone = async {
            tokio::select! {
                // In a pause it returns an end at the most.
                message = self.stream.next() => self.early = Some(message),
                () = self.pause.client_has_gone() => {}
            }
        };
        let is_answered = tokio::select! {
            biased;
            () = &mut answering => true,
            () = gone => timeout(limits::GONE_CLIENT, answering).await.is_ok(),
        };
        self.pause.set(false);
        if is_answered { Ok(()) } else { Err(End::Lost("the client has gone")) }
    }
}
