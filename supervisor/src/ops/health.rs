//! What is wrong with the supervisor or its surroundings, in words that say what to do.
//!
//! A [`Condition`] stands from the moment when a room raises it until what failed works again and the room clears it.
//! It never stops anything by itself: the request that failed has an error of its own, and a room that must not go on
//! knows that without asking here. Pages, alerts and `ccx status` show what stands.

use std::{collections::BTreeMap, time::Duration};

use cc_events::{Completed, EndReason, WarningKind};
use tokio::sync::watch;

pub(crate) use self::condition::{Condition, Severity};
use crate::ops::clock::{milliseconds, now_ms};

mod condition;

/// A condition that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What happened and what to do. For operators: it may name paths.
    pub(crate) text: String,
    /// Milliseconds since the epoch.
    pub(crate) since_ms: u64,
}

/// The conditions that stand, and when others stood last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    standing: BTreeMap<Condition, Problem>,
    /// Milliseconds since the epoch.
    cleared_ms: BTreeMap<Condition, u64>,
}

impl Problems {
    #[must_use]
    pub(crate) fn get(&self, condition: Condition) -> Option<&Problem> {
        self.standing.get(&condition)
    }

    pub(crate) fn standing(&self) -> impl Iterator<Item = (Condition, &Problem)> {
        self.standing.iter().map(|(condition, problem)| (*condition, problem))
    }

    /// What is said of a condition that stood `since_ms`: what works again, and after how long.
    #[must_use]
    pub(crate) fn recovery(&self, condition: Condition, since_ms: u64) -> String {
        let cleared_ms = self.cleared_ms.get(&condition).copied().unwrap_or(since_ms);
        let seconds = cleared_ms.saturating_sub(since_ms).div_ceil(1000);
        format!("{}, after {}", condition.recovery(), span(seconds))
    }
}

/// A time span as people write it.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[derive(Debug)]
pub(crate) struct Health {
    problems: watch::Sender<Problems>,
}

impl Default for Health {
    fn default() -> Self {
        Self { problems: watch::Sender::new(Problems::default()) }
    }
}

impl Health {
    /// The condition stands from now on. If it stood already, it keeps its time and has this text.
    pub(crate) fn raise(&self, condition: Condition, text: impl Into<String>) {
        let text = text.into();
        self.problems.send_if_modified(|problems| match problems.standing.get_mut(&condition) {
            Some(problem) if problem.text == text => false,
            Some(problem) => {
                problem.text = text;
                true
            }
            None => {
                tracing::warn!(condition = condition.name(), "{text}");
                problems.standing.insert(condition, Problem { text, since_ms: now_ms() });
                true
            }
        });
    }

    /// What failed works again.
    pub(crate) fn clear(&self, condition: Condition) {
        // The usual case, and it needs no exclusive lock.
        if !self.stands(condition) {
            return;
        }
        self.problems.send_if_modified(|problems| {
            let Some(problem) = problems.standing.remove(&condition) else { return false };
            problems.cleared_ms.insert(condition, now_ms());
            let text = problems.recovery(condition, problem.since_ms);
            tracing::info!(condition = condition.name(), "{text}");
            true
        });
    }

    #[must_use]
    pub(crate) fn stands(&self, condition: Condition) -> bool {
        self.problems.borrow().get(condition).is_some()
    }

    /// Whether it stands, and has done so for this long by the wall clock.
    #[must_use]
    pub(crate) fn stood_for(&self, condition: Condition, long: Duration) -> bool {
        let since_ms = self.problems.borrow().get(condition).map(|problem| problem.since_ms);
        since_ms.is_some_and(|since_ms| now_ms().abs_diff(since_ms) >= milliseconds(long))
    }

    /// Why no task can be put on record now, in words for whoever may ask.
    #[must_use]
    pub(crate) fn keeps_from_recording(&self) -> Option<Condition> {
        let conditions =
            [Condition::StateDirectory, Condition::StateNearlyFull, Condition::Database];
        let problems = self.problems.borrow();
        conditions.into_iter().find(|condition| problems.get(*condition).is_some())
    }

    /// What stands, and a wake-up at each change. Changes that follow each other quickly may be seen as one.
    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<Problems> {
        self.problems.subscribe()
    }

    /// The outcome of the last transaction.
    pub(crate) fn note_database(&self, error: Option<String>) {
        let Some(error) = error else { return self.clear(Condition::Database) };
        let text = format!(
            "{error}; tasks cannot be accepted until it can be written: make room on the disk of the state \
             directory, or correct its permissions"
        );
        self.raise(Condition::Database, text);
    }

    /// Takes note of what a task's end says about its log. `has_log`: there is one. Returns whether the log has failed.
    pub(crate) fn note_end(&self, completed: &Completed, has_log: bool) -> bool {
        // A task that used up its own memory says nothing about the disk.
        let is_out_of_memory =
            completed.warnings.iter().any(|warning| warning.kind == WarningKind::OutOfMemory);
        let is_short = completed.reason == EndReason::ResourceLimit && !is_out_of_memory;
        let has_failed = is_short || !has_log;
        if has_failed {
            let reason = completed.error.as_deref().unwrap_or("no reason is known");
            let text = format!(
                "a task could not be logged ({reason}): make room on the disk of the state directory, or correct its \
                 permissions; this ends by itself then"
            );
            self.raise(Condition::TaskLog, text);
        } else {
            self.clear(Condition::TaskLog);
        }
        has_failed
    }

    /// How bad the worst of it is; `None` while nothing stands.
    #[must_use]
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.problems.borrow().standing.keys().map(|condition| condition.severity()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Problems {
        pub(crate) fn of(standing: BTreeMap<Condition, Problem>) -> Self {
            Self { standing, ..Self::default() }
        }
    }

    impl Health {
        pub(crate) fn texts(&self) -> Vec<String> {
            self.problems.borrow().standing.values().map(|problem| problem.text.clone()).collect()
        }
    }

    fn ended(reason: EndReason) -> Completed {
        Completed {
            pid: 7,
            reason,
            verdict: cc_events::Verdict::Failed,
            exit_code: 1,
            signal: None,
            error: Some("No space left on device".to_owned()),
            duration_ms: 0,
            cpu_ms: 0,
            max_rss_bytes: 0,
            output: cc_events::OutputCounts::default(),
            killed_leftovers: 0,
            unkillable: 0,
            warnings: Vec::new(),
            claude: None,
            spawn_failure: None,
        }
    }

    #[test]
    fn a_full_disk_is_a_problem_until_a_task_is_logged_again() {
        let health = Health::default();
        assert!(health.note_end(&ended(EndReason::ResourceLimit), true));
        assert!(health.texts()[0].contains("No space left on device"));
        assert!(health.note_end(&ended(EndReason::SpawnFailed), false));
        assert_eq!(health.texts().len(), 1);
        assert!(!health.note_end(&ended(EndReason::Exit), true));
        assert!(health.texts().is_empty());
    }

    #[test]
    fn a_database_that_fails_is_a_problem_of_its_own() {
        let health = Health::default();
        health.note_database(Some("disk full".to_owned()));
        health.clear(Condition::TaskLog);
        assert!(health.texts()[0].contains("disk full"));
        health.note_database(None);
        assert!(health.texts().is_empty());
    }

    #[tokio::test]
    async fn a_condition_that_is_raised_again_keeps_its_time_and_wakes_no_watcher_without_news() {
        let health = Health::default();
        let mut watch = health.watch();
        health.raise(Condition::Draining, "by request");
        watch.changed().await.unwrap();
        let since_ms = watch.borrow_and_update().standing[&Condition::Draining].since_ms;
        health.raise(Condition::Draining, "by request");
        assert!(!watch.has_changed().unwrap());
        health.raise(Condition::Draining, "for an upgrade");
        watch.changed().await.unwrap();
        let problem = watch.borrow_and_update().standing[&Condition::Draining].clone();
        assert_eq!(problem, Problem { text: "for an upgrade".to_owned(), since_ms });
        health.clear(Condition::Draining);
        watch.changed().await.unwrap();
        assert!(watch.borrow().standing.is_empty());
    }

    #[test]
    fn a_condition_that_is_over_is_told_with_what_works_again_and_for_how_long_it_did_not() {
        let cleared_ms = BTreeMap::from([(Condition::Database, 200_001)]);
        let problems = Problems { cleared_ms, ..Problems::default() };
        let told = problems.recovery(Condition::Database, 75_000);
        assert_eq!(told, "the state database can be written again, after 2 min 6 s");
        assert_eq!([span(59), span(7_261)], ["59 s", "2 h 1 min"]);
    }

    #[test]
    fn every_condition_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Condition::ALL.map(Condition::name).into();
        assert_eq!(names.len(), Condition::ALL.len());
    }

    #[test]
    fn the_alert_rules_call_degraded_what_is_only_that() {
        let rules = include_str!("../../../deploy/prometheus/cc-executor.rules.yml");
        let names = |operator: &str| -> Vec<&str> {
            let (_, rest) =
                rules.split_once(&format!("cc_executor_condition{{condition{operator}\"")).unwrap();
            rest.split('"').next().unwrap().split('|').collect()
        };
        for condition in Condition::ALL {
            let is_degraded = condition.severity() == Severity::Degraded;
            assert_eq!(names("=~").contains(&condition.name()), is_degraded, "{condition:?}");
            // Who drains a supervisor knows it, and is not woken.
            let is_left_out = is_degraded || condition == Condition::Draining;
            assert_eq!(names("!~").contains(&condition.name()), is_left_out, "{condition:?}");
        }
    }
}
