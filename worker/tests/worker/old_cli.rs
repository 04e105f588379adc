//! A CLI of a version that does not wait for its last output: what is not read when it exits is lost.

use std::fs::File;

use cc_events::ClaudeStream;
use nix::sys::stat::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::{PATIENCE, Worker, end_of_gapless, spec, stdout};

/// The first line of a stream of this version, more output than the pipes on its way hold, and a sign that all of it was
/// written.
const COMMAND: &str = r#"
    echo '{"type":"system","subtype":"init","session_id":"s","claude_code_version":"2.1.197"}'
    for line in 1 2 3; do head -c 1000000 /dev/zero | tr '\0' x; echo; done
    echo written > written
"#;

#[test]
fn its_output_is_read_although_the_supervisor_does_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let sign = directory.path().join("written");
    nix::unistd::mkfifo(&sign, Mode::S_IRWXU).unwrap();
    // Open for both, so that neither side waits for the other to open it.
    let sign = File::options().read(true).write(true).open(sign).unwrap();
    let mut spec = spec(COMMAND);
    spec.claude = ClaudeStream::Observed;
    let mut worker = Worker::start_in(&mut spec, directory.path().to_owned());
    let mut fds = [PollFd::new(&sign, PollFlags::IN)];
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&patience)).unwrap(), 1, "the task waits for the supervisor");
    let records = worker.starter().records.rest();
    let end = end_of_gapless(&records);
    assert_eq!((end.exit_code, end.output.lines, end.output.dropped_bytes), (0, 4, 0));
    assert_eq!(stdout(&records).iter().filter(|byte| **byte == b'x').count(), 3_000_000);
    assert!(worker.wait().success());
    assert_eq!(records, worker.whole_log());
}
