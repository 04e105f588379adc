//! The socket of a connection, and the bypass of its codec: the messages of tasks are written to it as complete WebSocket
//! frames, many at once.
//!
//! For a short line the codec costs more than the line. It still answers pings, closes, and sends all that is not a
//! task's, so the two must not cut into each other's frames. Both sides ensure that: the writer gives frames to the
//! [`FrameLane`] only when the codec has nothing under way, and the [`Socket`] writes all of them before anything else.
//! What the bypass writes is made here alone; `delivery/writer.rs` decides when it may be used.
//!
//! The socket also records what proves that its other end is alive. Two things do: bytes that arrive, and bytes that
//! are taken after the socket was full (a slow reader of a long output answers pings late, because they wait behind
//! the output). Bytes that merely fit into the kernel's buffer prove nothing. `crate::connection::heartbeat` judges.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::delivery::transport::Transport;

/// Messages in order, in one allocation.
#[derive(Debug, Default)]
pub(crate) struct MessageBuffer {
    text: String,
    /// Where each message ends, and the number of its last event.
    ends: Vec<(usize, u64)>,
}

impl MessageBuffer {
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Adds a message whose last event has this number.
    pub(crate) fn push(&mut self, text: &str, seq: u64) {
        self.open().push_str(text);
        self.close(seq);
    }

    /// The text to which the message that is being written is appended. It begins with the complete messages.
    pub(crate) fn open(&mut self) -> &mut String {
        &mut self.text
    }

    /// Completes the message that is being written; its last event has this number.
    pub(crate) fn close(&mut self, seq: u64) {
        self.ends.push((self.text.len(), seq));
    }

    /// The length of all messages, with that of one that is not complete.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The complete messages as WebSocket frames, and the number of the last event in each.
    #[must_use]
    pub(crate) fn into_frames(self) -> (Bytes, Vec<u64>) {
        let mut frames = Vec::with_capacity(self.text.len() + self.ends.len() * HEADER_BYTES_LIMIT);
        for text in self.iter() {
            push_header(&mut frames, text.len());
            frames.extend_from_slice(text.as_bytes());
        }
        (frames.into(), self.ends.into_iter().map(|(_, seq)| seq).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |(end, _)| {
            let text = &self.text[start..*end];
            start = *end;
            text
        })
    }
}

/// The first byte of a frame that is a whole text message.
const FINAL_TEXT: u8 = 0x81;
/// The length byte of a frame whose length follows in two bytes, or in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// The longest header of a frame.
const HEADER_BYTES_LIMIT: usize = 10;

/// Appends the header of a frame as a server sends it: not masked.
fn push_header(frames: &mut Vec<u8>, text_bytes: usize) {
    frames.push(FINAL_TEXT);
    match (u8::try_from(text_bytes), u16::try_from(text_bytes)) {
        (Ok(bytes), _) if bytes < TWO_BYTES => frames.push(bytes),
        (_, Ok(bytes)) => {
            frames.push(TWO_BYTES);
            frames.extend_from_slice(&bytes.to_be_bytes());
        }
        (_, Err(_)) => {
            frames.push(EIGHT_BYTES);
            frames.extend_from_slice(&(text_bytes as u64).to_be_bytes());
        }
    }
}

/// The length of the frame at the beginning of these, which were made here.
#[must_use]
pub(crate) fn frame_bytes(frames: &[u8]) -> usize {
    match *frames {
        [_, TWO_BYTES, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
        [_, EIGHT_BYTES, a, b, c, d, e, f, g, h, ..] => {
            let bytes = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            HEADER_BYTES_LIMIT + usize::try_from(bytes).unwrap_or(usize::MAX - HEADER_BYTES_LIMIT)
        }
        [_, bytes, ..] => 2 + usize::from(bytes),
        [] | [_] => frames.len(),
    }
}

/// A text as the frame of a whole message.
#[must_use]
pub(crate) fn text_frame(text: &str) -> Bytes {
    let mut frame = Vec::with_capacity(text.len() + HEADER_BYTES_LIMIT);
    push_header(&mut frame, text.len());
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// The texts of messages as frames, for who reads them with another library.
#[cfg(fuzzing)]
#[must_use]
pub fn fuzz_written_frames<'a>(texts: impl IntoIterator<Item = &'a str>) -> Bytes {
    let mut buffer = MessageBuffer::default();
    for text in texts {
        buffer.push(text, 1);
    }
    let (frames, _) = buffer.into_frames();
    let mut rest = &frames[..];
    while !rest.is_empty() {
        rest = &rest[frame_bytes(rest)..];
    }
    frames
}

/// The frames that the writer gave last and the socket has not taken yet. Clones are the same lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameLane(Arc<Mutex<Bytes>>);

impl FrameLane {
    /// Gives whole frames to the socket, which writes them before anything that the codec writes later. The codec must
    /// have been flushed, which empties the lane too: otherwise a frame that it has written in part would be torn.
    pub(crate) fn put(&self, frames: Bytes) {
        *self.frames() = frames;
    }

    /// The bytes that are to be written next.
    #[must_use]
    fn rest(&self) -> Bytes {
        self.frames().clone()
    }

    /// The number of bytes that are to be written.
    #[must_use]
    pub(crate) fn unsent(&self) -> usize {
        self.frames().len()
    }

    /// Lets go of everything but the next so many bytes, which get memory of their own.
    pub(crate) fn keep(&self, bytes: usize) {
        let mut frames = self.frames();
        *frames = Bytes::copy_from_slice(&frames[..bytes.min(frames.len())]);
    }

    fn advance(&self, bytes: usize) {
        let mut frames = self.frames();
        frames.advance(bytes);
        if frames.is_empty() {
            // Releases the memory.
            *frames = Bytes::new();
        }
    }

    fn frames(&self) -> MutexGuard<'_, Bytes> {
        // A panic while it was locked has left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signs of life: set by the socket, read by `crate::connection::heartbeat`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Liveness(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    is_alive: AtomicBool,
    is_full: AtomicBool,
    /// Writes that the kernel has taken.
    taken: AtomicU64,
}

impl Liveness {
    pub(crate) fn show(&self) {
        self.0.is_alive.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> bool {
        self.0.is_alive.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_full(&self, is_full: bool) -> bool {
        self.0.is_full.swap(is_full, Ordering::Relaxed)
    }

    /// Changes with every write that the kernel takes.
    #[must_use]
    pub(crate) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }
}

/// A stream that reports signs of life of its other end and writes its lane before anything else.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Transport,
    liveness: Liveness,
    lane: FrameLane,
}

impl Socket {
    #[must_use]
    pub(crate) fn new(stream: Transport, liveness: Liveness, lane: FrameLane) -> Self {
        Self { stream, liveness, lane }
    }

    fn poll_lane(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = self.lane.rest();
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let outcome = Pin::new(&mut self.stream).poll_write(context, &rest);
            match ready!(self.wrote(outcome))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.lane.advance(written),
            }
        }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => {
                self.liveness.set_full(true);
            }
            Poll::Ready(_) => {
                self.liveness.0.taken.fetch_add(1, Ordering::Relaxed);
                if self.liveness.set_full(false) {
                    self.liveness.show();
                }
            }
        }
        outcome
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.liveness.show();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_lane(context))?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_lane(context))?;
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        // TLS takes more than its socket does, and keeps it until then.
        if outcome.is_pending() {
            self.liveness.set_full(true);
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
