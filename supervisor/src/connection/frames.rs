//! Where the frames of a client begin and end (RFC 6455 section 5.2), so that how long a message becomes is known before
//! any of it is read.
//!
//! It judges nothing: the codec, which gets the same bytes, refuses what is no valid frame. Pure. Used by
//! [`crate::connection::intake`].

/// The longest header: two bytes, eight of the length, four of the mask.
const HEADER_BYTES_LIMIT: usize = 14;
const SHORT_HEADER_BYTES: usize = 2;
const MASK_BYTES: usize = 4;

const FINAL_BIT: u8 = 0x80;
const OPCODE_BITS: u8 = 0x0f;
const CONTINUATION: u8 = 0;
/// Control frames have this bit in their opcode.
const CONTROL_BIT: u8 = 0x08;
const MASKED_BIT: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES_LIMIT],
    /// Of the header, the bytes that have come.
    header_bytes: usize,
    /// Of the payload, the bytes that are still to come.
    payload_left: u64,
    message: Message,
}

/// The message that is arriving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Tells it from the others of its connection.
    pub(super) number: u64,
    /// Of all its frames so far, of whose last one the payload may still be to come.
    pub(super) bytes: u64,
    /// More frames will come; how long they are is not known.
    pub(super) has_more: bool,
}

impl Frames {
    /// The bytes that may be read next. More would reach beyond the header, or the frame.
    pub(super) fn due(&self) -> usize {
        if self.payload_left > 0 {
            return usize::try_from(self.payload_left).unwrap_or(usize::MAX);
        }
        self.header_length() - self.header_bytes
    }

    /// The message whose payload comes next; `None` while a header or a control frame does.
    pub(super) fn message(&self) -> Option<Message> {
        (self.payload_left > 0 && !self.is_control()).then_some(self.message)
    }

    /// Takes note of bytes that were read, no more than are due.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if self.payload_left > 0 {
            self.payload_left = self.payload_left.saturating_sub(bytes.len() as u64);
        } else {
            let end = (self.header_bytes + bytes.len()).min(HEADER_BYTES_LIMIT);
            let room = &mut self.header[self.header_bytes..end];
            room.copy_from_slice(&bytes[..room.len()]);
            self.header_bytes = end;
            if self.header_bytes < self.header_length() {
                return;
            }
            self.begin();
        }
        if self.payload_left == 0 {
            self.header_bytes = 0;
        }
    }

    /// The header is complete.
    fn begin(&mut self) {
        self.payload_left = self.payload_bytes();
        if self.is_control() {
            return;
        }
        if self.header[0] & OPCODE_BITS != CONTINUATION {
            self.message.number += 1;
            self.message.bytes = 0;
        }
        self.message.bytes = self.message.bytes.saturating_add(self.payload_left);
        self.message.has_more = self.header[0] & FINAL_BIT == 0;
    }

    /// Whether the frame is one of a control message, which is short and may come between those of another one.
    fn is_control(&self) -> bool {
        self.header[0] & CONTROL_BIT != 0
    }

    fn header_length(&self) -> usize {
        if self.header_bytes < SHORT_HEADER_BYTES {
            return SHORT_HEADER_BYTES;
        }
        let mask = if self.header[1] & MASKED_BIT == 0 { 0 } else { MASK_BYTES };
        SHORT_HEADER_BYTES + mask + self.length_bytes()
    }

    fn length_bytes(&self) -> usize {
        match self.header[1] & LENGTH_BITS {
            EIGHT_BYTES => 8,
            TWO_BYTES => 2,
            _ => 0,
        }
    }

    fn payload_bytes(&self) -> u64 {
        let length = &self.header[SHORT_HEADER_BYTES..SHORT_HEADER_BYTES + self.length_bytes()];
        match length {
            [] => u64::from(self.header[1] & LENGTH_BITS),
            length => length.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)),
        }
    }
}

/// Where frames end does not depend on how many bytes are read at once.
#[cfg(fuzzing)]
pub fn fuzz_frames(bytes: &[u8]) {
    let walk = |most: usize| {
        let (mut frames, mut rest) = (Frames::default(), bytes);
        while !rest.is_empty() {
            let due = frames.due();
            assert!(due > 0, "it stands still");
            let (now, later) = rest.split_at(due.min(most).min(rest.len()));
            frames.read(now);
            rest = later;
        }
        (frames.message, frames.payload_left, frames.header_bytes)
    };
    let at_once = walk(usize::MAX);
    assert_eq!(at_once, walk(1));
    assert_eq!(at_once, walk(3));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        FrameHeader,
        coding::{Control, Data, OpCode},
    };

    use super::*;

    fn frame(opcode: OpCode, is_final: bool, payload: usize) -> Vec<u8> {
        let mask = Some([1, 2, 3, 4]);
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload as u64, &mut bytes).unwrap();
        bytes.resize(bytes.len() + payload, 7);
        bytes
    }

    fn payload_bytes() -> impl Strategy<Value = usize> {
        prop_oneof![0usize..300, Just(125), Just(126), 65_530usize..65_540]
    }

    proptest! {
        #[test]
        fn reads_end_where_headers_and_frames_end_whatever_is_read_at_once(
            frames in proptest::collection::vec((0u8..4, any::<bool>(), payload_bytes()), 1..6),
            most in 1usize..70_000,
        ) {
            let mut tracked = Frames::default();
            let (mut number, mut message_bytes) = (0, 0);
            for (kind, is_final, payload) in frames {
                let (opcode, payload) = match kind {
                    0 => (OpCode::Data(Data::Text), payload),
                    1 => (OpCode::Data(Data::Binary), payload),
                    2 => (OpCode::Data(Data::Continue), payload),
                    _ => (OpCode::Control(Control::Ping), payload.min(125)),
                };
                let bytes = frame(opcode, is_final, payload);
                let mut rest = &bytes[..];
                let is_control = matches!(opcode, OpCode::Control(_));
                if matches!(opcode, OpCode::Data(Data::Text | Data::Binary)) {
                    message_bytes = 0;
                    number += 1;
                }
                if !is_control {
                    message_bytes += payload as u64;
                }
                while !rest.is_empty() {
                    prop_assert!(tracked.due() > 0 && tracked.due() <= rest.len());
                    if rest.len() <= payload && payload > 0 {
                        let message = Message { number, bytes: message_bytes, has_more: !is_final };
                        prop_assert_eq!(tracked.message(), (!is_control).then_some(message));
                    } else {
                        prop_assert_eq!(tracked.message(), None);
                    }
                    let (read, left) = rest.split_at(tracked.due().min(most));
                    tracked.read(read);
                    rest = left;
                }
                prop_assert_eq!(tracked.due(), SHORT_HEADER_BYTES);
            }
        }
    }
}
