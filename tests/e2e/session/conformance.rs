//! The socket, the intake and the codec of a connection keep to RFC 6455, as an endpoint for tests shows that sends back
//! what it receives. `.ci/autobahn` points the public suite at the same endpoint.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use cc_tests::{
    Options, PATIENCE, Supervisor,
    frames::{BINARY, TEXT, frame},
};

const CONTINUATION: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The bit that says that no further frame of the message comes.
const FINAL: u8 = 0x80;

fn supervisor() -> Supervisor {
    Supervisor::start(&Options::new().env("CC_EXECUTOR_TEST_ECHO", "1"))
}

fn request(supervisor: &Supervisor) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(supervisor.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "GET /test/echo HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        supervisor.address()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    (stream, String::from_utf8(head).unwrap())
}

/// A frame that is not the last one of its message.
fn part(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(opcode, payload);
    bytes[0] &= !FINAL;
    bytes
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// Sends these bytes, so many at once, and reads frames until the connection ends.
fn heard(supervisor: &Supervisor, bytes: &[u8], at_once: usize) -> Vec<(u8, Vec<u8>)> {
    let (mut stream, head) = request(supervisor);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut writer = stream.try_clone().unwrap();
    let sent = bytes.to_vec();
    let writing = std::thread::spawn(move || {
        for piece in sent.chunks(at_once) {
            // A server that has closed reads no more.
            if writer.write_all(piece).is_err() {
                break;
            }
        }
    });
    let mut received = Vec::new();
    // A reset is an end as well.
    drop(stream.read_to_end(&mut received));
    drop(stream);
    writing.join().unwrap();
    let mut frames = Vec::new();
    let mut rest = received.as_slice();
    while let [first, length, following @ ..] = rest {
        assert_eq!(first & 0x70, 0, "no reserved bit");
        assert_eq!(length & 0x80, 0, "a server masks nothing");
        let (length, following) = match length {
            126 => (u16::from_be_bytes([following[0], following[1]]).into(), &following[2..]),
            127 => {
                let bytes = u64::from_be_bytes(following[..8].try_into().unwrap());
                (usize::try_from(bytes).unwrap(), &following[8..])
            }
            short => (usize::from(*short), following),
        };
        assert_eq!(first & FINAL, FINAL, "it does not fragment");
        frames.push((first & 0x0f, following[..length].to_vec()));
        rest = &following[length..];
    }
    frames
}

/// What is sent is answered with these frames, and the close frame behind it with its own code.
fn answered(supervisor: &Supervisor, what: &str, sent: &[Vec<u8>], expected: &[(u8, &[u8])]) {
    let end = close(1000, b"");
    let bytes = [sent.concat(), end].concat();
    let mut expected: Vec<_> =
        expected.iter().map(|(opcode, payload)| (*opcode, payload.to_vec())).collect();
    expected.push((CLOSE, 1000_u16.to_be_bytes().to_vec()));
    // As it comes from a fast network and from a slow one.
    for at_once in if bytes.len() < 600 { vec![1, bytes.len()] } else { vec![1_400] } {
        let heard = heard(supervisor, &bytes, at_once);
        assert!(heard == expected, "{what}, {at_once} bytes at once: {} frames", heard.len());
    }
}

/// What is sent ends the connection with this code, whatever follows.
fn refused(supervisor: &Supervisor, what: &str, sent: &[Vec<u8>], code: u16) {
    let heard = heard(supervisor, &sent.concat(), 1_400);
    let Some((CLOSE, payload)) = heard.last() else { panic!("{what}: {heard:?}") };
    assert_eq!(payload[..2], code.to_be_bytes(), "{what}: {heard:?}");
    assert_eq!(heard.len(), 1, "{what}: nothing of it is echoed: {heard:?}");
}

#[test]
fn messages_of_every_length_come_back_whole_in_one_frame_or_many() {
    let supervisor = supervisor();
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1_000_000] {
        let payload = vec![b'*'; length];
        for opcode in [TEXT, BINARY] {
            let what = format!("{length} bytes");
            answered(&supervisor, &what, &[frame(opcode, &payload)], &[(opcode, &payload)]);
            let (begin, end) = payload.split_at(length / 3);
            let parts = [part(opcode, begin), part(CONTINUATION, b""), frame(CONTINUATION, end)];
            answered(&supervisor, &format!("{what} in parts"), &parts, &[(opcode, &payload)]);
        }
    }
}

#[test]
fn control_frames_come_between_those_of_a_message_and_are_answered_at_once() {
    let supervisor = supervisor();
    let long = [7; 125];
    let sent = [
        part(TEXT, b"one, "),
        frame(PING, &long),
        part(CONTINUATION, b"two, "),
        frame(PONG, b"not asked for"),
        frame(PING, b""),
        frame(CONTINUATION, b"three"),
    ];
    let expected: [(u8, &[u8]); 3] = [(PONG, &long), (PONG, b""), (TEXT, b"one, two, three")];
    answered(&supervisor, "pings in a message", &sent, &expected);
    for opcode in [PING, PONG, CLOSE] {
        refused(&supervisor, "a long control frame", &[frame(opcode, &[0; 126])], 1002);
        refused(&supervisor, "a control frame in parts", &[part(opcode, b"")], 1002);
    }
}

#[test]
fn what_is_no_valid_frame_is_a_protocol_error() {
    let supervisor = supervisor();
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [TEXT, PING, CLOSE] {
            let mut bytes = frame(opcode, b"");
            bytes[0] |= bit;
            refused(&supervisor, "a reserved bit", &[bytes], 1002);
        }
    }
    for opcode in (3..8).chain(11..16) {
        refused(&supervisor, "a reserved opcode", &[frame(opcode, b"")], 1002);
    }
    let mut unmasked = frame(TEXT, b"");
    unmasked[1] &= 0x7f;
    refused(&supervisor, "a frame without a mask", &[unmasked], 1002);
    refused(&supervisor, "nothing to continue", &[frame(CONTINUATION, b"x")], 1002);
    refused(&supervisor, "nothing to continue", &[part(CONTINUATION, b"x")], 1002);
    let nested = [part(TEXT, b"x"), frame(TEXT, b"y")];
    refused(&supervisor, "a message in a message", &nested, 1002);
}

#[test]
fn a_text_is_utf_8_wherever_it_is_cut_and_one_that_is_not_is_refused_as_soon_as_it_is_seen() {
    let supervisor = supervisor();
    let text = "κόσμε €𐍈\u{10ffff}".as_bytes();
    let parts: Vec<Vec<u8>> = text
        .iter()
        .enumerate()
        .map(|(index, byte)| part(if index == 0 { TEXT } else { CONTINUATION }, &[*byte]))
        .chain([frame(CONTINUATION, b"")])
        .collect();
    answered(&supervisor, "one byte a frame", &parts, &[(TEXT, text)]);
    for wrong in [
        b"\xff".as_slice(),
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\xf8\x88\x80\x80\x80",
    ] {
        refused(&supervisor, "no UTF-8", &[frame(TEXT, &[b"good ", wrong].concat())], 1007);
        let parts = [part(TEXT, b"good "), frame(CONTINUATION, wrong)];
        refused(&supervisor, "no UTF-8 in the end", &parts, 1007);
    }
    // No further frame comes.
    refused(&supervisor, "no UTF-8 in a part", &[part(TEXT, b"\xf4\x90\x80\x80")], 1007);
}

#[test]
fn a_close_is_answered_with_its_code_and_an_invalid_one_is_a_protocol_error() {
    let supervisor = supervisor();
    let reason = "ä".repeat(61);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        for reason in [b"".as_slice(), reason.as_bytes()] {
            let heard = heard(&supervisor, &close(code, reason), 1_400);
            assert_eq!(heard.len(), 1, "{code}: {heard:?}");
            assert_eq!((heard[0].0, &heard[0].1[..2]), (CLOSE, &code.to_be_bytes()[..]), "{code}");
        }
    }
    let heard = heard(&supervisor, &frame(CLOSE, b""), 1_400);
    assert!(matches!(&heard[..], [(CLOSE, _)]), "{heard:?}");
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        refused(&supervisor, &format!("the code {code}"), &[close(code, b"")], 1002);
    }
    refused(&supervisor, "half a code", &[frame(CLOSE, b"\x03")], 1002);
}

#[test]
fn nothing_is_echoed_where_that_is_not_asked_for() {
    let supervisor = Supervisor::start_default();
    let (_, head) = request(&supervisor);
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}
