//! The secret of a token. Only its hash is kept.

use sha2::{Digest as _, Sha256};

use crate::config::error::TokenError;

const LEAST_CHARS: usize = 16;

/// SHA-256 of a secret.
pub(crate) type SecretHash = [u8; 32];

/// The hash of a secret that can stand in a header and in a subprotocol.
///
/// # Errors
/// What a token must be.
pub(super) fn hash_of_token(text: &str) -> Result<SecretHash, TokenError> {
    if text.len() < LEAST_CHARS {
        return Err(TokenError::Short);
    }
    if !is_plain(text) {
        return Err(TokenError::Characters);
    }
    Ok(hash(text))
}

/// Whether a text has only characters that a token may have.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

pub(super) fn hash(text: &str) -> SecretHash {
    Sha256::digest(text.as_bytes()).into()
}

/// Reads a hash as `sha256sum` writes it.
pub(super) fn read_hash(text: &str) -> Option<SecretHash> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_sha256sum_writes_it() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(read_hash(hex), Some(hash("abc")));
        assert_eq!(read_hash(&hex.to_uppercase()), Some(hash("abc")));
        for bad in ["", "ba78", &hex[1..], &hex.replace('b', "+"), &hex.replace('b', "ä")] {
            assert_eq!(read_hash(bad), None, "{bad}");
        }
    }
}
