//! As much of a request as an error repeats.

/// Longest id, characters.
const ID_CHARS_LIMIT: usize = 64;
/// Longest method or command, characters.
const WORD_CHARS_LIMIT: usize = 100;

pub(super) fn shown_id(id: &str) -> String {
    id.chars().take(ID_CHARS_LIMIT).collect()
}

pub(super) fn shown_word(word: &str) -> String {
    word.chars().take(WORD_CHARS_LIMIT).collect()
}
