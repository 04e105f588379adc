//! The secret that clients present. It is read once, at the start.

use std::fmt;

use subtle::ConstantTimeEq as _;

use crate::config::error::TokenError;

/// The shared secret of the clients. Compared in constant time, never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Takes a text that can stand in a header and in a subprotocol.
    ///
    /// # Errors
    /// What a token must be.
    pub(crate) fn new(text: &str) -> Result<Self, TokenError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() < 16 {
            return Err(TokenError::Short);
        }
        if !text.bytes().all(is_plain) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether this is the token, compared in constant time.
    pub(crate) fn is(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
