//! Signs of life of a client, and when their absence means that it is dead.
//!
//! Two things are signs of life: bytes that arrive, and bytes that are taken after the socket was full (a
//! slow reader of a long output answers pings late, because they wait behind the output). Bytes that merely
//! fit into the kernel's buffer prove nothing.
//!
//! A client that does not read at all cannot answer: while the socket is full its silence is only counted against
//! a much longer limit. If its machine is gone, the kernel notices by itself: window probes go unanswered, and after
//! about a quarter of an hour writing fails (tcp(7), `tcp_retries2`).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{config::limits, delivery::express::Lane};

/// Set by the socket, read by the heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Life(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    is_alive: AtomicBool,
    is_full: AtomicBool,
}

impl Life {
    fn show(&self) {
        self.0.is_alive.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.is_alive.swap(false, Ordering::Relaxed)
    }

    fn set_full(&self, is_full: bool) -> bool {
        self.0.is_full.swap(is_full, Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }
}

/// Counts pings without an answer.
#[derive(Debug)]
pub struct Heartbeat {
    life: Life,
    period: Duration,
    misses: u32,
    /// Since the client has stopped reading.
    stalled: Duration,
}

/// What to do after another interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Ask for a sign of life.
    Ping,
    /// Asking is of little use: the client does not read.
    Wait,
    /// There were none for too long.
    Dead,
}

impl Heartbeat {
    /// Watches `life`, asking every `period`.
    #[must_use]
    pub fn new(life: Life, period: Duration) -> Self {
        Self { life, period, misses: 0, stalled: Duration::ZERO }
    }

    /// To be called once an interval.
    pub fn beat(&mut self) -> Beat {
        if self.life.take() {
            self.misses = 0;
            self.stalled = Duration::ZERO;
            return Beat::Ping;
        }
        if self.life.is_full() {
            self.stalled += self.period;
            return if self.stalled >= limits::STALLED_CLIENT { Beat::Dead } else { Beat::Wait };
        }
        self.misses += 1;
        if self.misses >= limits::HEARTBEAT_MISSES { Beat::Dead } else { Beat::Ping }
    }
}

/// A TCP stream that reports signs of life of its other end. What is in its lane is written before anything else.
#[derive(Debug)]
pub struct LivelyStream {
    stream: TcpStream,
    life: Life,
    lane: Lane,
}

impl LivelyStream {
    /// Reports to `life`.
    #[must_use]
    pub fn new(stream: TcpStream, life: Life, lane: Lane) -> Self {
        Self { stream, life, lane }
    }

    /// Writes what is in the lane.
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
                self.life.set_full(true);
            }
            Poll::Ready(_) => {
                if self.life.set_full(false) {
                    self.life.show();
                }
            }
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
        ready!(self.poll_lane(context))?;
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_lane(context))?;
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
        let mut heartbeat = Heartbeat::new(life.clone(), Duration::from_secs(30));
        life.show();
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Dead);
    }

    #[test]
    fn a_client_that_does_not_read_for_an_hour_is_not_dead_and_one_that_never_reads_again_is() {
        let life = Life::default();
        let mut heartbeat = Heartbeat::new(life.clone(), Duration::from_secs(30));
        life.set_full(true);
        for _ in 0..120 {
            assert_eq!(heartbeat.beat(), Beat::Wait);
        }
        // It reads again: from now on its answers are waited for as always.
        assert!(life.set_full(false));
        life.show();
        assert_eq!(heartbeat.beat(), Beat::Ping);
        life.set_full(true);
        let beats = (1..).find(|_| heartbeat.beat() == Beat::Dead);
        assert_eq!(beats, Some(240));
    }

    #[test]
    fn any_sign_of_life_starts_the_count_anew() {
        let life = Life::default();
        let mut heartbeat = Heartbeat::new(life.clone(), Duration::from_secs(30));
        for _ in 0..10 {
            assert_eq!(heartbeat.beat(), Beat::Ping);
            life.show();
        }
    }
}
