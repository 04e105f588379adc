//! WebSocket frames made by hand, for what a well-behaved library refuses to send.

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;

/// A client's frame that is final, masked with zeros (so that its payload stands there as it is).
#[must_use]
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(opcode, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// Only the header of a frame with a payload of this size: what follows may never come.
#[must_use]
pub fn header(opcode: u8, payload_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match (u8::try_from(payload_bytes), u16::try_from(payload_bytes)) {
        (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
        (_, Ok(medium)) => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&medium.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}
