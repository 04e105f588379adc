//! `.md`: each item of an outermost list is a prompt, with everything nested in it.
//!
//! The prompt is the item's own source text without its marker and indentation, not a rendering of
//! it: whoever wrote a code block or a nested list meant it to arrive. `- [x]` is done and skipped.
//! Headings become the beginning of the label. Quotes and other text are no tasks.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{Found, LABEL_CHARS_LIMIT, place::Places};
use crate::text::one_line;

pub(super) fn parse(text: &str) -> Found {
    let mut found = Found::default();
    let mut outline = Outline::default();
    let mut list_depth = 0_usize;
    let mut quote_depth = 0_usize;
    let places = Places::of(text);
    for (event, range) in Parser::new_ext(text, Options::empty()).into_offset_iter() {
        let is_top_level = list_depth == 0 && quote_depth == 0;
        match event {
            Event::Start(Tag::List(_)) => list_depth += 1,
            Event::End(TagEnd::List(_)) => list_depth -= 1,
            Event::Start(Tag::BlockQuote(_)) => quote_depth += 1,
            Event::End(TagEnd::BlockQuote(_)) => quote_depth -= 1,
            Event::Start(Tag::Heading { level, .. }) if is_top_level => outline.begin(level),
            Event::End(TagEnd::Heading(_)) => outline.is_open = false,
            Event::Text(text) | Event::Code(text) => outline.push(&text),
            Event::Start(Tag::Item) if list_depth == 1 && quote_depth == 0 => {
                let place = places.at(range.start);
                match prompt_of(text, range) {
                    Item::Prompt(prompt) => {
                        let label = outline.label(&prompt);
                        found.prompt(place, prompt, label);
                    }
                    Item::Empty => found.mistake(place, "the item is empty"),
                    Item::Done => {}
                }
            }
            // Everything else is content of an item, whose source is taken as a whole, or is no task.
            Event::Start(_)
            | Event::End(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }
    found
}

enum Item {
    Prompt(String),
    Empty,
    Done,
}

/// The item's source without its marker, and without the indentation that makes it the item's.
fn prompt_of(text: &str, range: Range<usize>) -> Item {
    let line_start = text[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
    let column = text[line_start..range.start].chars().count();
    let source = &text[range];
    let marker_end = marker_end(source);
    let mut lines = source[marker_end..].lines();
    let mut first = lines.next().unwrap_or_default().trim_start();
    if let Some(rest) = first.strip_prefix("[x]").or_else(|| first.strip_prefix("[X]"))
        && (rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        return Item::Done;
    }
    if let Some(rest) = first.strip_prefix("[ ]")
        && (rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        first = rest.trim_start();
    }
    let indentation = column + marker_end;
    let mut prompt = first.to_owned();
    for line in lines {
        prompt.push('\n');
        prompt.push_str(without_indentation(line, indentation).trim_end());
    }
    let prompt = prompt.trim().to_owned();
    if prompt.is_empty() { Item::Empty } else { Item::Prompt(prompt) }
}

/// Where the content begins: after `- `, `* `, `+ `, `12. ` or `12) `. More than four spaces after
/// the marker belong to the content (an indented code block).
fn marker_end(source: &str) -> usize {
    const MOST_SPACES: usize = 4;
    let digits = source.bytes().take_while(u8::is_ascii_digit).count();
    let marker = digits + 1;
    let spaces = source.get(marker..).unwrap_or_default();
    let spaces = spaces.bytes().take_while(|byte| *byte == b' ' || *byte == b'\t').count();
    let spaces = if spaces > MOST_SPACES { 1 } else { spaces };
    (marker + spaces).min(source.len())
}

/// Takes away at most so many columns of white space; a tab goes to the next multiple of four.
fn without_indentation(line: &str, columns: usize) -> &str {
    const TAB: usize = 4;
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

/// The headings above the current place.
#[derive(Debug, Default)]
struct Outline {
    path: Vec<(HeadingLevel, String)>,
    is_open: bool,
}

impl Outline {
    fn begin(&mut self, level: HeadingLevel) {
        self.path.retain(|(above, _)| *above < level);
        self.path.push((level, String::new()));
        self.is_open = true;
    }

    fn push(&mut self, text: &str) {
        if self.is_open
            && let Some((_, heading)) = self.path.last_mut()
        {
            heading.push_str(text);
        }
    }

    /// `Heading / Subheading: beginning of the prompt`; none where there is no heading.
    fn label(&self, prompt: &str) -> Option<String> {
        if self.path.is_empty() {
            return None;
        }
        let headings: Vec<&str> = self.path.iter().map(|(_, heading)| heading.trim()).collect();
        let label = format!("{}: {}", headings.join(" / "), one_line(prompt, LABEL_CHARS_LIMIT));
        Some(one_line(&label, LABEL_CHARS_LIMIT))
    }
}
