//! Who has the port of a supervisor that does not answer.

use std::{fs, net::SocketAddr, path::Path};

use super::finding::Finding;

const WHAT: &str = "port";
/// The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h).
const LISTENING: &str = "0A";

/// A program that listens at this address; `None` where none does.
pub(crate) fn check(address: SocketAddr) -> Option<Finding> {
    let inode = listener(&fs::read_to_string("/proc/net/tcp").ok()?, address)?;
    let who = match owner(&inode) {
        Some((pid, name)) => format!("{name} (pid {pid})"),
        None => "a program of another user".to_owned(),
    };
    Some(Finding::warn(
        WHAT,
        format!("{who} listens at {address}, and is no supervisor that can be used"),
        "stop it, or start cc-supervisor with another --listen HOST:PORT",
    ))
}

/// The inode of the socket that listens there.
fn listener(table: &str, address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let here =
        [format!("{ip:08X}:{:04X}", address.port()), format!("00000000:{:04X}", address.port())];
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_here = *state == LISTENING && here.iter().any(|here| here == local);
        is_here.then(|| (*inode).to_owned())
    })
}

/// The process that has this socket open, as far as this user may see.
fn owner(inode: &str) -> Option<(String, String)> {
    let socket = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|file| file == Path::new(&socket))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbered =
        processes.filter(|it| it.file_name().to_string_lossy().parse::<u32>().is_ok());
    let found = numbered.find(|it| has_it(&it.path()))?;
    let name = fs::read_to_string(found.path().join("comm")).ok()?;
    Some((found.file_name().to_string_lossy().into_owned(), name.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_program_that_listens_is_named() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let line = check(address).unwrap().line();
        assert!(line.contains(&format!("(pid {})", std::process::id())), "{line}");
        drop(socket);
        assert_eq!(check(address), None);
    }
}
