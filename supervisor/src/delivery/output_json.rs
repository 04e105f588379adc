//! Output as JSON, written straight from the bytes of a record. Nearly every byte of a task goes this way.
//!
//! It writes exactly what serde would write for the types in [`cc_protocol::notification`], without making any of them; a
//! property test compares the two. Pure. Called by [`crate::delivery::notification`].

use cc_link::record::{Piece, Stream};

use crate::delivery::socket::MessageBuffer;

/// Bytes that are checked together: must JSON escape any of them?
const BLOCK_BYTES: usize = 32;
/// Bytes that are checked together: which of them must be escaped?
const WORD_BYTES: usize = 8;

/// A line, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub seq: u64,
    pub stream: Stream,
    /// `None` for a whole line.
    pub piece: Option<Piece>,
    /// The line was cut at its limit.
    pub truncated: bool,
    pub data: &'a [u8],
}

/// Writes the output of one task.
#[derive(Clone, Debug)]
pub(crate) struct OutputJson {
    /// The text between the data and the seq of a whole line.
    plain: String,
    /// The same for a piece, after the fields of the piece.
    task: String,
    batch_head: String,
}

impl OutputJson {
    #[must_use]
    pub(crate) fn new(task_id: &str) -> Self {
        let mut id = String::new();
        push_string(&mut id, task_id.as_bytes());
        let task = format!(",\"task_id\":{id},\"seq\":");
        Self {
            plain: format!(",\"truncated\":false,\"chunk_index\":null,\"total_chunks\":null{task}"),
            task,
            batch_head: format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"process.output_batch\",\
                 \"params\":{{\"task_id\":{id},\"items\":["
            ),
        }
    }

    /// Adds a `process.output` message.
    pub(crate) fn message(&self, line: &Line<'_>, messages: &mut MessageBuffer) {
        let text = messages.open();
        text.push_str(match line.stream {
            Stream::Stdout => {
                "{\"jsonrpc\":\"2.0\",\"method\":\"process.output\",\
                 \"params\":{\"type\":\"stdout\",\"data\":"
            }
            Stream::Stderr => {
                "{\"jsonrpc\":\"2.0\",\"method\":\"process.output\",\
                 \"params\":{\"type\":\"stderr\",\"data\":"
            }
        });
        push_string(text, line.data);
        if line.piece.is_none() && !line.truncated {
            text.push_str(&self.plain);
        } else {
            text.push_str(if line.truncated {
                ",\"truncated\":true,\"chunk_index\":"
            } else {
                ",\"truncated\":false,\"chunk_index\":"
            });
            match line.piece {
                Some(piece) => push_number(text, u64::from(piece.index)),
                None => text.push_str("null"),
            }
            text.push_str(",\"total_chunks\":null");
            push_last_chunk(text, line.piece);
            text.push_str(&self.task);
        }
        push_number(text, line.seq);
        text.push_str("}}");
        messages.close(line.seq);
    }

    /// Begins a `process.output_batch` message, to which [`OutputJson::item`] adds.
    pub(crate) fn begin_batch(&self, messages: &mut MessageBuffer) {
        messages.open().push_str(&self.batch_head);
    }

    /// Adds a line to the batch that has been begun.
    pub(crate) fn item(&self, line: &Line<'_>, is_first: bool, messages: &mut MessageBuffer) {
        let text = messages.open();
        text.push_str(if is_first { "{\"seq\":" } else { ",{\"seq\":" });
        push_number(text, line.seq);
        text.push_str(match line.stream {
            Stream::Stdout => ",\"type\":\"stdout\",\"data\":",
            Stream::Stderr => ",\"type\":\"stderr\",\"data\":",
        });
        push_string(text, line.data);
        if line.truncated {
            text.push_str(",\"truncated\":true");
        }
        if let Some(piece) = line.piece {
            text.push_str(",\"chunk_index\":");
            push_number(text, u64::from(piece.index));
            push_last_chunk(text, line.piece);
        }
        text.push('}');
    }

    /// Completes the batch, whose last line has this number.
    pub(crate) fn end_batch(&self, messages: &mut MessageBuffer, seq: u64) {
        messages.open().push_str("]}}");
        messages.close(seq);
    }
}

fn push_last_chunk(text: &mut String, piece: Option<Piece>) {
    text.push_str(match piece {
        Some(Piece { last: true, .. }) => ",\"last_chunk\":true",
        Some(Piece { last: false, .. }) => ",\"last_chunk\":false",
        None => "",
    });
}

fn push_number(text: &mut String, mut number: u64) {
    const MOST_DIGITS: usize = 20;
    let mut digits = [b'0'; MOST_DIGITS];
    let mut start = MOST_DIGITS;
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // Digits are valid UTF-8.
    text.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// Appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
fn push_string(text: &mut String, data: &[u8]) {
    text.push('"');
    match std::str::from_utf8(data) {
        Ok(valid) => push_escaped(text, valid),
        Err(_) => {
            for chunk in data.utf8_chunks() {
                push_escaped(text, chunk.valid());
                if !chunk.invalid().is_empty() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
    }
    text.push('"');
}

fn push_escaped(text: &mut String, valid: &str) {
    let bytes = valid.as_bytes();
    // Everything before this index is written. It is never within a character.
    let mut written = 0;
    let mut escape = |index: usize, text: &mut String| {
        if must_be_escaped(bytes[index]) {
            text.push_str(&valid[written..index]);
            push_escape(text, bytes[index]);
            written = index + 1;
        }
    };
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    for (block_index, block) in blocks.iter().enumerate() {
        // Most blocks have nothing to escape, and the compiler makes few instructions of this check.
        if !block.iter().fold(false, |any, byte| any | must_be_escaped(*byte)) {
            continue;
        }
        let (words, _) = block.as_chunks();
        for (word_index, word) in words.iter().enumerate() {
            let start = block_index * BLOCK_BYTES + word_index * WORD_BYTES;
            let mut suspects = suspects(*word);
            while suspects != 0 {
                escape(start + suspects.trailing_zeros() as usize / 8, text);
                suspects &= suspects - 1;
            }
        }
    }
    for index in bytes.len() - rest.len()..bytes.len() {
        escape(index, text);
    }
    text.push_str(&valid[written..]);
}

/// Checks eight bytes at once. The highest bit of each byte that must be escaped is set in the result, and sometimes that
/// of another byte.
fn suspects(word: [u8; WORD_BYTES]) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; WORD_BYTES]);
    const HIGHEST_BITS: u64 = EACH << 7;
    let word = u64::from_le_bytes(word);
    // The subtraction sets the highest bit of a byte that was less than the limit, or that follows such a one.
    let below =
        |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word & HIGHEST_BITS;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    below(word, 0x20) | is(b'"') | is(b'\\')
}

fn must_be_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escape(text: &mut String, byte: u8) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => text.push_str("\\\""),
        b'\\' => text.push_str("\\\\"),
        b'\n' => text.push_str("\\n"),
        b'\t' => text.push_str("\\t"),
        b'\r' => text.push_str("\\r"),
        0x08 => text.push_str("\\b"),
        0x0c => text.push_str("\\f"),
        _ => {
            text.push_str("\\u00");
            text.push(char::from(HEX_DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(HEX_DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use cc_protocol::notification::{
        Notification, OutputBatch, OutputItem, Position, ProcessOutput,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::notification::to_text;

    fn any_data() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            "[a-z\"\\\\\n\t\r\u{8}\u{c}\u{1}\u{1f}\u{7f}é漢🦀]{0,100}".prop_map(String::into_bytes),
        ]
    }

    fn any_piece() -> impl Strategy<Value = Option<Piece>> {
        let piece = (any::<u32>(), any::<bool>()).prop_map(|(index, last)| Piece { index, last });
        proptest::option::of(piece)
    }

    proptest! {
        #[test]
        fn any_output_is_written_as_its_type_says(
            seq in any::<u64>(),
            is_stderr in any::<bool>(),
            piece in any_piece(),
            truncated in any::<bool>(),
            data in any_data(),
        ) {
            let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
            let writer = OutputJson::new("an \"id\"");
            let line = Line { seq, stream, piece, truncated, data: &data };
            let mut messages = MessageBuffer::default();
            writer.message(&line, &mut messages);
            writer.begin_batch(&mut messages);
            writer.item(&line, true, &mut messages);
            writer.item(&line, false, &mut messages);
            writer.end_batch(&mut messages, seq);
            let output = ProcessOutput {
                stream: Cow::Borrowed(stream.as_str()),
                data: String::from_utf8_lossy(&data),
                truncated,
                chunk_index: piece.map(|piece| piece.index),
                total_chunks: None,
                last_chunk: piece.map(|piece| piece.last),
                position: Position { task_id: "an \"id\"".to_owned(), seq },
            };
            let item = OutputItem {
                seq,
                stream: output.stream.clone(),
                data: output.data.clone(),
                truncated,
                chunk_index: output.chunk_index,
                last_chunk: output.last_chunk,
            };
            let items = vec![item.clone(), item];
            let batch = OutputBatch { task_id: "an \"id\"".to_owned(), items };
            let expected =
                [to_text(&Notification::Output(output)), to_text(&Notification::OutputBatch(batch))];
            prop_assert_eq!(messages.iter().collect::<Vec<_>>(), expected);
        }
    }
}
