//! A full disk ends a task, and its log says so, with or without a supervisor.

use std::path::Path;

use cc_events::EndReason;
use cc_link::{control::Control, notice::Notice, record::Body};
use cc_tasklog::FIRST_RECORD_OFFSET;
use nix::{
    mount::{MsFlags, mount, umount},
    sched::{CloneFlags, unshare},
};

use crate::support::{Worker, end_of_gapless, spec, stdout};

/// A directory with a file system of 1 MiB, in a mount namespace of the calling thread and what it starts.
/// `None` for users who may not mount.
struct SmallDisk {
    temporary: tempfile::TempDir,
}

impl SmallDisk {
    fn mounted() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: only root can mount a small disk");
            return None;
        }
        let temporary = tempfile::tempdir().unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let options = Some("size=1m,mode=700");
        mount(Some("tmpfs"), temporary.path(), Some("tmpfs"), MsFlags::empty(), options).unwrap();
        Some(Self { temporary })
    }

    fn path(&self) -> &Path {
        self.temporary.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // After a failed test a worker may still be there; the namespace ends with its last process.
        let _is_unmounted = umount(self.path());
    }
}

/// Checks that what was printed is in the records or counted as dropped.
fn check_end(records: &[cc_link::record::Record]) {
    let end = end_of_gapless(records);
    assert_eq!(end.reason, EndReason::ResourceLimit);
    let error = end.error.as_ref().unwrap();
    assert!(error.contains("task log") && error.contains("No space left"), "{error}");
    let dropped = end.output.dropped_bytes;
    assert!(dropped > 0);
    assert_eq!(stdout(records).len() as u64 + dropped, end.output.bytes);
    let kept_lines = stdout(records).iter().filter(|byte| **byte == b'\n').count() as u64;
    assert_eq!(kept_lines + end.output.dropped_lines, end.output.lines);
}

#[test]
fn a_task_that_nobody_watches_ends_at_a_full_disk_and_its_log_says_so() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let mut spec = spec("yes a line of output | head -c 4000000; exec sleep 600");
    let mut worker = Worker::start_in(&mut spec, disk.path().to_owned());
    worker.lose_starter();
    assert!(worker.wait().success());
    check_end(&worker.whole_log());
}

#[test]
fn an_adopter_that_comes_after_the_disk_was_full_hears_the_end() {
    let Some(disk) = SmallDisk::mounted() else { return };
    let command =
        "trap '' TERM; yes a line of output | head -c 4000000; while :; do sleep 600; done";
    let mut worker = Worker::start_in(&mut spec(command), disk.path().to_owned());
    loop {
        let record = worker.starter().records.next().unwrap();
        if let Body::Notice(Notice::Ending { reason }) = record.body {
            assert_eq!(reason, EndReason::ResourceLimit);
            break;
        }
    }
    worker.starter = None;
    let mut connection = worker.connect();
    let adopted = connection.adopt();
    assert_eq!(adopted.ending, Some(EndReason::ResourceLimit));
    connection.tell(&Control::Kill { reason: EndReason::Canceled });
    let mut records = worker.log(FIRST_RECORD_OFFSET, Some(adopted.end_offset));
    records.extend(connection.records.rest());
    check_end(&records);
    assert!(worker.wait().success());
    assert_eq!(records, worker.whole_log());
}

#[test]
fn a_task_is_not_started_on_a_disk_that_is_full_already() {
    let Some(disk) = SmallDisk::mounted() else { return };
    drop(std::fs::write(disk.path().join("filling"), vec![0; 1 << 20]));
    let mut worker = Worker::start_in(&mut spec("exec sleep 600"), disk.path().to_owned());
    let records = worker.starter().records.rest();
    let end = end_of_gapless(&records);
    assert_eq!(end.reason, EndReason::SpawnFailed);
    assert!(end.error.as_ref().unwrap().contains("No space left"), "{:?}", end.error);
}
