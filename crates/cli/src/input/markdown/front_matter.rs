//! Front matter: what stands between two lines `---` (or `+++`) at the beginning of a file, for other programs.

use super::words;

/// What is used of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::input) struct FrontMatter {
    /// Where the text after it begins; 0 where there is none.
    end: usize,
    title: Option<String>,
    is_done: bool,
}

impl FrontMatter {
    pub(in crate::input) fn of(text: &str) -> Self {
        let mut lines = text.split_inclusive('\n');
        let Some(fence) =
            lines.next().map(str::trim_end).filter(|line| ["---", "+++"].contains(line))
        else {
            return Self::default();
        };
        let mut found = Self::default();
        let mut offset = text.split_inclusive('\n').next().map_or(0, str::len);
        let mut has_member = false;
        for line in lines {
            offset += line.len();
            let line = line.trim_end();
            if line == fence || (fence == "---" && line == "...") {
                found.end = offset;
                return if has_member { found } else { Self::default() };
            }
            let is_nested = line.starts_with([' ', '\t', '-', '#', ']', '}']) || line.is_empty();
            match member(line) {
                Some((name, value)) => {
                    has_member = true;
                    found.take(name, value);
                }
                // Two thematic breaks around something else.
                None if !is_nested || !has_member || line.contains("[ ]") => {
                    return Self::default();
                }
                None => {}
            }
        }
        Self::default()
    }

    fn take(&mut self, name: &str, value: &str) {
        let value = value.trim().trim_matches(['"', '\'']);
        match name.to_ascii_lowercase().as_str() {
            "title" if !value.is_empty() => self.title = Some(value.to_owned()),
            "status" | "state" => self.is_done = words::is_done_status(value),
            "done" | "completed" | "passes" => self.is_done |= value.eq_ignore_ascii_case("true"),
            _ => {}
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.end > 0
    }

    pub(in crate::input) fn is_done(&self) -> bool {
        self.is_done
    }

    pub(in crate::input) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The text after it.
    pub(in crate::input) fn rest<'a>(&self, text: &'a str) -> &'a str {
        &text[self.end..]
    }

    /// The text with the front matter blanked out, so that offsets stay the same.
    pub(super) fn masked(&self, text: &str) -> String {
        let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        let mut masked: String = text[..self.end].bytes().map(blank).collect();
        masked.push_str(&text[self.end..]);
        masked
    }
}

/// `name: value` or `name = value` at the beginning of a line.
fn member(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once([':', '='])?;
    let name = name.trim_end();
    let is_name = !name.is_empty()
        && name.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter))
        && !name.starts_with('-');
    let is_apart = value.is_empty() || value.starts_with([' ', '\t', '"', '\'', '[']);
    (is_name && is_apart).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_has_members_and_an_end() {
        for (text, rest) in [
            ("---\ntitle: a\ntags:\n  - b\n- c\n---\ntext", "text"),
            ("---\r\ntitle: a\r\n---\r\ntext", "text"),
            ("+++\ntitle = \"a\"\n+++\ntext", "text"),
            ("---\ntitle: a\n...\ntext", "text"),
            ("---\n- [ ] a\n---\n", "---\n- [ ] a\n---\n"),
            ("---\nJust words.\n---\n", "---\nJust words.\n---\n"),
            ("---\ntitle: a\n", "---\ntitle: a\n"),
            ("---\n\n---\n", "---\n\n---\n"),
            ("\n---\na: b\n---\n", "\n---\na: b\n---\n"),
        ] {
            let front = FrontMatter::of(text);
            assert_eq!(front.rest(text), rest, "{text:?}");
            assert_eq!(front.masked(text).len(), text.len());
        }
    }

    #[test]
    fn its_status_and_title_are_read() {
        let read = |text| {
            let front = FrontMatter::of(text);
            (front.is_done(), front.title().map(str::to_owned))
        };
        assert_eq!(read("---\ntitle: 'A b'\nstatus: Done\n---\n"), (true, Some("A b".to_owned())));
        assert_eq!(read("---\nstatus: To Do\n---\n"), (false, None));
    }
}
