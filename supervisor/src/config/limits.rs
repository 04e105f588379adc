//! Every limit of the supervisor: name, unit, default. What an operator or a request can change has
//! the word `DEFAULT`; what bounds such a change has the word `MOST`.
//!
//! Owns numbers only. Everything else in this crate takes them from here.

use std::time::Duration;

// The listener.

/// Sessions that wait for their clients; of more, those that run nothing end, the oldest first.
pub const WAITING_SESSIONS: usize = 1_000;
/// Ended sessions that are remembered, so that a late client is told what happened.
pub const ENDED_SESSIONS: usize = 10_000;
/// TCP connections beyond the sessions: health probes, handshakes under way, refusals.
pub const EXTRA_CONNECTIONS: usize = 64;
/// How long a connection waits for a session that is just ending before it is refused.
pub const SESSION_WAIT: Duration = Duration::from_millis(100);
/// Longest head of an HTTP request.
pub const REQUEST_HEAD_BYTES: usize = 16 * 1024;
/// Rest after an accept that failed, as for want of descriptors.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

// A connection.

/// Pings in a row without a sign of life.
pub const HEARTBEAT_MISSES: u32 = 2;
/// How long a client may not read at all, with output waiting for it, before it counts as dead.
pub const STALLED_CLIENT: Duration = Duration::from_secs(2 * 3600);
/// Most JSON values in one message: they, not its bytes, cost memory. Room for a batch of as many tasks as
/// there may be.
pub const MESSAGE_VALUES: usize = 250_000;
/// Most calls in one JSON-RPC batch.
pub const BATCH_CALLS: usize = 1_000;
/// Longest single answer in a batch whose answers together are too long to send.
pub const BATCH_ANSWER_BYTES: usize = 512;
/// Most names of ignored parameters in an answer, and characters of each.
pub const IGNORED_PARAMS: usize = 32;
/// See [`IGNORED_PARAMS`].
pub const IGNORED_PARAM_CHARS: usize = 64;
/// The control queue of a connection: answers and orders for its writer.
pub const CONTROL_QUEUE_MESSAGES: usize = 64;
/// Read buffer of a connection: larger ones make idle connections expensive.
pub const READ_BUFFER_BYTES: usize = 1024;
/// What is collected before a write to the socket.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// What may wait to be written: a few of the longest messages.
pub const MOST_WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Messages that are made at once for a connection; the last of them may pass this.
pub const TEXTS_BYTES: usize = 64 * 1024;
/// Records that a writer takes from a cursor at once.
pub const WRITER_TAKE_BYTES: usize = 128 * 1024;
/// Messages of one task that are sent before it is another's turn, where several are followed on a connection.
pub const WRITER_TURN_BYTES: usize = 256 * 1024;
/// Lines in one `process.output_batch`, and bytes of them all: escaped as JSON they may be six times as
/// many, and must fit into a message.
pub const BATCH_ITEMS: usize = 1_000;
/// See [`BATCH_ITEMS`].
pub const BATCH_DATA_BYTES: usize = 128 * 1024;
/// Tasks that one connection is attached to at once.
pub const ATTACHED_TASKS: usize = 100;
/// Of a session's tasks, those that the answer to `session.resume` describes; the events of all are sent.
pub const RESUME_SUMMARIES: usize = 200;
/// Tasks whose events one `session.resume` can have sent again.
pub const RESUME_TASKS: usize = 10_000;
/// Longest list in an answer: a message has to hold it whatever its texts are.
pub const LIST_BYTES: usize = 900 * 1024;
/// For what is queued, and the close frame, to reach a client whose connection we end.
pub const CLOSE_FLUSH: Duration = Duration::from_secs(2);
/// For the client to end its side afterwards.
pub const CLOSE_DRAIN: Duration = Duration::from_secs(2);
/// For a pause or a resume to be confirmed.
pub const CONTROL_ANSWER: Duration = Duration::from_secs(5);

// A task.

/// Most that an operator can ask for.
pub const MOST_TASKS: usize = 100_000;
/// A worker keeps the newest line of each stream in memory once the output is over its limit.
pub const MOST_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// A worker keeps a quarter of it in memory once the output is over its limit.
pub const MOST_OUTPUT_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest time span that any setting takes: a year, as on the wire.
pub const MOST_SECONDS: f64 = cc_protocol::execute::TIMEOUT_S_LIMIT;
/// The end of each running task's log that is kept in memory.
pub const RING_BYTES: usize = 256 * 1024;
/// Between the points of a running task's log whose places are kept in memory.
pub const FEED_MARK_BYTES: u64 = 256 * 1024;
/// One read from a worker's event pipe.
pub const EVENT_READ_BYTES: usize = 64 * 1024;
/// A task owner's queue of requests.
pub const REQUEST_QUEUE_MESSAGES: usize = 16;
/// Control lines that wait for a worker to read them.
pub const WORKER_CONTROL_QUEUE_LINES: usize = 16;

/// Versions of the CLI newer than the newest tested one that the log names, and line types and members that nobody here
/// knows.
pub const CLI_VERSIONS_TOLD: usize = 16;
/// See [`CLI_VERSIONS_TOLD`].
pub const CLI_NAMES_TOLD: usize = 256;

// A worker's health.

/// From starting a worker to its task's `started` or terminal event.
pub const WORKER_START: Duration = Duration::from_secs(10);
/// Until the first ping. Each that is answered doubles the time to the next one: a task that runs for hours costs
/// next to nothing while it is silent.
pub const WORKER_PING: Duration = Duration::from_secs(5);
/// Most between pings.
pub const MOST_WORKER_PING: Duration = Duration::from_secs(60);
/// From a ping to any sign of life.
pub const WORKER_PONG: Duration = Duration::from_secs(10);
/// What a worker may be late at its task's total deadline before it is asked whether it lives.
pub const WORKER_LATE: Duration = Duration::from_secs(1);
/// For its answer then.
pub const WORKER_LATE_PONG: Duration = Duration::from_secs(2);
/// From SIGKILL to the terminal event: what a worker's own kill may take, and a little.
pub const WORKER_KILL: Duration = Duration::from_secs(6);
/// For the keeper to make a worker.
pub const WORKER_FORK: Duration = Duration::from_secs(5);
/// For a keeper to say that what a dead worker left is ended: what that may take, and a little.
pub const KEEPER_ANSWER: Duration =
    Duration::from_millis(cc_proctree::kill::SWEEP_MS_LIMIT + 1_000);
/// From the terminal event to the worker's exit, and from SIGKILL of a worker to its exit.
pub const WORKER_EXIT: Duration = Duration::from_secs(2);
/// For the start-up probe of the cgroup by a worker.
pub const CGROUP_PROBE: Duration = Duration::from_secs(10);

// Children of other programs.

/// How long a child that was not started here stays unreaped after its end.
pub const STRANGER_WAIT: Duration = Duration::from_secs(1);

/// Between looks at the clock by which workers, clients and batches are waited for.
pub const UPTIME_CHECK: Duration = Duration::from_secs(5);

// Open files.

/// Of a task: two pipes of its worker, a handle on it, its log while that is read, and one that is just being opened.
pub const OPEN_FILES_PER_TASK: usize = 5;
/// Of a supervisor with neither sessions nor tasks, and a little.
pub const OPEN_FILES_AT_REST: usize = 64;

// Workers of earlier supervisors.

/// For a worker's answer to the wish to adopt it, while the start waits for it.
pub const ADOPT_SOON: Duration = Duration::from_secs(1);
/// After that, in the background; then the worker is hung.
pub const ADOPT_ANSWER: Duration = WORKER_PONG;
/// Between attempts to connect to a worker with many callers.
pub const ADOPT_RETRY: Duration = Duration::from_millis(20);
/// How long the first client waits for the tasks of earlier supervisors to be seen to.
pub const STARTUP: Duration = Duration::from_secs(5);

// Batches.

/// Batches that are not over, at once.
pub const BATCHES: usize = 100;
/// Messages that wait for a batch's owner.
pub const BATCH_QUEUE_MESSAGES: usize = 64;
/// Between looks at the wall clock while something waits for a time on it: the machine may have slept.
pub const BATCH_CLOCK_CHECK: Duration = Duration::from_secs(10);
/// Rest after a step that the database did not take.
pub const BATCH_STORE_RETRY: Duration = Duration::from_secs(1);
/// Of one task's attempts, those that its row shows: the newest. All are in the list of tasks.
pub const BATCH_ATTEMPTS_SHOWN: usize = 100;
/// Longest text that other tasks, and `batch.result`, can be given as a task's result; a Claude task's is cut there by
/// its worker.
pub const BATCH_RESULT_BYTES: usize = cc_protocol::batch::WHOLE_RESULT_BYTES_LIMIT;
// What a worker keeps of an agent's answer is what is promised.
const _: () = assert!(BATCH_RESULT_BYTES == cc_claude::RESULT_BYTES_LIMIT);
/// Longest error text of a CLI in a task's row.
pub const BATCH_ERROR_CHARS: usize = 1_000;
/// Longest text of one warning in a task's row.
pub const BATCH_WARNING_CHARS: usize = 300;
/// Of each of several results of one run, how much its task's row shows.
pub const BATCH_PART_BYTES: usize = 1024;
/// After so long a limit that has not ended is tried with one task: it may have been lifted.
pub const GATE_TRIED_AGAIN: Duration = Duration::from_secs(60 * 60);
/// An agent that ends within so long, with the exit code for it and without a line of its stream, could not be executed:
/// milliseconds.
pub const AGENT_GONE_MS: u64 = 10_000;
/// Longest text of a limit that somebody waits for.
pub const BATCH_LIMIT_WORDS_CHARS: usize = 200;
/// As much is kept of what went wrong with a task, where others may meet the same, characters.
pub const BATCH_OBSTACLE_CHARS: usize = 300;
/// Batches that one connection is attached to at once.
pub const ATTACHED_BATCHES: usize = 100;
/// Rows in one `batch.progress`, so that the task output beside it does not wait.
pub const BATCH_PROGRESS_ROWS: usize = 100;
/// Bytes of these rows, unless one alone has more.
pub const BATCH_PROGRESS_BYTES: usize = 128 * 1024;
/// Tasks of a batch that are read from the database at once.
pub const BATCH_ROWS_READ: usize = 100;

// The state directory.

/// For the lock of a supervisor that is gone to go as well: until a worker that it was starting is executed.
pub const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at it.
pub const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Changes and questions that wait for the database.
pub const STORE_QUEUE_JOBS: usize = 1_024;
/// Changes that are kept when the database does not take them, to be tried again with the next ones.
pub const STORE_OVERDUE_CHANGES: usize = 10_000;
/// Changes in one transaction.
pub const STORE_GROUP_CHANGES: usize = 1_000;
/// How long what the task logs say as well may wait to be committed together with something else.
pub const STORE_LINGER: Duration = Duration::from_millis(100);
/// Most that an operator can ask for.
pub const MOST_KEEP_TASKS: usize = 10_000_000;
/// Bytes of all finished tasks' logs together, unless [`KEEP_BYTES_SHARE`] of the file system is less.
pub const DEFAULT_KEEP_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// One in so many bytes of the file system.
pub const KEEP_BYTES_SHARE: u64 = 10;
/// Between looks for logs that have become too old.
pub const RETENTION_CHECK: Duration = Duration::from_secs(60);

// The end.

/// Beyond a task's grace period, for the terminal events of all tasks.
pub const SHUTDOWN_TASKS: Duration = Duration::from_secs(5);
/// After that, with SIGKILL: the workers' own bound, a sweep, and a little.
pub const SHUTDOWN_KILL: Duration = Duration::from_secs(20);
/// For tasks whose start is not decided, when tasks are kept.
pub const SHUTDOWN_STARTS: Duration = Duration::from_secs(5);
/// For the connections to close.
pub const SHUTDOWN_CONNECTIONS: Duration = Duration::from_secs(5);
/// For what is left in the runtime.
pub const SHUTDOWN_RUNTIME: Duration = Duration::from_secs(1);

// The runtime.

/// Threads that run the daemon. Nothing on them may block.
pub const RUNTIME_THREADS: usize = 2;
/// Threads for reading logs, sweeping and looking up peers.
pub const BLOCKING_THREADS: usize = 16;
/// They wait so long for work before they end: for ever, as far as a machine is concerned. Later there may be no other
/// to be had.
pub const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
