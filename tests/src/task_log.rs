//! A task's log as an operator finds it on the disk, with the invariants that hold for every one.

use std::path::Path;

use cc_events::{Completed, Event};
use cc_link::record::{Body, Record, Stream, decode_frame, frame_bytes};
use cc_tasklog::{FIRST_RECORD_OFFSET, LogReader};

/// All records of a log whose writer is gone.
#[derive(Debug)]
pub struct TaskLog {
    /// In their order, each line in one of its own.
    pub records: Vec<Record>,
}

impl TaskLog {
    /// Reads it to its end.
    ///
    /// # Panics
    /// When it is damaged, or its numbers have a gap or a repetition.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let mut reader = LogReader::open(path).unwrap();
        let mut offset = FIRST_RECORD_OFFSET;
        let mut records = Vec::new();
        loop {
            let mut frames = reader.read(offset, 256 * 1024).unwrap();
            if frames.is_empty() {
                break;
            }
            offset += frames.len() as u64;
            while !frames.is_empty() {
                let length = frame_bytes(&frames).unwrap().unwrap();
                records.extend(decode_frame(frames.split_to(length)).unwrap().one_by_one());
            }
        }
        let numbers: Vec<u64> = records.iter().map(|record| record.seq).collect();
        let expected: Vec<u64> = (1..=records.len() as u64).collect();
        assert_eq!(numbers, expected, "the numbers of {} have a gap", path.display());
        Self { records }
    }

    /// The terminal event.
    ///
    /// # Panics
    /// When it is not the last record, or not the only one of its kind.
    #[must_use]
    pub fn completed(&self) -> &Completed {
        let ends = self.records.iter().filter(|record| completed_of(record).is_some()).count();
        assert_eq!(ends, 1, "exactly one terminal event");
        completed_of(self.records.last().unwrap()).expect("the terminal event is the last record")
    }

    /// All bytes of one stream.
    #[must_use]
    pub fn stream(&self, stream: Stream) -> Vec<u8> {
        let of_stream = |record: &Record| match &record.body {
            Body::Output(output) if output.stream == stream => output.data.to_vec(),
            Body::Output(_) | Body::Lines(_) | Body::Event(_) | Body::Notice(_) => Vec::new(),
        };
        self.records.iter().flat_map(of_stream).collect()
    }
}

fn completed_of(record: &Record) -> Option<&Completed> {
    let Body::Event(Event::Completed(completed)) = &record.body else { return None };
    Some(completed)
}
