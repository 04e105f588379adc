//! The receiving half: owns the stream, turns its frames into events, and detects a server that has
//! vanished.
//!
//! A connection whose other end has vanished without a word (a pulled cable, a suspended machine, a
//! forgetful proxy) looks like one on which nothing happens. The server pings every heartbeat
//! interval, so silence for much longer than that is the sign.

use std::time::Duration;

use futures_util::{StreamExt, stream::SplitStream};
use tokio::time::{self, Instant};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, protocol::CloseFrame},
};

use crate::{
    error::Error,
    event::{self, Event},
    stream::Stream,
};

/// So many heartbeat intervals without a frame, and the server counts as gone.
const SILENT_HEARTBEATS: f64 = 2.5;
/// Before silence counts, the socket is read for at least this long: frames may have come while it was not read.
const LEAST_LISTENING: Duration = Duration::from_secs(1);

pub(crate) type Socket = WebSocketStream<Stream>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader {
    incoming: SplitStream<Socket>,
    heard_at: Instant,
    silence_limit: Option<Duration>,
    bytes: u64,
}

impl Reader {
    /// Sets no limit to silence until the server has named its heartbeat.
    pub(crate) fn new(incoming: SplitStream<Socket>) -> Self {
        Self { incoming, heard_at: Instant::now(), silence_limit: None, bytes: 0 }
    }

    /// From this call on a silence of 2.5 of these intervals is an error.
    pub(crate) fn expect_heartbeat(&mut self, interval_s: f64) {
        let limit = Duration::try_from_secs_f64(interval_s * SILENT_HEARTBEATS);
        self.silence_limit = limit.ok().filter(|limit| !limit.is_zero());
    }

    /// Length of all text messages so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next event. Cancel safe.
    pub(crate) async fn event(&mut self) -> Result<Event, Error> {
        let listening_since = Instant::now();
        loop {
            let message = match self.silence_limit {
                None => self.incoming.next().await,
                Some(limit) => {
                    let end = (self.heard_at + limit).max(listening_since + LEAST_LISTENING);
                    match time::timeout_at(end, self.incoming.next()).await {
                        Ok(message) => message,
                        Err(_) => return Err(Error::Silent { limit }),
                    }
                }
            };
            self.heard_at = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.bytes += text.len() as u64;
                    if let Some(event) = event::read(text.as_str().to_owned())? {
                        return Ok(event);
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(Message::Binary(_) | Message::Frame(_))) => {
                    return Err(Error::Protocol("a binary message".to_owned()));
                }
                Some(Err(tungstenite::Error::Capacity(error))) => {
                    return Err(Error::Protocol(error.to_string()));
                }
                Some(Err(error)) => return Err(Error::Lost(Box::new(error))),
                None => return Err(Error::Lost("it ended without a close frame".into())),
            }
        }
    }

    /// Reads to the end and discards what comes.
    pub(crate) async fn drain(mut self) {
        while let Some(Ok(_)) = self.incoming.next().await {}
    }
}

fn closed(frame: Option<CloseFrame>) -> Error {
    const NO_STATUS: u16 = 1005;
    match frame {
        Some(frame) => {
            Error::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() }
        }
        None => Error::Closed { code: NO_STATUS, reason: String::new() },
    }
}
