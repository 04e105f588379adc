//! What a client sends, on its way from the socket to the codec: read only as far as there is memory for it.
//!
//! The codec makes room for a whole frame once it has its header. So what is read ends where a header or a frame does
//! ([`Frames`]), and before the payload of a long message is read, the message claims its part of the
//! [`MessageBudget`]. Until it has it, the client's bytes stay in the socket.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
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

#[derive(Debug)]
pub(super) struct Intake {
    /// What has come with the request.
    early: Bytes,
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
    ) -> Self {
        let (frames, long, long_number) = (Frames::default(), None, 0);
        Self { early, socket, frames, budget, message_bytes_limit, slot, long, long_number }
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
