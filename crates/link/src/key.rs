//! The key of a state directory: what a supervisor shows to workers and keepers that an earlier one started.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Letters of a key: 32 random bytes in hexadecimal.
pub const KEY_LETTERS: usize = 64;

/// A secret. It has no `Display`, and its `Debug` does not show it.
#[derive(Clone, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// `None`: it is no key.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let is_key = text.len() == KEY_LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| Self(text.to_owned()))
    }

    /// What the file of a state directory holds.
    #[must_use]
    pub fn to_text(&self) -> &str {
        &self.0
    }

    /// Whether a caller that has shown this may ask. Where no key is wanted, every caller may.
    #[must_use]
    pub fn admits(wanted: Option<&Self>, shown: Option<&Self>) -> bool {
        match (wanted, shown) {
            (None, _) => true,
            (Some(wanted), Some(shown)) => wanted == shown,
            (Some(_), None) => false,
        }
    }
}

/// Takes the same time wherever the two differ.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.bytes().zip(other.0.bytes());
        let difference = pairs.fold(0, |difference, (own, others)| difference | (own ^ others));
        self.0.len() == other.0.len() && difference == 0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_wanted_or_not_and_never_printed() {
        let key = |letter: &str| Key::from_text(&letter.repeat(KEY_LETTERS)).unwrap();
        let (own, others) = (key("a"), key("b"));
        assert!(Key::admits(None, None) && Key::admits(None, Some(&others)));
        assert!(Key::admits(Some(&own), Some(&own.clone())));
        assert!(!Key::admits(Some(&own), Some(&others)) && !Key::admits(Some(&own), None));
        let cut: Key = serde_json::from_str("\"aa\"").unwrap();
        assert!(!Key::admits(Some(&own), Some(&cut)));
        assert!(!format!("{own:?}").contains("aa"));
        assert!(Key::from_text("").is_none() && Key::from_text(&"x".repeat(64)).is_none());
    }
}
