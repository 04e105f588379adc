//! Every limit of the supervisor that is no setting, with its unit. What an operator can change stands in
//! [`crate::config::settings::table`]; of that, only what is needed elsewhere as well has a name here: the bounds that
//! requests share with settings, and defaults that depend on the machine.
//!
//! Owns numbers only. Every room takes them from here.

use std::time::Duration;

// The configuration.

/// Longest configuration file. It bounds how long a check of one with nothing but mistakes takes.
pub(crate) const CONFIG_FILE_BYTES: usize = 256 * 1024;
/// Mistakes in the configuration file that are described; more are only counted.
pub(crate) const CONFIG_MISTAKES: usize = 100;
/// Of a key in a mistake, the characters that are shown.
pub(crate) const CONFIG_KEY_CHARS: usize = 64;
/// Longest token file.
pub(crate) const TOKEN_FILE_BYTES: usize = 64 * 1024;
/// Longest name of a token.
pub(crate) const TOKEN_NAME_CHARS: usize = 64;

/// Longest file with certificates or a key.
pub(crate) const TLS_FILE_BYTES: usize = 1024 * 1024;

// The listener.

/// Sessions that wait for their clients; of more, those end that run nothing and have sent everything, the oldest first.
pub(crate) const WAITING_SESSIONS: usize = 1_000;
/// Beyond this many, those that have events to send end as well.
pub(crate) const OWING_SESSIONS: usize = 10_000;
/// Ended sessions that are remembered, so that a late client learns what happened.
pub(crate) const ENDED_SESSIONS: usize = 10_000;
/// Admitted connections beyond the sessions: those that are only told that all sessions are taken.
pub(crate) const EXTRA_CONNECTIONS: usize = 64;
/// Connections of this supervisor's user that have not asked for a session yet, beyond one for each session: probes,
/// handshakes under way.
pub(crate) const OWN_PREAUTH: usize = 64;
/// Of those for the sessions, no more than so many.
pub(crate) const MOST_OWN_PREAUTH: usize = 1_024;
/// Connections of other users and machines that have not shown a token yet.
pub(crate) const STRANGERS_PREAUTH: usize = 128;
/// Of these, those of one user or address.
pub(crate) const SOURCE_PREAUTH: usize = 64;
/// Connections that are accepted before the users at their other ends are looked up.
pub(crate) const ACCEPTED_TOGETHER: usize = 16;
/// Connections that the kernel queues until they are accepted; it has a limit of its own (net.core.somaxconn).
pub(crate) const ACCEPT_QUEUE: u32 = 4_096;
/// How long an HTTP connection is kept for further requests.
pub(crate) const HTTP_LIFETIME: Duration = Duration::from_secs(60);
/// Requests on one HTTP connection.
pub(crate) const HTTP_REQUESTS: usize = 100;
/// Between looks whether there are descriptors again.
pub(crate) const DESCRIPTORS_CHECK: Duration = Duration::from_millis(500);
/// How long a connection waits for a session that is just ending before it is refused.
pub(crate) const SESSION_WAIT: Duration = Duration::from_millis(100);
/// Longest head of an HTTP request.
pub(crate) const REQUEST_HEAD_BYTES: usize = 16 * 1024;
/// Pause after a failed accept.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);

// Panics.

/// How long health shows a panic.
pub(crate) const PANIC_SHOWN: Duration = Duration::from_secs(60 * 60);
/// Before what has panicked and must run is begun anew.
pub(crate) const PANIC_RETRY: Duration = Duration::from_secs(1);
/// Before the batch of an owner that has panicked is taken up again.
pub(crate) const PANICKED_BATCH: Duration = Duration::from_secs(5);

// The audit log.

/// Entries that wait to be written.
pub(crate) const AUDIT_QUEUE_LINES: usize = 1_024;
/// Longest text of an entry, in characters.
pub(crate) const AUDIT_TEXT_CHARS: usize = 200;
/// Of clients that are turned away before they have a session, the entries that are written in [`AUDIT_DOOR_TIME`].
pub(crate) const AUDIT_DOOR_LINES: u32 = 10;
/// See [`AUDIT_DOOR_LINES`].
pub(crate) const AUDIT_DOOR_TIME: Duration = Duration::from_secs(10);

// A connection.

/// Pings in a row without a sign of life.
pub(crate) const HEARTBEAT_MISSES: u32 = 2;
/// How long a client may not read at all, with output waiting for it, before it counts as dead.
pub(crate) const STALLED_CLIENT: Duration = Duration::from_secs(2 * 3600);
/// Most JSON values in one message: they, not its bytes, cost memory. Room for a batch of as many tasks as
/// there may be.
pub(crate) const MESSAGE_VALUES: usize = 250_000;
/// Values of a message that are parsed whatever the messages of other clients have.
pub(crate) const FREE_VALUES: usize = 1_000;
/// Of a message, the bytes that are read whatever other clients send.
pub(crate) const FREE_MESSAGE_BYTES: u64 = 64 * 1024;
/// What longer messages of all clients may take together: their texts, and as much again for what is made of them.
pub(crate) const MESSAGES_BYTES: usize = 128 * 1024 * 1024;
/// How long a longer message waits for others to be answered before its connection is closed.
pub(crate) const MESSAGE_WAIT: Duration = Duration::from_secs(30);
/// Between looks at how fast a longer message comes.
pub(crate) const MESSAGE_CHECK: Duration = Duration::from_secs(1);
/// Of which so many bytes must have come since the last look while others wait, or its connection is closed.
pub(crate) const MESSAGE_CHECK_BYTES: u64 = 64 * 1024;
/// Most calls in one JSON-RPC batch.
pub(crate) const BATCH_CALLS: usize = 1_000;
/// Longest single answer in a batch whose answers together are too long to send.
pub(crate) const BATCH_ANSWER_BYTES: usize = 512;
/// Most names of ignored parameters in an answer, and characters of each.
pub(crate) const IGNORED_PARAMS: usize = 32;
/// See [`IGNORED_PARAMS`].
pub(crate) const IGNORED_PARAM_CHARS: usize = 64;
/// The control queue of a connection: answers and orders for its writer.
pub(crate) const CONTROL_QUEUE_MESSAGES: usize = 64;
/// Read buffer of a connection: larger ones make idle connections expensive.
pub(crate) const READ_BUFFER_BYTES: usize = 1024;
/// What is taken out of the socket while a call is answered, to hear of the client's end.
pub(crate) const READ_AHEAD_BYTES: usize = 4 * 1024;
/// For a call to be answered whose client has gone.
pub(crate) const GONE_CLIENT: Duration = Duration::from_secs(10);
/// Answers from this length on wait for the client to have read the earlier ones.
pub(crate) const QUEUED_TEXT_BYTES: usize = 4 * 1024;
/// Texts from this length on are written past the codec.
pub(crate) const LONG_TEXT_BYTES: usize = 64 * 1024;
/// How long the client may read nothing of one before the connection ends.
pub(crate) const LONG_TEXT_WAIT: Duration = Duration::from_secs(30);
/// What is collected before a write to the socket.
pub(crate) const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// What may wait to be written: a few of the longest messages.
pub(crate) const MOST_WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Messages that are made at once for a connection; the last of them may pass this.
pub(crate) const TEXTS_BYTES: usize = 64 * 1024;
/// Records that a writer takes from a cursor at once.
pub(crate) const WRITER_TAKE_BYTES: usize = 128 * 1024;
/// After so long without a byte taken, a reader is left with a position in the log.
pub(crate) const STALLED_READER: Duration = Duration::from_secs(1);
/// Messages of one task that are sent before it is another's turn, where several are followed on a connection.
pub(crate) const WRITER_TURN_BYTES: usize = 256 * 1024;
/// Lines in one `process.output_batch`, and bytes of them all: escaped as JSON they may be six times as
/// many, and must fit into a message.
pub(crate) const BATCH_ITEMS: usize = 1_000;
/// See [`BATCH_ITEMS`].
pub(crate) const BATCH_DATA_BYTES: usize = 128 * 1024;
/// Tasks that one connection is attached to at once.
pub(crate) const ATTACHED_TASKS: usize = 100;
/// Of a session's tasks, those that the answer to `session.resume` describes; the events of all are sent.
pub(crate) const RESUME_SUMMARIES: usize = 200;
/// Tasks whose events one `session.resume` can have sent again.
pub(crate) const RESUME_TASKS: usize = 10_000;
/// Longest list in an answer: a message has to hold it whatever its texts are.
pub(crate) const LIST_BYTES: usize = 900 * 1024;
/// For what is queued, and the close frame, to reach a client whose connection we end.
pub(crate) const CLOSE_FLUSH: Duration = Duration::from_secs(2);
/// For the client to end its side afterwards.
pub(crate) const CLOSE_DRAIN: Duration = Duration::from_secs(2);
/// The same two while the supervisor stops: it does not wait for a client that sleeps.
pub(crate) const STOP_ASLEEP: Duration = Duration::from_millis(300);
/// See [`STOP_ASLEEP`].
pub(crate) const STOP_DRAIN: Duration = Duration::from_millis(200);
/// For a pause or a resume to be confirmed.
pub(crate) const CONTROL_ANSWER: Duration = Duration::from_secs(5);

// A task.

/// Most that --max-tasks and --claude-jobs can be.
pub(crate) const MOST_TASKS: usize = 100_000;
/// Most that --max-line-bytes and a request can ask for. A worker keeps the newest line of each stream in memory once the output is over its limit.
pub(crate) const MOST_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// Most that --max-output-bytes and a request can ask for. A worker keeps a quarter of it in memory once the output is over its limit.
pub(crate) const MOST_OUTPUT_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest time span that any setting takes: a year, as on the wire.
pub(crate) const MOST_SECONDS: f64 = cc_protocol::execute::TIMEOUT_S_LIMIT;
/// The end of each running task's log that is kept in memory.
pub(crate) const RING_BYTES: usize = 256 * 1024;
/// The same while nobody follows the task closely.
pub(crate) const UNREAD_RING_BYTES: usize = 8 * 1024;
/// Between the points of a running task's log whose places are kept in memory.
pub(crate) const FEED_MARK_BYTES: u64 = 256 * 1024;
/// One read from a worker's event pipe.
pub(crate) const EVENT_READ_BYTES: usize = 64 * 1024;
/// A task owner's queue of requests.
pub(crate) const REQUEST_QUEUE_MESSAGES: usize = 16;
/// Control lines that wait for a worker to read them.
pub(crate) const WORKER_CONTROL_QUEUE_LINES: usize = 16;

/// Versions of the CLI newer than the newest tested one that are logged, and unknown line types and members.
pub(crate) const CLI_VERSIONS_TOLD: usize = 16;
/// See [`CLI_VERSIONS_TOLD`].
pub(crate) const CLI_NAMES_TOLD: usize = 256;

// A worker's health.

/// From starting a worker to its task's `started` or terminal event.
pub(crate) const WORKER_START: Duration = Duration::from_secs(10);
/// Without a sign of life, until the worker is asked for one. It gives one every
/// [`cc_link::notice::SIGN_OF_LIFE_MS`] unasked.
pub(crate) const WORKER_SILENCE: Duration = Duration::from_secs(7);
/// For its answer. Then it is unresponsive.
pub(crate) const WORKER_ANSWER: Duration = Duration::from_secs(3);
// One that is late by a turn of a loaded machine is not asked.
const _: () = assert!(cc_link::notice::SIGN_OF_LIFE_MS + 1_000 < WORKER_SILENCE.as_millis() as u64);
/// What a worker may be late at its task's total deadline before it is asked whether it lives.
pub(crate) const WORKER_LATE: Duration = Duration::from_secs(1);
/// For its answer then.
pub(crate) const WORKER_LATE_PONG: Duration = Duration::from_secs(2);
/// From SIGKILL to the terminal event: what a worker's own kill may take, and a little.
pub(crate) const WORKER_KILL: Duration = Duration::from_secs(6);
/// How long a keeper that has closed its connection may take to exit, before the connection's error is all that is said.
pub(crate) const KEEPER_EXIT: Duration = Duration::from_millis(500);
/// Between trials whether processes can be made again.
pub(crate) const PROCESSES_TRIED_AGAIN: Duration = Duration::from_secs(1);
/// For the keeper to make a worker.
pub(crate) const WORKER_FORK: Duration = Duration::from_secs(5);
/// For a keeper to say that what a dead worker left is ended: what that may take, and a little.
pub(crate) const KEEPER_ANSWER: Duration =
    Duration::from_millis(cc_proctree::kill::SWEEP_MS_LIMIT + 1_000);
/// Questions to keepers at a time: fewer than a keeper has callers.
pub(crate) const KEEPER_QUESTIONS: usize = 16;
/// From the terminal event to the worker's exit, and from SIGKILL of a worker to its exit.
pub(crate) const WORKER_EXIT: Duration = Duration::from_secs(2);
/// For the start-up probe of the cgroup by a worker.
pub(crate) const CGROUP_PROBE: Duration = Duration::from_secs(10);

// Alerts.

/// Most that --restart-limit can be.
pub(crate) const MOST_RESTARTS: usize = 10_000;
/// For the operator's command for an alert; then it is killed.
pub(crate) const ALERT_COMMAND: Duration = Duration::from_secs(60);

// Children of other programs.

/// How long a child that was not started here stays unreaped after its end.
pub(crate) const STRANGER_WAIT: Duration = Duration::from_secs(1);

/// Between looks at the clock by which workers, clients and batches are waited for.
pub(crate) const UPTIME_CHECK: Duration = Duration::from_secs(5);

// Signs of life.

/// The event loop counts as stuck when its timer was not served for so long; it is due every [`UPTIME_CHECK`].
pub(crate) const PULSE_MISSING: Duration = Duration::from_secs(20);
/// Findings about the surroundings that are younger are not looked for again.
pub(crate) const CHECKUP_FRESH: Duration = Duration::from_secs(5);
/// How long a page waits for the disk of the state directory.
pub(crate) const CHECKUP_PATIENCE: Duration = Duration::from_secs(1);
/// Longest time between two reports to the service manager.
pub(crate) const SERVICE_STATUS: Duration = Duration::from_secs(10);

// The log.

/// Lines that wait for standard error to be read; more are dropped and counted.
pub(crate) const LOG_QUEUE_BYTES: usize = 256 * 1024;
/// How long the last lines may take to be written at the end of the program.
pub(crate) const LOG_FLUSH: Duration = Duration::from_secs(1);

// Open files.

/// Of a task: two pipes of its worker, a handle on it, its log while that is read, and one that is just being opened.
pub(crate) const OPEN_FILES_PER_TASK: usize = 5;
/// Of a supervisor with neither sessions nor tasks, and a little.
pub(crate) const OPEN_FILES_AT_REST: usize = 64;

// Workers of earlier supervisors.

/// For a worker's answer to the wish to adopt it, while the start waits for it.
pub(crate) const ADOPT_SOON: Duration = Duration::from_secs(1);
/// After that, in the background; then the worker is hung.
pub(crate) const ADOPT_ANSWER: Duration = Duration::from_secs(10);
/// Between attempts to connect to a worker with many callers.
pub(crate) const ADOPT_RETRY: Duration = Duration::from_millis(20);
/// How long the first client waits for the tasks of earlier supervisors to be adopted or ended.
pub(crate) const STARTUP: Duration = Duration::from_secs(5);

// Batches.

/// Batches that are not over, at once.
pub(crate) const BATCHES: usize = 100;
/// Messages that wait for a batch's owner.
pub(crate) const BATCH_QUEUE_MESSAGES: usize = 64;
/// Between looks at the wall clock while something waits for a time on it: the machine may have slept.
pub(crate) const BATCH_CLOCK_CHECK: Duration = Duration::from_secs(10);
/// Pause after a step that the database did not commit.
pub(crate) const BATCH_STORE_RETRY: Duration = Duration::from_secs(1);
/// Of one task's attempts, those that its row shows: the newest. All are in the list of tasks.
pub(crate) const BATCH_ATTEMPTS_SHOWN: usize = 100;
/// Longest text that other tasks, and `batch.result`, can be given as a task's result; a Claude task's is cut there by
/// its worker.
pub(crate) const BATCH_RESULT_BYTES: usize = cc_protocol::batch::WHOLE_RESULT_BYTES_LIMIT;
// What a worker keeps of an agent's answer is what is promised.
const _: () = assert!(BATCH_RESULT_BYTES == cc_claude::RESULT_BYTES_LIMIT);
/// Longest error text of a CLI in a task's row.
pub(crate) const BATCH_ERROR_CHARS: usize = 1_000;
/// Longest text of one warning in a task's row.
pub(crate) const BATCH_WARNING_CHARS: usize = 300;
/// Of each of several results of one run, how much its task's row shows.
pub(crate) const BATCH_PART_BYTES: usize = 1024;
/// After so long a limit that has not ended is tried with one task: it may have been lifted.
pub(crate) const GATE_TRIED_AGAIN: Duration = Duration::from_secs(60 * 60);
/// An agent that ends within so long, with the exit code for it and without a line of its stream, could not be executed:
/// milliseconds.
pub(crate) const AGENT_GONE_MS: u64 = 10_000;
/// Longest text of a usage limit that tasks wait for.
pub(crate) const BATCH_LIMIT_WORDS_CHARS: usize = 200;
/// Longest text of a failure that other tasks may meet as well, characters.
pub(crate) const BATCH_OBSTACLE_CHARS: usize = 300;
/// Batches that one connection is attached to at once.
pub(crate) const ATTACHED_BATCHES: usize = 100;
/// Rows in one `batch.progress`, so that the task output beside it does not wait.
pub(crate) const BATCH_PROGRESS_ROWS: usize = 100;
/// Bytes of these rows, unless one alone has more.
pub(crate) const BATCH_PROGRESS_BYTES: usize = 128 * 1024;
/// Tasks of a batch that are read from the database at once.
pub(crate) const BATCH_ROWS_READ: usize = 100;

// The state directory.

/// How long the lock of a dead supervisor is waited for: a worker that it was starting has it until it is executed.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Between two attempts to take it.
pub(crate) const LOCK_RETRY: Duration = Duration::from_millis(5);

/// The shortest time between looks at the state directory, whatever happens to it.
pub(crate) const STATE_CHECK_SOON: Duration = Duration::from_millis(100);
/// Between looks at the state directory: its place, its permissions, the room on its disk.
pub(crate) const STATE_CHECK: Duration = Duration::from_secs(10);
/// The same while something is wrong with it.
pub(crate) const STATE_CHECK_AGAIN: Duration = Duration::from_secs(1);
/// Between attempts to write an audit log that could not be written.
pub(crate) const AUDIT_TRIED_AGAIN: Duration = Duration::from_secs(1);
/// How long the failure of a task's log stands at least, so that probes see it.
pub(crate) const TASK_LOG_FAILURE_SHOWN: Duration = Duration::from_secs(5);
/// With less room than this on its disk the state directory is nearly full, unless [`NEARLY_FULL_SHARE`] is less.
pub(crate) const NEARLY_FULL_BYTES: u64 = 64 * 1024 * 1024;
/// One in so many bytes, or files, of the file system.
pub(crate) const NEARLY_FULL_SHARE: u64 = 16;
/// With fewer files than this to be made on its disk the state directory is nearly full.
pub(crate) const NEARLY_FULL_FILES: u64 = 1_000;
/// What must fit on its disk before a state directory that was full counts as writable again: a task's first needs.
pub(crate) const STATE_PROBE_BYTES: u64 = 256 * 1024;

/// Changes and questions that wait for the database.
pub(crate) const STORE_QUEUE_JOBS: usize = 1_024;
/// Changes that are kept when the database does not take them, to be tried again with the next ones.
pub(crate) const STORE_OVERDUE_CHANGES: usize = 10_000;
/// Changes in one transaction.
pub(crate) const STORE_GROUP_CHANGES: usize = 1_000;
/// How long what the task logs say as well may wait to be committed together with something else.
pub(crate) const STORE_LINGER: Duration = Duration::from_millis(100);
/// Most that --keep-tasks can be.
pub(crate) const MOST_KEEP_TASKS: usize = 10_000_000;
/// Bytes of all finished tasks' logs together, unless [`KEEP_BYTES_SHARE`] of the file system is less.
pub(crate) const DEFAULT_KEEP_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// One in so many bytes of the file system.
pub(crate) const KEEP_BYTES_SHARE: u64 = 10;
/// Logs that retention removes at once, and for how long: clients wait for the same disk.
pub(crate) const RETENTION_SLICE_TASKS: usize = 8;
/// See [`RETENTION_SLICE_TASKS`].
pub(crate) const RETENTION_SLICE: Duration = Duration::from_millis(10);
/// Longest pause after that. The usual one is twice what the removal took.
pub(crate) const RETENTION_PAUSE: Duration = Duration::from_millis(10);
/// Between looks for logs that have become too old.
pub(crate) const RETENTION_CHECK: Duration = Duration::from_secs(60);

// Shutdown.

/// Beyond a task's grace period, for the terminal events of all tasks.
pub(crate) const SHUTDOWN_TASKS: Duration = Duration::from_secs(5);
/// After that, with SIGKILL: the workers' own bound, a sweep, and a little.
pub(crate) const SHUTDOWN_KILL: Duration = Duration::from_secs(20);
/// For tasks whose start is not decided, when tasks are kept.
pub(crate) const SHUTDOWN_STARTS: Duration = Duration::from_secs(5);
/// For the connections to close.
pub(crate) const SHUTDOWN_CONNECTIONS: Duration = Duration::from_secs(5);
/// For what is left in the runtime.
pub(crate) const SHUTDOWN_RUNTIME: Duration = Duration::from_secs(1);

// The runtime.

/// Threads that run the daemon. Nothing on them may block.
pub(crate) const RUNTIME_THREADS: usize = 2;
/// Threads for reading logs, sweeping and looking up peers.
pub(crate) const BLOCKING_THREADS: usize = 16;
/// How long they wait for work before they end: in effect for ever, as a new thread may not be available later.
pub(crate) const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
