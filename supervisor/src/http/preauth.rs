//! Connections that have not been admitted yet: how many there may be, and which gives way to a new one.
//!
//! A connection costs its sender nothing until it has said who it is. So those that have not are counted by where they come
//! from, a user of this machine or an address, and no source can take what another one needs: where all room is taken, the source
//! with the most gives up its oldest. A client that sends its request at once is admitted long before it is the oldest. (The
//! model is sshd_config(5), `MaxStartups` and `PerSourceMaxStartups`; dropping new ones at random, as that does, would drop
//! nearly every honest one under a flood.)
//!
//! Pure: it holds no sockets.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::http::peer::Source;

/// How many connections may be without admission at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) all: usize,
    pub(super) per_source: usize,
}

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

    /// Takes a connection in. Where there is no room, another one has to go.
    pub(super) fn enter(self: &Arc<Self>, source: Source) -> Ticket {
        let dropped = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        let entry = Entry { source, dropped: Arc::clone(&dropped) };
        let number = waiting.next;
        waiting.next += 1;
        if waiting.count(source) >= self.room.per_source {
            waiting.drop_oldest_of(source);
        } else if waiting.entries.len() >= self.room.all
            && let Some(crowd) = waiting.largest()
        {
            waiting.drop_oldest_of(crowd);
        }
        waiting.entries.insert(number, entry);
        *waiting.counts.entry(source).or_default() += 1;
        drop(waiting);
        Ticket { preauth: Arc::clone(self), number, dropped }
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
        Preauth::new(Room { all, per_source })
    }

    fn gone(tickets: &[Ticket]) -> Vec<bool> {
        tickets.iter().map(|ticket| ticket.dropped().now_or_never().is_some()).collect()
    }

    #[test]
    fn a_source_with_too_many_loses_its_own_oldest_and_no_other_does() {
        let preauth = room(10, 2);
        let other = [preauth.enter(BOB)];
        let tickets: Vec<Ticket> = (0..4).map(|_| preauth.enter(ALICE)).collect();
        assert_eq!(gone(&tickets), [true, true, false, false]);
        assert_eq!(gone(&other), [false]);
    }

    #[test]
    fn where_all_room_is_taken_the_source_with_the_most_gives_way() {
        let preauth = room(4, 3);
        let alices: Vec<Ticket> = (0..3).map(|_| preauth.enter(ALICE)).collect();
        let bobs: Vec<Ticket> = (0..2).map(|_| preauth.enter(BOB)).collect();
        assert_eq!(gone(&alices), [true, false, false]);
        assert_eq!(gone(&bobs), [false, false]);
    }

    #[test]
    fn with_a_source_each_the_oldest_goes() {
        let preauth = room(2, 2);
        let tickets: Vec<Ticket> = (0..3).map(|uid| preauth.enter(Source::User(uid))).collect();
        assert_eq!(gone(&tickets), [true, false, false]);
    }

    #[test]
    fn one_that_is_admitted_or_over_leaves_its_room_and_is_never_dropped() {
        let preauth = room(1, 1);
        let first = preauth.enter(ALICE);
        assert!(first.admitted());
        let second = preauth.enter(ALICE);
        assert!(first.dropped().now_or_never().is_none());
        drop(second);
        let third = preauth.enter(ALICE);
        let fourth = preauth.enter(ALICE);
        assert!(third.dropped().now_or_never().is_some());
        assert!(!third.admitted(), "it had to go");
        drop((first, third, fourth));
        assert!(preauth.waiting().entries.is_empty() && preauth.waiting().counts.is_empty());
    }
}
