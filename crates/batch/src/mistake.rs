//! What is wrong with a plan, and in which member, so that the reader of a file can add line and column.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MISTAKES_LIMIT;

/// One thing that is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// The task, from 0; `None` for the plan itself and its options.
    pub task_index: Option<usize>,
    /// The task's name, where it has a usable one.
    pub task_name: Option<String>,
    /// The member concerned, such as `timeout` or `options.halt`.
    pub field: String,
    /// What is wrong with it and what would be right; reads on after the member's name.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.task_index, &self.task_name) {
            (Some(index), Some(name)) => write!(formatter, "task {} ({name}): ", index + 1)?,
            (Some(index), None) => write!(formatter, "task {}: ", index + 1)?,
            (None, _) => {}
        }
        write!(formatter, "{} {}", self.field, self.what)
    }
}

/// Everything that is wrong with a plan, in the order of its tasks. At most
/// [`MISTAKES_LIMIT`] are kept; the others are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Mistakes {
    pub list: Vec<Mistake>,
    /// How many more there are.
    pub further: usize,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{mistake}")?;
        }
        if self.further > 0 {
            write!(formatter, "\nand {} more", self.further)?;
        }
        Ok(())
    }
}

impl Mistakes {
    /// All of them, also those that are only counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len() + self.further
    }

    pub(crate) fn push(&mut self, place: Place<'_>, field: &str, what: impl Into<String>) {
        if self.list.len() >= MISTAKES_LIMIT {
            self.further += 1;
            return;
        }
        let (task_index, task_name, prefix) = match place {
            Place::Plan { prefix } => (None, None, prefix),
            Place::Task { index, name } => (Some(index), name.map(str::to_owned), ""),
        };
        let field = format!("{prefix}{field}");
        self.list.push(Mistake { task_index, task_name, field, what: what.into() });
    }

    /// In the order of the tasks, the plan's own first.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|mistake| mistake.task_index.map_or(0, |index| index + 1));
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// In the plan or its options.
    Plan {
        /// Such as `options.`.
        prefix: &'static str,
    },
    Task {
        /// From 0.
        index: usize,
        /// Its name, where it has a usable one.
        name: Option<&'a str>,
    },
}

/// The one of `known` that is most like `name`, if any is like it.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // More changes than these and the words only look alike to a program.
    let distance_limit = (name.len() / 2).clamp(1, 3);
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= distance_limit)
        .min()
        .map(|(_, known)| known)
}
