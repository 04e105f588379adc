//! What a client sends, on its way from the socket to the codec: read only as far as there is memory for it.
//!
//! The codec makes room for a whole frame once it has its header. So what is read ends where a header or a frame does
//! ([`Frames`]), and before the payload of a long message is read, the message claims its part of the
//! [`MessageBudget`]. Until it has it, the client's bytes stay in the socket.
//!
//! While a message is answered the codec gets nothing. The socket is read on a little way all the same: it is the only one
//! that knows when the client has gone ([`Pause`]).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep, sleep, timeout},
};

use crate::{
    config::limits,
    connection::frames::{Frames, Message},
    delivery::socket::Socket,
    session::{Claim, MessageBudget},
};

/// Why no more of a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotRead {
    #[error("too many long messages at once: send it again later")]
    NoRoom,
    #[error("a long message came too slowly while others waited")]
    TooSlow,
}

/// The claim of the message that was read last. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct ClaimSlot(Arc<Mutex<Option<Claim>>>);

impl ClaimSlot {
    /// To be called for each message, when the codec has returned it.
    pub(super) fn take(&self) -> Option<Claim> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the codec is to get nothing. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Pause(Arc<PauseState>);

#[derive(Debug, Default)]
struct PauseState {
    is_on: AtomicBool,
    gone: Notify,
}

impl Pause {
    /// Begins a pause, or ends it. The intake has to be polled in it.
    pub(super) fn set(&self, is_on: bool) {
        self.0.is_on.store(is_on, Ordering::Relaxed);
    }

    /// Returns when the client was seen to have gone, in a pause.
    pub(super) async fn client_has_gone(&self) {
        self.0.gone.notified().await;
    }

    fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Intake {
    /// What has come with the request, or in a pause.
    early: Bytes,
    pause: Pause,
    socket: Socket,
    frames: Frames,
    budget: Arc<MessageBudget>,
    message_bytes_limit: usize,
    slot: ClaimSlot,
    /// Boxed: most messages are short.
    long: Option<Box<Long>>,
    /// The message that `long` is about.
    long_number: u64,
}

/// A message that is longer than every connection may have at any time.
enum Long {
    Waiting(Pin<Box<dyn Future<Output = Option<Claim>> + Send + Sync>>),
    Arriving(Arrival),
}

impl std::fmt::Debug for Long {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Waiting(_) => "Waiting",
            Self::Arriving(_) => "Arriving",
        })
    }
}

/// How fast a message comes.
struct Arrival {
    /// Since the last check.
    bytes: u64,
    check: Pin<Box<Sleep>>,
}

impl Arrival {
    fn begin() -> Self {
        Self { bytes: 0, check: Box::pin(sleep(limits::MESSAGE_CHECK)) }
    }
}

impl Intake {
    /// `early` comes before what the socket has. The claim of each long message is in `slot` once the codec has returned
    /// the message.
    pub(super) fn new(
        early: Bytes,
        socket: Socket,
        budget: Arc<MessageBudget>,
        message_bytes_limit: usize,
        slot: ClaimSlot,
        pause: Pause,
    ) -> Self {
        let (frames, long, long_number) = (Frames::default(), None, 0);
        Self { early, pause, socket, frames, budget, message_bytes_limit, slot, long, long_number }
    }

    /// Reads a little, for when the pause is over, and notices the client's end.
    fn poll_pause(&mut self, context: &mut Context<'_>) {
        let mut bytes = [0; limits::READ_BUFFER_BYTES];
        while self.early.len() < limits::READ_AHEAD_BYTES {
            let mut room = ReadBuf::new(&mut bytes);
            let Poll::Ready(read) = Pin::new(&mut self.socket).poll_read(context, &mut room) else {
                return;
            };
            if read.is_err() || room.filled().is_empty() {
                // The codec finds that out by itself once the pause is over.
                return self.pause.0.gone.notify_one();
            }
            self.early = [&self.early, room.filled()].concat().into();
        }
    }

    /// The socket as it is, for a connection that reads no more messages.
    pub(super) fn into_socket(self) -> Socket {
        drop(self.slot.take());
        self.socket
    }

    /// Ready when the payload that is due may be read.
    fn poll_claim(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NotRead>> {
        let Some(message) = self.frames.message() else { return Poll::Ready(Ok(())) };
        if message.number != self.long_number {
            (self.long, self.long_number) = (None, message.number);
        }
        if message.bytes <= limits::FREE_MESSAGE_BYTES {
            return Poll::Ready(Ok(()));
        }
        let long = match &mut self.long {
            Some(long) => long,
            None => {
                let claiming = claim(Arc::clone(&self.budget), self.bytes_of(message));
                self.long.insert(Box::new(Long::Waiting(Box::pin(claiming))))
            }
        };
        if let Long::Waiting(claiming) = &mut **long {
            let Some(claim) = ready!(claiming.as_mut().poll(context)) else {
                return Poll::Ready(Err(NotRead::NoRoom));
            };
            *self.slot.slot() = Some(claim);
            **long = Long::Arriving(Arrival::begin());
        }
        Poll::Ready(Ok(()))
    }

    /// How much is claimed for a message: of one whose end is not known the most that it may become. The codec refuses
    /// what is longer.
    fn bytes_of(&self, message: Message) -> usize {
        let bytes = usize::try_from(message.bytes).unwrap_or(usize::MAX);
        if message.has_more {
            self.message_bytes_limit
        } else {
            bytes.min(self.message_bytes_limit)
        }
    }

    /// Pending, unless the message comes too slowly and others wait.
    fn poll_slow(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(long) = &mut self.long
            && let Long::Arriving(arrival) = &mut **long
        {
            while arrival.check.as_mut().poll(context).is_ready() {
                let is_slow = std::mem::take(&mut arrival.bytes) < limits::MESSAGE_CHECK_BYTES;
                if is_slow && self.budget.is_wanted() {
                    return Poll::Ready(Err(io::Error::other(NotRead::TooSlow)));
                }
                arrival.check.as_mut().reset(Instant::now() + limits::MESSAGE_CHECK);
            }
        }
        Poll::Pending
    }
}

async fn claim(budget: Arc<MessageBudget>, bytes: usize) -> Option<Claim> {
    timeout(limits::MESSAGE_WAIT, budget.claim(bytes)).await.ok().flatten()
}

impl AsyncRead for Intake {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.pause.is_on() {
            this.poll_pause(context);
            return Poll::Pending;
        }
        ready!(this.poll_claim(context)).map_err(io::Error::other)?;
        let due = this.frames.due().min(buffer.remaining());
        let mut room = ReadBuf::new(buffer.initialize_unfilled_to(due));
        if this.early.is_empty() {
            let Poll::Ready(read) = Pin::new(&mut this.socket).poll_read(context, &mut room) else {
                return this.poll_slow(context);
            };
            read?;
        } else {
            room.put_slice(&this.early.split_to(due.min(this.early.len())));
        }
        let read = room.filled();
        this.frames.read(read);
        let bytes = read.len();
        if let Some(Long::Arriving(arrival)) = this.long.as_deref_mut() {
            arrival.bytes += bytes as u64;
        }
        buffer.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Intake {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream,
    };

    use super::*;
    use crate::delivery::{
        socket::{FrameLane, Liveness},
        transport::Transport,
    };

    /// A ping without a payload.
    const FRAME: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

    fn intake(stream: UnixStream, pause: &Pause) -> Intake {
        let socket =
            Socket::new(Transport::Unix(stream), Liveness::default(), FrameLane::default());
        let budget = Arc::new(MessageBudget::new(1024));
        Intake::new(Bytes::new(), socket, budget, 1024, ClaimSlot::default(), pause.clone())
    }

    #[tokio::test]
    async fn in_a_pause_the_clients_end_is_noticed_and_what_it_sent_before_is_read_afterwards() {
        for frames in [0, 1, 500] {
            let (mut client, stream) = UnixStream::pair().unwrap();
            let pause = Pause::default();
            let mut intake = intake(stream, &pause);
            let sent = FRAME.repeat(frames);
            client.write_all(&sent).await.unwrap();
            pause.set(true);
            let mut first = [0];
            assert!(intake.read(&mut first).now_or_never().is_none());
            assert!(pause.client_has_gone().now_or_never().is_none());
            drop(client);
            tokio::select! {
                _ = intake.read(&mut first) => panic!("read in a pause"),
                () = pause.client_has_gone() => {}
            }
            pause.set(false);
            let mut read = Vec::new();
            intake.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
    }

    #[tokio::test]
    async fn a_pause_takes_little_out_of_the_socket() {
        let (mut client, stream) = UnixStream::pair().unwrap();
        let pause = Pause::default();
        let mut intake = intake(stream, &pause);
        client.write_all(&FRAME.repeat(10_000)).await.unwrap();
        pause.set(true);
        assert!(intake.read(&mut [0]).now_or_never().is_none());
        assert!(intake.early.len() < limits::READ_AHEAD_BYTES + limits::READ_BUFFER_BYTES);
    }
}
