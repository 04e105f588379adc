//! The secret by which a session is resumed. Only its hash is kept, and it is compared in constant time.

use std::fmt;

use base64::Engine as _;
use cc_state::TokenHash;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Never printed.
pub(crate) struct ResumeToken(String);

impl ResumeToken {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret)))
    }

    /// For the one message that gives it to its client.
    #[must_use]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(text: &str) -> TokenHash {
        Sha256::digest(text.as_bytes()).into()
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ResumeToken(…)")
    }
}

/// Whether a token is the one with this hash; takes the same time for every token.
#[must_use]
pub(crate) fn is_token_of(token: &str, hash: &TokenHash) -> bool {
    ResumeToken::hash(token).ct_eq(hash).into()
}
