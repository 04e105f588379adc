//! What stands in a Markdown file and where: headings, lists with their items, and text beside them.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{
    mark::Mark,
    source::{self, BoxLine, LineKind},
    titles,
};

/// A heading that is no part of a list or a quote.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) level: HeadingLevel,
    pub(super) title: String,
    pub(super) range: Range<usize>,
    /// Such as `Task 3: …`.
    pub(super) is_task: bool,
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) start: usize,
    /// 1 for an outermost one.
    pub(super) depth: usize,
    /// The paragraph right before an outermost one.
    pub(super) lead: Option<String>,
    /// One of its own items has a check box.
    pub(super) has_boxes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) range: Range<usize>,
    /// Of which list.
    pub(super) list: usize,
    /// In which item.
    pub(super) parent: Option<usize>,
    pub(super) mark: Mark,
    /// An item within it has a check box.
    pub(super) holds_boxes: bool,
}

/// All of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    pub(super) headings: Vec<Heading>,
    pub(super) lists: Vec<List>,
    /// In the order of the file.
    pub(super) items: Vec<Item>,
    /// Outermost paragraphs and code.
    pub(super) texts: Vec<Range<usize>>,
    /// Those of them that are paragraphs.
    pub(super) paragraphs: Vec<Range<usize>>,
    /// Lines that look like items with a check box, but which Markdown parses as code or as
    /// text of a paragraph, because they are indented too far.
    pub(super) box_lines: Vec<BoxLine>,
    /// The same with a marker and without a box.
    pub(super) marker_lines: Vec<BoxLine>,
    /// Lines with a box and without a marker, in a file whose lists have boxes: they may be a legend.
    pub(super) bare_lines: Vec<BoxLine>,
    /// Items with a check box in HTML that is no comment.
    pub(super) in_html: Vec<BoxLine>,
    /// Outermost lists in quotes.
    pub(super) quoted: Vec<usize>,
}

impl Scan {
    pub(super) fn of(text: &str) -> Self {
        let mut walk = Walk::default();
        for (event, range) in Parser::new_ext(text, Options::empty()).into_offset_iter() {
            walk.event(event, range, text);
        }
        walk.finish(text)
    }

    /// Whether check boxes say what is a task.
    pub(super) fn has_boxes(&self) -> bool {
        self.items.iter().any(|item| item.mark.is_box()) || !self.box_lines.is_empty()
    }

    /// Whether the file has no lists, no check boxes and no headings that are tasks.
    pub(super) fn has_only_text(&self) -> bool {
        self.items.iter().all(|item| item.mark == Mark::Hidden)
            && self.box_lines.is_empty()
            && !self.headings.iter().any(|heading| heading.is_task)
    }

    /// The titles of the headings above a place, outermost first.
    pub(super) fn path(&self, offset: usize) -> Vec<&str> {
        let mut path: Vec<&Heading> = Vec::new();
        for heading in self.headings.iter().take_while(|heading| heading.range.start <= offset) {
            path.retain(|above| above.level < heading.level);
            // A heading is not above itself.
            if heading.range.start < offset {
                path.push(heading);
            }
        }
        path.into_iter().map(|heading| heading.title.trim()).collect()
    }

    /// The title of the nearest heading above a place.
    pub(super) fn heading(&self, offset: usize) -> &str {
        self.path(offset).last().copied().unwrap_or_default()
    }

    /// What stands above a list: headings, and the line before it where it names the list (`To do:`, `**Done**`).
    pub(super) fn names_of<'s>(&'s self, list: &'s List) -> Vec<&'s str> {
        let mut names = self.path(list.start);
        let line = list.lead.as_deref().and_then(|lead| lead.trim_end().lines().last());
        let names_it = |line: &&str| {
            line.trim_end_matches(['*', '_']).ends_with(':') || line.starts_with(['*', '_'])
        };
        names.extend(line.map(str::trim).filter(names_it));
        names
    }

    /// The item and those that it stands in, from inside to outside.
    pub(super) fn ancestors(&self, index: usize) -> impl Iterator<Item = &Item> {
        let parent_of = |item: &&Item| item.parent.and_then(|parent| self.items.get(parent));
        std::iter::successors(self.items.get(index), parent_of).skip(1)
    }

    /// The outermost list that an item stands in.
    pub(super) fn outermost_list(&self, index: usize) -> Option<&List> {
        let outermost = self.ancestors(index).last().or_else(|| self.items.get(index))?;
        self.lists.get(outermost.list)
    }
}

/// What is being read.
#[derive(Default)]
struct Walk {
    scan: Scan,
    open_lists: Vec<usize>,
    open_items: Vec<usize>,
    quote_depth: usize,
    is_in_heading: bool,
    /// The last outermost block, and whether it is a paragraph.
    last_block: Option<(Range<usize>, bool)>,
    /// Code between fences, quotes, and HTML.
    opaque: Vec<Range<usize>>,
    /// Code between backticks.
    code: Vec<Range<usize>>,
    /// Outermost indented code that follows a paragraph.
    examples: Vec<Range<usize>>,
    html: Vec<Range<usize>>,
}

impl Walk {
    fn event(&mut self, event: Event<'_>, range: Range<usize>, text: &str) {
        let is_outermost = self.open_lists.is_empty() && self.quote_depth == 0;
        match event {
            Event::Start(Tag::List(_)) => self.begin_list(range, text),
            Event::End(TagEnd::List(_)) => drop(self.open_lists.pop()),
            Event::Start(Tag::Item) => self.begin_item(range, text),
            Event::End(TagEnd::Item) => drop(self.open_items.pop()),
            Event::Start(Tag::BlockQuote(_)) => {
                self.quote_depth += 1;
                self.opaque.push(range);
            }
            Event::End(TagEnd::BlockQuote(_)) => self.quote_depth -= 1,
            Event::Start(Tag::Heading { level, .. }) if is_outermost => {
                self.is_in_heading = true;
                self.last_block = Some((range.clone(), false));
                let heading = Heading { level, title: String::new(), range, is_task: false };
                self.scan.headings.push(heading);
            }
            Event::End(TagEnd::Heading(_)) => self.is_in_heading = false,
            Event::Start(Tag::CodeBlock(kind)) => self.code(&kind, range, is_outermost),
            Event::Start(Tag::HtmlBlock) => {
                self.html.push(range.clone());
                self.opaque.push(range.clone());
                if is_outermost {
                    self.last_block = Some((range, false));
                }
            }
            Event::Start(Tag::Paragraph) if is_outermost => {
                self.scan.texts.push(range.clone());
                self.scan.paragraphs.push(range.clone());
                self.last_block = Some((range, true));
            }
            Event::Text(words) => self.title(&words),
            Event::Code(words) => {
                self.title(&words);
                self.code.push(range);
            }
            // Everything else is a part of these.
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

    fn title(&mut self, words: &str) {
        if self.is_in_heading
            && let Some(heading) = self.scan.headings.last_mut()
        {
            heading.title.push_str(words);
        }
    }

    fn code(&mut self, kind: &CodeBlockKind<'_>, range: Range<usize>, is_outermost: bool) {
        match kind {
            CodeBlockKind::Fenced(_) => self.opaque.push(range.clone()),
            CodeBlockKind::Indented => {
                if self.last_block.as_ref().is_some_and(|(_, is_paragraph)| *is_paragraph) {
                    self.examples.push(range.clone());
                }
            }
        }
        if is_outermost {
            self.scan.texts.push(range.clone());
            self.last_block = Some((range, false));
        }
    }

    fn begin_list(&mut self, range: Range<usize>, text: &str) {
        let depth = self.open_lists.len() + 1;
        let is_outermost = depth == 1 && self.quote_depth == 0;
        let lead = match &self.last_block {
            Some((block, true)) if is_outermost => Some(text[block.clone()].to_owned()),
            Some(_) | None => None,
        };
        if depth == 1 && self.quote_depth > 0 {
            self.scan.quoted.push(range.start);
        }
        self.open_lists.push(self.scan.lists.len());
        if is_outermost {
            self.last_block = Some((range.clone(), false));
        }
        self.scan.lists.push(List { start: range.start, depth, lead, has_boxes: false });
    }

    fn begin_item(&mut self, range: Range<usize>, text: &str) {
        // The range of an indented first item begins with its indentation.
        let source = &text[range.clone()];
        let start = range.start + (source.len() - source.trim_start_matches([' ', '\t']).len());
        let range = start..range.end;
        let list = self.open_lists.last().copied().unwrap_or_default();
        let parent = self.open_items.last().copied();
        let mark = source::mark(&text[range.clone()]);
        self.open_items.push(self.scan.items.len());
        self.scan.items.push(Item { range, list, parent, mark, holds_boxes: false });
    }

    fn finish(mut self, text: &str) -> Scan {
        let comments = comments(text, &self.opaque, &self.code);
        self.opaque.extend(comments.iter().cloned());
        let is_seen = |offset: usize| !is_inside(offset, &self.opaque);
        // Items in quotes and comments stay in the list, so that indices stay valid.
        for item in &mut self.scan.items {
            if !is_seen(item.range.start) {
                item.mark = Mark::Hidden;
            }
        }
        for heading in &mut self.scan.headings {
            heading.is_task = titles::is_task_title(&heading.title);
        }
        let starts: Vec<usize> = self.scan.items.iter().map(|item| item.range.start).collect();
        let has_boxes = self.scan.items.iter().any(|item| item.mark.is_box());
        let is_new = |line: &BoxLine| {
            starts.binary_search(&line.start).is_err()
                && is_seen(line.start)
                && !(has_boxes && is_inside(line.start, &self.examples))
        };
        let lines = source::item_lines(text);
        let is_html = |line: &&BoxLine| {
            line.kind == LineKind::Box
                && is_inside(line.start, &self.html)
                && !is_inside(line.start, &comments)
        };
        self.scan.in_html = lines.iter().filter(is_html).cloned().collect();
        let mut cuts = Vec::new();
        for line in lines.into_iter().filter(is_new) {
            self.scan.line(line, text, has_boxes, &mut cuts);
        }
        for (index, end) in cuts {
            let range = &mut self.scan.items[index].range;
            range.end = range.end.min(end);
        }
        self.scan.set_boxes();
        if self.scan.has_only_text() {
            for heading in &mut self.scan.headings {
                heading.is_task = titles::is_step_title(&heading.title);
            }
        }
        self.scan
    }
}

impl Scan {
    /// Adds a line that looks like an item, but is none in Markdown. `cuts` gets the items that end before it: in
    /// Markdown it continues their last paragraph.
    fn line(&mut self, line: BoxLine, text: &str, has_boxes: bool, cuts: &mut Vec<(usize, usize)>) {
        if line.kind == LineKind::Marker {
            return self.marker_lines.push(line);
        }
        let is_around = |item: &Item| item.range.contains(&line.start);
        let is_nested =
            |item: &Item| line.indentation > source::indentation(text, item.range.start);
        let is_word = |item: &Item| is_around(item) && is_nested(item) && item.mark == Mark::None;
        // Words of an item.
        if line.kind == LineKind::Bare && self.items.iter().any(is_word) {
            return;
        }
        let mut is_in_item = false;
        for (index, item) in self.items.iter_mut().enumerate() {
            if !is_around(item) {
                continue;
            }
            is_in_item = true;
            if !is_nested(item) {
                cuts.push((index, line.start));
            } else if item.mark == Mark::None {
                item.holds_boxes = true;
            }
        }
        if line.kind == LineKind::Bare && has_boxes && !is_in_item {
            self.bare_lines.push(line);
        } else {
            self.box_lines.push(line);
        }
    }

    /// Sets which lists and items have boxes.
    fn set_boxes(&mut self) {
        for index in 0..self.items.len() {
            let (is_box, list) = (self.items[index].mark.is_box(), self.items[index].list);
            if !is_box {
                continue;
            }
            self.lists[list].has_boxes = true;
            let mut parent = self.items[index].parent;
            while let Some(above) = parent {
                self.items[above].holds_boxes = true;
                parent = self.items[above].parent;
            }
        }
    }
}

/// `<!-- … -->` outside of code. Markdown ends a comment at a list; here it ends where it is closed.
fn comments(text: &str, opaque: &[Range<usize>], code: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find("<!--").map(|at| from + at) {
        from = start + "<!--".len();
        let Some(end) = text[from..].find("-->").map(|at| from + at) else { break };
        let is_fenced = |range: &Range<usize>| {
            range.contains(&start) && text[range.clone()].trim_start().starts_with(['`', '~'])
        };
        if !opaque.iter().any(is_fenced) && !is_inside(start, code) {
            found.push(start..end);
            from = end;
        }
    }
    found
}

pub(super) fn is_inside(offset: usize, ranges: &[Range<usize>]) -> bool {
    ranges.iter().any(|range| range.contains(&offset))
}
