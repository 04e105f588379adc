//! Keeps what a client has sent from changing how a line of the audit log looks: JSON escapes control characters, and leaves
//! those that turn the direction of a text, end a line, or cannot be seen.

/// Escapes them in JSON, where they can only stand in strings.
#[must_use]
pub(super) fn invisible(json: String) -> String {
    if !json.chars().any(is_invisible) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// DEL and the second set of control characters, and Unicode's Cf, Zl and Zp.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_reads_back_as_it_was() {
        for text in ["a\u{202e}b", "a\u{2028}b", "a\u{e0041}b", "\u{feff}\u{9b}", "größer, 漢字"]
        {
            let escaped = invisible(serde_json::to_string(text).unwrap());
            assert!(!escaped.chars().any(is_invisible), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
        assert_eq!(invisible("\"größer\"".to_owned()), "\"größer\"");
    }
}
