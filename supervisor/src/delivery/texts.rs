//! Messages on their way to a socket, one behind the other in one piece of memory: a flood of short lines costs no
//! allocation for each.
//!
//! Made by [`crate::delivery::notification`], sent by [`crate::delivery`]. Knows nothing of what they say.

use bytes::Bytes;

use crate::delivery::express::{HEADER_BYTES_LIMIT, push_header};

/// Messages in their order.
#[derive(Debug, Default)]
pub struct Texts {
    text: String,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Makes room for about so much more.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Adds a message.
    pub fn push(&mut self, text: &str) {
        self.open().push_str(text);
        self.close();
    }

    /// The message that is being written, behind those that are complete: only to be added to.
    pub fn open(&mut self) -> &mut String {
        &mut self.text
    }

    /// Completes the message that is being written.
    pub fn close(&mut self) {
        self.ends.push(self.text.len());
    }

    /// Of all messages, one that is not complete included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The complete messages as WebSocket frames, one behind the other.
    #[must_use]
    pub fn into_frames(self) -> Bytes {
        let mut frames = Vec::with_capacity(self.text.len() + self.ends.len() * HEADER_BYTES_LIMIT);
        for text in self.iter() {
            push_header(&mut frames, text.len());
            frames.extend_from_slice(text.as_bytes());
        }
        frames.into()
    }

    /// The complete messages.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.text[start..*end];
            start = *end;
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;

    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut texts = Texts::default();
        texts.push("one");
        texts.push("");
        texts.open().push_str("thr");
        texts.open().push_str("ee");
        assert_eq!((texts.iter().count(), texts.bytes()), (2, 8));
        texts.close();
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["one", "", "three"]);
    }

    #[test]
    fn a_message_of_any_length_is_a_frame_that_others_understand() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];
        let mut texts = Texts::default();
        for length in lengths {
            texts.push(&"x".repeat(length));
        }
        let frames = texts.into_frames();
        // The least header that says the length is the only one that is allowed.
        let header_bytes = 3 * 2 + 3 * 4 + 2 * 10;
        assert_eq!(frames.len(), lengths.iter().sum::<usize>() + header_bytes);
        let mut socket = FrameSocket::new(Cursor::new(frames.to_vec()));
        for length in lengths {
            let frame = socket.read(None).unwrap().unwrap();
            assert!(frame.header().is_final);
            assert_eq!(frame.into_text().unwrap().as_str(), "x".repeat(length));
        }
        assert!(socket.read(None).unwrap().is_none());
    }
}
