//! What tasks of a plan are called, and that one needs another.

use crate::limits::NAME_CHARS_LIMIT;

/// That a task needs another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The other one, from 0.
    pub task: usize,
    /// Not only its success but the text of its result.
    pub result: bool,
}

/// Whether a text can be the name of a task: 1 to 100 of `A-Z a-z 0-9 _ . -`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=NAME_CHARS_LIMIT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

pub(super) fn name_rule() -> String {
    format!("must be 1 to {NAME_CHARS_LIMIT} characters of A-Z, a-z, 0-9, '_', '.' and '-'")
}
