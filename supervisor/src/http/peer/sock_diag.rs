//! Asks the kernel for one socket and its user (sock_diag(7)).
//!
//! The answer is there when the question is sent, so nothing here waits, and a question takes some microseconds. An
//! answer about any other socket is ignored:
//! the kernel falls back to a listener on the same port.

use std::{
    io::{self, ErrorKind::NotFound},
    net::{IpAddr, SocketAddr},
};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags},
};
use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_SOCK_DIAG};
use nix::libc::MSG_DONTWAIT;

use crate::http::peer::address::canonical;

/// The kernel's own address among netlink sockets.
const KERNEL: u32 = 0;
/// Matches every socket with these addresses.
const NO_COOKIE: [u8; 8] = [0xff; 8];
/// Longer than any answer.
const BUFFER_BYTES: usize = 4096;
/// Answers to earlier questions that are skipped.
const STALE_ANSWERS: usize = 8;

/// The socket by which the kernel is asked. It stays open: where no descriptor is left, users are still known.
pub(super) struct SockDiag {
    socket: Socket,
    /// The number of the latest question.
    sequence: u32,
    buffer: Vec<u8>,
}

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        let _own_address = socket.bind_auto()?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// The uid of the socket from `local` to `remote`. `None`: there is no such socket, or it is closed.
    pub(super) fn owner(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<u32>> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(local, remote, self.sequence);
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        self.socket.send_to(&bytes, &NetlinkAddress::new(KERNEL, 0), MSG_DONTWAIT)?;
        for _ in 0..STALE_ANSWERS {
            let Some(payload) = self.answer()? else { continue };
            if let NetlinkPayload::Error(error) = &payload {
                let error = error.to_io();
                return if error.kind() == NotFound { Ok(None) } else { Err(error) };
            }
            let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) = payload
            else {
                return Ok(None);
            };
            return Ok(owner_in(&response.header, local, remote));
        }
        Err(io::Error::other("the kernel has not answered"))
    }

    /// The next answer, if it is that to the latest question.
    fn answer(&mut self) -> io::Result<Option<NetlinkPayload<SockDiagMessage>>> {
        self.buffer.clear();
        let (_, from) = self.socket.recv_from(&mut self.buffer, MSG_DONTWAIT)?;
        if from.port_number() != KERNEL {
            return Ok(None);
        }
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&self.buffer);
        let answer = answer.map_err(io::Error::other)?;
        Ok((answer.header.sequence_number == self.sequence).then_some(answer.payload))
    }
}

fn question(
    local: SocketAddr,
    remote: SocketAddr,
    sequence: u32,
) -> NetlinkMessage<SockDiagMessage> {
    let (source_address, source_port) = canonical(local);
    let (destination_address, destination_port) = canonical(remote);
    let request = InetRequest {
        family: match source_address {
            IpAddr::V4(_) => AF_INET,
            IpAddr::V6(_) => AF_INET6,
        },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port,
            destination_port,
            source_address,
            destination_address,
            interface_id: 0,
            cookie: NO_COOKIE,
        },
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    message
}

/// The uid in an answer about the socket from `local` to `remote`.
fn owner_in(answer: &InetResponseHeader, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let id = &answer.socket_id;
    let source = (id.source_address.to_canonical(), id.source_port);
    let destination = (id.destination_address.to_canonical(), id.destination_port);
    let is_it = source == canonical(local) && destination == canonical(remote);
    // A socket without an inode has no owner any more, and is reported as root's.
    (is_it && answer.inode != 0).then_some(answer.uid)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::http::peer::{address::tests::connection, proc_net::Tables};

    fn owner(local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        SockDiag::open().and_then(|mut kernel| kernel.owner(local, remote)).ok().flatten()
    }

    #[test]
    fn it_says_the_same_as_the_tables_in_every_family() {
        for (listen, connect) in
            [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")]
        {
            let Some([_client, accepted]) = connection(listen, connect) else { continue };
            let (peer, own) = (accepted.peer_addr().unwrap(), accepted.local_addr().unwrap());
            let said = owner(peer, own);
            // A sandbox may forbid it; then the tables are what there is.
            let tables = Tables::read().unwrap();
            assert!(said.is_none() || said == tables.owner(peer, own), "{listen}: {said:?}");
        }
    }

    #[test]
    fn a_listener_on_the_peers_port_is_not_taken_for_the_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let no_client = listener.local_addr().unwrap();
        assert_eq!(owner(no_client, "127.0.0.1:1".parse().unwrap()), None);
    }

    #[test]
    fn an_answer_about_another_socket_or_one_without_an_owner_is_none() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let (local, remote) = (at("127.0.0.1:41136"), at("127.0.0.1:8003"));
        let answer = |source: &str, destination: &str, inode| {
            let (source, destination) = (at(source), at(destination));
            InetResponseHeader {
                family: AF_INET,
                state: 1,
                timer: None,
                socket_id: SocketId {
                    source_port: source.port(),
                    destination_port: destination.port(),
                    source_address: source.ip(),
                    destination_address: destination.ip(),
                    interface_id: 0,
                    cookie: [0; 8],
                },
                recv_queue: 0,
                send_queue: 0,
                uid: 1001,
                inode,
            }
        };
        let said = |answer: &InetResponseHeader| owner_in(answer, local, remote);
        assert_eq!(said(&answer("127.0.0.1:41136", "127.0.0.1:8003", 7)), Some(1001));
        let mapped = answer("[::ffff:127.0.0.1]:41136", "[::ffff:127.0.0.1]:8003", 7);
        assert_eq!(said(&mapped), Some(1001), "v4 in a v6 socket");
        assert_eq!(said(&answer("127.0.0.1:41136", "127.0.0.1:8003", 0)), None, "closed");
        assert_eq!(said(&answer("127.0.0.1:8003", "127.0.0.1:41136", 7)), None, "our own end");
        assert_eq!(said(&answer("0.0.0.0:41136", "0.0.0.0:0", 7)), None, "a listener");
    }
}
