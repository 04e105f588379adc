//! A supervisor of a test's own, which must leave nothing behind.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, ExitStatus},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};
use tempfile::TempDir;

use crate::{
    Client, Options, PATIENCE,
    processes::{self, Process},
};

/// Name of the variable that marks the tasks of one supervisor.
const MARK: &str = "CC_TESTS_MARK";

/// A running supervisor. Dropped, it is told to stop; the test fails if it does not, if its exit code
/// is not 0, or if any process of its tree is left.
pub struct Supervisor {
    child: Child,
    handle: Process,
    address: SocketAddr,
    first_line: String,
    mark: String,
    directory: TempDir,
    is_over: bool,
    /// Kept open: a supervisor that logs to a closed pipe would be another test.
    _stdout: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts one and waits for the line that says where it listens.
    ///
    /// # Panics
    /// When it does not say so.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), options.user_id(), options.user_id()).unwrap();
        let mark = crate::unique_tag("mark");
        let log = File::create(directory.path().join("stderr")).unwrap();
        let mut command = options.command(&directory.path().join("state"), (MARK, &mark));
        let mut child = command.stderr(log).spawn().unwrap();
        let handle = Process::open(child.id().cast_signed()).unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let first_line = first_line(&mut stdout);
        let address = first_line
            .strip_prefix("listening on ws://")
            .and_then(|line| line.strip_suffix("/ws/mcp\n"))
            .and_then(|address| address.parse().ok());
        let Some(address) = address else {
            drop(child.kill());
            drop(child.wait());
            let log = fs::read_to_string(directory.path().join("stderr")).unwrap_or_default();
            panic!("the supervisor said {first_line:?} instead of where it listens\n{log}");
        };
        let is_over = false;
        Self { child, handle, address, first_line, mark, directory, is_over, _stdout: stdout }
    }

    /// One with default options.
    #[must_use]
    pub fn start_default() -> Self {
        Self::start(&Options::new())
    }

    /// Opens a session.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `ccx --url` and other clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ws/mcp", self.address)
    }

    /// The first line that it printed, with its newline.
    #[must_use]
    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.handle.pid
    }

    /// Its state directory.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The workers that run at this moment: its children.
    #[must_use]
    pub fn workers(&self) -> Vec<i32> {
        processes::children(self.pid())
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.handle.signal(signal);
    }

    /// Waits for it to exit, having been told to; also checks that nothing of its tree is left.
    ///
    /// # Panics
    /// When it does not exit, or something is left.
    pub fn wait(&mut self) -> ExitStatus {
        assert!(self.handle.wait_gone(PATIENCE), "the supervisor did not stop\n{}", self.log());
        let status = self.child.wait().unwrap();
        self.is_over = true;
        let left = self.left_behind();
        let described = processes::describe(&left);
        processes::kill_all(&left);
        assert!(left.is_empty(), "processes left behind: {described}\n{}", self.log());
        status
    }

    /// SIGTERM, and [`Supervisor::wait`].
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Processes of tasks, and workers, whoever their parent is now.
    #[must_use]
    pub fn left_behind(&self) -> Vec<i32> {
        let mut left = processes::with_environment(&format!("{MARK}={}", self.mark));
        left.extend(processes::holding_open(self.directory.path()));
        left.sort_unstable();
        left.dedup();
        left.retain(|pid| *pid != self.pid());
        left
    }

    /// The directory of a task's log.
    #[must_use]
    pub fn task_directory(&self, task_id: &str) -> PathBuf {
        self.state_directory().join("tasks").join(task_id)
    }

    /// For files of the test.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if std::thread::panicking() {
            eprintln!("--- log of the supervisor\n{}", self.log());
            // First itself, so that it starts nothing more; it is not reaped yet, so the number is its.
            drop(self.child.kill());
            drop(self.child.wait());
            processes::kill_all(&self.left_behind());
            return;
        }
        let status = self.stop();
        assert!(status.success(), "the supervisor stopped with {status}");
    }
}

/// Empty when the program ends without a line or says nothing for too long.
fn first_line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    let timeout = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut descriptors = [PollFd::from_borrowed_fd(stdout.get_ref().as_fd(), PollFlags::IN)];
    if poll(&mut descriptors, Some(&timeout)).unwrap() > 0 {
        stdout.read_line(&mut line).unwrap();
    }
    line
}
