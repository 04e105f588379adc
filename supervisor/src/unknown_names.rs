//! Names in Claude streams that this version does not know: told once, so that a change of the CLI is seen.
//!
//! A new CLI prints line types and members that nobody here has read about. They pass through untouched; that there
//! are some is worth a line of the log, and not one a task.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use cc_link::event::ClaudeFacts;

use crate::limits;

/// Which names were told of which version of the CLI.
#[derive(Debug, Default)]
pub struct UnknownNames {
    told: Mutex<BTreeSet<(String, String)>>,
}

impl UnknownNames {
    /// Tells the log of what is new, with how often the task had it.
    pub fn note(&self, task_id: &str, facts: &ClaudeFacts) {
        let version = facts.cli_version.as_deref().unwrap_or("unknown");
        let news = self.news(version, &facts.unknown);
        if !news.is_empty() {
            tracing::warn!(
                task_id,
                cli_version = version,
                names = news.join(", "),
                "the CLI prints what this version does not know: it passes through, but counts for nothing"
            );
        }
    }

    /// Those that were not told of this version before, as `name (3 times)`.
    fn news(&self, version: &str, unknown: &BTreeMap<String, u64>) -> Vec<String> {
        if unknown.is_empty() {
            return Vec::new();
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for (name, count) in unknown {
            // Whoever has told so many has said it.
            if told.len() >= limits::UNKNOWN_NAMES_TOLD {
                break;
            }
            if told.insert((version.to_owned(), name.clone())) {
                let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
                news.push(format!("{name} ({times})"));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[(&str, u64)]) -> BTreeMap<String, u64> {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn a_name_is_told_once_for_each_version_and_never_more_than_so_many() {
        let unknown = UnknownNames::default();
        let first = names(&[("system/novel", 3), ("glow", 1)]);
        assert_eq!(unknown.news("2.1.400", &first), ["glow (once)", "system/novel (3 times)"]);
        assert!(unknown.news("2.1.400", &first).is_empty());
        assert_eq!(unknown.news("2.1.400", &names(&[("glow", 9), ("new", 2)])), ["new (2 times)"]);
        assert_eq!(unknown.news("2.1.401", &names(&[("glow", 1)])), ["glow (once)"]);
        let many: BTreeMap<String, u64> =
            (0..2 * limits::UNKNOWN_NAMES_TOLD).map(|number| (number.to_string(), 1)).collect();
        assert_eq!(unknown.news("x", &many).len(), limits::UNKNOWN_NAMES_TOLD - 4);
        assert!(unknown.news("y", &many).is_empty());
    }
}
