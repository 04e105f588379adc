//! Records that were read for a client and are still to be translated and sent.
//!
//! Filled by [`crate::delivery`], emptied by [`crate::delivery::notification`].

use bytes::Bytes;
use cc_link::record::{Record, RecordError, Stream, decode_frame, verified_frame_bytes};

/// Whole, verified records that are still to be translated. The texts of a record of many lines can be a hundred
/// times as long as it is, so they are made as they are sent.
#[derive(Debug, Default)]
pub(crate) struct PendingRecords {
    frames: Bytes,
    /// Of the record before `frames`.
    pub lines: Option<UntoldLines>,
    /// Of the record that was taken off last.
    record_bytes: usize,
}

/// Of a record of several lines, those that are left.
#[derive(Debug)]
pub(crate) struct UntoldLines {
    /// Of the first of them.
    pub seq: u64,
    /// Where they were written.
    pub stream: Stream,
    /// Each with its newline.
    pub data: Bytes,
}

impl PendingRecords {
    /// These whole records, whose checksums were verified when they came from the worker or out of the log.
    #[must_use]
    pub(crate) fn new(frames: Bytes) -> Self {
        Self { frames, lines: None, record_bytes: 0 }
    }

    /// Nothing is left.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Of the whole records of which anything is left: where they are read again, the translator leaves out the
    /// lines that it has told.
    #[must_use]
    pub(crate) fn whole_bytes(&self) -> usize {
        self.frames.len() + if self.lines.is_some() { self.record_bytes } else { 0 }
    }

    /// What is left.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.frames.len() + self.lines.as_ref().map_or(0, |lines| lines.data.len())
    }

    /// Takes the next record off.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, RecordError> {
        let Some(length) = verified_frame_bytes(&self.frames)? else {
            // Records are whole wherever they come from: there is no beginning of one.
            self.frames.clear();
            return Ok(None);
        };
        self.record_bytes = length;
        decode_frame(self.frames.split_to(length)).map(Some)
    }
}
