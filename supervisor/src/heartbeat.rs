//! Signs of life of a client, and when their absence means that it is dead.
//!
//! Two things are signs of life: bytes that arrive, and bytes that are taken after the socket was full (a
//! slow reader of a long output answers pings late, because they wait behind the output). Bytes that merely
//! fit into the kernel's buffer prove nothing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::limits;

/// Set by the socket, taken by the heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    fn show(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Counts pings without an answer.
#[derive(Debug)]
pub struct Heartbeat {
    life: Life,
    misses: u32,
}

/// What to do after another interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Ask for a sign of life.
    Ping,
    /// There were none for too long.
    Dead,
}

impl Heartbeat {
    /// Watches `life`.
    #[must_use]
    pub fn new(life: Life) -> Self {
        Self { life, misses: 0 }
    }

    /// To be called once an interval.
    pub fn beat(&mut self) -> Beat {
        if self.life.take() {
            self.misses = 0;
        } else {
            self.misses += 1;
        }
        if self.misses >= limits::HEARTBEAT_MISSES { Beat::Dead } else { Beat::Ping }
    }
}

/// A TCP stream that reports signs of life of its other end.
#[derive(Debug)]
pub struct LivelyStream {
    stream: TcpStream,
    life: Life,
    was_full: bool,
}

impl LivelyStream {
    /// Reports to `life`.
    #[must_use]
    pub fn new(stream: TcpStream, life: Life) -> Self {
        Self { stream, life, was_full: false }
    }

    fn wrote(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => self.was_full = true,
            Poll::Ready(Ok(_)) if self.was_full => {
                self.was_full = false;
                self.life.show();
            }
            Poll::Ready(_) => {}
        }
        outcome
    }
}

impl AsyncRead for LivelyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.life.show();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LivelyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_intervals_without_a_sign_of_life_are_death() {
        let life = Life::default();
        let mut heartbeat = Heartbeat::new(life.clone());
        life.show();
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Dead);
    }

    #[test]
    fn any_sign_of_life_starts_the_count_anew() {
        let life = Life::default();
        let mut heartbeat = Heartbeat::new(life.clone());
        for _ in 0..10 {
            assert_eq!(heartbeat.beat(), Beat::Ping);
            life.show();
        }
    }
}
