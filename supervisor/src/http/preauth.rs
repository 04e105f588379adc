//! Connections that have not been admitted yet: how many there may be, and which gives way to a new one.
//!
//! A connection costs its sender nothing until it has said who it is. So those that have not are counted by where they come
//! from, a user of this machine or an address, and no source can take what another one needs: where all room is taken, the source
//! with the most gives up its oldest. A client that sends its request at once is admitted long before it is the oldest. (The
//! model is sshd_config(5), `MaxStartups` and `PerSourceMaxStartups`; dropping new ones at random, as that does, would drop
//! nearly every honest one under a flood.)
//!
//! A stranger whose connections have to go again and again is turned away for a moment before it gets a place
//! (`PerSourcePenalties`): that is cheaper, and the kernel's queue of connections, in which all wait, is the shorter for it.
//!
//! Pure: it holds no sockets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::http::{pace::Pace, peer::Source};

/// How many connections may be without admission at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) all: usize,
    pub(super) per_source: usize,
    /// Whether a source can lose so many that it is turned away.
    pub(super) has_penalties: bool,
}

/// Connections of a source that have to go before it is turned away, at once and in the long run.
const LOSSES: Pace = Pace { at_once: 128, interval: Duration::from_millis(20) };

#[derive(Debug)]
pub(super) struct Preauth {
    room: Room,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// The oldest first.
    entries: BTreeMap<u64, Entry>,
    counts: BTreeMap<Source, usize>,
    /// When all losses of a source are forgotten. Only of sources that have connections here.
    losses: BTreeMap<Source, Instant>,
}

#[derive(Debug)]
struct Entry {
    source: Source,
    dropped: Arc<Notify>,
}

/// A connection's place here. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Ticket {
    preauth: Arc<Preauth>,
    number: u64,
    dropped: Arc<Notify>,
}

impl Preauth {
    pub(super) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self { room, waiting: Mutex::default() })
    }

    /// Takes a connection in. Where there is no room, another one has to go. `None`: its source has lost too many.
    pub(super) fn enter(self: &Arc<Self>, source: Source, now: Instant) -> Option<Ticket> {
        let mut waiting = self.waiting();
        let is_full = waiting.entries.len() >= self.room.all;
        let loser = if waiting.count(source) >= self.room.per_source {
            Some(source)
        } else if is_full {
            waiting.largest()
        } else {
            None
        };
        if let Some(loser) = loser {
            if self.room.has_penalties && loser == source && waiting.has_lost_too_many(source, now)
            {
                return None;
            }
            waiting.drop_oldest_of(loser);
        }
        let dropped = Arc::new(Notify::new());
        let number = waiting.next;
        waiting.next += 1;
        waiting.entries.insert(number, Entry { source, dropped: Arc::clone(&dropped) });
        *waiting.counts.entry(source).or_default() += 1;
        drop(waiting);
        Some(Ticket { preauth: Arc::clone(self), number, dropped })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn count(&self, source: Source) -> usize {
        self.counts.get(&source).copied().unwrap_or_default()
    }

    /// The source with the most; of several, that of the oldest connection.
    fn largest(&self) -> Option<Source> {
        let most = self.counts.values().copied().max()?;
        let mut sources = self.entries.values().map(|entry| entry.source);
        sources.find(|source| self.count(*source) == most)
    }

    /// Counts a loss, unless there have been too many.
    fn has_lost_too_many(&mut self, source: Source, now: Instant) -> bool {
        !LOSSES.allows(self.losses.entry(source).or_insert(now), now)
    }

    fn drop_oldest_of(&mut self, source: Source) {
        let oldest = self.entries.iter().find(|(_, entry)| entry.source == source);
        if let Some(number) = oldest.map(|(number, _)| *number)
            && let Some(entry) = self.remove(number)
        {
            entry.dropped.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        if let Some(count) = self.counts.get_mut(&entry.source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.source);
                self.losses.remove(&entry.source);
            }
        }
        Some(entry)
    }
}

impl Ticket {
    /// Returns when the connection has to go. After [`Ticket::admitted`] it never has to.
    pub(super) async fn dropped(&self) {
        self.dropped.notified().await;
    }

    /// The connection is admitted: it is not counted here any more. `false`: it had to go before.
    pub(super) fn admitted(&self) -> bool {
        self.preauth.waiting().remove(self.number).is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        drop(self.preauth.waiting().remove(self.number));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ALICE: Source = Source::User(1000);
    const BOB: Source = Source::User(1001);

    fn room(all: usize, per_source: usize) -> Arc<Preauth> {
        Preauth::new(Room { all, per_source, has_penalties: true })
    }

    fn enter(preauth: &Arc<Preauth>, source: Source) -> Ticket {
        preauth.enter(source, Instant::now()).unwrap()
    }

    fn gone(tickets: &[Ticket]) -> Vec<bool> {
        tickets.iter().map(|ticket| ticket.dropped().now_or_never().is_some()).collect()
    }

    #[test]
    fn a_source_with_too_many_loses_its_own_oldest_and_no_other_does() {
        let preauth = room(10, 2);
        let other = [enter(&preauth, BOB)];
        let tickets: Vec<Ticket> = (0..4).map(|_| enter(&preauth, ALICE)).collect();
        assert_eq!(gone(&tickets), [true, true, false, false]);
        assert_eq!(gone(&other), [false]);
    }

    #[test]
    fn where_all_room_is_taken_the_source_with_the_most_gives_way() {
        let preauth = room(4, 3);
        let alices: Vec<Ticket> = (0..3).map(|_| enter(&preauth, ALICE)).collect();
        let bobs: Vec<Ticket> = (0..2).map(|_| enter(&preauth, BOB)).collect();
        assert_eq!(gone(&alices), [true, false, false]);
        assert_eq!(gone(&bobs), [false, false]);
    }

    #[test]
    fn with_a_source_each_the_oldest_goes() {
        let preauth = room(2, 2);
        let tickets: Vec<Ticket> = (0..3).map(|uid| enter(&preauth, Source::User(uid))).collect();
        assert_eq!(gone(&tickets), [true, false, false]);
    }

    #[test]
    fn one_that_is_admitted_or_over_leaves_its_room_and_is_never_dropped() {
        let preauth = room(1, 1);
        let first = enter(&preauth, ALICE);
        assert!(first.admitted());
        let second = enter(&preauth, ALICE);
        assert!(first.dropped().now_or_never().is_none());
        drop(second);
        let third = enter(&preauth, ALICE);
        let fourth = enter(&preauth, ALICE);
        assert!(third.dropped().now_or_never().is_some());
        assert!(!third.admitted(), "it had to go");
        drop((first, third, fourth));
        assert!(preauth.waiting().entries.is_empty() && preauth.waiting().counts.is_empty());
    }

    #[test]
    fn a_source_that_loses_one_after_the_other_is_turned_away_and_after_a_while_let_in_again() {
        let preauth = room(4, 2);
        let now = Instant::now();
        let mut tickets: Vec<Ticket> =
            (0..2 + LOSSES.at_once).map(|_| preauth.enter(ALICE, now).unwrap()).collect();
        assert!(preauth.enter(ALICE, now).is_none());
        tickets.push(preauth.enter(BOB, now).unwrap());
        tickets.push(preauth.enter(ALICE, now + LOSSES.interval).unwrap());
        assert!(preauth.enter(ALICE, now + LOSSES.interval).is_none());
        drop(tickets);
        assert!(preauth.waiting().losses.is_empty());
    }
}
