//! One token: its name, what it allows, and how much.

use std::{path::PathBuf, sync::Arc};

use cc_protocol::Scope;

use crate::config::tokens::secret::SecretHash;

/// The name of a token that has no name of its own.
const DEFAULT_NAME: &str = "default";

/// What the holder of a token may do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grant {
    /// Under which its sessions, tasks and batches are kept, and what the audit log calls it.
    pub(crate) name: Arc<str>,
    /// Any of these secrets is the token. More than one while it is being replaced.
    pub(super) hashes: Vec<SecretHash>,
    pub(crate) scopes: Scopes,
    /// Sessions with a connection at once; `None`: as many as the supervisor allows.
    pub(crate) sessions_limit: Option<usize>,
    /// Tasks at once, over all its sessions and batches.
    pub(crate) tasks_limit: Option<usize>,
    /// Directories below which its tasks run; empty: any.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) budget: Option<Budget>,
}

/// How much the tasks of a token may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    pub(crate) usd: f64,
    /// In so many days, today included; `None`: in all.
    pub(crate) days: Option<u32>,
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    read: bool,
    run: bool,
    operate: bool,
}

impl Scopes {
    pub(crate) const ALL: Self = Self { read: true, run: true, operate: true };

    pub(crate) fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Read => self.read,
            Scope::Run => self.run,
            Scope::Operate => self.operate,
        }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::default();
        for scope in scopes {
            match scope {
                Scope::Read => set.read = true,
                Scope::Run => set.run = true,
                Scope::Operate => set.operate = true,
            }
        }
        set
    }
}

impl Grant {
    /// What is left of a token that was removed. No token has an empty name.
    pub(super) fn nothing() -> Self {
        Self { hashes: Vec::new(), scopes: Scopes::default(), ..Self::unlimited("", [0; 32]) }
    }

    /// The one token of a supervisor whose tokens have no names.
    pub(super) fn only(hash: SecretHash) -> Self {
        Self::unlimited(DEFAULT_NAME, hash)
    }

    /// A token without limits that allows everything.
    pub(super) fn unlimited(name: &str, hash: SecretHash) -> Self {
        Self {
            name: name.into(),
            hashes: vec![hash],
            scopes: Scopes::ALL,
            sessions_limit: None,
            tasks_limit: None,
            directories: Vec::new(),
            budget: None,
        }
    }
}
