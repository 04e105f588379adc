//! Another user of the same machine.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// Becomes another user, sends a WebSocket handshake to `HOST:PORT` or `unix:PATH`, and prints the status line of the answer,
/// or `closed`, or why it cannot connect.
pub fn knock_as(user_id: u32, address: &str, token: &str) {
    become_user(user_id);
    let connected = match address.strip_prefix("unix:") {
        Some(path) => UnixStream::connect(path).map(|stream| Box::new(stream) as Box<dyn Stream>),
        None => TcpStream::connect(address).map(|stream| Box::new(stream) as Box<dyn Stream>),
    };
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return println!("{error}"),
    };
    let host = if address.starts_with("unix:") { "localhost" } else { address };
    let request = format!(
        "GET /ws/mcp HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    // A Unix socket says at once that it was closed; the answer is there all the same.
    drop(stream.write_all(request.as_bytes()));
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&head);
    println!("{}", if line.is_empty() { "closed" } else { line.trim() });
}

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Becomes another user and opens connections on which it never says anything, as fast as it can, for as long as it lives. It
/// keeps this many of them open, whatever the other end does, and says so once it has opened ten times as many.
pub fn crowd_as(user_id: u32, address: SocketAddr, kept: usize) {
    become_user(user_id);
    let mut open = VecDeque::new();
    for count in 1_usize.. {
        open.extend(TcpStream::connect(address));
        if open.len() > kept {
            open.pop_front();
        }
        if count == 10 * kept {
            println!("crowded");
        }
    }
}

fn become_user(user_id: u32) {
    setgroups(&[]).unwrap();
    setgid(Gid::from_raw(user_id)).unwrap();
    setuid(Uid::from_raw(user_id)).unwrap();
}
