//! What an operator should see to, as `/healthz` shows it.
//!
//! Whoever meets a problem reports it here, and takes it back when the same thing works again.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is wrong now.
#[derive(Debug, Default)]
pub struct Problems {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    database: Option<String>,
}

impl Problems {
    /// How the latest change of the database went: `None` is well.
    pub fn database(&self, problem: Option<String>) {
        let problem =
            problem.map(|text| format!("{text}; tasks cannot be accepted until it can be written"));
        self.inner().database = problem;
    }

    /// All of them, for people.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.inner().database.iter().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
