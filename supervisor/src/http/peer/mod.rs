//! Which user is at the other end of a loopback connection.

mod lookup;
mod proc_net;
mod sock_diag;

pub(crate) use lookup::Peer;
