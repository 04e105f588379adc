//! What the readers of the five ways to write tasks share: the text, what stands where in it, and what was found.

use std::ops::Range;

use super::{
    super::{
        found::{Found, LABEL_CHARS_LIMIT},
        note::Note,
        place::Places,
    },
    scan::{self, Item, Scan},
    words,
};
use crate::display::text::one_line;

/// A file that is being read.
pub(super) struct Reader<'a> {
    /// The file, its front matter blanked out; all offsets are of this text.
    pub(super) text: &'a str,
    pub(super) places: Places<'a>,
    pub(super) scan: Scan,
    pub(super) found: Found,
}

impl Reader<'_> {
    pub(super) fn note(&mut self, offset: usize, what: &str, excerpt: &str) {
        let place = self.places.at(offset);
        self.found.notes.push(Note::new(place, what, excerpt));
    }

    /// Notes something that does not run, with the reason.
    pub(super) fn pass_over(&mut self, offset: usize, why: &str, excerpt: &str) {
        self.note(offset, &format!("passed over, {why}"), excerpt);
    }

    pub(super) fn task(&mut self, offset: usize, prompt: String, containers: &[String]) {
        let place = self.places.at(offset);
        if prompt.is_empty() {
            return self.found.mistake(place, "the item is empty");
        }
        let label = self.label(offset, &prompt, containers);
        self.found.prompt(place, prompt, label);
    }

    pub(super) fn done(&mut self, offset: usize, prompt: String) {
        self.note(offset, "passed over, done", &prompt);
        let place = self.places.at(offset);
        self.found.done_prompt(place, prompt);
    }

    /// `Heading / Subheading / Parent: beginning of the prompt`; `None` without a heading or a parent.
    pub(super) fn label(
        &self,
        offset: usize,
        prompt: &str,
        containers: &[String],
    ) -> Option<String> {
        let headings = self.scan.path(offset);
        let above: Vec<&str> =
            headings.into_iter().chain(containers.iter().map(String::as_str)).collect();
        if above.is_empty() {
            return None;
        }
        let label = format!("{}: {}", above.join(" / "), one_line(prompt, LABEL_CHARS_LIMIT));
        Some(one_line(&label, LABEL_CHARS_LIMIT))
    }

    /// Whether a list has acceptance criteria, by the heading above it or the line before it.
    pub(super) fn is_criteria(&self, list: &scan::List) -> bool {
        list.lead.as_deref().is_some_and(words::is_criteria)
            || words::is_criteria(self.scan.heading(list.start))
    }

    /// Whether a range has text other than lists, headings, and lines that introduce criteria.
    pub(super) fn has_text(&self, range: Range<usize>) -> bool {
        self.scan.texts.iter().any(|text| {
            range.contains(&text.start) && !words::is_criteria(&self.text[text.clone()])
        })
    }

    pub(super) fn item(&self, index: usize) -> Option<&Item> {
        self.scan.items.get(index)
    }
}
