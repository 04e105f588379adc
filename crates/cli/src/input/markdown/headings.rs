//! Headings that are tasks, such as `### Task 3: Retry uploads`, with all that stands below them.

use std::ops::Range;

use super::{Reader, is_inside, mark::Mark, scan::Heading, source, words};

/// What a task is called in a heading, before its number.
const WORDS: [&str; 10] =
    ["bug", "feature", "issue", "prompt", "story", "task", "ticket", "to-do", "todo", "user story"];
/// Those that need no number where a colon follows.
const PLAIN_WORDS: [&str; 4] = ["prompt", "task", "to-do", "todo"];
/// Signs that something is done.
const TICKS: [char; 6] = ['✅', '✔', '☑', '✓', '🗹', '\u{fe0f}'];

/// What else people number.
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
fn is_task_line(line: &str) -> bool {
    let is_bold = line.trim().starts_with(['*', '_']);
    let words = line.trim().replace(['*', '_'], "");
    let Some(prefix) = task_prefix(&words).or_else(|| step_prefix(&words)) else { return false };
    let has_word = prefix.starts_with(char::is_alphabetic);
    let is_named = prefix.ends_with(':') || words[prefix.len()..].starts_with(':');
    (is_bold || (has_word && is_named)) && !words::is_no_task(&words)
}

/// What the first part of a title is, where it names a task: `Task 3: `.
fn task_prefix(title: &str) -> Option<&str> {
    let lower = title.to_ascii_lowercase();
    // Of several the longest.
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

/// Without what says how far it is: `[x]`, `✅`.
fn without_state(title: &str) -> &str {
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

/// How far a title says that its task is.
fn state(title: &str) -> Mark {
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

impl Reader<'_> {
    /// Reads the headings that are tasks; returns what belongs to them.
    pub(super) fn task_headings(&mut self) -> Vec<Range<usize>> {
        let mut sections: Vec<Range<usize>> = Vec::new();
        for (index, heading) in self.scan.headings.clone().iter().enumerate() {
            if !heading.is_task || is_inside(heading.range.start, &sections) {
                continue;
            }
            let section = heading.range.start..self.end_of(index);
            if self.is_name_of_others(index, &section) || self.has_only_boxes(heading, &section) {
                continue;
            }
            self.section_below(heading, &section);
            sections.push(section);
        }
        sections
    }

    /// Where the next heading begins that is not below this one.
    fn end_of(&self, index: usize) -> usize {
        let mut headings = self.scan.headings.iter().skip(index);
        let level = headings.next().map(|heading| heading.level);
        let next = headings.find(|next| level.is_some_and(|level| next.level <= level));
        next.map_or(self.text.len(), |next| next.range.start)
    }

    /// Whether it has no words of its own and other headings that are tasks below it.
    fn is_name_of_others(&self, index: usize, section: &Range<usize>) -> bool {
        let mut below = self.scan.headings.iter().skip(index + 1);
        let first = below.find(|heading| heading.is_task && section.contains(&heading.range.start));
        first.is_some_and(|first| {
            let own = section.start..first.range.start;
            !self.has_text(own.clone())
                && !self.scan.lists.iter().any(|list| own.contains(&list.start))
        })
    }

    /// Whether there is nothing but check boxes below it: each is a task then.
    fn has_only_boxes(&self, heading: &Heading, section: &Range<usize>) -> bool {
        let has_boxes =
            self.scan.lists.iter().any(|list| {
                section.contains(&list.start) && list.has_boxes && !self.is_criteria(list)
            });
        has_boxes && !self.has_text(heading.range.end..section.end)
    }

    /// Reads the paragraphs that are tasks; returns what belongs to them.
    pub(super) fn task_paragraphs(&mut self) -> Vec<Range<usize>> {
        let mut starts: Vec<usize> = Vec::new();
        for paragraph in &self.scan.paragraphs {
            let mut start = paragraph.start;
            for line in self.text[paragraph.clone()].split_inclusive('\n') {
                starts.extend(is_task_line(line).then_some(start));
                start += line.len();
            }
        }
        let headings = self.scan.headings.iter().map(|heading| heading.range.start);
        let mut ends: Vec<usize> = starts.iter().copied().chain(headings).collect();
        ends.sort_unstable();
        let mut sections = Vec::new();
        for start in starts {
            let end = ends.iter().copied().find(|end| *end > start).unwrap_or(self.text.len());
            let text = &self.text[start..end];
            let (line, body) = text.split_once('\n').unwrap_or((text, ""));
            let title = line.replace(['*', '_'], "");
            let prompt =
                source::without_trailing_blanks(text.trim_end_matches(['-', '=', ' ', '\r', '\n']));
            self.section(&title, prompt, body, &(start..end));
            sections.push(start..end);
        }
        sections
    }

    fn section_below(&mut self, heading: &Heading, section: &Range<usize>) {
        let body = &self.text[heading.range.end..section.end];
        let line = self.text[heading.range.clone()].lines().next().unwrap_or_default();
        let line = line.trim().trim_matches('#');
        let title = without_state(line).trim();
        let prompt = format!("{title}\n\n{}", body.trim_matches(['\r', '\n']));
        let prompt = source::without_trailing_blanks(&prompt);
        let (line, body) = (line.to_owned(), body.to_owned());
        self.section(&line, prompt, &body, section);
    }

    /// Takes a task with its text.
    fn section(&mut self, line: &str, prompt: String, body: &str, section: &Range<usize>) {
        let start = section.start;
        let title = without_state(line);
        let is_below_done = self.scan.path(start).iter().any(|above| words::is_finished(above));
        let boxes = self.scan.items.iter().filter(|item| section.contains(&item.range.start));
        let (mut open, mut ticked) = (0, 0);
        for item in boxes {
            open += usize::from(item.mark == Mark::Open);
            ticked += usize::from(item.mark == Mark::Done);
        }
        match state(line) {
            Mark::Done => self.done(start, prompt),
            Mark::Open | Mark::None
                if is_below_done || has_done_status(body) || (open == 0 && ticked > 0) =>
            {
                self.done(start, prompt);
            }
            Mark::Struck => self.pass_over(start, "struck out", title),
            Mark::Other(word) | Mark::Word(word) => {
                let why = format!("marked [{word}], which is neither open nor done");
                self.pass_over(start, &why, title);
            }
            Mark::Open | Mark::None | Mark::Hidden => self.task(start, prompt, &[]),
        }
    }
}

/// `**Status:** done`.
fn has_done_status(body: &str) -> bool {
    body.lines().any(|line| {
        let line: String = line.chars().filter(|letter| !"*_`>".contains(*letter)).collect();
        let line = line.trim().trim_start_matches(['-', ' ']);
        line.split_once(':').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("status") && words::is_done_status(value)
        })
    })
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
