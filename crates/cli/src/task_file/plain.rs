//! `.txt`: a prompt a line. Empty lines, and lines that begin with `#`, are no tasks.

use super::Found;

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        let prompt = line.trim();
        if !prompt.is_empty() && !prompt.starts_with('#') {
            found.prompt(index + 1, prompt.to_owned(), None);
        }
    }
    found
}
