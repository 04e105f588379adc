//! Counts the types of lines and the members that are not known, so that a change of the CLI is seen.

use std::collections::BTreeMap;

use crate::{known, line::Line};

/// Most names that are counted of one task.
const NAMES_LIMIT: usize = 32;
/// Longest name that is shown, bytes.
const NAME_BYTES: usize = 64;

/// How often what is not known came, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unknown {
    names: BTreeMap<String, u64>,
}

impl Unknown {
    /// Looks at the names of a line.
    pub(crate) fn line(&mut self, line: &Line<'_>, kind: &str, subtype: Option<&str>) {
        let name = match subtype.filter(|_| kind == "system") {
            Some(subtype) => format!("system/{subtype}"),
            None => kind.to_owned(),
        };
        if !known::is_type(&name) {
            // Its members are as new as it is.
            return self.count(&name);
        }
        for member in line.unknown_members() {
            self.count(&format!("{name}.{member}"));
        }
    }

    pub(crate) fn names(&self) -> &BTreeMap<String, u64> {
        &self.names
    }

    fn count(&mut self, name: &str) {
        let name = &name[..name.floor_char_boundary(NAME_BYTES)];
        if let Some(count) = self.names.get_mut(name) {
            *count = count.saturating_add(1);
        } else if self.names.len() < NAMES_LIMIT {
            self.names.insert(name.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_names_are_counted_and_each_is_cut() {
        let mut unknown = Unknown::default();
        for number in 0..1_000 {
            unknown.count(&format!("{number}{}", "é".repeat(100)));
            unknown.count("0");
        }
        assert_eq!(unknown.names().len(), NAMES_LIMIT);
        assert!(unknown.names().keys().all(|name| name.len() <= NAME_BYTES));
        assert_eq!(unknown.names()["0"], 1_000);
    }
}
