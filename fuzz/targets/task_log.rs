//! Recovery of a task log: it keeps a prefix, it loses no byte, and what it leaves is whole.
#![no_main]

use std::{fs, path::Path};

use cc_link::{record::LOG_MAGIC, spec::Fsync};
use cc_tasklog::{LogReader, LogWriter, damaged_path, recover, summary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    thread_local!(static DIRECTORY: tempfile::TempDir = tempfile::tempdir_in("/dev/shm").unwrap());
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut content = if mode & 1 == 0 { LOG_MAGIC.to_vec() } else { Vec::new() };
    let start = content.len();
    content.extend_from_slice(rest);
    if mode & 2 == 0 {
        make_records(&mut content[start..]);
    }
    DIRECTORY.with(|directory| check(&directory.path().join("log"), &content));
});

/// Gives the bytes the lengths and checksums of records, but for those whose seq says otherwise.
fn make_records(mut bytes: &mut [u8]) {
    while bytes.len() >= 32 {
        let length = (24 + usize::from(bytes[0])).min(bytes.len() - 8);
        bytes[..4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        if bytes[8] != 0xff {
            let checksum = crc32fast::hash(&bytes[8..8 + length]);
            bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        }
        bytes = &mut bytes[8 + length..];
    }
}

fn check(path: &Path, content: &[u8]) {
    drop(fs::remove_file(damaged_path(path)));
    fs::write(path, content).unwrap();
    let before = summary(path);
    let Ok(recovered) = recover(path) else {
        assert!(before.is_err());
        assert_eq!(fs::read(path).unwrap(), content, "what is no log is left as it is");
        return;
    };
    assert_eq!(before.unwrap().last_seq, recovered.last_seq);
    let kept = fs::read(path).unwrap();
    let end = usize::try_from(recovered.end_offset).unwrap();
    assert_eq!(kept.len(), end);
    let prefix = end.min(content.len());
    assert_eq!(kept[..prefix], content[..prefix]);
    let cut = &content[prefix..];
    let damaged = fs::read(damaged_path(path)).unwrap_or_default();
    assert!(damaged == cut || (damaged.is_empty() && cut.iter().all(|byte| *byte == 0)));
    let again = recover(path).unwrap();
    assert_eq!(
        (again.last_seq, again.end_offset, again.cut),
        (recovered.last_seq, recovered.end_offset, None)
    );
    let mut reader = LogReader::open(path).unwrap();
    assert_eq!(reader.position_after(again.last_seq).unwrap(), Some(again.end_offset));
    LogWriter::reopen(path, again.end_offset, Fsync::Never).unwrap();
}
