use std::fs;

use bytes::BytesMut;
use cc_link::record::{Packer, RECORD_BYTES_LIMIT, Stream, decode, encode_output};
use cc_link::spec::Fsync;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::LogWriter;

/// A log with a record for each length of payload, numbered from 1; and where each ends.
fn log_of(lengths: &[usize]) -> (TempDir, PathBuf, Vec<u64>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
    let mut ends = vec![writer.offset()];
    for (index, length) in lengths.iter().enumerate() {
        let mut frame = Vec::new();
        let seq = index as u64 + 1;
        encode_output(&mut frame, seq, 9, Stream::Stderr, None, false, &vec![index as u8; *length]);
        writer.append(&frame).unwrap();
        ends.push(writer.offset());
    }
    (directory, path, ends)
}

fn empty_log() -> (TempDir, PathBuf) {
    let (directory, path, _) = log_of(&[]);
    (directory, path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn reading_on_from_where_a_read_ended_gives_every_record_once(
        lengths in proptest::collection::vec(0usize..200, 0..30),
        bytes_limit in 0usize..600,
    ) {
        let (_directory, path, ends) = log_of(&lengths);
        let mut reader = LogReader::open(&path).unwrap();
        let mut offset = FIRST_RECORD_OFFSET;
        let mut seqs = Vec::new();
        loop {
            let bytes = reader.read(offset, bytes_limit).unwrap();
            if bytes.is_empty() {
                break;
            }
            offset += bytes.len() as u64;
            prop_assert!(ends.contains(&offset));
            let mut buffer = BytesMut::from(&bytes[..]);
            let before = seqs.len();
            while let Some(record) = decode(&mut buffer).unwrap() {
                seqs.push(record.seq);
            }
            prop_assert!(bytes.len() <= bytes_limit || seqs.len() == before + 1);
        }
        prop_assert_eq!(seqs, (1..=lengths.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn the_position_after_a_seq_is_where_its_record_ends(
        lengths in proptest::collection::vec(0usize..200, 0..30),
    ) {
        let (_directory, path, ends) = log_of(&lengths);
        let mut reader = LogReader::open(&path).unwrap();
        for (seq, end) in ends.iter().enumerate() {
            prop_assert_eq!(reader.position_after(seq as u64).unwrap(), Some(*end));
        }
        prop_assert_eq!(reader.position_after(ends.len() as u64).unwrap(), None);
        prop_assert_eq!(reader.position_after(u64::MAX).unwrap(), None);
    }

    #[test]
    fn the_position_after_a_seq_is_the_same_from_every_point_before_it(
        lengths in proptest::collection::vec(0usize..200, 0..15),
    ) {
        let (_directory, path, ends) = log_of(&lengths);
        let mut reader = LogReader::open(&path).unwrap();
        for known in 0..ends.len() {
            let point = (known as u64, ends[known]);
            for seq in 0..=ends.len() {
                let expected = if seq < known { None } else { ends.get(seq).copied() };
                prop_assert_eq!(reader.position_after_from(point, seq as u64).unwrap(), expected);
            }
        }
    }

    #[test]
    fn every_line_of_packed_ones_can_be_read_on_after_from_the_log_and_from_every_point_of_it(
        counts in proptest::collection::vec(1u64..5, 0..8),
    ) {
        let (_directory, path) = empty_log();
        let mut writer = LogWriter::reopen(&path, FIRST_RECORD_OFFSET, Fsync::Never).unwrap();
        // The last seq of each record, and where it ends.
        let mut points = vec![(0, FIRST_RECORD_OFFSET)];
        for count in counts {
            let first_seq = points[points.len() - 1].0 + 1;
            let (mut packer, mut frame) = (Packer::default(), Vec::new());
            for seq in first_seq..first_seq + count {
                packer.add(&mut frame, seq, 9, Stream::Stdout, b"line\n");
            }
            packer.close(&mut frame);
            writer.append(&frame).unwrap();
            points.push((first_seq + count - 1, writer.offset()));
        }
        let last_seq = points[points.len() - 1].0;
        let mut reader = LogReader::open(&path).unwrap();
        for (index, known) in points.iter().enumerate() {
            for seq in known.0..=last_seq {
                let later = points[index..].iter().rev().find(|point| point.0 <= seq).unwrap();
                let found = reader.position_after_from(*known, seq).unwrap();
                prop_assert_eq!(found, Some(later.1));
            }
        }
        prop_assert_eq!(reader.position_after(last_seq + 1).unwrap(), None);
    }

    #[test]
    fn a_log_torn_anywhere_reads_up_to_its_last_whole_record(
        lengths in proptest::collection::vec(0usize..60, 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (_directory, path, ends) = log_of(&lengths);
        let bytes = fs::read(&path).unwrap();
        let cut = cut.index(bytes.len());
        fs::write(&path, &bytes[..cut]).unwrap();
        let read = LogReader::open(&path).unwrap().read(FIRST_RECORD_OFFSET, 100_000).unwrap();
        let whole = ends.iter().rev().find(|end| **end <= cut as u64);
        let whole = whole.unwrap_or(&FIRST_RECORD_OFFSET);
        prop_assert_eq!(read.len() as u64, whole - FIRST_RECORD_OFFSET);
    }
}

#[test]
fn the_largest_record_is_read_whatever_the_limit() {
    let (_directory, path, ends) = log_of(&[RECORD_BYTES_LIMIT - HEADER_BYTES, 1]);
    let mut reader = LogReader::open(&path).unwrap();
    for bytes_limit in [0, 1000, 3 * RECORD_BYTES_LIMIT] {
        let bytes = reader.read(FIRST_RECORD_OFFSET, bytes_limit).unwrap();
        assert!(bytes.len() >= RECORD_BYTES_LIMIT, "{bytes_limit}");
    }
    assert_eq!(reader.position_after(2).unwrap(), Some(ends[2]));
}

#[test]
fn a_further_record_over_the_limit_waits_although_it_was_read() {
    let (_directory, path, ends) = log_of(&[300 * 1024, 150 * 1024]);
    let mut reader = LogReader::open(&path).unwrap();
    let bytes = reader.read(FIRST_RECORD_OFFSET, 400 * 1024).unwrap();
    assert_eq!(bytes.len() as u64, ends[1] - ends[0]);
}

#[test]
fn a_last_record_that_is_not_what_was_written_is_the_end() {
    let (_directory, path, ends) = log_of(&[10, 10]);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut reader = LogReader::open(&path).unwrap();
    assert!(reader.read(ends[1], 1000).unwrap().is_empty());
    assert_eq!(reader.position_after(2).unwrap(), None);
}

#[test]
fn a_record_that_is_appended_while_the_log_is_open_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut writer = LogWriter::create(&path, Fsync::Never).unwrap();
    let mut reader = LogReader::open(&path).unwrap();
    assert!(reader.read(writer.offset(), 100).unwrap().is_empty());
    let mut frame = Vec::new();
    encode_output(&mut frame, 1, 2, Stream::Stdout, None, false, b"late\n");
    let offset = writer.offset();
    writer.append(&frame).unwrap();
    assert_eq!(reader.read(offset, 100).unwrap(), frame);
    assert!(reader.read(u64::MAX / 2, 100).unwrap().is_empty());
}

#[test]
fn damage_before_the_end_is_an_error_that_names_the_place_and_follows_what_is_good() {
    let (_directory, path, ends) = log_of(&[10, 10, 10]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[1] as usize + HEADER_BYTES] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut reader = LogReader::open(&path).unwrap();
    let good = reader.read(FIRST_RECORD_OFFSET, 1000).unwrap();
    assert_eq!(good.len() as u64, ends[1] - ends[0]);
    let error = reader.read(ends[1], 1000).unwrap_err();
    assert!(matches!(&error, LogError::Damaged { offset, .. } if *offset == ends[1]), "{error}");
    assert!(matches!(reader.position_after(2), Err(LogError::Damaged { .. })));
}

#[test]
fn a_record_with_a_wrong_number_is_an_error_that_names_the_place() {
    let (_directory, path, ends) = log_of(&[10]);
    let mut frame = Vec::new();
    encode_output(&mut frame, 3, 2, Stream::Stdout, None, false, b"late\n");
    LogWriter::reopen(&path, ends[1], Fsync::Never).unwrap().append(&frame).unwrap();
    let error = LogReader::open(&path).unwrap().position_after(3).unwrap_err();
    assert!(
        matches!(error, LogError::SeqGap { offset, expected: 2, found: 3, .. } if offset == ends[1])
    );
}

#[test]
fn a_point_that_is_none_is_an_error_and_not_a_position() {
    let (_directory, path, ends) = log_of(&[10, 10, 10]);
    let mut reader = LogReader::open(&path).unwrap();
    let error = reader.position_after_from((0, ends[1]), 2).unwrap_err();
    assert!(matches!(error, LogError::SeqGap { expected: 1, found: 2, .. }), "{error}");
    assert!(reader.position_after_from((1, ends[1] + 1), 2).is_err());
}

#[test]
fn a_file_that_is_no_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "CCXLOG3\nfrom the future").unwrap();
    assert!(matches!(LogReader::open(&path), Err(LogError::NotALog { .. })));
    assert!(matches!(LogReader::open(&directory.path().join("none")), Err(LogError::Io { .. })));
}

/// Whether the file system can say that a read would wait. Says so if not.
fn can_read_without_waiting() -> bool {
    let (_directory, path, _) = log_of(&[10]);
    let can = LogReader::open(&path).unwrap().read_cached(FIRST_RECORD_OFFSET, 1000).is_some();
    if !can {
        eprintln!("SKIPPED: the file system does not say whether a read would wait");
    }
    can
}

#[test]
fn what_is_read_without_waiting_is_what_any_read_gives() {
    if !can_read_without_waiting() {
        return;
    }
    let (_directory, path, ends) = log_of(&[10, 100, 0, 1000, 10]);
    let mut reader = LogReader::open(&path).unwrap();
    for offset in &ends[..5] {
        for bytes_limit in [100, 200, 1_100, 10_000] {
            let Some(cached) = reader.read_cached(*offset, bytes_limit) else {
                // A record that is longer than was asked for.
                assert!(reader.read(*offset, bytes_limit).unwrap().len() > bytes_limit);
                continue;
            };
            assert_eq!(cached, reader.read(*offset, bytes_limit).unwrap());
        }
    }
    assert_eq!(reader.read_cached(ends[5], 1000), None, "the end of the log");
}

#[test]
fn what_is_read_without_waiting_ends_before_damage() {
    if !can_read_without_waiting() {
        return;
    }
    let (_directory, path, ends) = log_of(&[10, 10, 10]);
    let mut log = fs::read(&path).unwrap();
    log[ends[2] as usize - 1] ^= 1;
    fs::write(&path, log).unwrap();
    let reader = LogReader::open(&path).unwrap();
    let first = reader.read_cached(FIRST_RECORD_OFFSET, 1000).unwrap();
    assert_eq!(FIRST_RECORD_OFFSET + first.len() as u64, ends[1]);
    assert_eq!(reader.read_cached(ends[1], 1000), None);
}
