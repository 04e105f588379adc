//! The tokens in force, and their reload.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

use crate::config::{
    error::{PathError, TokenError},
    tokens::{
        access::{Access, Presented},
        file,
        grant::Grant,
        list::TokenList,
        secret,
    },
};

/// The tokens of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenSetting {
    list: TokenList,
    is_of_variable: bool,
}

impl TokenSetting {
    /// The one token that an environment variable holds.
    ///
    /// # Errors
    /// What a token must be.
    pub(crate) fn of_variable(text: &str) -> Result<Self, TokenError> {
        let grant = Grant::only(secret::hash_of_token(text)?);
        Ok(Self { list: TokenList::new(vec![grant]), is_of_variable: true })
    }

    /// The tokens of a file that an operator names.
    ///
    /// # Errors
    /// When it cannot be read, others could read it, or it holds no tokens.
    pub(crate) fn of_file(path: &Path) -> Result<Self, PathError> {
        Ok(Self { list: file::read(path, false)?, is_of_variable: false })
    }

    /// The tokens of a credential, which the service manager has made readable for this service alone.
    ///
    /// # Errors
    /// When it cannot be read or holds no tokens.
    pub(crate) fn of_credential(path: &Path) -> Result<Self, PathError> {
        Ok(Self { list: file::read(path, true)?, is_of_variable: false })
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every process of this user can read the token in this process's environment.
    pub(crate) fn is_of_variable(&self) -> bool {
        self.is_of_variable
    }
}

/// The tokens in force.
#[derive(Debug)]
pub(crate) struct Tokens {
    current: RwLock<Arc<TokenList>>,
    /// Changes when the tokens have changed.
    changed: watch::Sender<()>,
}

impl Tokens {
    pub(crate) fn new(setting: TokenSetting) -> Self {
        let current = RwLock::new(Arc::new(setting.list));
        Self { current, changed: watch::Sender::new(()) }
    }

    /// Whether every client needs a token.
    pub(crate) fn are_required(&self) -> bool {
        !self.list().is_empty()
    }

    /// The token with this secret.
    pub(crate) fn find(&self, secret: &str) -> Option<Presented> {
        let (grant, hash) = self.list().find(secret)?;
        Some(Presented { name: Arc::clone(&grant.name), hash })
    }

    /// What a client may do that was admitted with this token, or without one. `None`: the token was removed since.
    pub(crate) fn access(&self, presented: Option<&Presented>) -> Option<Access> {
        let list = self.list();
        match presented {
            None => list.is_empty().then_some(Access::Full),
            Some(Presented { name, hash }) => {
                list.current(name, hash).map(|grant| Access::Granted(Arc::clone(grant)))
            }
        }
    }

    /// What the batches of this owner may do. `None` also where the token was removed: they go on.
    pub(crate) fn named(&self, owner: Option<&str>) -> Option<Arc<Grant>> {
        self.list().named(owner?).cloned()
    }

    /// Replaces them by those that a reload has read.
    pub(crate) fn replace(&self, setting: TokenSetting) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setting.list);
        self.changed.send_replace(());
    }

    /// Changes when the tokens have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn list(&self) -> Arc<TokenList> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
impl Tokens {
    /// The tokens of a supervisor that has this one, or none.
    pub(crate) fn for_tests(secret: Option<&str>) -> Arc<Self> {
        let setting = secret.map(|secret| TokenSetting::of_variable(secret).unwrap());
        Arc::new(Self::new(setting.unwrap_or_default()))
    }
}
