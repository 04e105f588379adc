use std::{fs, path::PathBuf};

use bytes::Bytes;
use cc_events::{Completed, Containment, EndReason, Event, OutputCounts, Verdict};
use cc_link::record::{Body, LOG_MAGIC, Lines, Output, Piece, Record, Stream};
use cc_link::spec::Fsync;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{LogReader, LogWriter, damaged_path};

fn started() -> Started {
    Started {
        pid: 12,
        worker_pid: 11,
        containment: Containment::Subreaper,
        isolation: Default::default(),
    }
}

pub(crate) fn completed() -> Body {
    Body::Event(Event::Completed(Box::new(Completed {
        pid: 12,
        reason: EndReason::WorkerDied,
        verdict: Verdict::WorkerDied,
        exit_code: -9,
        signal: Some(9),
        error: Some("the worker died".to_owned()),
        duration_ms: 1,
        cpu_ms: 1,
        max_rss_bytes: 1,
        output: OutputCounts::default(),
        killed_leftovers: 0,
        unkillable: 0,
        warnings: Vec::new(),
        claude: None,
        spawn_failure: None,
    })))
}

fn output(data: &[u8], piece: Option<Piece>, truncated: bool) -> Body {
    let data = Bytes::copy_from_slice(data);
    Body::Output(Output { stream: Stream::Stdout, piece, truncated, data })
}

fn lines(text: &'static str, count: u32) -> Body {
    Body::Lines(Lines::new(Stream::Stdout, count, Bytes::from_static(text.as_bytes())).unwrap())
}

pub(crate) fn encoded(seq: u64, body: Body) -> Vec<u8> {
    let mut frame = Vec::new();
    Record { seq, time_ms: seq.wrapping_add(1000), body }.encode(&mut frame).unwrap();
    frame
}

/// After so many records of the small log.
pub(crate) const LAST_SEQS: [u64; 7] = [0, 1, 2, 3, 4, 7, 8];

/// The bytes of a small log, and the offsets at which a record ends.
pub(crate) fn small_log() -> (Vec<u8>, Vec<u64>) {
    let mut bytes = LOG_MAGIC.to_vec();
    let mut ends = vec![bytes.len() as u64];
    let bodies = [
        Body::Event(Event::Started(started())),
        output(b"one\n", None, false),
        output(b"two, ", Some(Piece { index: 0, last: false }), false),
        output(b"cut[TRUNCATED]", Some(Piece { index: 1, last: true }), true),
        lines("a\nb\n\n", 3),
        completed(),
    ];
    for (last_seq, body) in LAST_SEQS.into_iter().zip(bodies) {
        bytes.extend(encoded(last_seq + 1, body));
        ends.push(bytes.len() as u64);
    }
    (bytes, ends)
}

pub(crate) fn file_of(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// Recovers, appends a terminal event as the supervisor does, and recovers again.
fn recover_and_append(path: &Path) -> Recovered {
    let recovered = recover(path).unwrap();
    let mut writer = LogWriter::reopen(path, recovered.end_offset, Fsync::Never).unwrap();
    writer.append(&encoded(recovered.last_seq + 1, completed())).unwrap();
    let again = recover(path).unwrap();
    assert_eq!(again.last_seq, recovered.last_seq + 1);
    assert_eq!((again.end_offset, again.cut), (writer.offset(), None));
    assert!(again.completed);
    let mut reader = LogReader::open(path).unwrap();
    assert_eq!(reader.position_after(again.last_seq).unwrap(), Some(again.end_offset));
    recovered
}

fn cut_bytes(recovered: &Recovered) -> u64 {
    recovered.cut.as_ref().map_or(0, |cut| cut.bytes)
}

#[test]
fn zeros_are_cut_without_a_trace_and_what_is_cut_twice_is_kept_twice() {
    let (bytes, _) = small_log();
    let (_directory, path) = file_of(&[bytes.as_slice(), &[0; 300_000]].concat());
    let cut = recover(&path).unwrap().cut;
    assert_eq!(cut, Some(Cut { bytes: 300_000, kept: Kept::Empty }));
    assert!(!damaged_path(&path).exists());
    for noise in ["first noise, ", "second noise"] {
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(noise.as_bytes()).unwrap();
        let cut = recover(&path).unwrap().cut.unwrap();
        assert_eq!(cut.kept, Kept::In(damaged_path(&path)));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert_eq!(fs::read_to_string(damaged_path(&path)).unwrap(), "first noise, second noise");
}

#[test]
fn a_log_is_made_whole_even_where_what_is_cut_cannot_be_kept() {
    let (bytes, _) = small_log();
    let (_directory, path) = file_of(&[bytes.as_slice(), b"noise"].concat());
    std::os::unix::fs::symlink("/dev/null", damaged_path(&path)).unwrap();
    let cut = recover(&path).unwrap().cut.unwrap();
    assert!(matches!(cut.kept, Kept::Lost(_)), "{cut:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_whole_log_is_left_as_it_is_and_its_contents_are_told() {
    let (bytes, ends) = small_log();
    let (_directory, path) = file_of(&bytes);
    let expected = Recovered {
        last_seq: 8,
        end_offset: ends[6],
        last_time_ms: 1008,
        started: Some(started()),
        started_time_ms: Some(1001),
        completed: true,
        output: StreamCounts { lines: 5, bytes: 28, truncated_lines: 1 },
        cut: None,
    };
    assert_eq!(recover(&path).unwrap(), expected);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_log_cut_at_any_byte_keeps_its_whole_records_and_can_be_appended_to() {
    let (bytes, ends) = small_log();
    for cut in 0..bytes.len() {
        let (_directory, path) = file_of(&bytes[..cut]);
        let recovered = recover_and_append(&path);
        let records = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(recovered.last_seq, LAST_SEQS[records], "cut at {cut}");
        assert_eq!(recovered.end_offset, ends[records], "cut at {cut}");
        assert_eq!(cut_bytes(&recovered), (cut as u64).saturating_sub(ends[records]));
        assert!(!recovered.completed);
        assert_eq!(recovered.started.is_some(), records > 0);
        let kept = fs::read(&path).unwrap();
        assert_eq!(kept[..ends[records] as usize], bytes[..ends[records] as usize]);
    }
}

#[test]
fn a_log_with_any_bit_flipped_keeps_the_records_before_it_and_can_be_appended_to() {
    let (bytes, ends) = small_log();
    for bit in FIRST_RECORD_OFFSET as usize * 8..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (_directory, path) = file_of(&damaged);
        let recovered = recover_and_append(&path);
        let records = ends.iter().filter(|end| **end <= bit as u64 / 8).count() - 1;
        assert_eq!(recovered.last_seq, LAST_SEQS[records], "bit {bit}");
        assert_eq!(cut_bytes(&recovered), bytes.len() as u64 - ends[records]);
        // The records behind the damaged one are kept.
        let kept = fs::read(damaged_path(&path)).unwrap();
        assert_eq!(kept, damaged[usize::try_from(ends[records]).unwrap()..]);
    }
}

#[test]
fn a_log_of_another_version_is_refused_and_the_message_says_what_to_do() {
    let (bytes, _) = small_log();
    for version in [b'0', b'2', b'9'] {
        let mut other = bytes.clone();
        other[b"CCXLOG".len()] = version;
        let (_directory, path) = file_of(&other);
        let error = recover(&path).unwrap_err();
        assert!(matches!(error, LogError::NotALog { .. }), "{error}");
        assert!(error.to_string().contains("the program that wrote it"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), other);
    }
}

#[test]
fn a_file_that_is_no_log_is_left_as_it_is() {
    let (bytes, _) = small_log();
    for bit in 0..FIRST_RECORD_OFFSET as usize * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let (_directory, path) = file_of(&other);
        assert!(matches!(recover(&path), Err(LogError::NotALog { .. })));
        assert_eq!(fs::read(&path).unwrap(), other);
    }
}

#[test]
fn a_gap_in_the_numbers_ends_the_log() {
    let (bytes, ends) = small_log();
    for seq in [0, 8, 10, u64::MAX] {
        let (_directory, path) =
            file_of(&[bytes.clone(), encoded(seq, output(b"x", None, false))].concat());
        let recovered = recover(&path).unwrap();
        assert_eq!((recovered.last_seq, recovered.end_offset), (8, ends[6]));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_record_of_a_newer_version_stays() {
    const KIND_OFFSET: usize = 24;
    let (bytes, _) = small_log();
    for kind in [3, 77] {
        let mut newer = encoded(9, output(b"{\"event\":\"levitated\"}", None, false));
        newer[KIND_OFFSET] = kind;
        let checksum = crc32fast::hash(&newer[8..]).to_le_bytes();
        newer[4..8].copy_from_slice(&checksum);
        let (_directory, path) = file_of(&[bytes.clone(), newer].concat());
        let recovered = recover(&path).unwrap();
        assert_eq!((recovered.last_seq, recovered.last_time_ms, recovered.cut), (9, 1009, None));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_after_the_magic_never_panic_and_can_be_appended_to(
        noise in proptest::collection::vec(any::<u8>(), 0..300),
        whole_records in any::<bool>(),
    ) {
        let start = if whole_records { small_log().0 } else { LOG_MAGIC.to_vec() };
        let (_directory, path) = file_of(&[start, noise].concat());
        recover_and_append(&path);
    }
}
