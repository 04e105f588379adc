//! A task is on record before it does anything: a supervisor that dies in between leaves none that its successor does
//! not know of, and none is started a second time.

use std::fs::File;

use cc_tests::{Supervisor, wait_until};
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use serde_json::json;

/// Stops all writing to the database while it lives, as another writer does: the first byte of the locks in the
/// file that SQLite's readers and writers share (its "WAL-mode file format", section 2.1).
struct WriteLock {
    _file: File,
}

impl WriteLock {
    const AT_BYTE: i64 = 120;

    fn take(supervisor: &Supervisor) -> Self {
        let path = supervisor.state_directory().join("state.db-shm");
        let file = File::options().read(true).write(true).open(path).unwrap();
        let lock = libc::flock {
            l_type: libc::F_WRLCK as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: Self::AT_BYTE,
            l_len: 1,
            l_pid: 0,
        };
        wait_until("nobody writes", || fcntl(&file, FcntlArg::F_SETLK(&lock)).is_ok());
        Self { _file: file }
    }
}

#[test]
fn a_task_finds_itself_on_record_at_its_first_instruction() {
    /// One that does not wait for its record is found out each time by chance.
    const TASKS: usize = 12;
    let supervisor = Supervisor::start_default();
    let (mut client, mut other) = (supervisor.connect(), supervisor.connect());
    assert_eq!(client.run_shell("echo warm").stdout(), "warm\n");
    let database = supervisor.state_directory().join("state.db");
    let database = database.display();
    let known =
        format!("cat {database} {database}-wal | grep -q $CC_EXECUTOR_TASK_ID && echo known");
    for _ in 0..TASKS {
        let lock = WriteLock::take(&supervisor);
        let id = client.send_request("execute", &json!({ "command": known }));
        // Time for a task that does not wait. Nothing that reads the database is asked meanwhile: it would wait behind
        // the task's record.
        for _ in 0..50 {
            other.call("ping", &json!({})).unwrap();
        }
        drop(lock);
        let answer = client.recv_json();
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(client.collect(answer["result"].clone()).stdout(), "known\n");
    }
}
