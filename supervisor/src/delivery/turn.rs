//! What a client that has stopped reading is left with: the rest of the frame that is under way. Everything else of a
//! task is read again from its log when the client goes on. Driven by [`crate::delivery::writer`].

use bytes::Bytes;

use crate::delivery::{outgoing::Follow, socket::frame_bytes};

/// Frames that were given to the socket, and how to go back to what of them was not sent.
#[derive(Debug)]
pub(super) struct Turn {
    frames: Bytes,
    /// The last event in each frame.
    seqs: Vec<u64>,
    /// Where the records begin of which the frames were made.
    offset: Option<u64>,
    /// The last event before the frames.
    before: u64,
}

impl Turn {
    pub(super) fn new(frames: Bytes, seqs: Vec<u64>, offset: Option<u64>, before: u64) -> Self {
        Self { frames, seqs, offset, before }
    }

    pub(super) fn frames(&self) -> Bytes {
        self.frames.clone()
    }

    /// Of the frames, of which `unsent` bytes are left, the number of bytes that must be sent before anything else, and
    /// the last event that is sent with them.
    fn keep(&self, unsent: usize) -> (usize, u64) {
        let sent = self.frames.len().saturating_sub(unsent);
        let (mut end, mut seq) = (0, self.before);
        for last in &self.seqs {
            if end >= sent {
                break;
            }
            end += frame_bytes(&self.frames[end..]);
            seq = *last;
        }
        (end.saturating_sub(sent), seq)
    }

    /// Takes back from the task's reader what is not under way. Returns the number of bytes that stay to be sent.
    pub(super) fn take_back(&mut self, unsent: usize, follow: &mut Follow) -> usize {
        let Some(offset) = self.offset else { return unsent };
        let (kept, seq) = self.keep(unsent);
        follow.pending = Default::default();
        follow.cursor.go_back(offset);
        follow.translator.go_back(seq);
        self.frames = Bytes::new();
        self.seqs = Vec::new();
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::socket::MessageBuffer;

    #[test]
    fn a_frame_under_way_is_kept_to_its_end_and_those_after_it_are_not() {
        let mut messages = MessageBuffer::default();
        for (seq, bytes) in [(5, 10), (6, 200), (7, 70_000), (8, 1)] {
            messages.push(&"x".repeat(bytes), seq);
        }
        let (frames, seqs) = messages.into_frames();
        let ends = [12, 12 + 204, 12 + 204 + 70_010, 12 + 204 + 70_010 + 3];
        assert_eq!(frames.len(), ends[3]);
        let turn = Turn::new(frames, seqs, Some(0), 4);
        for sent in 0..=ends[3] {
            let count = ends.iter().filter(|end| **end < sent).count();
            let expected = match sent {
                0 => (0, 4),
                _ => (ends[count] - sent, 5 + count as u64),
            };
            assert_eq!(turn.keep(ends[3] - sent), expected, "{sent}");
        }
    }
}
