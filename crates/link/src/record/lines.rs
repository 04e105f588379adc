//! Lines that were read together share a record: one header and one checksum for all of them.
//!
//! A record of packed lines holds whole lines of one stream, each with its newline, that a worker read at one time. Every
//! line has a seq of its own: they are numbered from the record's on. A reader that begins in the middle of a record skips
//! the lines before. A line that is cut, comes in pieces or has no newline has a record of its own, and so has a lone one.
//!
//! A worker makes such records with a [`Packer`]; a reader gets [`Lines`].

use bytes::Bytes;

use super::{
    frame::{self, FLAG_LINES, HEADER_BYTES, RecordError},
    output::{Output, Stream, kind_of},
};

/// Most payload of a record to which lines are added. It is small because a reader of one line reads them all. A longer
/// line has a record of its own.
pub const PACKED_BYTES_LIMIT: usize = 16 * 1024;

/// Several whole lines. Their number agrees with their newlines, which is checked when they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    stream: Stream,
    count: u32,
    data: Bytes,
}

impl Lines {
    /// Checks that `data` is so many lines, each with its newline.
    ///
    /// # Errors
    /// [`RecordError::Lines`] when there are more or fewer, or the last one has no newline.
    pub fn new(stream: Stream, count: u32, data: Bytes) -> Result<Self, RecordError> {
        let found = memchr::memchr_iter(b'\n', &data).count();
        if found == 0 || found != count as usize || !data.ends_with(b"\n") {
            return Err(RecordError::Lines { stated: count, found });
        }
        Ok(Self { stream, count, data })
    }

    /// Where they were written.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The number of lines.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// All lines, as the task wrote them.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Each line, with its newline.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        memchr::memchr_iter(b'\n', &self.data).map(move |newline| {
            let line = &self.data[start..=newline];
            start = newline + 1;
            line
        })
    }

    /// Each line as a record of its own would hold it.
    pub(crate) fn into_outputs(self) -> impl Iterator<Item = Output> {
        let Self { stream, data: mut rest, .. } = self;
        std::iter::from_fn(move || {
            let newline = memchr::memchr(b'\n', &rest)?;
            let data = rest.split_to(newline + 1);
            Some(Output { stream, piece: None, truncated: false, data })
        })
    }
}

/// Makes records of whole lines at the end of a buffer: the hot path of a worker.
///
/// While a record is open, only the packer may add to the buffer.
#[derive(Debug, Default)]
pub struct Packer {
    open: Option<Open>,
}

/// The record that is being filled.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where in the buffer.
    start: usize,
    time_ms: u64,
    stream: Stream,
    count: u32,
}

impl Packer {
    /// Appends a whole line, with its newline, of at most [`super::PIECE_BYTES_LIMIT`] bytes. It joins the lines before it
    /// if it was written to the same stream and read at the same time, and there is room.
    pub fn add(
        &mut self,
        buffer: &mut Vec<u8>,
        seq: u64,
        time_ms: u64,
        stream: Stream,
        line: &[u8],
    ) {
        match &mut self.open {
            Some(open)
                if open.stream == stream
                    && open.time_ms == time_ms
                    && buffer.len() - open.start + line.len()
                        <= HEADER_BYTES + PACKED_BYTES_LIMIT =>
            {
                open.count += 1;
            }
            Some(_) | None => {
                self.close(buffer);
                let start = begin_line(buffer, seq, time_ms, stream);
                self.open = Some(Open { start, time_ms, stream, count: 1 });
            }
        }
        buffer.extend_from_slice(line);
    }

    /// Completes the open record, if there is one: then the buffer holds whole records only.
    pub fn close(&mut self, buffer: &mut [u8]) {
        if let Some(open) = self.open.take() {
            seal_lines(buffer, open.start, open.count);
        }
    }
}

pub(super) fn encode_lines(buffer: &mut Vec<u8>, seq: u64, time_ms: u64, lines: &Lines) {
    let kind_and_flags = [kind_of(lines.stream()), FLAG_LINES];
    frame::encode_raw(buffer, seq, time_ms, kind_and_flags, lines.count(), lines.data());
}

/// Begins the record of a line, to which more lines may be added. Returns where in `buffer` it begins.
fn begin_line(buffer: &mut Vec<u8>, seq: u64, time_ms: u64, stream: Stream) -> usize {
    frame::begin(buffer, seq, time_ms, [kind_of(stream), 0], 0)
}

/// Completes the record that begins at `start` and reaches to the end of `buffer`: so many whole lines.
fn seal_lines(buffer: &mut [u8], start: usize, count: u32) {
    if count > 1 {
        buffer[start + 25] = FLAG_LINES;
        buffer[start + 28..start + HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
    }
    frame::seal(buffer, start);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Body, Record, decode, encode_output};

    fn records(buffer: &[u8]) -> Vec<Record> {
        let mut buffer = BytesMut::from(buffer);
        std::iter::from_fn(|| decode(&mut buffer).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn packed_lines_come_back_one_by_one_with_their_numbers_times_and_streams(
            lines in proptest::collection::vec((any::<bool>(), 0u64..2, 0usize..9_000), 1..40),
        ) {
            let (mut packer, mut buffer, mut expected) = (Packer::default(), Vec::new(), Vec::new());
            for (seq, (is_stderr, time_ms, length)) in (1..).zip(lines) {
                let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
                let mut data = vec![b'x'; length];
                data.push(b'\n');
                packer.add(&mut buffer, seq, time_ms, stream, &data);
                let data = data.into();
                let body = Body::Output(Output { stream, piece: None, truncated: false, data });
                expected.push(Record { seq, time_ms, body });
            }
            packer.close(&mut buffer);
            let records = records(&buffer);
            let singles: Vec<Record> = records.into_iter().flat_map(Record::one_by_one).collect();
            prop_assert_eq!(singles, expected);
        }
    }

    #[test]
    fn lines_that_were_read_together_share_a_record_and_a_lone_one_is_as_it_ever_was() {
        let (mut packer, mut buffer) = (Packer::default(), Vec::new());
        packer.add(&mut buffer, 1, 7, Stream::Stdout, b"lone\n");
        packer.close(&mut buffer);
        let mut lone = Vec::new();
        encode_output(&mut lone, 1, 7, Stream::Stdout, None, false, b"lone\n");
        assert_eq!(buffer, lone);
        for seq in 2..=1001 {
            packer.add(&mut buffer, seq, 8, Stream::Stdout, b"y\n");
        }
        packer.close(&mut buffer);
        let records = records(&buffer);
        assert_eq!(records.len(), 2);
        assert_eq!((records[1].seq, records[1].last_seq()), (2, 1001));
        assert_eq!(buffer.len(), lone.len() + HEADER_BYTES + 2000);
    }

    #[test]
    fn a_record_takes_lines_up_to_its_limit_and_a_longer_one_is_alone() {
        let (mut packer, mut buffer) = (Packer::default(), Vec::new());
        let lengths = [vec![1024; 40], vec![PACKED_BYTES_LIMIT + 1, 1024]].concat();
        for (seq, length) in (1..).zip(lengths) {
            let mut line = vec![b'x'; length - 1];
            line.push(b'\n');
            packer.add(&mut buffer, seq, 7, Stream::Stdout, &line);
        }
        packer.close(&mut buffer);
        let records = records(&buffer);
        let counts: Vec<u64> = records.iter().map(|r| r.last_seq() - r.seq + 1).collect();
        assert_eq!(counts, [16, 16, 8, 1, 1]);
    }

    #[test]
    fn a_number_of_lines_that_the_payload_does_not_have_is_refused() {
        let lines = |count, text: &'static str| {
            Lines::new(Stream::Stdout, count, Bytes::from_static(text.as_bytes()))
        };
        assert!(lines(2, "a\nb\n").is_ok());
        for (count, text) in [(1, "a\nb\n"), (3, "a\nb\n"), (2, "a\nb\nc"), (0, ""), (0, "a")] {
            assert!(
                matches!(lines(count, text), Err(RecordError::Lines { .. })),
                "{count} {text:?}"
            );
        }
    }
}
