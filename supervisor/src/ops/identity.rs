//! Who an admitted client is. Made by admission, and carried by its connection, its session, and by what it starts.

use std::net::SocketAddr;

use crate::config::tokens::Presented;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Of the process at the other end; `None` for another machine, or where it could not be found out.
    pub(crate) uid: Option<u32>,
    /// `None` for a connection that has none, such as one by a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    /// The token that it presented; `None` where none is needed.
    pub(crate) token: Option<Presented>,
}

#[cfg(test)]
impl Identity {
    /// A client of a supervisor without tokens.
    pub(crate) fn for_tests() -> Self {
        Self { uid: None, address: None, token: None }
    }
}
