//! Notes about a file without mistakes: what looks like a task and does not run, and what is not used.

use super::place::Place;
use crate::display::text::one_line;

/// Longest list of places of one kind.
const PLACES_LIMIT: usize = 12;
/// Longest beginning of a text that is shown, columns.
const EXCERPT_COLUMNS: usize = 60;

/// A note and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(super) place: Place,
    /// The same text for all notes of a kind, which are printed together.
    pub(super) what: String,
    excerpt: String,
}

impl Note {
    pub(super) fn new(place: Place, what: &str, text: &str) -> Self {
        Self { place, what: what.to_owned(), excerpt: one_line(text, EXCERPT_COLUMNS) }
    }

    /// Whether it only repeats what the file says itself.
    pub(super) fn is_expected(&self) -> bool {
        ["passed over, done", "passed over, front matter", "passed over, text beside the tasks"]
            .contains(&self.what.as_str())
    }
}

/// How the places of a file are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    file: String,
    /// The files of a folder; a line number is then the number of a file.
    members: Vec<String>,
}

impl Names {
    pub(crate) fn of_file(file: &str) -> Self {
        Self { file: file.to_owned(), members: Vec::new() }
    }

    pub(super) fn of_folder(folder: &str, members: Vec<String>) -> Self {
        Self { file: folder.to_owned(), members }
    }

    /// The file, or the folder.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    fn member(&self, line: usize) -> Option<&str> {
        self.members.get(line.checked_sub(1)?).map(String::as_str)
    }

    /// `tasks.md:3:1`, `prompts/03-parser.md`.
    pub(super) fn at(&self, place: Place) -> String {
        match self.member(place.line) {
            Some(member) => format!("{}/{member}", self.file.trim_end_matches('/')),
            None if place == Place::WHOLE => self.file.clone(),
            None => format!("{}:{place}", self.file),
        }
    }

    /// `line 3`, `lines 3-5, 9`, `a.md, b.md`.
    pub(crate) fn list(&self, lines: &[usize]) -> String {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        lines.dedup();
        if let [line] = lines[..] {
            return self.member(line).map_or(format!("line {line}"), str::to_owned);
        }
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for line in lines.iter().copied() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == line && self.members.is_empty() => *last = line,
                Some(_) | None => runs.push((line, line)),
            }
        }
        let shown = runs.iter().take(PLACES_LIMIT).map(|(first, last)| match self.member(*first) {
            Some(member) => member.to_owned(),
            None if first == last => first.to_string(),
            None => format!("{first}-{last}"),
        });
        let mut shown: Vec<String> = shown.collect();
        let left: usize =
            runs.iter().skip(PLACES_LIMIT).map(|(first, last)| last - first + 1).sum();
        shown.extend((left > 0).then(|| format!("and {left} more")));
        let noun = if self.members.is_empty() { "lines " } else { "" };
        format!("{noun}{}", shown.join(", "))
    }
}

/// A line for each kind, in the order of their first places.
pub(super) fn lines(names: &Names, notes: &[Note]) -> Vec<String> {
    let mut kinds: Vec<(&str, Vec<&Note>)> = Vec::new();
    for note in notes {
        match kinds.iter_mut().find(|(what, _)| *what == note.what) {
            Some((_, of_kind)) => of_kind.push(note),
            None => kinds.push((&note.what, vec![note])),
        }
    }
    let line = |(what, of_kind): (&str, Vec<&Note>)| {
        let lines: Vec<usize> = of_kind.iter().map(|note| note.place.line).collect();
        let excerpt = match of_kind.as_slice() {
            [one] if !one.excerpt.is_empty() => format!(": {}", one.excerpt),
            _ => String::new(),
        };
        format!("{}, {}: {what}{excerpt}", names.file(), names.list(&lines))
    };
    kinds.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(line: usize, what: &str) -> Note {
        Note::new(Place { line, column: 1 }, what, "its beginning\nand its end")
    }

    #[test]
    fn what_is_of_one_kind_is_said_once_with_its_lines() {
        let mut notes: Vec<Note> = [3, 5, 4, 9].map(|line| note(line, "done")).to_vec();
        notes.push(note(6, "struck out"));
        assert_eq!(
            lines(&Names::of_file("a.md"), &notes),
            ["a.md, lines 3-5, 9: done", "a.md, line 6: struck out: its beginning"]
        );
        let odd: Vec<Note> = (0..20).map(|number| note(2 * number + 1, "done")).collect();
        assert_eq!(
            lines(&Names::of_file("a.md"), &odd),
            ["a.md, lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, and 8 more: done"]
        );
    }

    #[test]
    fn the_members_of_a_folder_are_named_themselves() {
        let names = Names::of_folder("p/", vec!["a.md".to_owned(), "b.md".to_owned()]);
        assert_eq!(lines(&names, &[note(2, "done"), note(1, "done")]), ["p/, a.md, b.md: done"]);
        assert_eq!(names.at(Place { line: 2, column: 1 }), "p/b.md");
        assert_eq!(names.at(Place { line: 3, column: 1 }), "p/:3:1");
    }
}
