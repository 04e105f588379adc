//! Plain HTTP by hand: what a probe, a browser or a stranger sends to the port.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use crate::PATIENCE;

#[derive(Debug)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    pub head: String,
    /// What follows the headers, where the connection was read to its end.
    pub body: String,
}

/// `GET` with `Connection: close`, read to the end. `headers` are whole lines; a `Host` is added
/// unless there is one among them.
#[must_use]
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut stream = send(address, path, &with(headers, &["Connection: close"]));
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    answer(&bytes)
}

/// What the probe `/health` answers.
#[must_use]
pub fn health(address: SocketAddr) -> Value {
    serde_json::from_str(&get(address, "/health", &[]).body).unwrap()
}

/// A WebSocket handshake with these additional headers; only the head of the answer is read.
#[must_use]
pub fn upgrade(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let handshake = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut stream = send(address, path, &with(headers, &handshake));
    answer(&read_head(&mut stream))
}

/// A request with exactly these headers and a `Host`; only the head of the answer is read.
#[must_use]
pub fn head(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut stream = send(address, path, &with(headers, &[]));
    answer(&read_head(&mut stream))
}

/// Connects and sends the request line with exactly these headers and a `Host`.
fn send(address: SocketAddr, path: &str, headers: &[String]) -> TcpStream {
    let mut stream = connect(address);
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for line in headers {
        request.push_str(&format!("{line}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// A connection whose reads fail after [`PATIENCE`].
#[must_use]
pub fn connect(address: SocketAddr) -> TcpStream {
    try_connect(address).unwrap()
}

/// The same where perhaps no process listens.
pub fn try_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads to the empty line after the headers.
fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    head
}

fn with(headers: &[&str], more: &[&str]) -> Vec<String> {
    headers.iter().chain(more).map(|line| (*line).to_owned()).collect()
}

fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no HTTP answer: {text:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
