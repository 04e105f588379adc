//! A file without check boxes: each item of an outermost list is a task, unless it is clear that it is none.

use std::ops::Range;

use super::{
    mark::Mark,
    reader::Reader,
    scan::{List, is_inside},
    source, words,
};

/// Reads what is not in `sections`, which are tasks already.
pub(super) fn read(reader: &mut Reader<'_>, sections: &[Range<usize>]) {
    let is_list_of_tasks = |list: &List| list.depth == 1 && !reader.is_no_task(list);
    let has_tasks = reader.scan.lists.iter().any(is_list_of_tasks);
    for item in reader.scan.items.clone() {
        let Some(list) = reader.scan.lists.get(item.list).cloned() else { continue };
        let start = item.range.start;
        if list.depth > 1 || item.mark == Mark::Hidden || is_inside(start, sections) {
            continue;
        }
        let (mark, mut prompt) = source::item(reader.text, item.range.clone());
        if matches!(mark, Mark::Word(_)) {
            prompt = prompt.trim().to_owned();
        }
        let names = reader.scan.names_of(&list);
        let is_finished = names.iter().any(|name| words::is_finished(name))
            || words::is_finished(prompt.lines().next().unwrap_or_default());
        if !sections.is_empty() {
            reader.pass_over(start, "beside the tasks, which have headings of their own", &prompt);
        } else if mark == Mark::Struck {
            reader.pass_over(start, "struck out", &prompt);
        } else if is_contents(&prompt) {
            reader.pass_over(start, "a link within the file", &prompt);
        } else if is_finished {
            reader.done(start, prompt);
        } else if has_tasks && reader.is_no_task(&list) {
            let name = names.last().copied().unwrap_or_default();
            let why = format!("below {name:?}, which is no heading of tasks");
            reader.pass_over(start, &why, &prompt);
        } else {
            reader.task(start, prompt, &[]);
        }
    }
    for start in reader.scan.quoted.clone() {
        reader.pass_over(start, "in a quote", "");
    }
}

impl Reader<'_> {
    /// Whether its heading, or the line before it, says that it has no tasks.
    pub(super) fn is_no_task(&self, list: &List) -> bool {
        let names = self.scan.names_of(list);
        self.is_criteria(list) || names.iter().any(|name| words::is_no_task(name))
    }
}

/// Whether each line is a link to a heading of the same file.
fn is_contents(prompt: &str) -> bool {
    let mut lines = prompt.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let is_link = |line: &str| {
        let words = line.trim_start_matches(|letter: char| {
            letter.is_ascii_digit() || "-*+.) ".contains(letter)
        });
        words.starts_with('[') && words.ends_with(')') && words.contains("](#")
    };
    lines.peek().is_some() && lines.all(is_link)
}
