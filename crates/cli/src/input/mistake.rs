//! What is wrong with a task file, and all of it as one error.

use std::collections::HashMap;

use super::{note::Names, place::Place};
use crate::{display::text, error::CommandError};

/// Longest list of mistakes that is printed.
const SHOWN_MISTAKES_LIMIT: usize = 50;

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: Place,
    /// What is wrong, and what would be right.
    pub(crate) what: String,
}

/// What is wrong with a value, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) String);

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// All mistakes of a file as one error with a line for each kind, and then the notes.
pub(crate) fn complaint(names: &Names, mistakes: &[Mistake], notes: &[String]) -> CommandError {
    let mut text = format!(
        "{} in {}; nothing was started",
        text::count(mistakes.len(), "mistake"),
        names.file()
    );
    let mut kinds: Vec<(&Mistake, Vec<usize>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for mistake in mistakes {
        match known.get(mistake.what.as_str()) {
            Some(kind) => kinds[*kind].1.push(mistake.place.line),
            None => {
                known.insert(&mistake.what, kinds.len());
                kinds.push((mistake, Vec::new()));
            }
        }
    }
    let mut has_listed = false;
    for (first, others) in kinds.iter().take(SHOWN_MISTAKES_LIMIT) {
        // The list of known names is printed only once.
        let what = match first.what.split_once("; known are ") {
            Some((what, _)) if has_listed => what,
            Some(_) => {
                has_listed = true;
                &first.what
            }
            None => &first.what,
        };
        text.push_str(&format!("\n{}: {what}", names.at(first.place)));
        if !others.is_empty() {
            text.push_str(&format!(" (the same in {})", names.list(others)));
        }
    }
    let left: usize =
        kinds.iter().skip(SHOWN_MISTAKES_LIMIT).map(|(_, others)| 1 + others.len()).sum();
    if left > 0 {
        text.push_str(&format!("\n... and {left} more"));
    }
    for note in notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    CommandError::Usage(text)
}
