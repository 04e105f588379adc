//! What is wrong with the supervisor or its surroundings, in words that say what to do.
//!
//! A [`Condition`] stands from the moment when a room raises it until what failed works again and the room clears it.
//! It never stops anything by itself: the request that failed has an error of its own, and a room that must not go on
//! knows that without asking here. Pages, alerts and `ccx status` show what stands.

use std::collections::BTreeMap;

use cc_events::{Completed, EndReason, WarningKind};
use tokio::sync::watch;

use crate::ops::clock::now_ms;

/// Something that can be wrong. Each stands at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Condition {
    /// The log of the last task that ended could not be written.
    TaskLog,
    /// The last transaction failed.
    Database,
    /// The state directory is gone, or cannot be written.
    StateDirectory,
    /// The file system of the state directory has little room left.
    StateNearlyFull,
    /// The audit log cannot be written.
    AuditLog,
    /// The worker program is missing, wrong or fails at its start: no task is started.
    WorkerBroken,
    /// Workers or keepers end abnormally more often than the configured rate.
    RestartRate,
    /// The program of prompt tasks is not found.
    AgentMissing,
    /// No file descriptor is left for a new connection or task.
    DescriptorsExhausted,
    /// No process can be forked.
    ProcessesExhausted,
    /// Code of the supervisor panicked lately.
    Panicked,
    /// An operator asked that no new task is started.
    Draining,
    /// The last reload found mistakes: the old configuration is in force.
    Configuration,
}

/// What a condition means for those who would send work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// What works keeps working: no reason to send clients elsewhere.
    Degraded,
    /// New tasks cannot be started.
    NotReady,
}

impl Condition {
    /// Every condition.
    pub(crate) const ALL: [Self; 13] = [
        Self::TaskLog,
        Self::Database,
        Self::StateDirectory,
        Self::StateNearlyFull,
        Self::AuditLog,
        Self::WorkerBroken,
        Self::RestartRate,
        Self::AgentMissing,
        Self::DescriptorsExhausted,
        Self::ProcessesExhausted,
        Self::Panicked,
        Self::Draining,
        Self::Configuration,
    ];

    /// Its name in pages, metrics and notifications.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TaskLog => "task_log",
            Self::Database => "database",
            Self::StateDirectory => "state_directory",
            Self::StateNearlyFull => "state_nearly_full",
            Self::AuditLog => "audit_log",
            Self::WorkerBroken => "worker_broken",
            Self::RestartRate => "restart_rate",
            Self::AgentMissing => "agent_missing",
            Self::DescriptorsExhausted => "descriptors_exhausted",
            Self::ProcessesExhausted => "processes_exhausted",
            Self::Panicked => "panicked",
            Self::Draining => "draining",
            Self::Configuration => "configuration",
        }
    }

    /// What it means and what to do, for whoever may ask: it names no path and no program.
    #[must_use]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::TaskLog => {
                "a task could not be logged: make room on the disk of the state directory, or correct its permissions"
            }
            Self::Database => {
                "the state database cannot be written: make room on its disk, or correct its permissions"
            }
            Self::StateDirectory => {
                "the state directory cannot be written or is gone: correct its permissions, or look after its disk"
            }
            Self::StateNearlyFull => {
                "the file system of the state directory is nearly full: make room, or keep fewer logs"
            }
            Self::AuditLog => {
                "the audit log cannot be written: make room, or correct its permissions"
            }
            Self::WorkerBroken => {
                "workers cannot be started or fail at once: install the worker program anew"
            }
            Self::RestartRate => "workers end abnormally too often: see the log for how they ended",
            Self::AgentMissing => {
                "the program for prompts is not found: install it, or name another"
            }
            Self::DescriptorsExhausted => {
                "no file descriptor is left: raise the limit of open files, or allow fewer sessions"
            }
            Self::ProcessesExhausted => {
                "no process can be started: raise the limit of processes, or allow fewer tasks"
            }
            Self::Panicked => "code of the supervisor panicked: see its log, and report it",
            Self::Draining => "an operator asked that no new task is started",
            Self::Configuration => {
                "the configuration has mistakes, and the old one is in force: correct it and read it again"
            }
        }
    }

    #[must_use]
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::TaskLog
            | Self::AuditLog
            | Self::RestartRate
            | Self::Panicked
            | Self::Configuration => Severity::Degraded,
            Self::Database
            | Self::StateDirectory
            | Self::StateNearlyFull
            | Self::WorkerBroken
            | Self::AgentMissing
            | Self::DescriptorsExhausted
            | Self::ProcessesExhausted
            | Self::Draining => Severity::NotReady,
        }
    }
}

/// A condition that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What happened and what to do. For operators: it may name paths.
    pub(crate) text: String,
    /// Milliseconds since the epoch.
    pub(crate) since_ms: u64,
}

/// The conditions that stand.
pub(crate) type Problems = BTreeMap<Condition, Problem>;

#[derive(Debug)]
pub(crate) struct Health {
    problems: watch::Sender<Problems>,
}

impl Default for Health {
    fn default() -> Self {
        Self { problems: watch::Sender::new(Problems::new()) }
    }
}

impl Health {
    /// The condition stands from now on. If it stood already, it keeps its time and has this text.
    pub(crate) fn raise(&self, condition: Condition, text: impl Into<String>) {
        let text = text.into();
        self.problems.send_if_modified(|problems| match problems.get_mut(&condition) {
            Some(problem) if problem.text == text => false,
            Some(problem) => {
                problem.text = text;
                true
            }
            None => {
                tracing::warn!(condition = condition.name(), "{text}");
                problems.insert(condition, Problem { text, since_ms: now_ms() });
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
            let was_standing = problems.remove(&condition).is_some();
            if was_standing {
                tracing::info!(condition = condition.name(), "cleared");
            }
            was_standing
        });
    }

    #[must_use]
    pub(crate) fn stands(&self, condition: Condition) -> bool {
        self.problems.borrow().contains_key(&condition)
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
                 permissions; this stands until a task's log works again"
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
        self.problems.borrow().keys().map(|condition| condition.severity()).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Health {
        pub(crate) fn texts(&self) -> Vec<String> {
            self.problems.borrow().values().map(|problem| problem.text.clone()).collect()
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
        let since_ms = watch.borrow_and_update()[&Condition::Draining].since_ms;
        health.raise(Condition::Draining, "by request");
        assert!(!watch.has_changed().unwrap());
        health.raise(Condition::Draining, "for an upgrade");
        watch.changed().await.unwrap();
        let problem = watch.borrow_and_update()[&Condition::Draining].clone();
        assert_eq!(problem, Problem { text: "for an upgrade".to_owned(), since_ms });
        health.clear(Condition::Draining);
        watch.changed().await.unwrap();
        assert!(watch.borrow().is_empty());
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
