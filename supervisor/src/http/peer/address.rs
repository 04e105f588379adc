//! Addresses as both ways of asking compare them.

use std::net::{IpAddr, SocketAddr};

/// IPv4 in an IPv6 socket is IPv4.
pub(super) fn canonical(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip().to_canonical(), address.port())
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{TcpListener, TcpStream};

    /// The two ends of a connection; `None`: this machine has no such addresses.
    pub(crate) fn connection(listen: &str, connect: &str) -> Option<[TcpStream; 2]> {
        let listener = TcpListener::bind(listen).ok()?;
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((connect, port)).ok()?;
        let (accepted, _) = listener.accept().unwrap();
        Some([client, accepted])
    }
}
