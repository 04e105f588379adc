//! Bytes to text: UTF-8 with or without a byte order mark, and any line endings. Other encodings are mistakes that say
//! which encoding it probably is.

use std::io::Read;

use super::{
    mistake::Mistake,
    place::{Place, Places},
};

pub(super) const FILE_BYTES_LIMIT: u64 = 64 * 1024 * 1024;

/// Reads one byte more than a file may have, so that a larger one is recognized.
pub(super) fn read_all(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A text with `\n` at the end of its lines, and no other place of a byte than in the file, but for the mark.
#[derive(Debug)]
pub(super) struct Decoded(pub(super) String);

impl Decoded {
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Mistake> {
        let refused = |place, what: &str| Err(Mistake { place, what: what.to_owned() });
        if let Some(name) = wide(bytes) {
            let what = format!(
                "is {name} text; save it as UTF-8, as by: iconv -f {name} -t UTF-8 FILE > NEW_FILE"
            );
            return refused(Place::START, &what);
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let before = std::str::from_utf8(before).unwrap_or_default();
                let place = Places::of(before).at(before.len());
                return refused(place, NO_UTF_8);
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(offset) = text.find('\0') {
            let what = "has a NUL character, which no text has: it may be UTF-16 without a mark \
                        (iconv -f UTF-16LE -t UTF-8 FILE > NEW_FILE), or no text at all";
            return refused(Places::of(text).at(offset), what);
        }
        Ok(Self(with_newlines(text)))
    }
}

/// The mistake of a file that is no UTF-8.
const NO_UTF_8: &str = "is no UTF-8 text";
/// Advice for files of older editors.
const OLD_ENCODING_HINT: &str = "; if it is ISO 8859-1 or Windows-1252, save it as UTF-8, as by: \
    iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE";

/// The mistake, with advice where there is some.
pub(super) fn with_hint(mut mistake: Mistake) -> Mistake {
    if mistake.what == NO_UTF_8 {
        mistake.what.push_str(OLD_ENCODING_HINT);
    }
    mistake
}

/// What to do about a quotation mark that a word processor has put there.
pub(super) fn quote_hint(text: &str, offset: usize) -> &'static str {
    let offset = text.floor_char_boundary(offset);
    let has_one = text[offset..].starts_with(['“', '”', '„', '‘', '’', '«', '»']);
    if has_one { "; this is a typographic quotation mark: write a straight one" } else { "" }
}

/// The name of a UTF-16 or UTF-32 encoding, by its byte order mark.
fn wide(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    }
}

/// A carriage return alone ends a line in old files.
fn with_newlines(text: &str) -> String {
    if !text.contains('\r') {
        return text.to_owned();
    }
    let mut letters = text.chars().peekable();
    let mut lines = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        let is_alone = letter == '\r' && letters.peek().is_some_and(|next| *next != '\n');
        let is_last = letter == '\r' && letters.peek().is_none();
        lines.push(if is_alone || is_last { '\n' } else { letter });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_is_read_and_no_byte_moves() {
        for (text, expected) in
            [("a\rb\r", "a\nb\n"), ("a\r\nb", "a\r\nb"), ("\u{feff}a\r\r\nb", "a\n\r\nb"), ("", "")]
        {
            assert_eq!(Decoded::of(text.as_bytes()).unwrap().0, expected);
        }
    }

    #[test]
    fn what_is_no_utf_8_is_named_where_that_can_be_known() {
        let wide =
            |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect();
        let little: Vec<u8> = wide("\u{feff}ab\n", u16::to_le_bytes);
        let big: Vec<u8> = wide("\u{feff}ab\n", u16::to_be_bytes);
        let bare: Vec<u8> = wide("ab\n", u16::to_le_bytes);
        for (bytes, word) in [
            (&little[..], "is UTF-16 text"),
            (&big, "is UTF-16 text"),
            (&bare, "UTF-16 without a mark"),
            (b"\xff\xfe\0\0a\0\0\0", "is UTF-32 text"),
            (b"Pr\xfcfe den Parser", "no UTF-8 text"),
        ] {
            let mistake = Decoded::of(bytes).unwrap_err();
            assert!(mistake.what.contains(word), "{mistake:?}");
        }
    }
}
