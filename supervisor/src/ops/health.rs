//! What is wrong with the supervisor's own house, in words that say what to do: for `/healthz`.
//!
//! A problem stays until what failed has worked again. It never stops anything; whoever fails says so to its
//! client as well.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cc_events::{Completed, EndReason};

/// What is wrong at the moment.
#[derive(Debug, Default)]
pub struct Health {
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    log: Option<String>,
    database: Option<String>,
}

impl Health {
    /// A task log could not be written, for this reason.
    fn log_failed(&self, reason: &str) {
        self.now().log = Some(format!(
            "a task could not be logged ({reason}): make room on the disk of the state directory, or correct its \
             permissions; this stands until a task's log works again"
        ));
    }

    /// A task log could be written.
    fn log_works(&self) {
        self.now().log = None;
    }

    /// How the last transaction went.
    pub fn database(&self, error: Option<String>) {
        self.now().database = error.map(|error| {
            format!(
                "{error}; tasks cannot be accepted until it can be written: make room on the disk of the state \
                 directory, or correct its permissions"
            )
        });
    }

    /// Takes note of what a task's end says about its log. `has_log`: there is one. True: the log has failed.
    pub fn note_end(&self, completed: &Completed, has_log: bool) -> bool {
        let has_failed = completed.reason == EndReason::ResourceLimit || !has_log;
        if has_failed {
            self.log_failed(completed.error.as_deref().unwrap_or("no reason is known"));
        } else {
            self.log_works();
        }
        has_failed
    }

    /// All of them.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let now = self.now();
        [&now.log, &now.database].into_iter().flatten().cloned().collect()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
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
        let problems = Health::default();
        assert!(problems.note_end(&ended(EndReason::ResourceLimit), true));
        assert!(problems.texts()[0].contains("No space left on device"));
        assert!(problems.note_end(&ended(EndReason::SpawnFailed), false));
        assert_eq!(problems.texts().len(), 1);
        assert!(!problems.note_end(&ended(EndReason::Exit), true));
        assert!(problems.texts().is_empty());
    }

    #[test]
    fn a_database_that_fails_is_a_problem_of_its_own() {
        let problems = Health::default();
        problems.database(Some("disk full".to_owned()));
        problems.log_works();
        assert!(problems.texts()[0].contains("disk full"));
        problems.database(None);
        assert!(problems.texts().is_empty());
    }
}
