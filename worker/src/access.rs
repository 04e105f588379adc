//! Who may connect to the socket of a worker or a keeper, and who may ask there: a supervisor of the same state directory.
//!
//! A task has its supervisor's user, and can so read the key. But it descends from its worker and its keeper, which no
//! supervisor that adopts does.

use std::os::fd::OwnedFd;

use cc_link::key::Key;
use cc_proctree::procfs;
use rustix::{net::sockopt::socket_peercred, process::geteuid};

/// What a caller must be and show.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// `None`: nothing is to be shown.
    key: Option<Key>,
    /// Processes from which no caller may descend.
    ancestors: Vec<i32>,
}

impl Access {
    /// For this process, and all that descends from its keeper as long as that is its parent.
    pub(crate) fn new(key: Option<Key>, keeper: Option<i32>) -> Self {
        Self { key, ancestors: [procfs::own_pid()].into_iter().chain(keeper).collect() }
    }

    /// Whether the peer is this user or root, and no task.
    pub(crate) fn may_connect(&self, connection: &OwnedFd) -> bool {
        let Ok(peer) = socket_peercred(connection) else { return false };
        let is_of_user = peer.uid == geteuid() || peer.uid.is_root();
        is_of_user && !procfs::descends_from_any(peer.pid.as_raw_nonzero().get(), &self.ancestors)
    }

    pub(crate) fn may_ask(&self, key: Option<&Key>) -> bool {
        Key::admits(self.key.as_ref(), key)
    }
}
