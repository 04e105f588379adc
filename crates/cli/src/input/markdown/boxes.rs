//! A file with check boxes: only what has one is a task.

use std::ops::Range;

use super::{
    mark::Mark,
    reader::Reader,
    scan::{Item, is_inside},
    source, words,
};

/// Something with a marker, in the order of the file.
struct Entry {
    range: Range<usize>,
    /// Its index among the items; `None` if Markdown does not parse it as an item.
    item: Option<usize>,
}

/// Reads what is not in `sections`, which are tasks already.
pub(super) fn read(reader: &mut Reader<'_>, sections: &[Range<usize>]) {
    let mut covered_until = 0;
    for entry in entries(reader) {
        let start = entry.range.start;
        if start >= covered_until && !is_inside(start, sections) {
            covered_until = reader.entry(&entry);
        }
    }
    for start in reader.scan.quoted.clone() {
        reader.pass_over(start, "in a quote", "");
    }
    for line in reader.scan.bare_lines.clone() {
        let why = "a check box without a \"- \" before it, beside lists with check boxes";
        reader.pass_over(line.start, why, "");
    }
    for line in reader.scan.in_html.clone() {
        reader.pass_over(line.start, "in HTML, which ends at an empty line", "");
    }
}

fn entries(reader: &Reader<'_>) -> Vec<Entry> {
    let items = reader.scan.items.iter().enumerate();
    let items = items.map(|(index, item)| Entry { range: item.range.clone(), item: Some(index) });
    let lines = reader.scan.box_lines.iter().chain(&reader.scan.marker_lines).map(|line| {
        let end = source::end_of_line_item(reader.text, line);
        Entry { range: line.start..end, item: None }
    });
    let mut entries: Vec<Entry> = items.chain(lines).collect();
    entries.sort_by_key(|entry| entry.range.start);
    entries
}

impl Reader<'_> {
    /// Reads an entry; returns the end of the text that belongs to it.
    fn entry(&mut self, entry: &Entry) -> usize {
        let Range { start, end } = entry.range;
        let (mark, prompt) = source::item(self.text, entry.range.clone());
        let hidden = entry.item.and_then(|index| self.item(index));
        let mark =
            if hidden.is_some_and(|item| item.mark == Mark::Hidden) { Mark::Hidden } else { mark };
        match mark {
            Mark::Open => {
                let containers = self.containers(entry);
                if self.is_in_criteria(entry, &containers) {
                    self.pass_over(start, "what a task must fulfil and no task", &prompt);
                } else {
                    self.task(start, prompt, &containers);
                }
                end
            }
            // Open items nested in it are tasks, too.
            Mark::Done => {
                self.done(start, prompt);
                start + 1
            }
            Mark::Other(word) | Mark::Word(word) => {
                let why = format!("marked [{word}], which is neither open nor done");
                self.pass_over(start, &why, &prompt);
                end
            }
            Mark::Struck => {
                self.pass_over(start, "struck out", &prompt);
                end
            }
            Mark::Hidden => end,
            Mark::None => self.without_box(entry, prompt),
        }
    }

    fn without_box(&mut self, entry: &Entry, prompt: String) -> usize {
        let Range { start, end } = entry.range;
        let Some(item) = entry.item.and_then(|index| self.item(index)).cloned() else {
            if !self.scan.items.iter().any(|item| item.range.contains(&start)) {
                self.pass_over(start, "without a check box", &prompt);
            }
            return end;
        };
        // A name for the items nested in it.
        if item.holds_boxes {
            return start + 1;
        }
        let is_of_done = entry
            .item
            .is_some_and(|index| self.scan.ancestors(index).any(|above| above.mark == Mark::Done));
        if is_of_done {
            return end;
        }
        self.pass_over(start, "without a check box", &prompt);
        end
    }

    /// The first lines of the items around it, outermost first.
    fn containers(&self, entry: &Entry) -> Vec<String> {
        let line = |item: &Item| source::first_line(&self.text[item.range.clone()]).to_owned();
        let mut containers: Vec<String> = match entry.item {
            Some(index) => self.scan.ancestors(index).map(line).collect(),
            None => {
                let start = entry.range.start;
                let around = self.scan.items.iter().rev();
                around.filter(|item| item.range.contains(&start)).map(line).collect()
            }
        };
        containers.reverse();
        containers
    }

    fn is_in_criteria(&self, entry: &Entry, containers: &[String]) -> bool {
        let list = entry.item.and_then(|index| self.scan.outermost_list(index));
        list.is_some_and(|list| self.is_criteria(list))
            || containers.iter().any(|line| words::is_criteria(line))
    }
}
