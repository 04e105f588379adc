//! How much is kept of each text that is taken out of a stream.

/// Longest answer in [`cc_events::ClaudeResult::result`]; the whole of it is in the output.
pub const RESULT_BYTES_LIMIT: usize = 256 * 1024;
/// Longest JSON form of that answer, so that one full of control characters fits a message too.
pub const RESULT_JSON_BYTES_LIMIT: usize = 512 * 1024;
/// Longest JSON text that is kept as [`cc_events::ClaudeResult::usage`].
pub const USAGE_BYTES_LIMIT: usize = 64 * 1024;
/// Most texts of [`cc_events::ClaudeResult::errors`].
pub(crate) const ERRORS_LIMIT: usize = 16;
/// Longest JSON text that is kept as [`cc_events::ClaudeResult::structured_output`].
pub(crate) const STRUCTURED_BYTES_LIMIT: usize = 256 * 1024;
/// Longest of all other texts that are taken from the stream.
pub const TEXT_BYTES_LIMIT: usize = 4 * 1024;

/// The beginning of a text, cut at a character boundary.
pub(crate) fn cut_text(text: &str, bytes_limit: usize) -> String {
    text[..text.floor_char_boundary(bytes_limit)].to_owned()
}

/// Cuts an answer at a character boundary where it, or its JSON form, becomes too long; says whether it did.
#[must_use]
pub fn cut_answer(mut text: String) -> (String, bool) {
    let mut json_bytes = 0;
    let end = text
        .char_indices()
        .find(|&(start, letter)| {
            json_bytes += json_bytes_of(letter);
            start + letter.len_utf8() > RESULT_BYTES_LIMIT || json_bytes > RESULT_JSON_BYTES_LIMIT
        })
        .map(|(start, _)| start);
    if let Some(end) = end {
        text.truncate(end);
        text.shrink_to_fit();
    }
    (text, end.is_some())
}

fn json_bytes_of(letter: char) -> usize {
    match letter {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        letter if letter.is_ascii_control() => 6,
        letter => letter.len_utf8(),
    }
}
