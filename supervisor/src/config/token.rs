//! The secret that clients present. It is read once, at the start.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// The shared secret of the clients. Compared in constant time, never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a text that can stand in a header and in a subprotocol.
    ///
    /// # Errors
    /// Says what a token must be.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() < 16 {
            return Err("a token must have at least 16 characters");
        }
        if !text.bytes().all(is_plain) {
            return Err("a token may have only letters, digits and -._~+/=");
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether this is the token, compared in constant time.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
