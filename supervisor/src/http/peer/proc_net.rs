//! The tables of all TCP sockets with their owners, `/proc/net/tcp` and `tcp6` (proc(5)).

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::http::peer::address::canonical;

/// The tables as they were at one moment.
pub(super) struct Tables([String; 2]);

impl Tables {
    /// Blocks for a moment: it takes as long as there are sockets.
    pub(super) fn read() -> io::Result<Self> {
        // A kernel without IPv6 has no second table.
        let or_empty = |table: io::Result<String>| match table {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            outcome => outcome,
        };
        let [v4, v6] = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        Ok(Self([or_empty(v4)?, or_empty(v6)?]))
    }

    /// The uid of the socket from `local` to `remote`.
    pub(super) fn owner(&self, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        self.0.iter().find_map(|table| owner_in(table, local, remote))
    }
}

fn owner_in(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let wanted = (canonical(local), canonical(remote));
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let addresses = (address(fields.nth(1)?)?, address(fields.next()?)?);
        // Skips the state, two queues, a timer, and retransmissions.
        let uid = fields.nth(4)?.parse().ok()?;
        let inode = fields.nth(1)?;
        // A socket without an inode has no owner any more, and is listed as root's.
        (addresses == wanted && inode != "0").then_some(uid)
    })
}

/// `0100007F:1F43`: 32-bit words in this machine's byte order, then the port.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F43 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 0 100 0
   1: 0100007F:A0B0 0100007F:1F43 01 00000000:00000000 02:00000A1B 00000000  1001        0 92653 2 0 20 4
   2: 0100007F:1F43 0100007F:A0B0 01 00000000:00000000 00:00000000 00000000  1000        0 58979 1 0 20 4
   3: 0100007F:A0B1 0100007F:1F43 06 00000000:00000000 03:00000A1B 00000000     0        0 0 3 0
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:A0B2 0000000000000000FFFF00000100007F:1F43 01 00000000:00000000 00:00000000 00000000  1002        0 11111 1 0 20 4
   1: 00000000000000000000000001000000:A0B3 00000000000000000000000001000000:1F43 01 00000000:00000000 00:00000000 00000000  1003        0 22222 1 0 20 4
";

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_owner_is_that_of_the_peers_end_not_of_ours() {
        let own = at("127.0.0.1:8003");
        assert_eq!(owner_in(TCP, at("127.0.0.1:41136"), own), Some(1001));
        assert_eq!(owner_in(TCP, at("127.0.0.1:41199"), own), None);
        assert_eq!(owner_in(TCP6, at("127.0.0.1:41138"), own), Some(1002), "v4 in a v6 socket");
        assert_eq!(owner_in(TCP6, at("[::1]:41139"), at("[::1]:8003")), Some(1003));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_socket_without_an_owner_is_not_taken_for_roots() {
        assert_eq!(owner_in(TCP, at("127.0.0.1:41137"), at("127.0.0.1:8003")), None);
    }

    #[test]
    fn tables_that_make_no_sense_find_no_owner() {
        for table in
            ["", "header\n", "header\n1: 0100007F", "header\n1: x:y z:w 01 a b c d e f g\n"]
        {
            assert_eq!(owner_in(table, at("127.0.0.1:1"), at("127.0.0.1:2")), None);
        }
    }
}
