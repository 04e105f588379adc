//! Records of the link between a worker and its supervisor: what is decoded and encoded again is the same record.
#![no_main]

use bytes::BytesMut;
use cc_link::record::{HEADER_BYTES, Record, decode, peek_seqs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(_)) = decode(&mut buffer) {}
    // With the length and the checksum that they should have, so that what they hold is read.
    let mut frame = vec![0; 8];
    frame.extend_from_slice(bytes);
    if frame.len() < HEADER_BYTES {
        return;
    }
    let length = u32::try_from(bytes.len()).unwrap();
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    let seqs = peek_seqs(&frame);
    let mut buffer = BytesMut::from(&frame[..]);
    let Ok(Some(record)) = decode(&mut buffer) else { return };
    if record.seq > 0 {
        assert_eq!(seqs, (record.seq, record.last_seq()));
    }
    let mut written = Vec::new();
    record.encode(&mut written).unwrap();
    let again = decode(&mut BytesMut::from(&written[..])).unwrap().unwrap();
    assert_eq!(Record { seq: again.seq, ..record.clone() }, again);
    assert!(record.one_by_one().count() > 0);
});
