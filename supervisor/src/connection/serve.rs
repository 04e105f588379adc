//! One WebSocket connection from its upgrade to its end.
//!
//! Three things run side by side: the reader, which gives each message to the [`crate::session`] and waits
//! for it to be answered; the [`crate::delivery`]; and the heartbeat. The first to end ends the connection, and
//! so does another connection that takes the session over. Then the place among the connections is free at
//! once, the session waits for its client, and the client is told why.

use std::sync::Arc;

use bytes::Bytes;
use cc_protocol::{error::close, legacy};
use futures_util::{
    SinkExt as _, Stream, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use crate::{
    config::limits,
    connection::heartbeat::{Beat, Heartbeat},
    delivery::{
        Outgoing, Writer,
        socket::{FrameLane, Liveness, Socket},
    },
    ops::uptime,
    session::{Due, Handler, Services},
    task::context::TaskContext,
};

type WebSocket = WebSocketStream<Socket>;

/// What connections are served with.
#[derive(Debug)]
pub struct ConnectionContext {
    pub services: Services,
    /// One permit a connection that has a session.
    slots: Arc<Semaphore>,
}

impl ConnectionContext {
    /// Of a supervisor that serves these.
    #[must_use]
    pub fn new(services: Services) -> Self {
        let slots = Arc::new(Semaphore::new(services.tasks.config.sessions_limit));
        Self { services, slots }
    }

    /// What tasks are started with.
    #[must_use]
    pub fn tasks(&self) -> &TaskContext {
        &self.services.tasks
    }

    /// How many sessions have a connection.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.tasks().config.sessions_limit.saturating_sub(self.slots.available_permits())
    }
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The client closed it, or we have something to tell it before it is closed.
    Orderly(Option<CloseFrame>),
    /// There is nobody to tell.
    Gone(&'static str),
}

fn told(code: u16, reason: &'static str) -> End {
    End::Orderly(Some(CloseFrame { code: code.into(), reason: reason.into() }))
}

/// Serves an upgraded connection; `early` is what came with its request, `permit` its place among the TCP
/// connections.
///
/// Very many of these wait at once for clients that say nothing. So what it takes to begin and to end is boxed: it
/// is not kept in between.
pub async fn serve(
    context: Arc<ConnectionContext>,
    stream: TcpStream,
    early: Bytes,
    permit: Arc<OwnedSemaphorePermit>,
) {
    let Some(mut open) = Box::pin(begin(&context, stream, early)).await else { return };
    let end = tokio::select! {
        () = open.evicted.notified() => {
            told(close::TAKEN_OVER, "another connection has resumed this session")
        }
        end = read(&context, &mut open.handler, &mut open.stream) => end,
        error = open.writer.run(&mut open.sink) => {
            tracing::debug!(%error, "writing to a client");
            End::Gone("its connection broke")
        }
        () = until_dead(&context, open.life.clone(), &open.outgoing) => {
            End::Gone("it does not answer")
        }
    };
    Box::pin(open.end(end)).await;
    drop(permit);
}

/// A connection that has a session.
struct Open {
    handler: Handler,
    stream: SplitStream<WebSocket>,
    writer: Writer,
    sink: SplitSink<WebSocket, Message>,
    /// Boxed: with the first message the channel makes room for 32.
    outgoing: mpsc::Sender<Box<Outgoing>>,
    life: Liveness,
    /// Told when another connection has taken the session over.
    evicted: Arc<Notify>,
    place: OwnedSemaphorePermit,
}

/// Makes a WebSocket of the connection and begins a session on it. `None`: there was none to be had, and the
/// client was told why.
async fn begin(context: &Arc<ConnectionContext>, stream: TcpStream, early: Bytes) -> Option<Open> {
    let life = Liveness::default();
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::MOST_WRITE_BUFFER_BYTES)
        .max_message_size(Some(context.tasks().config.message_bytes_limit))
        .max_frame_size(Some(context.tasks().config.message_bytes_limit));
    let lane = FrameLane::default();
    let stream = Socket::new(stream, life.clone(), lane.clone());
    let received = early.to_vec();
    // It holds the whole buffer in which the request came.
    drop(early);
    let socket = WebSocketStream::from_partially_read(stream, received, Role::Server, Some(config));
    let (sink, stream) = socket.await.split();
    let Some(place) = session_place(context).await else {
        refuse(context, sink, stream).await;
        return None;
    };
    let (outgoing, queue) = mpsc::channel(limits::CONTROL_QUEUE_MESSAGES);
    let connection_handle = context.services.sessions.connection_handle();
    let evicted = Arc::clone(&connection_handle.evicted);
    match Handler::begin(context.services.clone(), connection_handle, outgoing.clone()).await {
        Ok(handler) => {
            tracing::debug!(session_id = handler.id(), "connected");
            let writer = Writer::new(queue, lane);
            Some(Open { handler, stream, writer, sink, outgoing, life, evicted, place })
        }
        Err(error) => {
            tracing::error!(%error, "no random numbers for a session");
            let frame = CloseFrame { code: close::INTERNAL.into(), reason: "no session".into() };
            say_goodbye(sink, stream, Vec::new(), Some(frame)).await;
            None
        }
    }
}

/// A place among the sessions; waits a moment for one that is just being left.
async fn session_place(context: &ConnectionContext) -> Option<OwnedSemaphorePermit> {
    let places = Arc::clone(&context.slots);
    timeout(limits::SESSION_WAIT, places.acquire_owned()).await.ok()?.ok()
}

async fn refuse(
    context: &ConnectionContext,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
) {
    tracing::warn!(
        limit = context.tasks().config.sessions_limit,
        "session limit: connection refused"
    );
    context.tasks().metrics.session_refused();
    let text = legacy::session_limit_message(context.tasks().config.sessions_limit).to_string();
    let frame = CloseFrame { code: close::POLICY.into(), reason: "session limit".into() };
    say_goodbye(sink, stream, vec![text], Some(frame)).await;
}

impl Open {
    /// What follows when the connection is over.
    async fn end(mut self, end: End) {
        // Before the client can know that the connection is closed: its next one must find room.
        drop(self.place);
        match &end {
            End::Orderly(frame) => {
                tracing::debug!(session_id = self.handler.id(), ?frame, "disconnected");
            }
            End::Gone(why) => {
                tracing::debug!(session_id = self.handler.id(), why, "the client is gone");
            }
        }
        self.handler.connection_lost().await;
        if let End::Orderly(frame) = end {
            say_goodbye(self.sink, self.stream, self.writer.leftovers(), frame).await;
        }
    }
}

/// Reads and has answered until the connection is to end.
async fn read<S>(context: &ConnectionContext, handler: &mut Handler, stream: &mut S) -> End
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        let message = tokio::select! {
            message = stream.next() => message,
            due = handler.due(&context.tasks().stage) => match due {
                Due::Close(code, reason) => return told(code, reason),
                Due::AnswerWaiting => {
                    // Boxed, as below.
                    Box::pin(handler.answer_waiting()).await;
                    continue;
                }
            },
        };
        match message {
            // Boxed: what it takes to answer a call is not kept by a connection that waits for one.
            Some(Ok(Message::Text(text))) => Box::pin(handler.handle(text.as_str())).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return told(close::UNSUPPORTED, "binary messages are not understood");
            }
            Some(Ok(Message::Close(_))) => return End::Orderly(None),
            Some(Err(error)) => return end_of(&error),
            None => return End::Gone("it closed the connection"),
        }
    }
}

/// What an error on reading means for the connection.
fn end_of(error: &Error) -> End {
    match error {
        Error::Capacity(_) => told(close::TOO_BIG, "the message is over the size limit"),
        Error::Utf8(_) => told(close::INVALID_TEXT, "a text message must be UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            End::Gone("it left without a word")
        }
        Error::Protocol(_) | Error::AttackAttempt => {
            told(close::PROTOCOL, "this is no valid WebSocket frame")
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => End::Gone("its connection broke"),
    }
}

/// Sends a ping every interval. Returns when the client shows no sign of life.
async fn until_dead(
    context: &ConnectionContext,
    life: Liveness,
    outgoing: &mpsc::Sender<Box<Outgoing>>,
) {
    let period = context.tasks().config.heartbeat;
    let mut heartbeat = Heartbeat::new(life, period);
    loop {
        // A client cannot have been heard while this process could not run.
        uptime::sleep(period).await;
        match heartbeat.beat() {
            // A full queue is one that the client does not read: the ping would not get through either.
            Beat::Ping => drop(outgoing.try_send(Box::new(Outgoing::Ping))),
            // One ping is enough to find out that the socket has room again.
            Beat::Wait if outgoing.capacity() == outgoing.max_capacity() => {
                drop(outgoing.try_send(Box::new(Outgoing::Ping)));
            }
            Beat::Wait => {}
            Beat::Dead => return,
        }
    }
}

/// Sends what is left and the close frame (or the answer to the client's), then reads until the client closes
/// its side: a socket that is closed with unread data makes the kernel throw away what we sent last.
async fn say_goodbye(
    mut sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    texts: Vec<String>,
    frame: Option<CloseFrame>,
) {
    let sending = async {
        if let Some(frame) = frame {
            for text in texts {
                sink.feed(Message::text(text)).await?;
            }
            sink.feed(Message::Close(Some(frame))).await?;
        }
        sink.flush().await
    };
    match timeout(limits::CLOSE_FLUSH, sending).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing"),
        Err(_) => tracing::debug!("a client did not take its close frame in time"),
    }
    let Ok(mut socket) = stream.reunite(sink) else { return };
    let tcp = socket.get_mut();
    let draining = async {
        tcp.shutdown().await?;
        tokio::io::copy(tcp, &mut tokio::io::sink()).await
    };
    match timeout(limits::CLOSE_DRAIN, draining).await {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing"),
    }
}
