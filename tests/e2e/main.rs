//! The black-box suites over the real `cc-supervisor`, `cc-worker` and `ccx`: what a client, an operator with `/proc`
//! and a reader of exit codes can see. This list of modules is their table of contents.
//!
//! All tests share this process, and as many run at a time as there are cores. So none changes what belongs to the
//! process (environment, working directory, limits, umask), and what a test counts is its own: processes by a tag in
//! their arguments or the mark of its supervisor, files in a directory that it has made. A program that a test makes is
//! written by another process (see `cc_tests::binaries::copy_program`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: a broken assumption ends it where it is noticed"
)]

/// One task, from its start to its end.
mod task {
    /// After the terminal event no process of the task exists, wherever it went.
    mod tree_kill;

    /// A task is over when its main process is, and nothing that it wrote is lost.
    mod end_of_task;

    /// A cgroup is really used, and what leaves or enters it ends all the same.
    mod cgroup;

    /// Pause, resume and cancel reach the whole tree.
    mod control;

    /// Deadlines end the whole tree, and the terminal event names them.
    mod deadlines;

    /// Time in which nothing could run is not counted against any deadline.
    mod gaps;

    /// Output is whole where it fits and counted where it does not, and its last line always comes.
    mod bounds;

    /// A task finds nothing of its supervisor and all that it was given.
    mod environment;

    /// Prompts take no more of the pipes' shared memory than other tasks, and run when it is used up.
    mod pipes;

    /// A task can signal, trace and reach nothing but its own processes, and writes where it may.
    mod isolation;

    /// What a task may use of the machine, and that using it up is said.
    mod resources;

    /// Tasks that a wrapper starts, and tasks of another user than the supervisor's.
    mod wrapped;

    /// The end of a Claude task is judged rightly, whatever its agent does.
    mod verdicts;

    /// What a Claude task's stream reports as running is not silence.
    mod stream;

    /// The log says once that a CLI, or something in its stream, is unknown to this version.
    mod cli_news;

    /// The log of a task is what its client was sent, whatever became of its worker.
    mod task_log;
}

/// What a client may ask, and how it gets every event once.
mod session {
    /// Old clients get what their contract says, to the letter.
    mod wire;

    /// JSON-RPC: batches of messages, notifications, ids, and texts that are no requests.
    mod json_rpc;

    /// A client that breaks the protocol harms only its own connection.
    mod misuse;

    /// Any order of legal calls is answered, and each task ends once.
    mod sequences;

    /// What all clients send together has a bound.
    mod long_messages;

    /// A connection keeps to RFC 6455, also where a client does not.
    mod conformance;

    /// Who may talk to the supervisor at all.
    mod admission;

    /// Each method needs its scope, and a token that lacks it is told so.
    mod scopes;

    /// A token sees what was made with it, and nothing of another one's.
    mod ownership;

    /// TLS: who is trusted, by both sides, and what a certificate that cannot be used leaves in force.
    mod tls;

    /// A Unix socket serves its user and no other, and leaves no file behind.
    mod unix_socket;

    /// However many connections others open, the rightful client gets in.
    mod crowds;

    /// Who is let in, turned away and dropped, and what becomes of their tasks.
    mod sessions;

    /// An `execute` after a cancel waits until the canceled task's tree is gone.
    mod waiting_execute;

    /// A session outlives its connections, whatever cuts them.
    mod resume;

    /// Who may resume a session, and when one has ended.
    mod takeover;

    /// Output in batches of lines is the same lines in the same order.
    mod output_batches;

    /// Hundreds of connections, cut at random bytes, lose and repeat nothing.
    mod resume_property;

    /// Any task can be looked at, followed and steered by its id.
    mod attach;

    /// Tasks on record: their list, their states and their stored events.
    mod stored_tasks;

    /// A client that does not read costs little memory, delays no other and gets everything.
    mod slow_readers;
}

/// The life of the service: crashes, upgrades, disks and load.
mod supervisor {
    /// Behind a proxy, as the page about it says.
    mod proxy;

    /// Without a descriptor for a new connection those that are there go on, and new ones are told to come again.
    mod descriptors;

    /// Other processes of the supervisor's user cannot look into it, nor take its workers over.
    mod same_user;

    /// The death of one worker, or of the supervisor, touches no other task.
    mod isolation;

    /// Token files, the limits of a token, and where a token can be read.
    mod tokens;

    /// Who asked for what, and whether it was done, is on record.
    mod audit;

    /// Probes learn whether it lives and can take work, and nothing else.
    mod probes;

    /// `/metrics` by the conventions, and as the document has it.
    mod metrics;

    /// The log: its form, its ids, what it never says, and a reader that sleeps.
    mod log;

    /// What a service manager is told.
    mod service_manager;

    /// The configuration file, and the check of it.
    mod configuration;

    /// Which source of a setting wins, and whom a file is believed from.
    mod config_layers;

    /// What a reload changes, what it does not, and that a mistake changes nothing.
    mod reload;

    /// A supervisor that runs empty.
    mod drain;

    /// The process that workers are forked by can be replaced and can die without costing a task.
    mod fork_server;

    /// What a task started is ended, whatever became of its worker and its supervisor.
    mod keeper;

    /// A worker that gives no sign of life is killed with its tree, and no other one is.
    mod signs_of_life;

    /// Many workers that die at once hold up no other task.
    mod dead_workers;

    /// Operators see the workers and restart them.
    mod workers;

    /// A worker program that is missing or wrong is waited for.
    mod broken_worker;

    /// Clients and a command are told what is wrong, and when it is over.
    mod alerts;

    /// Children of the supervisor that no task has started are left alone.
    mod bystanders;

    /// A supervisor that is killed or replaced costs no task.
    mod adoption;

    /// Stops, upgrades and restarts: what clients receive, which tasks are kept, what the next one knows.
    mod restart;

    /// What a crash can leave on the disk: torn logs, and databases that cannot be used.
    mod damage;

    /// Who may own the state directory, what is not followed in it, and its removal.
    mod state_directory;

    /// A full disk and a want of processes are said, stop nothing that runs, and end by themselves.
    mod shortage;

    /// A task is on record before it does anything.
    mod write_ahead;

    /// No connection is refused while one supervisor replaces another.
    mod socket_activation;

    /// The disk does not fill, and a full disk is reported.
    mod retention;

    /// All this needs no privilege.
    mod ordinary_user;

    /// Forty tasks under random kills: one end each, all bytes, no process left.
    mod chaos;

    /// After much work a supervisor holds what it held before.
    mod soak;

    /// High output, the session limit, memory and concurrency, many clients at once.
    mod stress;
}

/// Batches on the server.
mod batch {
    /// The shortest way through each part of a batch.
    mod smoke;

    /// Tasks run in order, one tree after the other, and hand on what they found.
    mod order;

    /// What can be asked about a batch, by whom, and who may watch it.
    mod lookup;

    /// The mistakes of a plan are reported all at once, and the same submission twice is one batch.
    mod plans;

    /// Failures, money, time and refused credentials stop a batch, and it says why.
    mod stops;

    /// Only what passes by itself is tried again, and every batch waits for a usage limit.
    mod retries;

    /// Limits of an account or of one model, and gates that a person opens.
    mod limits;

    /// What tasks report at their ends beside their verdicts.
    mod warnings;

    /// Commands around tasks, and timeouts from experience.
    mod hooks;

    /// Results that are longer than a row shows.
    mod results;

    /// Kills, upgrades and stops: each task once, in order, nothing left.
    mod restart;
}

/// The command line.
mod ccx {
    /// What the suites of `ccx batch` with a supervisor share.
    mod desk;

    /// A folder in which `ccx` is started, which several suites share.
    mod folder;

    /// What a program has printed.
    mod output;

    /// Exit codes, streams, Ctrl-C and task files are what scripts expect.
    mod run;

    /// One screen that says whether a supervisor is well.
    mod status;

    /// `ccx batch` can be left, watched, ended and continued.
    mod batches;

    /// What `ccx batch` reports and refuses, and how its options reach the server.
    mod batch_output;

    /// A batch can run unattended: its files say what was done, and a resume continues there.
    mod reports;

    /// Warnings, failures and last words of agents in every report.
    mod warnings;

    /// `run` and `batch` survive a bad network; `attach`, `logs`, `ps` and the rest find any task.
    mod sessions;

    /// Task files: what is run, what is reported as not run, and what is refused before anything starts.
    mod task_files;

    /// A token that `ccx token new` makes is one that a supervisor takes.
    mod tokens;

    /// `ccx doctor` says what is ready for a night, asks no model and leaves nothing.
    mod doctor;
}

/// The programs on the other side: clients of the predecessor and the real Claude CLI.
mod compat {
    /// A Python client of the predecessor works unchanged (needs `CC_TEST_PYTHON`).
    mod old_clients;

    /// The predecessor's eight fixes stay fixed.
    mod predecessor_fixes;

    /// The real Claude CLI through the real supervisor (these and the following need `CC_TEST_CLAUDE`).
    mod real_claude;

    /// What the real CLI has reported as running in the background is not silence.
    mod real_background;

    /// Ends of the real CLI that do not say by themselves what they mean.
    mod real_verdicts;

    /// Batches of fifty real Claude tasks.
    mod real_batches;

    /// The ten tests of the predecessor's stress report.
    mod stress_report;

    /// Ten prompts and a cancel, for the CLI of the day (`.ci/canary`).
    mod canary;
}
