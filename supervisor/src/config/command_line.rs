//! The command line, as typed. [`crate::config`] puts it together with the environment.
//!
//! Every value is a text or a flag here, so that the same parser reads an argument and the environment
//! variable of the same meaning, and the error says which of the two it was.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Runs tasks for its clients: one fresh worker process for every task.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "cc-supervisor", version)]
pub struct Args {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:8003; environment: DEFAULT_PORT]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where task logs and the lock live [default: $STATE_DIRECTORY, else cc-executor in the XDG state directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The worker program [default: cc-worker beside this program, else on the PATH]
    #[arg(long, value_name = "PATH")]
    pub worker: Option<PathBuf>,
    /// Sessions at once [default: 100; environment: MAX_SESSIONS]
    #[arg(long, value_name = "N")]
    pub max_sessions: Option<String>,
    /// Time that a session without a connection waits for its client to resume it; then its task is cancelled; 0 = at once [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub resume_grace: Option<String>,
    /// What becomes of running tasks when the supervisor is told to stop; SIGINT always ends them, SIGUSR1 always keeps them
    #[arg(long, value_enum, default_value_t)]
    pub on_stop: OnStop,
    /// What a worker does when the supervisor is gone without a word; with kill, tasks are ended at every stop
    #[arg(long, value_enum, default_value_t)]
    pub on_supervisor_loss: SupervisorLossPolicy,
    /// Time after which the log of a task that has ended is removed; 0 = as soon as no session waits for it [default: 30]
    #[arg(long, value_name = "DAYS")]
    pub keep_days: Option<String>,
    /// Tasks that have ended whose logs are kept; the oldest go first; 0 = as with --keep-days [default: 10000]
    #[arg(long, value_name = "N")]
    pub keep_tasks: Option<String>,
    /// Bytes of the logs of all tasks that have ended; the oldest go first; 0 = as with --keep-days [default: 10 GiB, at most a tenth of the file system]
    #[arg(long, value_name = "BYTES")]
    pub keep_bytes: Option<String>,
    /// Tasks at once, those included whose client is away [default: 200]
    #[arg(long, value_name = "N")]
    pub max_tasks: Option<String>,
    /// Claude tasks with one login or key that run at once, over all batches [default: 4]
    #[arg(long, value_name = "N")]
    pub claude_jobs: Option<String>,
    /// Run before the first attempt of each task of a batch that has no such hook; if it fails, the task has failed
    #[arg(long, value_name = "COMMAND")]
    pub before_task: Option<String>,
    /// Run after each task of a batch that has no such hook
    #[arg(long, value_name = "COMMAND")]
    pub after_task: Option<String>,
    /// Run after each batch that has no such hook, as to tell somebody
    #[arg(long, value_name = "COMMAND")]
    pub after_batch: Option<String>,
    /// Program and first arguments of prompt tasks [default: claude]
    #[arg(long, value_name = "COMMAND")]
    pub agent: Option<String>,
    /// What runs a command line, with -c [default: sh; environment: CC_EXECUTOR_SHELL]
    #[arg(long, value_name = "SHELL")]
    pub shell: Option<String>,
    /// Allow only commands with this first word, without a shell; repeatable [environment: ALLOWED_COMMANDS]
    #[arg(long, value_name = "NAME")]
    pub allow_command: Vec<String>,
    /// Longest line of a task's output before it is cut [default: 8388608; environment: MAX_BUFFER_SIZE]
    #[arg(long, value_name = "BYTES")]
    pub max_line_bytes: Option<String>,
    /// Most output of a task [default: 10485760]
    #[arg(long, value_name = "BYTES")]
    pub max_output_bytes: Option<String>,
    /// What happens to a task at that limit
    #[arg(long, value_enum, default_value_t)]
    pub on_output_limit: OutputLimitPolicy,
    /// Whether logs and state wait for the disk, so that a power failure loses nothing either
    #[arg(long, value_enum, default_value_t)]
    pub fsync: FsyncPolicy,
    /// Silence after which a task is ended; 0 = never [default: 300; environment: STREAM_TIMEOUT]
    #[arg(long, value_name = "SECONDS")]
    pub idle_timeout: Option<String>,
    /// Total time after which a task is ended [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<String>,
    /// Time to the first output of a prompt task; 0 = any [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub first_output_timeout: Option<String>,
    /// Time from a Claude task's result to its exit [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub linger: Option<String>,
    /// Time from SIGTERM to SIGKILL whenever a task is ended [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub grace: Option<String>,
    /// File mode creation mask of tasks [default: 022]
    #[arg(long, value_name = "OCTAL")]
    pub umask: Option<String>,
    /// Working directory of tasks that name none [default: this program's own]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Pass only variables of this name to tasks; a * in it stands for anything; repeatable
    #[arg(long, value_name = "NAME|GLOB*")]
    pub env_allow: Vec<String>,
    /// Never pass variables of this name to tasks; a * in it stands for anything; repeatable
    #[arg(long, value_name = "NAME|GLOB*")]
    pub env_deny: Vec<String>,
    /// Let tasks gain privileges by setuid programs; those cannot be killed without a cgroup
    #[arg(long)]
    pub allow_new_privileges: bool,
    /// Where tasks' cgroups are made: auto, off, or a cgroup v2 directory [default: auto; environment: CC_EXECUTOR_CGROUP]
    #[arg(long, value_name = "auto|off|PATH")]
    pub cgroup: Option<String>,
    /// Time between WebSocket pings; two without an answer end a connection [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub heartbeat: Option<String>,
    /// Time for a connection to complete its handshake [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub handshake_timeout: Option<String>,
    /// Longest message of a client [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub max_message_bytes: Option<String>,
    /// A file with the token that every client must present [environment: CC_EXECUTOR_TOKEN, the token itself]
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// A web origin, such as https://example.org, whose pages may connect; repeatable
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    /// Listen beyond loopback without TLS: everyone on the way can read the token and everything else
    #[arg(long)]
    pub insecure_remote: bool,
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Stop when standard input ends
    #[arg(long)]
    pub stop_on_stdin_eof: bool,
}

/// What happens to a task that prints more than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputLimitPolicy {
    /// Keep the head and the tail, count the middle
    #[default]
    Drop,
    /// End the task
    Kill,
}

/// What becomes of running tasks at a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnStop {
    /// They are cancelled
    #[default]
    EndTasks,
    /// They run on; the next supervisor adopts them
    KeepTasks,
}

/// What a worker does without its supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SupervisorLossPolicy {
    /// Run its task to the end; the next supervisor adopts it
    #[default]
    Keep,
    /// End its task at once
    Kill,
}

/// Whether anything waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FsyncPolicy {
    /// No: what is written survives kill -9, but not a power failure
    #[default]
    Never,
    /// Every group of records and every transaction
    Always,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Pretty,
    /// One JSON object a line
    Json,
}
