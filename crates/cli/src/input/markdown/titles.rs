//! Titles and lines that name a task, such as `Task 3: Retry uploads`, and what they say of its state.

use super::{mark::Mark, words};

/// What a task is called in a heading, before its number.
const WORDS: [&str; 10] =
    ["bug", "feature", "issue", "prompt", "story", "task", "ticket", "to-do", "todo", "user story"];
/// Those that need no number where a colon follows.
const PLAIN_WORDS: [&str; 4] = ["prompt", "task", "to-do", "todo"];
/// Signs that something is done.
const TICKS: [char; 6] = ['✅', '✔', '☑', '✓', '🗹', '\u{fe0f}'];

/// Other words before numbers.
const STEPS: [&str; 5] = ["item", "job", "milestone", "phase", "step"];
/// Most digits of the number of a heading: one with more is a year.
const NUMBER_DIGITS_LIMIT: usize = 3;

/// The first part of a title that has a number: `1. `, `2.3 `, `Step 4: `.
fn step_prefix(title: &str) -> Option<&str> {
    let lower = title.to_ascii_lowercase();
    let word = STEPS.iter().find(|word| lower.starts_with(**word)).map_or(0, |word| word.len());
    let number_start = title[word..].trim_start_matches([' ', '#']);
    let number_end =
        number_start.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number = &number_start[..number_start.len() - number_end.len()];
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let after = number_end.trim_start_matches([')', ':']);
    let is_marked = word > 0 || number.contains('.') || after.len() < number_end.len();
    let is_apart = word == 0 || number_start.len() < title.len() - word;
    let ends = after.is_empty() || after.starts_with([' ', '\t', '-', '–', '—', '*', '_']);
    let is_number = (1..=NUMBER_DIGITS_LIMIT).contains(&digits) && is_marked && is_apart && ends;
    is_number.then(|| &title[..title.len() - after.len()])
}

/// Whether a heading is a task in a file that has no lists, boxes, or headings that are tasks by their words.
pub(super) fn is_step_title(title: &str) -> bool {
    step_prefix(without_state(title)).is_some()
        && !words::is_no_task(title)
        && !words::is_detail(title)
}

/// Whether a line of a paragraph begins a task: `**Task 1:** …`, `Step 2: …`, `**3. …**`.
pub(super) fn is_task_line(line: &str) -> bool {
    let is_bold = line.trim().starts_with(['*', '_']);
    let words = line.trim().replace(['*', '_'], "");
    let Some(prefix) = task_prefix(&words).or_else(|| step_prefix(&words)) else { return false };
    let has_word = prefix.starts_with(char::is_alphabetic);
    let is_named = prefix.ends_with(':') || words[prefix.len()..].starts_with(':');
    (is_bold || (has_word && is_named)) && !words::is_no_task(&words)
}

/// The first part of a title that names a task: `Task 3: `.
fn task_prefix(title: &str) -> Option<&str> {
    let lower = title.to_ascii_lowercase();
    // The longest that matches.
    let word =
        WORDS.iter().filter(|word| lower.starts_with(**word)).max_by_key(|word| word.len())?;
    let rest = &title[word.len()..];
    let number_start = rest.trim_start_matches([' ', '#', '-', '_']);
    let number_end =
        number_start.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number = &number_start[..number_start.len() - number_end.len()];
    let has_number = number.starts_with(|letter: char| letter.is_ascii_digit());
    if !has_number {
        // `Task A: …`
        let mut letters = number_start.chars();
        let is_letter = letters.next().is_some_and(|letter| letter.is_ascii_uppercase());
        let after = letters.as_str();
        if is_letter && rest.len() > number_start.len() && after.starts_with([':', ')', '.']) {
            return Some(&title[..title.len() - after.len()]);
        }
        let after = rest.trim_start();
        let is_named = PLAIN_WORDS.contains(word) && after.starts_with(':');
        return is_named.then(|| &title[..title.len() - after.len() + 1]);
    }
    let is_apart = rest.len() > number_start.len();
    let letter = number_end.strip_prefix(|letter: char| letter.is_ascii_lowercase());
    let after = letter.unwrap_or(number_end);
    let ends = after.is_empty() || after.starts_with([' ', ':', ')', '-', '–', '—', '\t']);
    (is_apart && ends).then(|| &title[..title.len() - after.len()])
}

/// The title without marks of its state: `[x]`, `✅`.
pub(super) fn without_state(title: &str) -> &str {
    let title = title.trim().trim_start_matches(TICKS).trim_start();
    match Mark::read(title) {
        (Mark::Open | Mark::Done | Mark::Other(_), rest) => rest.trim_start_matches(TICKS).trim(),
        (Mark::Struck, rest) => rest.trim_start_matches("~~"),
        (Mark::None | Mark::Word(_) | Mark::Hidden, _) => title,
    }
}

/// Whether a heading is a task.
pub(super) fn is_task_title(title: &str) -> bool {
    task_prefix(without_state(title)).is_some()
}

/// The state of a task, by its title.
pub(super) fn state(title: &str) -> Mark {
    let title = title.trim();
    let (mark, _) = Mark::read(title);
    if mark != Mark::None && !matches!(mark, Mark::Word(_)) {
        return mark;
    }
    let bare = without_state(title);
    let rest = task_prefix(bare)
        .or_else(|| step_prefix(bare))
        .map_or(bare, |prefix| &bare[prefix.len()..]);
    let rest = rest.trim_start_matches([' ', ':', ')', '-', '–', '—', '.', '\t']);
    let last = rest.trim_end().rsplit([' ', '(', '[']).next().unwrap_or_default();
    let is_in_brackets = last.ends_with([')', ']']);
    let is_ticked = title.starts_with(TICKS) || title.ends_with(TICKS);
    if is_ticked || (is_in_brackets && words::is_finished(last)) {
        return Mark::Done;
    }
    match Mark::read(rest).0 {
        mark @ (Mark::Done | Mark::Struck | Mark::Other(_)) => mark,
        Mark::None | Mark::Open | Mark::Word(_) | Mark::Hidden => Mark::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_a_task_by_its_word_and_its_number() {
        for (title, expected) in [
            ("Task 3: Retry uploads", true),
            ("TASK-3 Retry uploads", true),
            ("Task #3 – Retry uploads", true),
            ("Task 1.2: Retry", true),
            ("Task 3", true),
            ("Task: Retry uploads", true),
            ("Task A: Retry uploads", true),
            ("Task A is first", false),
            ("User Story 4: Retry", true),
            ("[x] Task 3: Retry", true),
            ("✅ Task 3: Retry", true),
            ("~~Task 3: Retry~~", true),
            ("Tasks", false),
            ("Tasks 2026", false),
            ("Task list", false),
            ("Features", false),
            ("Feature: uploads", false),
            ("Step 1: install", false),
            ("Part one", false),
            ("3. Task", false),
        ] {
            assert_eq!(is_task_title(title), expected, "{title:?}");
        }
    }

    #[test]
    fn a_heading_is_a_step_by_its_number() {
        for (title, expected) in [
            ("1. Add login", true),
            ("2) Add login", true),
            ("2.3 Add login", true),
            ("1: Add login", true),
            ("Step 1. Install", true),
            ("Step 1", true),
            ("Phase 2 – Build", true),
            ("[x] 1. Add login", true),
            ("1. Introduction", false),
            ("2. Background", false),
            ("2026. A year", false),
            ("3 ways", false),
            ("Steps", false),
            ("Step one", false),
            ("1.x is gone", false),
        ] {
            assert_eq!(is_step_title(title), expected, "{title:?}");
        }
    }

    #[test]
    fn a_line_begins_a_task_by_its_word_and_its_number() {
        for (line, expected) in [
            ("**Task 1:** Retry", true),
            ("**Task 1**: Retry", true),
            ("__Step 1. Retry__", true),
            ("**1. Retry**", true),
            ("Task 1: Retry", true),
            ("Step 2: Retry", true),
            ("Task 1 is first", false),
            ("Step 2 is next", false),
            ("**Retry**", false),
            ("1.5 seconds", false),
        ] {
            assert_eq!(is_task_line(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_heading_says_how_far_its_task_is() {
        for (title, expected) in [
            ("Task 3: Retry", Mark::Open),
            ("[ ] Task 3: Retry", Mark::Open),
            ("[x] Task 3: Retry", Mark::Done),
            ("Task 3: [x] Retry", Mark::Done),
            ("Task 3: Retry ✅", Mark::Done),
            ("✔️ Task 3: Retry", Mark::Done),
            ("Task 3: Retry (done)", Mark::Done),
            ("Task 3: Retry [DONE]", Mark::Done),
            ("Task 3: say when it is done", Mark::Open),
            ("Task 3: ~~Retry~~", Mark::Struck),
            ("~~Task 3: Retry~~", Mark::Struck),
            ("[-] Task 3: Retry", Mark::Other("-".to_owned())),
        ] {
            assert_eq!(state(title), expected, "{title:?}");
        }
    }
}
