//! What Claude prints, cut into pieces of any length: nothing panics, and what is kept is bounded.
#![no_main]

use cc_claude::{RESULT_BYTES_LIMIT, StreamObserver};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, stream)) = bytes.split_first() else { return };
    let piece_bytes = 1 + usize::from(*piece) * 16;
    let mut observer = StreamObserver::new();
    let mut events = 0;
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let mut starts = true;
        let mut pieces = line.chunks(piece_bytes).peekable();
        while let Some(piece) = pieces.next() {
            let ends = pieces.peek().is_none();
            observer.fragment(piece, starts, ends, false, &mut |event| {
                serde_json::to_string(&event).unwrap();
                events += 1;
            });
            starts = false;
        }
    }
    assert!(events <= 2 * stream.len());
    let _ = (observer.work(), observer.refusal(), observer.cli_version());
    let summary = observer.summary();
    if let Some(result) = &summary.result {
        let kept = serde_json::to_string(&result).unwrap();
        assert!(kept.len() <= 12 * RESULT_BYTES_LIMIT + 64 * 1024);
    }
});
