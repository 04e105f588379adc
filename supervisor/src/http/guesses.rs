//! Refusals by source, and how long the next one has to wait for its answer.
//!
//! A token cannot be guessed, but a flood of guesses costs time and hides what matters in the log. A source has some refusals
//! free; beyond that they are answered at a steady rate. Only the refused wait: a request with a valid token is answered
//! at once, even from the same source, which may be a proxy with honest clients behind it. (sshd_config(5),
//! `PerSourcePenalties`, refuses the whole source.)

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::http::peer::Source;

/// Refusals that are answered at once.
const FREE: u32 = 20;
/// One more is free after so long.
const EACH: Duration = Duration::from_millis(500);
/// Longest wait.
const MOST: Duration = Duration::from_secs(30);
/// Sources that are remembered. One that is forgotten has its free refusals again.
const SOURCES: usize = 1_024;

/// For each source, when all its refusals are paid for.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<BTreeMap<Source, Instant>>);

impl Guesses {
    /// Counts a refusal. Returns how long its answer has to wait.
    pub(super) fn refused(&self, source: Source, now: Instant) -> Duration {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            sources.retain(|_, paid| *paid > now);
            let cheapest = sources.iter().min_by_key(|(_, paid)| **paid).map(|(source, _)| *source);
            if sources.len() >= SOURCES
                && let Some(cheapest) = cheapest
            {
                sources.remove(&cheapest);
            }
        }
        let paid = sources.entry(source).or_insert(now);
        *paid = (*paid).max(now) + EACH;
        let wait = (*paid - now).saturating_sub(EACH * FREE).min(MOST);
        *paid = (*paid).min(now + EACH * FREE + MOST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_are_free_and_then_each_waits_longer_until_the_source_is_quiet() {
        let guesses = Guesses::default();
        let (source, now) = (Source::User(1), Instant::now());
        for _ in 0..FREE {
            assert_eq!(guesses.refused(source, now), Duration::ZERO);
        }
        assert_eq!(guesses.refused(source, now), EACH);
        assert_eq!(guesses.refused(source, now), EACH * 2);
        assert_eq!(guesses.refused(Source::User(2), now), Duration::ZERO);
        for _ in 0..10_000 {
            assert!(guesses.refused(source, now) <= MOST);
        }
        assert_eq!(guesses.refused(source, now + EACH * FREE + MOST), Duration::ZERO);
    }

    #[test]
    fn however_many_sources_there_are_a_bounded_number_is_remembered() {
        let guesses = Guesses::default();
        let now = Instant::now();
        for uid in 0..10_000 {
            guesses.refused(Source::User(uid), now);
        }
        assert!(guesses.0.lock().unwrap().len() <= SOURCES);
    }
}
