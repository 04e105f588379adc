//! Places in a text, as editors and compilers name them.

use std::fmt;

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// The place of a mistake that has no place of its own.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
    /// The folder itself, and not a file in it.
    pub(super) const WHOLE: Self = Self { line: 0, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Turns byte offsets of a text into places.
#[derive(Debug)]
pub(super) struct Places<'a> {
    text: &'a str,
    /// Where each line but the first begins.
    line_starts: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, line_starts: newlines.map(|(offset, _)| offset + 1).collect() }
    }

    /// The place of a byte; of the end of the text for an offset behind it.
    pub(super) fn at(&self, offset: usize) -> Place {
        let offset = self.text.floor_char_boundary(offset);
        let lines_before = self.line_starts.partition_point(|start| *start <= offset);
        let line_start =
            lines_before.checked_sub(1).and_then(|line| self.line_starts.get(line)).copied();
        let before = self.text.get(line_start.unwrap_or(0)..offset).unwrap_or_default();
        Place { line: lines_before + 1, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_after_newlines() {
        let text = "ab\näöü\r\n\nx";
        for (needle, line, column) in
            [("ab", 1, 1), ("b", 1, 2), ("ä", 2, 1), ("ü", 2, 3), ("\nx", 3, 1), ("x", 4, 1)]
        {
            let offset = text.find(needle).unwrap();
            assert_eq!(Places::of(text).at(offset), Place { line, column }, "{needle:?}");
        }
        assert_eq!(Places::of(text).at(100), Place { line: 4, column: 2 });
        assert_eq!(Places::of("").at(0), Place::START);
        assert_eq!(Places::of(text).at(4), Place { line: 2, column: 1 }, "inside of a character");
    }
}
