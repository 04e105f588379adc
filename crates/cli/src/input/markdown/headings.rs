//! Headings that are tasks, such as `### Task 3: Retry uploads`, with all that stands below them.

use std::ops::Range;

use super::{
    mark::Mark,
    reader::Reader,
    scan::{Heading, is_inside},
    source,
    titles::{is_task_line, state, without_state},
    words,
};

impl Reader<'_> {
    /// Reads the headings that are tasks; returns their sections.
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

    /// The beginning of the next heading that is not below this one.
    fn end_of(&self, index: usize) -> usize {
        let mut headings = self.scan.headings.iter().skip(index);
        let level = headings.next().map(|heading| heading.level);
        let next = headings.find(|next| level.is_some_and(|level| next.level <= level));
        next.map_or(self.text.len(), |next| next.range.start)
    }

    /// Whether it has no text of its own, but headings below it that are tasks.
    fn is_name_of_others(&self, index: usize, section: &Range<usize>) -> bool {
        let mut below = self.scan.headings.iter().skip(index + 1);
        let first = below.find(|heading| heading.is_task && section.contains(&heading.range.start));
        first.is_some_and(|first| {
            let own = section.start..first.range.start;
            !self.has_text(own.clone())
                && !self.scan.lists.iter().any(|list| own.contains(&list.start))
        })
    }

    /// Whether only check boxes stand below it: then each of them is a task.
    fn has_only_boxes(&self, heading: &Heading, section: &Range<usize>) -> bool {
        let has_boxes =
            self.scan.lists.iter().any(|list| {
                section.contains(&list.start) && list.has_boxes && !self.is_criteria(list)
            });
        has_boxes && !self.has_text(heading.range.end..section.end)
    }

    /// Reads the paragraphs that are tasks; returns their sections.
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

    /// Adds a task with its text, unless its state says otherwise.
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
