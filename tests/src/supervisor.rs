//! A supervisor of a test's own, which must leave nothing behind.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
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

/// The name of the processes that workers are forked by.
const KEEPER: &str = "cc-keeper";

/// A supervisor with a state directory, a port and a mark of its own, which can be ended and started
/// again. Dropped, it gets SIGTERM; the test fails if it does not, if its exit code is not 0, or
/// if any process of its tree is left, also of a supervisor that was ended before.
pub struct Supervisor {
    process: Running,
    address: SocketAddr,
    mark: String,
    directory: TempDir,
    is_over: bool,
}

struct Running {
    child: Child,
    handle: Process,
    first_line: String,
    /// Kept open: a supervisor that logs to a closed pipe would be another test.
    _stdout: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts one and waits for the line that says where it listens.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let directory = tempfile::tempdir_in(options.place()).unwrap();
        std::os::unix::fs::chown(directory.path(), options.user_id(), options.user_id()).unwrap();
        let mark = crate::unique_tag("mark");
        let (process, address) = launch(options, "127.0.0.1:0", directory.path(), &mark);
        Self { process, address, mark, directory, is_over: false }
    }

    #[must_use]
    pub fn start_default() -> Self {
        Self::start(&Options::new())
    }

    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

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
        &self.process.first_line
    }

    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.handle.pid
    }

    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The workers that have a task at this moment, of this supervisor. A zombie is none: it has nothing open.
    #[must_use]
    pub fn workers(&self) -> Vec<i32> {
        let mut workers = self.keepers_children();
        workers.retain(|pid| self.has_task(*pid));
        workers
    }

    /// The processes that this supervisor's workers are forked by.
    #[must_use]
    pub fn keepers(&self) -> Vec<i32> {
        let mut keepers = processes::children(self.pid());
        keepers.retain(|pid| is_alive_as(*pid, KEEPER));
        keepers
    }

    /// The same, and those of earlier supervisors with this state directory.
    #[must_use]
    pub fn keepers_anywhere(&self) -> Vec<i32> {
        let mut keepers = self.left_behind();
        keepers.retain(|pid| is_alive_as(*pid, KEEPER));
        keepers
    }

    fn keepers_children(&self) -> Vec<i32> {
        self.keepers().into_iter().flat_map(processes::children).collect()
    }

    /// Its children, and its keepers', that have ended and were not waited for, at this moment.
    #[must_use]
    pub fn zombies(&self) -> Vec<i32> {
        let mut zombies = processes::children(self.pid());
        zombies.extend(self.keepers_children());
        zombies.retain(|pid| processes::state(*pid).is_some_and(|state| state == "Z"));
        zombies
    }

    /// Whether a worker has begun with a task and not ended: it has its log open.
    fn has_task(&self, worker: i32) -> bool {
        processes::holds_open(worker, &self.state_directory().join("tasks"))
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.handle.signal(signal);
    }

    /// Ends it as a crash does: SIGKILL, at any instruction. Its workers and tasks are left to what
    /// they were told to do then.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.wait_for_exit();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it had ended before: {status}");
        self.wait_for_idle();
    }

    /// Tells it by SIGUSR1 to stop and keep the tasks, as before an upgrade.
    pub fn leave(&mut self) {
        self.signal(Signal::USR1);
        let status = self.wait_for_exit();
        assert!(status.success(), "the supervisor left with {status}\n{}", self.log());
    }

    /// Starts it again after its end: the same state directory, port and mark.
    pub fn start_again(&mut self, options: &Options) {
        assert!(self.is_over, "the one before still runs");
        let listen = self.address.to_string();
        (self.process, _) = launch(options, &listen, self.directory.path(), &self.mark);
        self.is_over = false;
    }

    /// Starts it again and kills it after this time, which may be before it has begun to listen.
    pub fn start_and_kill_after(&self, options: &Options, after: Duration) {
        assert!(self.is_over, "the one before still runs");
        let listen = self.address.to_string();
        let mut command = self.command(options, &listen);
        let mut child = command.stdout(Stdio::null()).stderr(self.log_file()).spawn().unwrap();
        let handle = Process::open(child.id().cast_signed()).unwrap();
        if handle.wait_gone(after) {
            panic!("it ended by itself\n{}", self.log());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.wait_for_idle();
    }

    /// After a kill: workers that had no task exit by themselves, a moment later, and so do keepers without workers.
    fn wait_for_idle(&self) {
        crate::wait_until(
            "workers without a task and idle keepers go with their supervisor",
            || {
                !self.all_workers().iter().any(|pid| !self.has_task(*pid))
                    && !self
                        .keepers_anywhere()
                        .iter()
                        .any(|pid| processes::children(*pid).is_empty())
            },
        );
    }

    fn command(&self, options: &Options, listen: &str) -> Command {
        options.command(listen, &self.state_directory(), (MARK, &self.mark))
    }

    fn log_file(&self) -> File {
        File::options()
            .append(true)
            .create(true)
            .open(self.directory.path().join("stderr"))
            .unwrap()
    }

    /// The workers that have a task at this moment, also those that an earlier supervisor started.
    #[must_use]
    pub fn workers_anywhere(&self) -> Vec<i32> {
        let mut workers = self.all_workers();
        workers.retain(|pid| self.has_task(*pid));
        workers
    }

    fn all_workers(&self) -> Vec<i32> {
        let mut workers = self.left_behind();
        let is_worker = |pid: i32| processes::name(pid).is_some_and(|name| name == "cc-worker");
        // A task's process has its worker's name until it is executed.
        workers.retain(|pid| is_worker(*pid) && !processes::parent(*pid).is_some_and(is_worker));
        workers
    }

    /// Starts it again where it must refuse to run; returns what it says about that.
    pub fn start_in_vain(&mut self, options: &Options) -> String {
        assert!(self.is_over, "the one before still runs");
        let mut child =
            self.command(options, "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
        let handle = Process::open(child.id().cast_signed()).unwrap();
        if !handle.wait_gone(PATIENCE) {
            drop(child.kill());
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code().map(|code| code > 0), Some(true), "{}", output.status);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Waits for it to exit, having been told to; what it leaves behind is the caller's.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let is_gone = self.process.handle.wait_gone(PATIENCE);
        assert!(is_gone, "the supervisor did not stop\n{}", self.log());
        self.is_over = true;
        self.process.child.wait().unwrap()
    }

    /// Waits for it to exit, having been told to; also checks that nothing of its tree is left.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.wait_for_exit();
        self.assert_nothing_left();
        status
    }

    /// SIGTERM, and [`Supervisor::wait`].
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    fn assert_nothing_left(&self) {
        // A keeper of a supervisor that was killed holds the end of a dead worker for a moment, in case that a successor
        // asks for it, and then goes by itself. Nothing else may be there.
        let is_keeper = |pid: &i32| processes::name(*pid).is_some_and(|name| name == "cc-keeper");
        let only_keepers = || {
            let left = self.left_behind();
            !left.is_empty() && left.iter().all(is_keeper)
        };
        let deadline = Instant::now() + PATIENCE;
        while only_keepers() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let left = self.left_behind();
        let described = processes::describe(&left);
        processes::kill_all(&left);
        assert!(left.is_empty(), "processes left behind: {described}\n{}", self.log());
    }

    /// Processes of tasks, and workers, whatever their parent is.
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
        if std::thread::panicking() {
            eprintln!("--- log of the supervisor\n{}", self.log());
            if !self.is_over {
                // First itself, so that it starts nothing more; it is not reaped yet, so the number
                // is its.
                drop(self.process.child.kill());
                drop(self.process.child.wait());
            }
            processes::kill_all(&self.left_behind());
            return;
        }
        if self.is_over {
            self.assert_nothing_left();
        } else {
            let status = self.stop();
            assert!(status.success(), "the supervisor stopped with {status}");
        }
    }
}

/// Whether it has this name and has not ended.
fn is_alive_as(pid: i32, name: &str) -> bool {
    processes::name(pid).is_some_and(|found| found == name)
        && processes::state(pid).is_some_and(|state| state != "Z")
}

/// Starts the program and waits for the line that says where it listens.
fn launch(options: &Options, listen: &str, directory: &Path, mark: &str) -> (Running, SocketAddr) {
    let log = directory.join("stderr");
    let stderr = File::options().append(true).create(true).open(&log).unwrap();
    let mut command = options.command(listen, &directory.join("state"), (MARK, mark));
    let mut child = command.stderr(stderr).spawn().unwrap();
    let handle = Process::open(child.id().cast_signed()).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let first_line = first_line(&mut stdout);
    let address = first_line
        .strip_prefix("listening on ws://")
        .or_else(|| first_line.strip_prefix("listening on wss://"))
        .and_then(|line| line.strip_suffix("/ws/mcp\n"))
        .and_then(|address| address.parse().ok());
    let Some(address) = address else {
        drop(child.kill());
        drop(child.wait());
        let log = fs::read_to_string(log).unwrap_or_default();
        panic!("the supervisor said {first_line:?} instead of where it listens\n{log}");
    };
    (Running { child, handle, first_line, _stdout: stdout }, address)
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
