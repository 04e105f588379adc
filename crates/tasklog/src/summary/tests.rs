use std::fs;

use super::*;
use crate::recover::{
    recover,
    tests::{LAST_SEQS, completed, encoded, file_of, small_log},
};

/// A summary is what recovery finds, and leaves the file alone.
fn agrees_with_recovery(bytes: &[u8]) -> Summary {
    let (_directory, path) = file_of(bytes);
    let found = summary(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let recovered = recover(&path).unwrap();
    assert_eq!(found.last_seq, recovered.last_seq);
    assert_eq!(found.end_offset, recovered.end_offset);
    assert_eq!(found.last_time_ms, recovered.last_time_ms);
    assert_eq!(found.started, recovered.started);
    assert_eq!(found.started_time_ms, recovered.started_time_ms);
    assert_eq!(found.completed.is_some(), recovered.completed);
    assert_eq!(found.output, recovered.output);
    found
}

#[test]
fn the_terminal_event_of_a_whole_log_is_told() {
    let (bytes, ends) = small_log();
    let found = agrees_with_recovery(&bytes);
    let Body::Event(Event::Completed(expected)) = completed() else { unreachable!() };
    assert_eq!(found.completed, Some(expected));
    assert_eq!((found.last_seq, found.end_offset, found.torn_bytes), (8, ends[6], 0));
}

#[test]
fn a_log_cut_at_any_byte_is_told_up_to_its_last_whole_record() {
    let (bytes, ends) = small_log();
    for cut in 0..bytes.len() {
        let found = agrees_with_recovery(&bytes[..cut]);
        let records = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(found.last_seq, LAST_SEQS[records], "cut at {cut}");
        let torn_bytes =
            if cut as u64 >= FIRST_RECORD_OFFSET { cut as u64 - ends[records] } else { cut as u64 };
        assert_eq!((found.completed, found.torn_bytes), (None, torn_bytes), "cut at {cut}");
    }
}

#[test]
fn a_log_with_any_bit_flipped_is_told_up_to_the_record_before_it() {
    let (bytes, ends) = small_log();
    for bit in FIRST_RECORD_OFFSET as usize * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let found = agrees_with_recovery(&damaged);
        let records = ends.iter().filter(|end| **end <= bit as u64 / 8).count() - 1;
        assert_eq!(found.last_seq, LAST_SEQS[records], "bit {bit}");
        assert_eq!(found.torn_bytes, bytes.len() as u64 - ends[records], "bit {bit}");
    }
}

#[test]
fn a_gap_in_the_numbers_ends_what_is_told() {
    let (bytes, ends) = small_log();
    let found = agrees_with_recovery(&[bytes.clone(), encoded(10, completed())].concat());
    assert_eq!((found.last_seq, found.end_offset), (8, ends[6]));
    assert!(found.torn_bytes > 0);
}

#[test]
fn a_file_that_is_no_log_has_no_summary() {
    let (_directory, path) = file_of(b"CCXLOG3\nfrom the future");
    assert!(matches!(summary(&path), Err(LogError::NotALog { .. })));
    assert!(matches!(summary(&path.join("none")), Err(LogError::Io { .. })));
}
