//! Which user is at the other end of a loopback connection.
//!
//! The peer's own socket is the one that has the two addresses of ours, swapped; the kernel knows its user. `sock_diag`
//! asks for that one socket, in microseconds however many sockets there are; where that is not permitted, `proc_net`
//! reads the tables of all sockets, once for all connections that were accepted together. `lookup` does so for each
//! connection before anything is given to it. A user that neither names for certain is [`Peer::Unknown`].

mod lookup;

mod sock_diag;

mod proc_net;

mod address;

pub(crate) use self::lookup::{Ends, KnownPeer, Lookup, Peer, Source};
