//! The tokens of one file.

use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config::tokens::{
    grant::Grant,
    secret::{self, SecretHash},
};

/// Empty: no client needs a token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenList {
    grants: Vec<Arc<Grant>>,
}

impl TokenList {
    pub(super) fn new(grants: Vec<Grant>) -> Self {
        Self { grants: grants.into_iter().map(Arc::new).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    /// The token with this secret. How long that takes does not depend on which one it is, nor on whether it is one.
    pub(super) fn find(&self, secret: &str) -> Option<(Arc<Grant>, SecretHash)> {
        let hash = secret::hash(secret);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (index, grant) in (0_u64..).zip(&self.grants) {
            for known in &grant.hashes {
                let is_it = known.ct_eq(&hash);
                place.conditional_assign(&index, is_it);
                found |= is_it;
            }
        }
        let grant = self.grants.get(usize::try_from(place).ok()?)?;
        bool::from(found).then(|| (Arc::clone(grant), hash))
    }

    /// The token with this name, if it still has this secret.
    pub(super) fn current(&self, name: &str, hash: &SecretHash) -> Option<&Arc<Grant>> {
        self.grants.iter().find(|grant| &*grant.name == name && grant.hashes.contains(hash))
    }

    /// The token with this name.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Grant>> {
        self.grants.iter().find(|grant| &*grant.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_any_of_its_secrets_and_by_nothing_else() {
        let grant = |name: &str, secrets: &[&str]| Grant {
            hashes: secrets.iter().map(|text| secret::hash(text)).collect(),
            ..Grant::unlimited(name, [0; 32])
        };
        let list = TokenList::new(vec![grant("a", &["one", "two"]), grant("b", &["three"])]);
        let name = |secret| list.find(secret).map(|(grant, _)| grant.name.to_string());
        for (secret, expected) in [("one", "a"), ("two", "a"), ("three", "b")] {
            assert_eq!(name(secret).as_deref(), Some(expected));
        }
        for wrong in ["", "four", "One", "one "] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
        assert_eq!(TokenList::default().find("one"), None);
    }
}
