//! Pieces of JSON as they really come: with half a surrogate pair, with bytes that are no UTF-8, cut anywhere.
//!
//! A JSON library refuses the whole text for one of these. Here each costs one character (U+FFFD). Called by
//! [`crate::line`] for the values that the scanner has found.

use serde_json::Value;

/// Reads what stands between the quotes of a JSON string. What cannot be read costs itself alone; an escape that
/// is cut off at the end is left out.
pub(crate) fn unescape(raw: &[u8]) -> String {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let (letter, after) = escape(&rest[at..]);
        if let Some(letter) = letter {
            text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = after;
    }
    text.extend_from_slice(rest);
    match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// Reads any value. `None` if it is no JSON even after what is described above.
pub(crate) fn value(raw: &[u8]) -> Option<Value> {
    serde_json::from_slice(raw).or_else(|_| serde_json::from_str(&mended(raw))).ok()
}

/// The escape that `text` begins with, and what follows it. `None` for one that is cut off.
fn escape(text: &[u8]) -> (Option<char>, &[u8]) {
    let Some(&kind) = text.get(1) else { return (None, &[]) };
    let letter = match kind {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unit_escape(text),
        // The quote, the backslash, the slash; and what no JSON has, which stands for itself.
        kind if kind.is_ascii() => char::from(kind),
        _ => return (Some(char::REPLACEMENT_CHARACTER), &text[1..]),
    };
    (Some(letter), &text[2..])
}

/// The same for `\uXXXX`, of which two make one character beyond the first plane.
fn unit_escape(text: &[u8]) -> (Option<char>, &[u8]) {
    let Some(first) = unit(text) else {
        let is_cut = text.len() < 6 && text[2..].iter().all(u8::is_ascii_hexdigit);
        return if is_cut { (None, &[]) } else { (Some(char::REPLACEMENT_CHARACTER), &text[2..]) };
    };
    let after = &text[6..];
    match unit(after).filter(|_| (0xD800..0xDC00).contains(&first)) {
        Some(second) if (0xDC00..0xE000).contains(&second) => {
            let letter = char::decode_utf16([first, second]).next().and_then(Result::ok);
            (letter, &after[6..])
        }
        Some(_) | None => {
            let letter = char::from_u32(u32::from(first));
            (Some(letter.unwrap_or(char::REPLACEMENT_CHARACTER)), after)
        }
    }
}

/// The number of a `\uXXXX` at the beginning.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

/// The same JSON with each half of a surrogate pair, and each byte that is no UTF-8, as U+FFFD.
fn mended(raw: &[u8]) -> String {
    let raw = String::from_utf8_lossy(raw);
    let mut text = String::with_capacity(raw.len());
    let mut rest = &*raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (letter, after) = escape(&rest.as_bytes()[at..]);
        let end = rest.len() - after.len();
        let end = if rest.is_char_boundary(end) { end } else { rest.ceil_char_boundary(end) };
        match letter {
            Some(char::REPLACEMENT_CHARACTER) => text.push_str("\\ufffd"),
            Some(_) | None => text.push_str(&rest[at..end]),
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_an_emoji_costs_one_character() {
        for (raw, expected) in [
            (r"done \ud83d", "done \u{fffd}"),
            (r"\ude00 done", "\u{fffd} done"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ud83dA", "\u{fffd}A"),
            (r"a\/b\q", "a/bq"),
            (r"\u+123", "\u{fffd}+123"),
        ] {
            assert_eq!(unescape(raw.as_bytes()), expected, "{raw}");
        }
        assert_eq!(unescape(b"a\xffb\\\xc3\xa4"), "a\u{fffd}b\u{fffd}\u{e4}");
        let value = value(br#"{"a":"\ud83d","b\udc00":["\\ud83d","\ud83d\ude00"]}"#).unwrap();
        let expected = serde_json::json!({"a": "\u{fffd}", "b\u{fffd}": ["\\ud83d", "\u{1f600}"]});
        assert_eq!(value, expected);
    }

    #[test]
    fn an_escape_that_is_cut_off_is_left_out() {
        for cut in ["\\", "\\u", "\\u00", "\\u004"] {
            assert_eq!(unescape(format!("end{cut}").as_bytes()), "end", "{cut}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_is_read_as_a_json_library_reads_it(text in any::<String>()) {
            let raw = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(&raw.as_bytes()[1..raw.len() - 1]), text.clone());
            let escaped: String =
                text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(unescape(escaped.as_bytes()), text.clone());
            prop_assert_eq!(value(format!("\"{escaped}\"").as_bytes()), Some(Value::from(text)));
        }

        #[test]
        fn no_bytes_make_it_panic(raw in any::<Vec<u8>>(), cut in 0_usize..40) {
            unescape(&raw);
            mended(&raw);
            let escapes = r"\ud83d\ude00\u00e4\n\\".as_bytes();
            unescape(&escapes[..cut.min(escapes.len())]);
            value(&escapes[..cut.min(escapes.len())]);
        }
    }
}
