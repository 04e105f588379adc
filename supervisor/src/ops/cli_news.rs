//! What the Claude CLI of tasks prints that this version does not know: logged once, not once a task.
//!
//! Owns what has been logged. It never refuses anything: a stream is read by the names that are known.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use cc_claude::version::{Standing, Version};
use cc_events::ClaudeFacts;

use crate::config::limits;

/// What has been logged since the start.
#[derive(Debug, Default)]
pub(crate) struct CliNews {
    logged: Mutex<Logged>,
}

#[derive(Debug, Default)]
struct Logged {
    versions: BTreeSet<Version>,
    names: BTreeSet<String>,
}

/// What is to be logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// A version that is newer than the newest tested one.
    pub(crate) newer: Option<Version>,
    /// Unknown line types and members, with how often the task's stream had each.
    pub(crate) unknown: Vec<(String, u64)>,
}

impl CliNews {
    /// Takes note of a task's stream. Returns what is new since the start of this supervisor.
    #[must_use]
    pub(crate) fn note(&self, facts: &ClaudeFacts) -> News {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let version = facts.cli_version.as_deref().and_then(Version::read);
        let newer =
            version.filter(|version| version.standing() == Standing::Newer).filter(|version| {
                logged.versions.len() < limits::CLI_VERSIONS_TOLD
                    && logged.versions.insert(*version)
            });
        let mut unknown = Vec::new();
        for (name, count) in &facts.unknown {
            if logged.names.len() < limits::CLI_NAMES_TOLD && logged.names.insert(name.clone()) {
                unknown.push((name.clone(), *count));
            }
        }
        News { newer, unknown }
    }
}

#[cfg(test)]
mod tests {
    use cc_claude::version::NEWEST_TESTED;

    use super::*;

    fn facts(version: &str, unknown: &[(&str, u64)]) -> ClaudeFacts {
        ClaudeFacts {
            cli_version: Some(version.to_owned()),
            unknown: unknown.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..ClaudeFacts::default()
        }
    }

    #[test]
    fn a_newer_version_is_told_once_and_the_next_one_again() {
        let news = CliNews::default();
        let told = |version: &str| news.note(&facts(version, &[])).newer.map(|v| v.to_string());
        assert_eq!(told("9.0.0"), Some("9.0.0".to_owned()));
        assert_eq!(told("9.0.0"), None);
        assert_eq!(told("9.0.1"), Some("9.0.1".to_owned()));
        assert_eq!(told(&NEWEST_TESTED.to_string()), None);
        assert_eq!(told("2.1.250"), None);
        assert_eq!(told("a fork of mine"), None);
    }

    #[test]
    fn a_name_that_nobody_knows_is_told_once_with_its_count() {
        let news = CliNews::default();
        let told = |unknown: &[(&str, u64)]| news.note(&facts("2.1.332", unknown)).unknown;
        assert_eq!(told(&[("type telepathy", 3)]), [("type telepathy".to_owned(), 3)]);
        assert_eq!(
            told(&[("type telepathy", 9), ("system/dream", 1)]),
            [("system/dream".to_owned(), 1)]
        );
        assert_eq!(told(&[]), []);
    }

    #[test]
    fn a_stream_that_makes_up_names_and_versions_costs_a_bounded_amount() {
        let news = CliNews::default();
        let mut told = (0, 0);
        for number in 0..2_000 {
            let name = format!("name {number}");
            let noted = news.note(&facts(&format!("9.0.{number}"), &[(&name, 1)]));
            told.0 += usize::from(noted.newer.is_some());
            told.1 += noted.unknown.len();
        }
        assert_eq!(told, (limits::CLI_VERSIONS_TOLD, limits::CLI_NAMES_TOLD));
    }
}
