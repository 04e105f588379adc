//! The client that all servers here get alike: it takes WebSocket frames apart, counts them, and looks
//! at no more of their text than it must to know a task's end. So it is the last to be waited for.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
};

use cc_tests::{
    frames::{TEXT, frame},
    http,
};
use rustix::net::sockopt::set_tcp_nodelay;

/// How the terminal event of a task begins.
const END: &[u8] = br#"{"jsonrpc":"2.0","method":"process.completed""#;
/// How output begins, one line a message or several.
const OUTPUT: &[u8] = br#"{"jsonrpc":"2.0","method":"process.output"#;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What is read at once, at first and at most.
const FIRST_BUFFER_BYTES: usize = 4 * 1024;
const MOST_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// One connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet taken.
    filled: Range<usize>,
}

/// What came until a task's end, or the connection's.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Messages.
    pub messages: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// The terminal event; empty where the connection ended without one.
    pub end: String,
}

impl Wire {
    /// Connects and makes the handshake.
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        let mut stream = http::connect(address);
        set_tcp_nodelay(&stream, true).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut wire = Self { stream, buffer: vec![0; FIRST_BUFFER_BYTES], filled: 0..0 };
        wire.read_head();
        wire
    }

    fn read_head(&mut self) {
        const HEAD_END: &[u8] = b"\r\n\r\n";
        loop {
            let text = &self.buffer[self.filled.clone()];
            let end = text.windows(HEAD_END.len()).position(|window| window == HEAD_END);
            if let Some(end) = end {
                assert!(text.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(text));
                self.filled.start += end + HEAD_END.len();
                return;
            }
            assert!(self.read_more(), "the connection ended in the handshake");
        }
    }

    /// Sends a text message.
    pub fn send(&mut self, text: &str) {
        self.stream.write_all(&frame(TEXT, text.as_bytes())).unwrap();
    }

    /// The text of the next message; `None` when the connection has ended.
    pub fn next(&mut self) -> Option<&[u8]> {
        loop {
            let (opcode, payload) = self.next_frame()?;
            match opcode {
                CLOSE => return None,
                PING => {
                    let answer = frame(PONG, &self.buffer[payload]);
                    self.stream.write_all(&answer).unwrap();
                }
                _ => return Some(&self.buffer[payload]),
            }
        }
    }

    /// Reads on until a task has ended, or the connection.
    pub fn until_end(&mut self) -> Received {
        let mut received = Received::default();
        while let Some(text) = self.next() {
            received.messages += 1;
            received.bytes += text.len() as u64;
            if text.starts_with(END) {
                received.end = String::from_utf8_lossy(text).into_owned();
                break;
            }
        }
        received
    }

    /// Runs a task to its end.
    pub fn run(&mut self, request: &str) -> Received {
        self.send(request);
        let received = self.until_end();
        assert!(received.end.contains("\"reason\":\"exit\""), "{received:?}");
        received
    }

    /// Reads on to the first output of a task.
    pub fn until_output(&mut self) {
        while let Some(text) = self.next() {
            if text.starts_with(OUTPUT) {
                return;
            }
        }
        panic!("the connection ended before there was output");
    }

    /// Reads on to the answer with this id.
    pub fn until_answer(&mut self, id: u64) {
        let end = format!("\"id\":{id}}}");
        while let Some(text) = self.next() {
            if text.ends_with(end.as_bytes()) {
                return;
            }
        }
        panic!("the connection ended before the answer");
    }

    /// The connection itself; what was read ahead is lost.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Takes a frame out of the buffer: its opcode, and where its payload is.
    fn next_frame(&mut self) -> Option<(u8, Range<usize>)> {
        loop {
            let ready = &self.buffer[self.filled.clone()];
            if let Some((opcode, payload)) = header(ready).filter(|(_, at)| at.end <= ready.len()) {
                let start = self.filled.start;
                self.filled.start += payload.end;
                return Some((opcode, start + payload.start..start + payload.end));
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// False at the end of the connection.
    fn read_more(&mut self) -> bool {
        if self.filled.end == self.buffer.len() {
            let length = self.filled.len();
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..length;
            if length * 2 > self.buffer.len() || self.buffer.len() < MOST_BUFFER_BYTES / 8 {
                assert!(self.buffer.len() < MOST_BUFFER_BYTES, "a message that is too long");
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let count = self.stream.read(&mut self.buffer[self.filled.end..]).unwrap_or(0);
        self.filled.end += count;
        count > 0
    }
}

/// Opcode and place of the payload, from a server's frame, which is not masked; `None` while the header
/// is not whole.
fn header(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let opcode = bytes.first()? & 0x0f;
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        length => (2, u64::from(length)),
    };
    Some((opcode, start..start + usize::try_from(length).unwrap()))
}
