//! `.md`: what a person meant as tasks, and nothing else.
//!
//! Five ways to write them are known, tried in this order:
//! 1. one task: the file's only lists are the acceptance criteria of what its text asks for;
//! 2. headings such as `### Task 3: Retry uploads`: the heading with all that stands below it is a prompt;
//! 3. check boxes, at any indentation: what is open is a prompt, with everything nested in it, and no other list counts;
//! 4. plain lists: each item of an outermost list is a prompt, with everything nested in it;
//! 5. where there is none of these, headings with a number, or else paragraphs that begin `**Task 1:**`, with all below.
//!
//! A prompt is the source text without its marker and indentation, not a rendering of it: code
//! blocks and nested lists reach the agent as they were written. Headings become the beginning of the label. What looks like a task
//! and is none is noted, so that it can be said. Code blocks, quotes, comments, tables and front matter are no tasks.

mod boxes;
mod front_matter;
mod headings;
mod mark;
mod plain;
mod reader;
mod scan;
mod source;
mod titles;
mod words;

use std::ops::Range;

pub(super) use self::{
    front_matter::FrontMatter, mark::Mark, source::line_mark, source::without_marker,
};
use self::{
    reader::Reader,
    scan::{Scan, is_inside},
};
use super::{found::Found, place::Places};

/// The note for text that is no part of a task.
const OUTSIDE: &str = "text beside the tasks";

const NO_OPEN_BOX: &str = "there are no tasks: no check box is open ([ ]), and where a file has check boxes nothing \
    without one is a task";
const NO_OPEN_ITEM: &str = "there are no tasks: no list has an item that is not done";
const NO_FORM: &str = "there are no tasks; a prompt each are check boxes (\"- [ ] ...\"), the items of a list (\"- ...\", \
    \"1. ...\"), and headings with the text below them (\"## Task 1: ...\", \"## 1. ...\"); a file that is one prompt \
    as a whole goes into a folder (ccx batch FOLDER)";

pub(super) fn parse(text: &str) -> Found {
    let front = FrontMatter::of(text);
    let masked = front.masked(text);
    let scan = Scan::of(&masked);
    let mut reader =
        Reader { text: &masked, places: Places::of(&masked), scan, found: Found::default() };
    if front.is_there() {
        reader.note(0, "passed over, front matter", "");
    }
    if reader.is_one_task() {
        reader.whole(&front);
    } else {
        let sections = if reader.scan.has_only_text() {
            reader.task_paragraphs()
        } else {
            reader.task_headings()
        };
        reader.boxes_or_lists(&sections);
        reader.say_what_text_is_left(&sections);
    }
    reader.found.if_none = if reader.scan.has_boxes() {
        NO_OPEN_BOX
    } else if reader.scan.items.is_empty() && reader.found.done.is_empty() {
        NO_FORM
    } else {
        NO_OPEN_ITEM
    };
    reader.found.tasks.sort_by_key(|task| task.place);
    reader.found.done.sort_by_key(|task| task.place);
    reader.found
}

impl Reader<'_> {
    /// Whether the file is one task, and its lists are acceptance criteria.
    fn is_one_task(&self) -> bool {
        let mut lists = self.scan.lists.iter().filter(|list| list.depth == 1).peekable();
        let has_lists = lists.peek().is_some();
        let is_detail = |list: &scan::List| {
            self.is_criteria(list) || words::is_detail(self.scan.heading(list.start))
        };
        has_lists
            && self.scan.lists.iter().any(|list| self.is_criteria(list))
            && lists.all(is_detail)
            && self.scan.headings.iter().filter(|heading| heading.is_task).count() <= 1
            && self.has_text(0..self.text.len())
    }

    /// The whole file as one prompt.
    fn whole(&mut self, front: &FrontMatter) {
        let start = self.text.len() - self.text.trim_start().len();
        let prompt = source::without_trailing_blanks(self.text.trim());
        let open = self.scan.items.iter().filter(|item| item.mark == Mark::Open).count();
        let ticked = self.scan.items.iter().filter(|item| item.mark == Mark::Done).count();
        if front.is_done() || (open == 0 && ticked > 0) {
            return self.done(start, prompt);
        }
        let place = self.places.at(start);
        self.found.prompt(place, prompt, front.title().map(str::to_owned));
        self.note(start, "the file is one task: its lists say what that task must fulfil", "");
    }

    /// Notes paragraphs and code that are no part of a prompt.
    fn say_what_text_is_left(&mut self, sections: &[Range<usize>]) {
        for text in self.scan.texts.clone() {
            let is_used = is_inside(text.start, sections)
                || self.scan.box_lines.iter().any(|line| text.contains(&line.start));
            let words = &self.text[text.clone()];
            // `Tasks:` only introduces the list.
            let is_needed =
                words.trim_end().ends_with(':') || words.trim_start().starts_with("<!--");
            if !is_used && !is_needed {
                let words = words.to_owned();
                self.pass_over(text.start, OUTSIDE, &words);
            }
        }
    }

    fn boxes_or_lists(&mut self, sections: &[Range<usize>]) {
        if self.scan.has_boxes() {
            boxes::read(self, sections);
        } else {
            plain::read(self, sections);
        }
    }
}

#[cfg(test)]
mod tests;
