//! Drives a real worker: starts it, plays the supervisor that started it and those that come later.
//!
//! Everything that is waited for has a deadline of [`PATIENCE`], so that a worker that hangs fails its test.

use std::{
    collections::VecDeque,
    fs::File,
    io::{ErrorKind, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use bytes::BytesMut;
use cc_events::{ClaudeStream, Completed, Event};
use cc_link::{
    LINK_VERSION,
    adopt::{Adopt, Adopted, SOCKET_NAME, VersionRange},
    control::Control,
    notice::Notice,
    record::{self, Body, Record, Stream},
    spec::{Bounds, Deadlines, Fsync, OnOutputLimit, OnSupervisorLoss, Stdin, TaskSpec},
};
use cc_tasklog::{FIRST_RECORD_OFFSET, LogReader};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tempfile::TempDir;

/// Longest wait for anything; nothing takes so long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A worker and its task's directory.
pub struct Worker {
    child: Child,
    /// `None`: the supervisor that started it is gone.
    pub starter: Option<Starter>,
    directory: PathBuf,
    /// Where the task waits between its halves; held open, so that writing there does not block.
    gate: File,
    /// Removed with this, where it is not the caller's.
    temporary: Option<TempDir>,
}

/// The side of the supervisor that started the worker.
pub struct Starter {
    stdin: ChildStdin,
    pub records: Records<ChildStdout>,
}

/// A stream of records.
pub struct Records<R> {
    source: R,
    buffer: BytesMut,
    decoded: VecDeque<Record>,
}

/// The side of a supervisor that came later.
pub struct Connection {
    pub records: Records<UnixStream>,
}

/// A spec that runs a shell command, with room for all that it prints.
pub fn spec(command: &str) -> TaskSpec {
    TaskSpec {
        link_version: LINK_VERSION,
        task_id: "0197c0de-0000-7000-8000-000000000001".to_owned(),
        argv: ["sh", "-c", command].map(str::to_owned).to_vec(),
        cwd: None,
        is_cwd_resolved: false,
        env: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
        stdin: Stdin::Null,
        umask: 0o022,
        no_new_privs: true,
        isolation: Default::default(),
        adoption_key: None,
        bounds: Bounds {
            line_bytes_limit: 1 << 20,
            output_bytes_limit: 1 << 30,
            on_output_limit: OnOutputLimit::DropMiddle,
        },
        deadlines: Deadlines {
            total_ms: Some(600_000),
            silence_ms: None,
            first_output_ms: None,
            linger_ms: 1_000,
            grace_ms: 600_000,
        },
        log_path: PathBuf::new(),
        cgroup: None,
        claude: ClaudeStream::No,
        on_supervisor_loss: OnSupervisorLoss::Keep,
        fsync: Fsync::Never,
    }
}

/// A command that prints `before`, waits until [`Worker::release`], and prints `after`.
pub fn in_two_halves(before: &str, after: &str) -> String {
    format!("{before}; read line < gate; {after}")
}

impl Worker {
    /// Starts a worker for a shell command in a directory of its own.
    pub fn run(command: &str) -> Self {
        Self::start(spec(command), "task")
    }

    /// Starts a worker; `name` is that of the task's directory.
    pub fn start(mut spec: TaskSpec, name: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let mut worker = Self::start_in(&mut spec, directory);
        worker.temporary = Some(temporary);
        worker
    }

    /// Starts a worker in a directory that is there already.
    pub fn start_in(spec: &mut TaskSpec, directory: PathBuf) -> Self {
        let gate = directory.join("gate");
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let gate = File::options().read(true).write(true).open(gate).unwrap();
        spec.log_path = directory.join("log");
        spec.cwd = Some(directory.clone());
        let mut child = Command::new(env!("CARGO_BIN_EXE_cc-worker"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&Control::Run(Box::new(spec.clone())).to_line().unwrap()).unwrap();
        let records = Records::new(child.stdout.take().unwrap());
        let starter = Some(Starter { stdin, records });
        Self { child, starter, directory, gate, temporary: None }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub fn socket_path(&self) -> PathBuf {
        self.directory.join(SOCKET_NAME)
    }

    /// The supervisor that started it.
    pub fn starter(&mut self) -> &mut Starter {
        self.starter.as_mut().unwrap()
    }

    /// That supervisor vanishes, once the task runs.
    pub fn lose_starter(&mut self) {
        self.starter().records.until_started();
        self.starter = None;
    }

    /// Lets the second half of [`in_two_halves`] begin.
    pub fn release(&self) {
        (&self.gate).write_all(b"go\n").unwrap();
    }

    /// Connects; `None` when the worker listens no more.
    pub fn try_connect(&self) -> Option<Connection> {
        let directory = File::open(&self.directory).unwrap();
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) => {
                let kinds = [ErrorKind::NotFound, ErrorKind::ConnectionRefused];
                assert!(kinds.contains(&error.kind()), "{error}");
                return None;
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Connection { records: Records::new(stream) })
    }

    pub fn connect(&self) -> Connection {
        self.try_connect().unwrap()
    }

    /// Waits until the worker has exited.
    pub fn wait(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let mut fds = [PollFd::new(&handle, PollFlags::IN)];
        let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        assert_eq!(poll(&mut fds, Some(&patience)).unwrap(), 1, "the worker does not exit");
        self.child.wait().unwrap()
    }

    /// The records of the log from one offset up to another, or to its end.
    pub fn log(&self, from: u64, to: Option<u64>) -> Vec<Record> {
        let mut reader = LogReader::open(&self.log_path()).unwrap();
        let (mut offset, mut records) = (from, Vec::new());
        while to.is_none_or(|to| offset < to) {
            let mut frames = reader.read(offset, 1 << 20).unwrap();
            if frames.is_empty() {
                assert_eq!(to, None, "the log ends before the offset that was named");
                break;
            }
            while !frames.is_empty() && to.is_none_or(|to| offset < to) {
                let bytes = record::frame_bytes(&frames).unwrap().unwrap();
                offset += bytes as u64;
                let record = record::decode_frame(frames.split_to(bytes)).unwrap();
                records.extend(record.one_by_one());
            }
        }
        assert!(to.is_none_or(|to| offset == to), "the offset is not between two records");
        records
    }

    pub fn whole_log(&self) -> Vec<Record> {
        self.log(FIRST_RECORD_OFFSET, None)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // After a failed test; otherwise it has exited already. Its main process dies with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Starter {
    pub fn tell(&mut self, control: &Control) {
        self.stdin.write_all(&control.to_line().unwrap()).unwrap();
    }
}

impl<R: Read> Records<R> {
    fn new(source: R) -> Self {
        Self { source, buffer: BytesMut::new(), decoded: VecDeque::new() }
    }

    /// The next record or notice, each line in one of its own; `None` at the end.
    pub fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.decoded.pop_front() {
                return Some(record);
            }
            if let Some(record) = record::decode(&mut self.buffer).unwrap() {
                self.decoded.extend(record.one_by_one());
                continue;
            }
            let mut bytes = [0; 16 * 1024];
            match self.source.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                // A connection that is closed with something unread in it.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// All further records to the end, without notices.
    pub fn rest(&mut self) -> Vec<Record> {
        std::iter::from_fn(|| self.next()).filter(|record| record.seq > 0).collect()
    }

    /// Waits for an event.
    pub fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> Vec<Record> {
        let mut records = Vec::new();
        loop {
            let record = self.next().expect("the records end before the event");
            let is_last = matches!(&record.body, Body::Event(event) if is_it(event));
            records.extend((record.seq > 0).then_some(record));
            if is_last {
                return records;
            }
        }
    }

    pub fn until_started(&mut self) -> Vec<Record> {
        self.until(|event| matches!(event, Event::Started(_)))
    }

    /// Waits for a notice, which must come before any record.
    pub fn notice(&mut self) -> Option<Notice> {
        match self.next()?.body {
            Body::Notice(notice) => Some(notice),
            other @ (Body::Output(_) | Body::Lines(_) | Body::Event(_)) => {
                panic!("{other:?} instead of a notice")
            }
        }
    }
}

impl Connection {
    pub fn send(&mut self, bytes: &[u8]) {
        self.records.source.write_all(bytes).unwrap();
    }

    pub fn tell(&mut self, control: &Control) {
        self.send(&control.to_line().unwrap());
    }

    /// Asks for the worker; `None` when it hangs up, which it does only at its end.
    pub fn try_adopt(&mut self) -> Option<Box<Adopted>> {
        let line =
            Control::Adopt(Adopt { versions: VersionRange::OWN, key: None }).to_line().unwrap();
        if self.records.source.write_all(&line).is_err() {
            return None;
        }
        self.adopted()
    }

    /// The answer to a question that was sent already.
    pub fn adopted(&mut self) -> Option<Box<Adopted>> {
        match self.records.notice()? {
            Notice::Adopted(adopted) => Some(adopted),
            other @ (Notice::Pong { .. }
            | Notice::AdoptionRefused { .. }
            | Notice::Ending { .. }) => panic!("{other:?}"),
        }
    }

    pub fn adopt(&mut self) -> Box<Adopted> {
        self.try_adopt().expect("the worker hung up")
    }

    /// Waits until the worker has hung up; nothing may come before.
    pub fn hung_up(&mut self) {
        if let Some(record) = self.records.next() {
            panic!("{record:?} instead of the end");
        }
    }
}

/// What the task wrote to stdout.
pub fn stdout(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        match &record.body {
            Body::Output(output) if output.stream == Stream::Stdout => {
                bytes.extend_from_slice(&output.data);
            }
            Body::Output(_) | Body::Lines(_) | Body::Event(_) | Body::Notice(_) => {}
        }
    }
    bytes
}

/// What `seq FIRST LAST` prints.
pub fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    range.map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

/// The terminal event, after checking that the records are numbered from 1 without gaps and have just the one.
pub fn end_of_gapless(records: &[Record]) -> &Completed {
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.seq, index as u64 + 1, "a gap or a repeat");
    }
    let mut ends = records.iter().filter_map(|record| match &record.body {
        Body::Event(Event::Completed(completed)) => Some((record.seq, completed)),
        Body::Event(_) | Body::Output(_) | Body::Lines(_) | Body::Notice(_) => None,
    });
    let (seq, completed) = ends.next().expect("no terminal event");
    assert!(ends.next().is_none(), "two terminal events");
    assert_eq!(seq, records.len() as u64, "the terminal event is not the last");
    completed
}
