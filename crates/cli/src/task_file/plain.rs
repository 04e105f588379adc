//! `.txt`: a prompt a line. Empty lines are no tasks, and neither are comments: a `#` alone, or `# ` and words.

use super::{Found, note::Note, place::Place};

/// Shortest row of one sign that is a ruler and no prompt.
const RULER_CHARS: usize = 3;

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    for (index, line) in text.lines().enumerate() {
        let prompt = line.trim();
        let indentation = line.chars().take_while(|letter| letter.is_whitespace()).count();
        let place = Place { line: index + 1, column: indentation + 1 };
        if prompt.is_empty() || is_comment(prompt) || (index == 0 && prompt.starts_with("#!")) {
            continue;
        }
        if is_ruler(prompt) {
            let sign = prompt.chars().next().unwrap_or_default();
            let what = format!(
                "a line of {sign:?} is no prompt: in a .txt file each line is one; for prompts of several \
                 lines use a .md list, .jsonl, .toml, or a folder with a file for each"
            );
            found.mistake(place, what);
            continue;
        }
        // `#123` is an issue; a word may have been meant as a comment.
        if prompt
            .strip_prefix('#')
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            let what = "run, although it begins with #: a comment has a space after it";
            found.notes.push(Note::new(place, what, prompt));
        }
        found.prompt(place, prompt.to_owned(), None);
    }
    found
}

fn is_comment(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    rest.len() < line.len() && (rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// A line between prompts, or a fence around code: what it parts would not be one prompt.
fn is_ruler(line: &str) -> bool {
    let of = |sign: char| line.chars().all(|letter| letter == sign);
    let is_row = ['-', '=', '*', '_', '~', '+'].into_iter().any(of);
    (is_row && line.chars().count() >= RULER_CHARS) || line.starts_with("```")
}
