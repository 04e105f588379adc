//! What one client may do now.

use std::sync::Arc;

use cc_protocol::Scope;

use crate::config::tokens::{grant::Grant, secret::SecretHash};

/// The token that a client was admitted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) name: Arc<str>,
    /// Of the secret that the client has: it may be removed while the token stays.
    pub(super) hash: SecretHash,
}

/// What a client may do. A reload of the tokens changes it: it is asked for at each call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Access {
    /// There are no tokens: every client that is admitted is the supervisor's own user.
    Full,
    Granted(Arc<Grant>),
}

impl Default for Access {
    /// Nothing.
    fn default() -> Self {
        Self::Granted(Arc::new(Grant::nothing()))
    }
}

impl Access {
    pub(crate) fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Full => true,
            Self::Granted(grant) => grant.scopes.has(scope),
        }
    }

    /// The name under which what this client makes is kept.
    pub(crate) fn owner(&self) -> Option<Arc<str>> {
        match self {
            Self::Full => None,
            Self::Granted(grant) => Some(Arc::clone(&grant.name)),
        }
    }

    /// The one owner whose sessions, tasks and batches this client sees; `None`: it sees all.
    pub(crate) fn only(&self) -> Option<&Arc<str>> {
        match self {
            Self::Full => None,
            Self::Granted(grant) if grant.scopes.has(Scope::Operate) => None,
            Self::Granted(grant) => Some(&grant.name),
        }
    }

    /// Whether this client sees what belongs to this owner.
    pub(crate) fn sees(&self, owner: Option<&str>) -> bool {
        self.only().is_none_or(|only| owner == Some(&**only))
    }
}
