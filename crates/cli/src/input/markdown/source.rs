//! The source of an item without its marker, and without the indentation that makes it the item's.

use std::ops::Range;

use super::mark::Mark;

const TAB: usize = 4;
/// Signs before an item: those of Markdown, and those that other programs put there.
const BULLETS: [char; 16] =
    ['-', '*', '+', '•', '–', '—', '‐', '−', '‣', '◦', '▪', '▸', '·', '●', '○', '⁃'];

/// An item's mark and its prompt.
pub(super) fn item(text: &str, range: Range<usize>) -> (Mark, String) {
    let column = indentation(text, range.start);
    let source = &text[range];
    let marker_end = marker_end(source);
    let mut lines = source[marker_end..].lines();
    let first_line = lines.next().unwrap_or_default();
    let (mark, first) = Mark::read(first_line);
    let width = |text: &str| text.chars().count();
    let indentation = match marker_end {
        0 => column + width(first_line).saturating_sub(width(first)),
        _ => column + width(&source[..marker_end]),
    };
    let mut prompt = first.to_owned();
    for line in lines {
        prompt.push('\n');
        prompt.push_str(without_indentation(line, indentation).trim_end());
    }
    (mark, prompt.trim().to_owned())
}

pub(super) fn mark(source: &str) -> Mark {
    let content = &source[marker_end(source)..];
    Mark::read(content.lines().next().unwrap_or_default()).0
}

/// The first line of an item, without marker and mark.
pub(super) fn first_line(source: &str) -> &str {
    let content = &source[marker_end(source)..];
    Mark::read(content.lines().next().unwrap_or_default()).1.trim()
}

/// Where the content begins: after `- `, `* `, `+ `, `12. ` or `12) `; at the beginning where there is no marker. More than
/// four spaces after the marker belong to the content (an indented code block).
fn marker_end(source: &str) -> usize {
    const MOST_SPACES: usize = 4;
    let digits = source.bytes().take_while(u8::is_ascii_digit).count();
    let sign = source[digits..].chars().next();
    let marker = match sign.filter(|sign| digits > 0 || BULLETS.contains(sign)) {
        Some(sign) => digits + sign.len_utf8(),
        None => return 0,
    };
    let mut spaces = source[marker..].chars().take_while(|letter| is_space(*letter));
    let width: usize = spaces.by_ref().take(MOST_SPACES).map(char::len_utf8).sum();
    let first = source[marker..].chars().next().map_or(0, char::len_utf8);
    if spaces.next().is_some() { marker + first } else { marker + width }
}

fn is_space(letter: char) -> bool {
    letter.is_whitespace() && !['\n', '\r'].contains(&letter)
}

/// A line that is an item with a check box, whatever its indentation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoxLine {
    /// Of the marker.
    pub(super) start: usize,
    /// Columns before the marker.
    pub(super) indentation: usize,
    pub(super) kind: LineKind,
}

/// Which parts of an item a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// A marker and a box.
    Box,
    /// A box and no marker.
    Bare,
    /// A marker and no box.
    Marker,
}

/// The mark of a line that may have the marker of an item before it, and what follows the mark; without a mark, the
/// whole line.
pub(in crate::input) fn line_mark(line: &str) -> (Mark, &str) {
    let line = line.trim();
    match Mark::read(without_marker(line)) {
        (mark @ (Mark::None | Mark::Word(_) | Mark::Hidden), _) => (mark, line),
        (mark, rest) => (mark, rest.trim()),
    }
}

/// A line without the marker of an item.
pub(in crate::input) fn without_marker(line: &str) -> &str {
    after_marker(line).unwrap_or(line).trim_start()
}

/// The lines of a text that look like items.
pub(super) fn item_lines(text: &str) -> Vec<BoxLine> {
    let mut lines = Vec::new();
    let mut line_start = 0;
    let mut is_after_box = false;
    let mut is_first_of_block = true;
    for line in text.split_inclusive('\n') {
        let inner = line.trim_start_matches([' ', '\t']);
        let start = line_start + (line.len() - inner.len());
        let kind = match after_marker(inner) {
            Some(content) if Mark::read(content).0.is_box() => Some(LineKind::Box),
            Some(_) => Some(LineKind::Marker),
            None => Mark::bare(inner)
                .filter(|mark| {
                    is_after_box || (is_first_of_block && matches!(mark, Mark::Open | Mark::Done))
                })
                .map(|_| LineKind::Bare),
        };
        if let Some(kind) = kind {
            lines.push(BoxLine { start, indentation: columns(&text[line_start..start]), kind });
        }
        // A box in the middle of a wrapped sentence does not count.
        let words = inner.trim_end();
        is_after_box = !words.is_empty()
            && (is_after_box || matches!(kind, Some(LineKind::Box | LineKind::Bare)));
        is_first_of_block = words.is_empty()
            || words.starts_with(['#', '<'])
            || words.trim_end_matches(['*', '_']).ends_with(':')
            || words.chars().all(|letter| ['-', '=', '*', '_'].contains(&letter));
        line_start += line.len();
    }
    lines
}

/// What follows the marker of an item.
fn after_marker(line: &str) -> Option<&str> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match digits {
        0 => line.strip_prefix(BULLETS)?,
        1..=9 => line.get(digits..)?.strip_prefix(['.', ')'])?,
        _ => return None,
    };
    rest.starts_with(is_space).then_some(rest)
}

/// The end of an item that Markdown does not parse as one: before the next line that neither continues it nor is
/// indented more than its marker.
pub(super) fn end_of_line_item(text: &str, line: &BoxLine) -> usize {
    let mut end = text[line.start..].find('\n').map_or(text.len(), |at| line.start + at + 1);
    let mut next_end = end;
    for next in text[end..].split_inclusive('\n') {
        let inner = next.trim_start_matches([' ', '\t']);
        let is_right_below = next_end == end;
        next_end += next.len();
        if inner.trim_end().is_empty() {
            continue;
        }
        let is_nested = columns(&next[..next.len() - inner.len()]) > line.indentation;
        // As in a paragraph, the next line continues it, unless that is something else.
        let goes_on = is_right_below
            && after_marker(inner).is_none()
            && Mark::bare(inner).is_none()
            && !inner.starts_with(['#', '>', '`', '~', '<']);
        if !is_nested && !goes_on {
            break;
        }
        end = next_end;
    }
    end
}

/// How far the item is indented that begins there.
pub(super) fn indentation(text: &str, start: usize) -> usize {
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    columns(&text[line_start..start])
}

/// Width of white space; tab stops are multiples of four.
fn columns(text: &str) -> usize {
    text.chars().fold(0, |column, letter| match letter {
        '\t' => column + TAB - column % TAB,
        _ => column + 1,
    })
}

/// Removes at most so many columns of white space.
fn without_indentation(line: &str, columns: usize) -> &str {
    let mut column = 0;
    for (offset, char) in line.char_indices() {
        match char {
            _ if column >= columns => return &line[offset..],
            ' ' => column += 1,
            '\t' => column += TAB - column % TAB,
            _ => return &line[offset..],
        }
    }
    ""
}

/// Removes white space at the ends of lines.
pub(super) fn without_trailing_blanks(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}
