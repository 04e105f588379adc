//! Asks a silent client for a sign of life, and decides when its silence means that it is dead. [`Liveness`] says what
//! a sign of life is.
//!
//! A client that does not read at all cannot answer: while the socket is full its silence is only counted against
//! a much longer limit. If its machine is gone, the kernel notices by itself: window probes go unanswered, and after
//! about a quarter of an hour writing fails (tcp(7), `tcp_retries2`).

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{
    config::limits,
    connection::context::ConnectionContext,
    delivery::{Outgoing, socket::Liveness},
    ops::uptime,
};

/// Sends a ping every interval. Returns when the client shows no sign of life.
pub(super) async fn until_dead(
    context: &ConnectionContext,
    life: Liveness,
    outgoing: &mpsc::Sender<Box<Outgoing>>,
) {
    let period = context.tasks().config().heartbeat;
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

/// Counts pings without an answer.
#[derive(Debug)]
struct Heartbeat {
    life: Liveness,
    period: Duration,
    misses: u32,
    /// How long the client has not been reading.
    stalled: Duration,
}

/// What to do after another interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beat {
    Ping,
    /// The client does not read: it would not get a ping.
    Wait,
    /// No sign of life came for too long.
    Dead,
}

impl Heartbeat {
    fn new(life: Liveness, period: Duration) -> Self {
        Self { life, period, misses: 0, stalled: Duration::ZERO }
    }

    /// To be called once an interval.
    fn beat(&mut self) -> Beat {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_intervals_without_a_sign_of_life_are_death() {
        let life = Liveness::default();
        let mut heartbeat = Heartbeat::new(life.clone(), Duration::from_secs(30));
        life.show();
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Ping);
        assert_eq!(heartbeat.beat(), Beat::Dead);
    }

    #[test]
    fn a_client_that_does_not_read_for_an_hour_is_not_dead_and_one_that_never_reads_again_is() {
        let life = Liveness::default();
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
        let life = Liveness::default();
        let mut heartbeat = Heartbeat::new(life.clone(), Duration::from_secs(30));
        for _ in 0..10 {
            assert_eq!(heartbeat.beat(), Beat::Ping);
            life.show();
        }
    }
}
