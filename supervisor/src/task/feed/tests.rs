use std::path::PathBuf;

use bytes::Bytes;
use cc_link::{
    record::{Packer, Stream, encode_output, frame_bytes, peek_seqs},
    spec::Fsync,
};
use cc_tasklog::LogWriter;
use proptest::prelude::*;

use super::*;

fn frames(first_seq: u64, sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (seq, size) in (first_seq..).zip(sizes) {
        let data = vec![b'x'; *size];
        encode_output(&mut bytes, seq, 0, Stream::Stdout, None, false, &data);
    }
    bytes
}

fn seqs(mut bytes: &[u8]) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Ok(Some(length)) = frame_bytes(bytes) {
        let (first, last) = peek_seqs(bytes);
        seqs.extend(first..=last);
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty(), "a cursor gave a part of a record");
    seqs
}

#[derive(Clone, Debug)]
enum Step {
    /// The worker writes these records to the log; the pipe has not delivered them yet.
    Log(Vec<usize>),
    /// The owner publishes what is in the log.
    Publish,
    /// A reader takes what there is, with this limit.
    Read(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(0usize..200, 1..8).prop_map(Step::Log),
        Just(Step::Publish),
        (0usize..3, 1usize..2000).prop_map(|(reader, limit)| Step::Read(reader, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_reader_gets_the_same_bytes_at_whatever_pace(
        steps in proptest::collection::vec(any_step(), 1..40),
        ring_bytes_limit in 0usize..2000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = LogWriter::create(&path, Fsync::Never).unwrap();
        let feed = Feed::new(path, ring_bytes_limit);
        let mut cursors: Vec<(Cursor, Vec<u8>)> =
            (0..3).map(|_| (feed.cursor_after(0), Vec::new())).collect();
        let (mut written, mut unpublished, mut last_seq) = (Vec::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Log(sizes) => {
                    let bytes = frames(last_seq + 1, &sizes);
                    last_seq += sizes.len() as u64;
                    log.append(&bytes).unwrap();
                    written.extend_from_slice(&bytes);
                    unpublished.extend_from_slice(&bytes);
                }
                Step::Publish if unpublished.is_empty() => {}
                Step::Publish => {
                    feed.append(std::mem::take(&mut unpublished).into(), last_seq, false);
                }
                Step::Read(index, limit) => {
                    let (cursor, got) = &mut cursors[index];
                    let published = written.len() - unpublished.len();
                    if got.len() < published {
                        let item = runtime.block_on(cursor.next(limit)).unwrap();
                        let Item::Frames(bytes) = item else { panic!("{item:?}") };
                        got.extend_from_slice(&bytes);
                        prop_assert!(got.len() <= published, "unpublished records were shown");
                    }
                }
            }
        }
        let terminal = frames(last_seq + 1, &[0]);
        log.append(&terminal).unwrap();
        unpublished.extend_from_slice(&terminal);
        written.extend_from_slice(&terminal);
        feed.append(unpublished.into(), last_seq + 1, true);
        for (cursor, got) in &mut cursors {
            while let Some(item) = runtime.block_on(cursor.next(500)) {
                let Item::Frames(bytes) = item else { panic!("{item:?}") };
                got.extend_from_slice(&bytes);
            }
            prop_assert_eq!(&*got, &written);
            prop_assert_eq!(seqs(got), (1..=last_seq + 1).collect::<Vec<_>>());
        }
        // A reader that comes later, from any position, gets exactly the rest, from the feed or from the log alone.
        for seq in 0..=last_seq + 1 {
            let rest: Vec<u64> = (seq + 1..=last_seq + 1).collect();
            for mut cursor in [
                feed.cursor_after(seq),
                Cursor::over_log(feed.log_path().to_owned(), seq),
            ] {
                let mut got = Vec::new();
                while let Some(item) = runtime.block_on(cursor.next(500)) {
                    let Item::Frames(bytes) = item else { panic!("{item:?}") };
                    got.extend_from_slice(&bytes);
                }
                prop_assert_eq!(seqs(&got), rest.clone());
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_announced_once_and_then_there_is_nothing() {
    for seq in [0, 7] {
        let mut cursor = Cursor::over_log(PathBuf::from("/nonexistent"), seq);
        let Some(Item::Lost { error, .. }) = cursor.next(1000).await else { panic!("not lost") };
        assert!(error.contains("/nonexistent"), "{error}");
        assert_eq!(cursor.next(1000).await, None);
    }
}

#[tokio::test]
async fn a_reader_at_the_end_wakes_when_something_comes() {
    let feed = Feed::new(PathBuf::from("/nonexistent"), 1000);
    let mut cursor = feed.cursor_after(0);
    let reading = tokio::spawn(async move { (cursor.next(1000).await, cursor.next(1000).await) });
    let bytes: Bytes = frames(1, &[5]).into();
    feed.append(bytes.clone(), 1, true);
    assert_eq!(reading.await.unwrap(), (Some(Item::Frames(bytes)), None));
}

#[tokio::test]
async fn what_neither_ring_nor_log_holds_is_announced_and_the_rest_still_comes() {
    let feed = Feed::new(PathBuf::from("/nonexistent"), 0);
    let mut cursor = feed.cursor_after(0);
    let lost = frames(1, &[5, 6]);
    let kept: Bytes = frames(3, &[7]).into();
    feed.append(lost.clone().into(), 2, false);
    feed.append(kept.clone(), 3, true);
    let Some(Item::Lost { bytes, error }) = cursor.next(1000).await else { panic!("nothing lost") };
    assert_eq!(bytes, lost.len() as u64);
    assert!(error.contains("/nonexistent"), "{error}");
    assert_eq!(cursor.next(1000).await, Some(Item::Frames(kept)));
    assert_eq!(cursor.next(1000).await, None);
}

#[tokio::test]
async fn every_position_of_a_long_log_is_found_from_the_nearest_mark() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = LogWriter::create(&path, Fsync::Never).unwrap();
    let feed = Feed::new(path, 0);
    let last_seq = 60;
    for seq in 1..=last_seq {
        let bytes = frames(seq, &[30_000]);
        log.append(&bytes).unwrap();
        feed.append(bytes.into(), seq, seq == last_seq);
    }
    assert!(feed.mark_before(last_seq).0 > last_seq / 2, "marks are set");
    for seq in 0..last_seq {
        let mut cursor = feed.cursor_after(seq);
        let Some(Item::Frames(bytes)) = cursor.next(1).await else { panic!("nothing after {seq}") };
        assert_eq!(seqs(&bytes), [seq + 1]);
    }
}

#[tokio::test]
async fn a_reader_that_resumes_within_packed_lines_begins_with_their_record() {
    const LINES: u64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut log = LogWriter::create(&path, Fsync::Never).unwrap();
    // One that serves from the ring, one from the file.
    let feeds = [1 << 20, 0].map(|bytes_limit| Feed::new(path.clone(), bytes_limit));
    let last_seq = 5 * LINES;
    for first_seq in (1..=last_seq).step_by(LINES as usize) {
        let (mut packer, mut bytes) = (Packer::default(), Vec::new());
        for seq in first_seq..first_seq + LINES {
            packer.add(&mut bytes, seq, 0, Stream::Stdout, b"line\n");
        }
        packer.close(&mut bytes);
        log.append(&bytes).unwrap();
        for feed in &feeds {
            let last_of_record = first_seq + LINES - 1;
            feed.append(bytes.clone().into(), last_of_record, last_of_record == last_seq);
        }
    }
    for seq in 0..=last_seq {
        let of_feeds = feeds.iter().map(|feed| feed.cursor_after(seq));
        for mut cursor in of_feeds.chain([Cursor::over_log(path.clone(), seq)]) {
            let mut got = Vec::new();
            while let Some(item) = cursor.next(100).await {
                let Item::Frames(bytes) = item else { panic!("{item:?}") };
                got.extend(seqs(&bytes));
            }
            let first_of_record = seq - seq % LINES + 1;
            assert_eq!(got, (first_of_record..=last_seq).collect::<Vec<_>>(), "after {seq}");
        }
    }
}
