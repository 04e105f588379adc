//! Records that were read for a client and are not sent yet.
//!
//! Filled by [`crate::delivery::writer`], emptied by [`crate::delivery::notification`].

use bytes::Bytes;
use cc_link::record::{Record, RecordError, Stream, decode_frame, verified_frame_bytes};

/// Whole, verified records that are not translated yet. The messages of a record of many lines can be a hundred times as
/// long as the record, so they are made as they are sent.
#[derive(Debug, Default)]
pub(crate) struct PendingRecords {
    frames: Bytes,
    /// The lines that are left of the record before `frames`.
    pub lines: Option<PendingLines>,
    /// The length of the record before `frames`.
    record_bytes: usize,
}

/// The lines that are left of a record of several.
#[derive(Debug)]
pub(crate) struct PendingLines {
    /// The number of the first one.
    pub seq: u64,
    pub stream: Stream,
    /// Each line with its newline.
    pub data: Bytes,
}

impl PendingRecords {
    /// `frames` are whole records whose checksums were verified when they came from the worker or out of the log.
    #[must_use]
    pub(crate) fn new(frames: Bytes) -> Self {
        Self { frames, lines: None, record_bytes: 0 }
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The length of the whole records of which anything is left. If they are read again, the translator leaves out the
    /// lines that it has translated.
    #[must_use]
    pub(crate) fn whole_bytes(&self) -> usize {
        self.frames.len() + if self.lines.is_some() { self.record_bytes } else { 0 }
    }

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
            // Both sources have whole records only, so this is not the beginning of one.
            self.frames.clear();
            return Ok(None);
        };
        self.record_bytes = length;
        decode_frame(self.frames.split_to(length)).map(Some)
    }
}
