//! `.txt`: a prompt a line. Empty lines, and lines that begin with `#`, are no tasks.

use super::{Found, place::Place};

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        let prompt = line.trim();
        if !prompt.is_empty() && !prompt.starts_with('#') {
            let indentation = line.chars().take_while(|letter| letter.is_whitespace()).count();
            let place = Place { line: index + 1, column: indentation + 1 };
            found.prompt(place, prompt.to_owned(), None);
        }
    }
    found
}
