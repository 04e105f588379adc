//! Whether task logs and the database can be written: for `/healthz`, in words that say what to do.
//!
//! A problem stays until what failed works again. It never stops anything; the failed request has an error of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cc_events::{Completed, EndReason};

#[derive(Debug, Default)]
pub(crate) struct Health {
    problems: Mutex<Problems>,
}

#[derive(Debug, Default)]
struct Problems {
    log: Option<String>,
    database: Option<String>,
}

impl Health {
    fn log_failed(&self, reason: &str) {
        self.problems().log = Some(format!(
            "a task could not be logged ({reason}): make room on the disk of the state directory, or correct its \
             permissions; this stands until a task's log works again"
        ));
    }

    fn log_works(&self) {
        self.problems().log = None;
    }

    /// The outcome of the last transaction.
    pub(crate) fn note_database(&self, error: Option<String>) {
        self.problems().database = error.map(|error| {
            format!(
                "{error}; tasks cannot be accepted until it can be written: make room on the disk of the state \
                 directory, or correct its permissions"
            )
        });
    }

    /// Takes note of what a task's end says about its log. `has_log`: there is one. Returns whether the log has failed.
    pub(crate) fn note_end(&self, completed: &Completed, has_log: bool) -> bool {
        let has_failed = completed.reason == EndReason::ResourceLimit || !has_log;
        if has_failed {
            self.log_failed(completed.error.as_deref().unwrap_or("no reason is known"));
        } else {
            self.log_works();
        }
        has_failed
    }

    /// One text for each problem.
    #[must_use]
    pub(crate) fn texts(&self) -> Vec<String> {
        let problems = self.problems();
        [&problems.log, &problems.database].into_iter().flatten().cloned().collect()
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        health.log_works();
        assert!(health.texts()[0].contains("disk full"));
        health.note_database(None);
        assert!(health.texts().is_empty());
    }
}
