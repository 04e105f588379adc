//! The last words of an attempt: the end of its output on each stream, as text that is safe to show on a terminal.
//!
//! Memory is bounded while the attempt runs; the text is cleaned once, at its end. The lines of a Claude stream are for
//! programs: the other lines are kept apart, so that a warning among megabytes of the stream is not lost.

use std::borrow::Cow;

use cc_protocol::batch::TAIL_BYTES_LIMIT;
use memchr::{memmem, memrchr};

/// Bytes of a stream that are kept: enough is left when escape sequences are removed.
const KEPT_BYTES: usize = 4 * TAIL_BYTES_LIMIT;

#[derive(Debug, Default)]
struct Ring {
    /// At most `2 * KEPT_BYTES`.
    bytes: Vec<u8>,
    /// Bytes before it were dropped.
    is_cut: bool,
}

impl Ring {
    fn push(&mut self, data: &[u8]) {
        let kept = &data[data.len().saturating_sub(KEPT_BYTES)..];
        if kept.len() < data.len() {
            self.bytes.clear();
            self.is_cut = true;
        } else if self.bytes.len() + kept.len() > 2 * KEPT_BYTES {
            // Rarely, so that each byte is moved once on average.
            let surplus = (self.bytes.len() + kept.len() - KEPT_BYTES).min(self.bytes.len());
            self.bytes.drain(..surplus);
            self.is_cut = true;
        }
        self.bytes.extend_from_slice(kept);
    }

    fn text(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        last_words(harmless(&text).trim_end(), TAIL_BYTES_LIMIT, self.is_cut)
    }
}

#[derive(Debug, Default)]
pub(super) struct Tails {
    /// All of standard output.
    stdout: Ring,
    /// Its lines that are not lines of a Claude stream.
    words: Ring,
    stderr: Ring,
    /// The current line is one of a Claude stream.
    is_in_stream_line: bool,
    /// The last line of standard output has no newline.
    is_line_open: bool,
}

impl Tails {
    /// `data` is a line, or a piece of one.
    pub(super) fn stdout(&mut self, data: &[u8], starts_line: bool, ends_line: bool) {
        self.stdout.push(data);
        if starts_line {
            // A truncated line may have lost its type.
            let is_whole = ends_line && data.trim_ascii_end().ends_with(b"}");
            self.is_in_stream_line =
                data.starts_with(b"{") && (!is_whole || memmem::find(data, b"\"type\"").is_some());
        }
        if !self.is_in_stream_line {
            self.words.push(data);
        }
        self.is_line_open = !data.ends_with(b"\n");
    }

    pub(super) fn stderr(&mut self, data: &[u8]) {
        self.stderr.push(data);
    }

    /// Whether standard output ends within a line of a Claude stream.
    #[must_use]
    pub(super) fn ends_in_stream_line(&self) -> bool {
        self.is_in_stream_line && self.is_line_open
    }

    /// The end of standard output; for a Claude stream the other lines, then the end of `said`, its answer.
    #[must_use]
    pub(super) fn stdout_tail(&self, is_stream: bool, said: Option<&str>) -> Option<String> {
        if !is_stream {
            return self.stdout.text();
        }
        let words = self.words.text();
        let said = said.map(|said| harmless(said).trim_end().to_owned());
        match (words, said.filter(|said| !said.trim().is_empty())) {
            (words, None) => words,
            (None, Some(said)) => last_words(&said, TAIL_BYTES_LIMIT, false),
            (Some(words), Some(said)) => {
                last_words(&format!("{words}\n{said}"), TAIL_BYTES_LIMIT, false)
            }
        }
    }

    #[must_use]
    pub(super) fn stderr_tail(&self) -> Option<String> {
        self.stderr.text()
    }
}

/// The end of a text, at most `limit` bytes: whole lines, or `…` and the end of a line that alone is longer. `is_cut`
/// says that `text` is itself the end of a longer one. `None` if it is empty.
#[must_use]
pub(super) fn last_words(text: &str, limit: usize, is_cut: bool) -> Option<String> {
    const MARK: &str = "…";
    if text.trim().is_empty() {
        return None;
    }
    if text.len() <= limit && !is_cut {
        return Some(text.to_owned());
    }
    let from = text.ceil_char_boundary(text.len().saturating_sub(limit - MARK.len()));
    let is_line_whole = !is_cut && from == 0 || text[..from].ends_with('\n');
    let end = &text[from..];
    if is_line_whole {
        return Some(end.to_owned());
    }
    let whole_lines = end.split_once('\n').map(|(_, lines)| lines);
    Some(match whole_lines.filter(|lines| !lines.trim().is_empty()) {
        Some(lines) => lines.to_owned(),
        None => format!("{MARK}{end}"),
    })
}

/// The last line that is not empty, trimmed.
#[must_use]
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// The text without anything that a terminal interprets: escape sequences, control characters except newline and tab,
/// bidirectional controls. Of a line that was overwritten with carriage returns only the last state is kept.
#[must_use]
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let line = line.trim_end_matches('\r');
        let shown = memrchr(b'\r', line.as_bytes()).map_or(line, |at| &line[at + 1..]);
        push_harmless(&mut clean, shown);
        clean.push_str(end);
    }
    Cow::Owned(clean)
}

fn is_harmful(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        letter => letter.is_control(),
    }
}

fn push_harmless(clean: &mut String, line: &str) {
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => skip_escape(&mut letters),
            letter if is_harmful(letter) => {}
            letter => clean.push(letter),
        }
    }
}

/// Skips the rest of an escape sequence.
fn skip_escape(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match letters.next_if(|letter| !letter.is_control()) {
        // CSI: parameters and a final byte.
        Some('[') => {
            while letters.next_if(|letter| matches!(letter, ' '..='?')).is_some() {}
            letters.next_if(|letter| matches!(letter, '@'..='~'));
        }
        // OSC and its kin, such as a window title: up to BEL or another escape.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while letters.next_if(|letter| !matches!(letter, '\u{7}' | '\u{1b}')).is_some() {}
            if letters.next() == Some('\u{1b}') {
                letters.next_if_eq(&'\\');
            }
        }
        // A character set selection has one more character.
        Some('(' | ')' | '*' | '+' | '#' | '%') => drop(letters.next()),
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_stdout(chunks: &[&[u8]]) -> Option<String> {
        let mut tails = Tails::default();
        for chunk in chunks {
            tails.stdout(chunk, true, true);
        }
        tails.stdout_tail(false, None)
    }

    #[test]
    fn the_last_words_of_a_long_output_are_its_last_whole_lines() {
        let lines: Vec<String> = (1..=60_000).map(|number| format!("{number}\n")).collect();
        let chunks: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let tail = of_stdout(&chunks).unwrap();
        assert!(tail.ends_with("59999\n60000"), "{tail}");
        assert!(tail.len() <= TAIL_BYTES_LIMIT && tail.len() > TAIL_BYTES_LIMIT - 10);
        assert!(tail.lines().all(|line| line.len() == 5), "{tail}");
        assert_eq!(of_stdout(&[b"one\n", b"two\n"]).as_deref(), Some("one\ntwo"));
        assert_eq!(of_stdout(&[b"\n", b" \n"]), None);
        assert_eq!(of_stdout(&[]), None);
    }

    #[test]
    fn a_line_that_alone_is_too_long_shows_its_end_and_says_that_it_is_one() {
        let long = "ä".repeat(1_000_000) + "THE END\n";
        let tail = of_stdout(&[b"before\n", long.as_bytes()]).unwrap();
        assert!(tail.starts_with("…ä") && tail.ends_with("äTHE END"), "{tail}");
        assert!(tail.len() <= TAIL_BYTES_LIMIT);
    }

    #[test]
    fn of_a_claude_stream_people_get_words_and_not_its_lines() {
        let mut tails = Tails::default();
        tails.stdout(b"warning: the proxy is slow\n", true, true);
        for _ in 0..10_000 {
            tails.stdout(br#"{"type":"assistant","message":{}}"#, true, false);
            tails.stdout(b"and more of it}\n", false, true);
        }
        tails.stdout(b"{\"error\":\"no stream\"}\n", true, true);
        let words = "warning: the proxy is slow\n{\"error\":\"no stream\"}";
        assert_eq!(tails.stdout_tail(true, None).as_deref(), Some(words));
        let with_answer = tails.stdout_tail(true, Some("I did\nit.\n")).unwrap();
        assert_eq!(with_answer, format!("{words}\nI did\nit."));
        assert!(tails.stdout_tail(false, None).unwrap().contains("assistant"));
        assert!(!tails.ends_in_stream_line());
        tails.stdout(br#"{"usage":{},"resu"#, true, true);
        assert_eq!(tails.stdout_tail(true, None).as_deref(), Some(words));
        assert!(tails.ends_in_stream_line());
    }

    #[test]
    fn nothing_in_it_means_anything_to_a_terminal() {
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Bplain\u{1b}7", "plain"),
            ("10 %\r50 %\r100 %\r\nnext\r\n", "100 %\nnext\n"),
            ("a\u{0}b\u{8}c\u{9b}d\u{202e}e\u{7f}", "abcde"),
            ("\ttab\n", "\ttab\n"),
            ("\u{1b}", ""),
            ("\u{1b}[31", ""),
        ] {
            assert_eq!(harmless(text), expected, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_printed_a_tail_is_bounded_and_harmless(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9_000), 0..12),
            long in any::<bool>(),
        ) {
            let mut tails = Tails::default();
            for chunk in &chunks {
                tails.stdout(chunk, !long, !long);
                tails.stderr(chunk);
                prop_assert!(tails.stdout.bytes.len() <= 2 * KEPT_BYTES);
            }
            for tail in [tails.stdout_tail(long, None), tails.stderr_tail()].into_iter().flatten() {
                prop_assert!(tail.len() <= TAIL_BYTES_LIMIT);
                prop_assert!(!tail.contains(is_harmful), "{:?}", tail);
                prop_assert!(!tail.trim().is_empty());
            }
        }
    }
}
