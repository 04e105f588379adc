//! A TCP stream becomes a WebSocket, and is closed so that its client gets everything that was sent.

use std::time::Duration;

use cc_protocol::error::close;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{io::AsyncWriteExt as _, time::timeout};
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
    connection::intake::{Intake, NotRead},
};

pub(super) type Sink = SplitSink<WebSocketStream<Intake>, Message>;
pub(super) type Stream = SplitStream<WebSocketStream<Intake>>;

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed it (`None`), or it is closed with this frame.
    Orderly(Option<CloseFrame>),
    /// Nothing can be sent any more, for this reason.
    Lost(&'static str),
}

impl End {
    pub(super) fn close(code: u16, reason: &'static str) -> Self {
        Self::Orderly(Some(close_frame(code, reason)))
    }

    /// What an error on reading means for the connection.
    pub(super) fn of_error(error: &Error) -> Self {
        match error {
            Error::Capacity(_) => Self::close(close::TOO_BIG, "the message is over the size limit"),
            Error::Utf8(_) => Self::close(close::INVALID_TEXT, "a text message must be UTF-8"),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Lost("it was closed without a close frame")
            }
            Error::Protocol(_) | Error::AttackAttempt => {
                Self::close(close::PROTOCOL, "this is no valid WebSocket frame")
            }
            Error::Io(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(NotRead::NoRoom) => {
                    Self::close(close::TRY_AGAIN, "too many long messages at once: try again later")
                }
                Some(NotRead::TooSlow) => {
                    Self::close(close::TRY_AGAIN, "the message came too slowly while others waited")
                }
                None => Self::Lost("the connection broke"),
            },
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => Self::Lost("the connection broke"),
        }
    }
}

/// A client has not taken what was left for it.
#[derive(Debug)]
pub(super) struct NotTaken {
    /// The time that it had.
    pub(super) limit: Duration,
}

/// How long a client is waited for whose connection is being closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until it has taken what is left and the close frame.
    flush: Duration,
    /// Until it has closed its side.
    drain: Duration,
}

impl Patience {
    pub(super) const USUAL: Self = Self { flush: limits::CLOSE_FLUSH, drain: limits::CLOSE_DRAIN };
    /// A stop of the supervisor does not wait for a client that sleeps: it resumes its session when it wakes up.
    pub(super) const AT_STOP: Self = Self { flush: limits::STOP_ASLEEP, drain: limits::STOP_DRAIN };
}

pub(super) fn close_frame(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: reason.into() }
}

/// The two halves of the WebSocket on this stream.
pub(super) async fn accept(stream: Intake, message_bytes: usize) -> (Sink, Stream) {
    let config = WebSocketConfig::default()
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::MOST_WRITE_BUFFER_BYTES)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await.split()
}

/// Sends what is left and the close frame (or the answer to the client's), then reads until the client closes
/// its side: a socket that is closed with unread data makes the kernel discard what was sent last.
///
/// # Errors
/// The time in which the client has not taken it.
pub(super) async fn finish(
    mut sink: Sink,
    stream: Stream,
    texts: Vec<String>,
    frame: Option<CloseFrame>,
    patience: &Patience,
) -> Result<(), NotTaken> {
    let sending = async {
        if let Some(frame) = frame {
            for text in texts {
                sink.feed(Message::text(text)).await?;
            }
            sink.feed(Message::Close(Some(frame))).await?;
        }
        sink.flush().await
    };
    let sent = match timeout(patience.flush, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "closing");
            Ok(())
        }
        Err(_) => Err(NotTaken { limit: patience.flush }),
    };
    let Ok(both) = stream.reunite(sink) else { return sent };
    // Without the codec, and what of a message it has, which another client may wait for.
    let mut socket = both.into_inner().into_socket();
    let draining = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await
    };
    match timeout(patience.drain, draining).await {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing"),
    }
    sent
}
