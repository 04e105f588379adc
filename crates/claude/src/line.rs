//! From fragments of stdout to the few lines that are worth parsing.
//!
//! Owns the decision which lines those are and the memory for the one that is being collected. A line
//! is judged by its first [`HEAD_BYTES`]; one that cannot matter (plain text, a tool's result, an
//! answer of the model) is never copied. Called by [`crate::stream`]; does not parse.

use memchr::memmem;

/// The CLI writes `"type"` first in every line, and a synthetic answer's model within 200 bytes. A
/// wrapper that sorts the keys and puts a long answer before the type is not understood.
const HEAD_BYTES: usize = 1024;

/// Most bytes of one line that are kept, however high the task's line limit is. A result line of this
/// size is still understood up to the answer's text.
pub(crate) const COLLECTED_BYTES_LIMIT: u64 = 16 * 1024 * 1024;

/// A line that may matter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// To be parsed, from its brace to its end.
    Whole(&'a [u8]),
    /// To be parsed as far as it goes: it was cut at the line limit.
    Cut(&'a [u8]),
    /// The model answered. What it said is nobody's business here, but for whether it may be that it
    /// wants a tool.
    Answer {
        /// Not surely without one.
        may_use_tool: bool,
    },
    /// The CLI told the model what a tool did.
    ToolResult,
}

/// Puts fragments together. At most one line is in memory.
#[derive(Debug)]
pub(crate) struct LineCollector {
    bytes_limit: usize,
    state: State,
    /// What is there of the line in the states `Head` and `Body`.
    buffer: Vec<u8>,
}

/// ```text
///            starts_line            head is there and may matter
///   Skip ───────────────▶ Head ───────────────────────────────▶ Body
///     ▲                    │ cannot matter, or the line ends      │ the line ends
///     └────────────────────┴──────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Skip,
    Head,
    Body,
}

/// What the head of a line says about it.
enum Interest {
    Nothing,
    Answer,
    ToolResult,
    Parse,
}

impl LineCollector {
    pub(crate) fn new(line_bytes_limit: u64) -> Self {
        let bytes_limit = line_bytes_limit.min(COLLECTED_BYTES_LIMIT);
        Self {
            bytes_limit: usize::try_from(bytes_limit).unwrap_or(usize::MAX),
            state: State::Skip,
            buffer: Vec::new(),
        }
    }

    /// Takes the next fragment, and hands over at most one line.
    pub(crate) fn fragment<'a>(
        &'a mut self,
        data: &'a [u8],
        starts_line: bool,
        ends_line: bool,
        truncated: bool,
    ) -> Option<Line<'a>> {
        if starts_line {
            self.state = State::Head;
            // An empty buffer and no memory held while lines that do not matter go by.
            self.buffer = Vec::new();
        }
        if self.state == State::Skip {
            return None;
        }
        // The common case, a whole line in one fragment, is read where it stands.
        let line = if self.buffer.is_empty() && (ends_line || data.len() >= HEAD_BYTES) {
            data
        } else {
            self.append(data);
            self.buffer.as_slice()
        };
        if self.state == State::Head {
            if !ends_line && line.len() < HEAD_BYTES {
                if line.first().is_some_and(|&first| first != b'{') {
                    self.state = State::Skip;
                } else if self.buffer.is_empty() {
                    self.append(data);
                }
                return None;
            }
            let head = &line[..line.len().min(HEAD_BYTES)];
            match interest(head) {
                Interest::Parse => self.state = State::Body,
                Interest::Answer => {
                    let is_whole = ends_line && line.len() <= HEAD_BYTES && !truncated;
                    self.state = State::Skip;
                    return Some(Line::Answer { may_use_tool: !is_whole || names_tool(head) });
                }
                Interest::ToolResult => {
                    self.state = State::Skip;
                    return Some(Line::ToolResult);
                }
                Interest::Nothing => {
                    self.state = State::Skip;
                    return None;
                }
            }
        }
        if ends_line {
            self.state = State::Skip;
        }
        self.hand_over(data, ends_line, truncated)
    }

    /// In the state `Body`, or at its end: keeps the fragment, or hands the line over.
    fn hand_over<'a>(
        &'a mut self,
        data: &'a [u8],
        ends_line: bool,
        truncated: bool,
    ) -> Option<Line<'a>> {
        if !ends_line {
            if self.buffer.is_empty() {
                self.append(data);
            }
            return None;
        }
        let line = if self.buffer.is_empty() { data } else { self.buffer.as_slice() };
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        if truncated || content.len() > self.bytes_limit {
            return Some(Line::Cut(&content[..content.len().min(self.bytes_limit)]));
        }
        Some(Line::Whole(content))
    }

    /// One byte more than the limit, and its newline, is enough to know that the line is too long;
    /// a head is kept whole, so that its judgement does not depend on the limit.
    fn append(&mut self, data: &[u8]) {
        let room = (self.bytes_limit + 2).max(HEAD_BYTES).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(&data[..data.len().min(room)]);
    }
}

fn interest(head: &[u8]) -> Interest {
    if head.first() != Some(&b'{') {
        return Interest::Nothing;
    }
    for position in memmem::find_iter(head, b"\"type\"") {
        // Inside a text the quotes are escaped, so this is a key, at whatever depth.
        let value = head[position + b"\"type\"".len()..].trim_ascii_start();
        let Some(value) = value.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        let is = |name: &[u8]| value.starts_with(name);
        if is(b"\"result\"") || is(b"\"system\"") || is(b"\"rate_limit_event\"") {
            return Interest::Parse;
        }
        if is(b"\"assistant\"") {
            // An answer that the CLI itself made up to report a failure.
            let synthetic = memmem::find(head, b"\"<synthetic>\"").is_some();
            return if synthetic { Interest::Parse } else { Interest::Answer };
        }
        if is(b"\"user\"") {
            return Interest::ToolResult;
        }
    }
    Interest::Nothing
}

/// Whether a block of an answer asks for a tool. Inside a text the closing quote would be escaped.
fn names_tool(answer: &[u8]) -> bool {
    memmem::find(answer, b"tool_use\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(line_bytes_limit: u64, fragments: &[&[u8]], truncated: bool) -> Vec<String> {
        let mut collector = LineCollector::new(line_bytes_limit);
        let mut seen = Vec::new();
        for (index, data) in fragments.iter().enumerate() {
            let last = index + 1 == fragments.len();
            if let Some(line) = collector.fragment(data, index == 0, last, last && truncated) {
                seen.push(match line {
                    Line::Whole(line) => format!("whole {}", String::from_utf8_lossy(line)),
                    Line::Cut(line) => format!("cut {}", String::from_utf8_lossy(line)),
                    Line::Answer { may_use_tool: false } => "answer".to_owned(),
                    Line::Answer { may_use_tool: true } => "answer that may use a tool".to_owned(),
                    Line::ToolResult => "tool".to_owned(),
                });
            }
        }
        seen
    }

    #[test]
    fn a_line_is_kept_by_its_type_wherever_the_type_stands_in_the_head() {
        for (line, expected) in [
            (r#"{"type":"result"}"#, "whole"),
            (r#"{ "is_error": false, "type" : "result" }"#, "whole"),
            (r#"{"type":"system","subtype":"init"}"#, "whole"),
            (r#"{"type":"rate_limit_event"}"#, "whole"),
            (r#"{"type":"assistant","message":{"model":"opus"}}"#, "answer"),
            (r#"{"type":"assistant","message":{"model":"<synthetic>"}}"#, "whole"),
            (r#"{"type":"assistant","message":{"text":"\"<synthetic>\""}}"#, "answer"),
            (r#"{"type":"user","message":{"type":"result"}}"#, "tool"),
            (r#"{"text":"\"type\":\"result\""}"#, ""),
            (r#"say {"type":"result"}"#, ""),
            ("", ""),
        ] {
            let seen = collect(1000, &[line.as_bytes()], false);
            let kind = seen.first().map_or("", |seen| seen.split(' ').next().unwrap());
            assert_eq!(kind, expected, "{line}");
        }
    }

    #[test]
    fn an_answer_is_without_a_tool_only_where_all_of_it_says_so() {
        let long = format!(r#"{{"type":"assistant","message":{{"text":"{}"}}}}"#, "x".repeat(2000));
        for (line, expected) in [
            (r#"{"type":"assistant","content":[{"type":"text","text":"hi"}]}"#, "answer"),
            (
                r#"{"type":"assistant","content":[{"type":"text","text":"\"tool_use\" is"}]}"#,
                "answer",
            ),
            (
                r#"{"type":"assistant","content":[{"type":"tool_use","name":"Bash"}]}"#,
                "answer that may use a tool",
            ),
            (long.as_str(), "answer that may use a tool"),
        ] {
            for size in [7, 1024, 4000] {
                let pieces: Vec<&[u8]> = line.as_bytes().chunks(size).collect();
                assert_eq!(collect(10_000, &pieces, false), [expected], "{line} {size}");
            }
        }
    }

    #[test]
    fn a_long_line_comes_together_from_its_pieces() {
        let long = format!(r#"{{"type":"result","result":"{}"}}"#, "x".repeat(5000));
        for size in [1, 7, 1023, 1024, 1025, 4000] {
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(size).collect();
            assert_eq!(collect(10_000, &pieces, false), [format!("whole {long}")], "{size}");
        }
    }

    #[test]
    fn a_line_over_the_limit_is_handed_over_as_cut_however_it_comes() {
        let line = br#"{"type":"result","is_error":true}"#;
        let limit = line.len() as u64;
        for size in [1, 10, 100] {
            let pieces: Vec<&[u8]> = line.chunks(size).collect();
            assert!(collect(limit, &pieces, false)[0].starts_with("whole "), "{size}");
            assert!(collect(limit, &pieces, true)[0].starts_with("cut "), "{size}");
            let cut = collect(limit - 1, &pieces, false);
            assert_eq!(cut, [r#"cut {"type":"result","is_error":true"#], "{size}");
        }
    }

    #[test]
    fn what_does_not_matter_is_not_kept_in_memory() {
        let mut collector = LineCollector::new(u64::MAX);
        let answer = format!(r#"{{"type":"user","content":"{}"#, "x".repeat(60_000));
        let head = collector.fragment(answer.as_bytes(), true, false, false);
        assert_eq!(head, Some(Line::ToolResult));
        for _ in 0..100 {
            assert_eq!(collector.fragment(answer.as_bytes(), false, false, false), None);
        }
        assert_eq!(collector.buffer.capacity(), 0);
    }

    #[test]
    fn a_line_that_never_ended_does_not_leak_into_the_next_one() {
        let mut collector = LineCollector::new(1000);
        assert_eq!(collector.fragment(br#"{"type":"result","#, true, false, false), None);
        let next = br#"{"type":"system"}"#;
        assert_eq!(collector.fragment(next, true, true, false), Some(Line::Whole(next)));
        assert_eq!(collector.fragment(b"rest", false, true, false), None);
    }
}
