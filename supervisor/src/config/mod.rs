//! Command line and environment become one checked configuration.
//!
//! An argument wins over its environment variable, an empty variable counts as none. Every error names
//! the argument or the variable that it comes from. Nothing here is changed after the start.

pub(crate) mod command_line;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod hooks;
pub(crate) mod limits;
pub(crate) mod settings;
pub(crate) mod token;

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use cc_link::spec::{Fsync, OnOutputLimit, OnSupervisorLoss};
use cc_proctree::cgroup::Setting;

use self::{
    command_line::{Args, FsyncPolicy, LogFormat, OnStop, OutputLimitPolicy, SupervisorLossPolicy},
    environment::Pattern,
    error::{ConfigError, Lookup},
    hooks::HookDefaults,
    settings::kinds::{
        Sources, any_time, cgroup, count, count_or_none, days, shell, some_time, umask, words,
    },
    token::Token,
};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// It may be reached from other machines: there is a token, and an operator has said so.
    pub may_be_remote: bool,
    /// Somebody said so: an inherited socket must listen there.
    pub is_listen_given: bool,
    /// Task logs and the lock.
    pub state_dir: PathBuf,
    /// The worker program, absolute.
    pub worker: PathBuf,
    /// Sessions at once.
    pub sessions_limit: usize,
    /// How long a session without a connection waits for one.
    pub resume_grace: Duration,
    /// Tasks at once.
    pub tasks_limit: usize,
    /// Claude tasks with one credential at once, over all batches.
    pub claude_jobs: usize,
    /// Commands around the tasks of batches.
    pub hooks: HookDefaults,
    /// What becomes of running tasks at a stop.
    pub on_stop: OnStop,
    /// How long logs are kept.
    pub keep: Keep,
    /// Program and first arguments of prompt tasks.
    pub agent: Vec<String>,
    /// What runs a command line.
    pub shell: String,
    /// First words that are allowed; empty allows all.
    pub allowed_commands: Vec<String>,
    /// What a task gets unless its request says otherwise.
    pub task: TaskDefaults,
    /// Whether logs and state wait for the disk.
    pub fsync: Fsync,
    /// If not empty, only these variables are passed on.
    pub env_allow: Vec<Pattern>,
    /// These variables are never passed on.
    pub env_deny: Vec<Pattern>,
    /// Where tasks' cgroups are made.
    pub cgroup: Setting,
    /// Between WebSocket pings.
    pub heartbeat: Duration,
    /// For a handshake.
    pub handshake_timeout: Duration,
    /// Longest message of a client.
    pub message_bytes_limit: usize,
    /// Required from everyone if there is one.
    pub token: Option<Token>,
    /// Web origins whose pages may connect.
    pub allowed_origins: Vec<String>,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Filter of the log.
    pub log_filter: String,
    /// Stop when standard input ends.
    pub stop_on_stdin_eof: bool,
}

/// What a task gets unless its request says otherwise.
#[derive(Clone, Debug)]
pub struct TaskDefaults {
    /// Longest line.
    pub line_bytes_limit: u64,
    /// Most output.
    pub output_bytes_limit: u64,
    /// What happens then.
    pub on_output_limit: OnOutputLimit,
    /// Silence; `None`: any.
    pub idle_timeout: Option<Duration>,
    /// Total time.
    pub timeout: Duration,
    /// First output of a prompt task; `None`: any.
    pub first_output_timeout: Option<Duration>,
    /// Result to exit of a Claude task.
    pub linger: Duration,
    /// SIGTERM to SIGKILL.
    pub grace: Duration,
    /// File mode creation mask.
    pub umask: u32,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// Whether setuid programs gain nothing.
    pub no_new_privs: bool,
    /// What its worker does without its supervisor.
    pub on_supervisor_loss: OnSupervisorLoss,
}

/// How long the logs of tasks that have ended are kept; whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Since a task's end.
    pub age: Duration,
    /// So many tasks.
    pub tasks: usize,
    /// So many bytes; `None`: the default, which depends on the file system.
    pub bytes: Option<u64>,
}

impl Config {
    /// Puts the command line and the environment together.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn resolve(args: Args, lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let sources = Sources { lookup };
        let token = token(&args, &sources)?;
        let may_be_remote = args.insecure_remote && token.is_some();
        let listen = check_listen(listen(&args, &sources)?, may_be_remote)?;
        Ok(Self {
            may_be_remote,
            is_listen_given: args.listen.is_some(),
            listen,
            state_dir: state_dir(args.state_dir.as_deref(), &sources)?,
            worker: worker(args.worker.as_deref(), &sources)?,
            sessions_limit: sources.value(
                "--max-sessions",
                args.max_sessions.as_deref(),
                Some("MAX_SESSIONS"),
                limits::DEFAULT_SESSIONS,
                |text| count(text, limits::MOST_SESSIONS as u64).map(|count| count as usize),
            )?,
            resume_grace: sources.argument(
                "--resume-grace",
                &args.resume_grace,
                limits::DEFAULT_RESUME_GRACE,
                |text| Ok(any_time(text)?.unwrap_or_default()),
            )?,
            tasks_limit: sources.argument(
                "--max-tasks",
                &args.max_tasks,
                limits::DEFAULT_TASKS,
                |text| count(text, limits::MOST_TASKS as u64).map(|count| count as usize),
            )?,
            claude_jobs: claude_jobs(&args, &sources)?,
            hooks: hooks(&args),
            on_stop: args.on_stop,
            keep: keep(&args, &sources)?,
            agent: sources.argument("--agent", &args.agent, vec!["claude".to_owned()], words)?,
            shell: sources.value(
                "--shell",
                args.shell.as_deref(),
                Some("CC_EXECUTOR_SHELL"),
                "sh".to_owned(),
                shell,
            )?,
            allowed_commands: allowed_commands(&args, &sources),
            task: task_defaults(&args, &sources)?,
            fsync: fsync(args.fsync),
            env_allow: args.env_allow.iter().map(|text| Pattern::new(text)).collect(),
            env_deny: args.env_deny.iter().map(|text| Pattern::new(text)).collect(),
            cgroup: sources.value(
                "--cgroup",
                args.cgroup.as_deref(),
                Some("CC_EXECUTOR_CGROUP"),
                Setting::Auto,
                cgroup,
            )?,
            heartbeat: sources.argument(
                "--heartbeat",
                &args.heartbeat,
                limits::DEFAULT_HEARTBEAT,
                some_time,
            )?,
            handshake_timeout: sources.argument(
                "--handshake-timeout",
                &args.handshake_timeout,
                limits::DEFAULT_HANDSHAKE_TIMEOUT,
                some_time,
            )?,
            message_bytes_limit: sources.argument(
                "--max-message-bytes",
                &args.max_message_bytes,
                limits::DEFAULT_MESSAGE_BYTES,
                |text| count(text, limits::MOST_MESSAGE_BYTES as u64).map(|count| count as usize),
            )?,
            token,
            allowed_origins: args.allow_origin,
            log_format: args.log_format,
            log_filter: log_filter(&sources)?,
            stop_on_stdin_eof: args.stop_on_stdin_eof,
        })
    }
}

/// The address, if it may listen there.
///
/// # Errors
/// [`ConfigError::Remote`].
pub fn check_listen(address: SocketAddr, may_be_remote: bool) -> Result<SocketAddr, ConfigError> {
    if address.ip().is_loopback() || may_be_remote {
        Ok(address)
    } else {
        Err(ConfigError::Remote(address))
    }
}

fn task_defaults(args: &Args, sources: &Sources<'_>) -> Result<TaskDefaults, ConfigError> {
    let seconds = |name, argument: &Option<String>, default| {
        sources.argument(name, argument, default, some_time)
    };
    Ok(TaskDefaults {
        line_bytes_limit: sources.value(
            "--max-line-bytes",
            args.max_line_bytes.as_deref(),
            Some("MAX_BUFFER_SIZE"),
            limits::DEFAULT_LINE_BYTES,
            |text| count(text, limits::MOST_LINE_BYTES),
        )?,
        output_bytes_limit: sources.argument(
            "--max-output-bytes",
            &args.max_output_bytes,
            limits::DEFAULT_OUTPUT_BYTES,
            |text| count(text, limits::MOST_OUTPUT_BYTES),
        )?,
        on_output_limit: match args.on_output_limit {
            OutputLimitPolicy::Drop => OnOutputLimit::DropMiddle,
            OutputLimitPolicy::Kill => OnOutputLimit::Kill,
        },
        idle_timeout: sources.value(
            "--idle-timeout",
            args.idle_timeout.as_deref(),
            Some("STREAM_TIMEOUT"),
            Some(limits::DEFAULT_IDLE_TIMEOUT),
            any_time,
        )?,
        timeout: seconds("--timeout", &args.timeout, limits::DEFAULT_TIMEOUT)?,
        first_output_timeout: sources.argument(
            "--first-output-timeout",
            &args.first_output_timeout,
            Some(limits::DEFAULT_FIRST_OUTPUT_TIMEOUT),
            any_time,
        )?,
        linger: seconds("--linger", &args.linger, limits::DEFAULT_LINGER)?,
        grace: sources.argument("--grace", &args.grace, limits::DEFAULT_GRACE, |text| {
            Ok(any_time(text)?.unwrap_or_default())
        })?,
        umask: sources.argument("--umask", &args.umask, limits::DEFAULT_UMASK, umask)?,
        cwd: cwd(args.cwd.as_deref())?,
        no_new_privs: !args.allow_new_privileges,
        on_supervisor_loss: match args.on_supervisor_loss {
            SupervisorLossPolicy::Keep => OnSupervisorLoss::Keep,
            SupervisorLossPolicy::Kill => OnSupervisorLoss::Kill,
        },
    })
}

fn claude_jobs(args: &Args, sources: &Sources<'_>) -> Result<usize, ConfigError> {
    let most = limits::MOST_TASKS as u64;
    sources.argument("--claude-jobs", &args.claude_jobs, limits::DEFAULT_CLAUDE_JOBS, |text| {
        count(text, most).map(|count| count as usize)
    })
}

fn hooks(args: &Args) -> HookDefaults {
    HookDefaults {
        before_task: args.before_task.clone(),
        after_task: args.after_task.clone(),
        after_batch: args.after_batch.clone(),
    }
}

fn log_filter(sources: &Sources<'_>) -> Result<String, ConfigError> {
    sources.value(
        "LOG_LEVEL",
        None,
        Some("LOG_LEVEL"),
        "info".to_owned(),
        settings::kinds::log_filter,
    )
}

fn fsync(policy: FsyncPolicy) -> Fsync {
    match policy {
        FsyncPolicy::Never => Fsync::Never,
        FsyncPolicy::Always => Fsync::Always,
    }
}

fn keep(args: &Args, sources: &Sources<'_>) -> Result<Keep, ConfigError> {
    Ok(Keep {
        age: sources.argument("--keep-days", &args.keep_days, limits::DEFAULT_KEEP_AGE, days)?,
        tasks: sources.argument(
            "--keep-tasks",
            &args.keep_tasks,
            limits::DEFAULT_KEEP_TASKS,
            |text| Ok(count_or_none(text, limits::MOST_KEEP_TASKS as u64)? as usize),
        )?,
        bytes: sources.argument("--keep-bytes", &args.keep_bytes, None, |text| {
            count_or_none(text, limits::MOST_KEEP_BYTES).map(Some)
        })?,
    })
}

fn listen(args: &Args, sources: &Sources<'_>) -> Result<SocketAddr, ConfigError> {
    if args.listen.is_none() {
        let port = sources.value(
            "DEFAULT_PORT",
            None,
            Some("DEFAULT_PORT"),
            limits::DEFAULT_PORT,
            |text| text.parse().map_err(|_| "must be a port number from 0 to 65535".to_owned()),
        )?;
        let host = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
        return Ok(SocketAddr::new(host, port));
    }
    let fallback = SocketAddr::from(([127, 0, 0, 1], limits::DEFAULT_PORT));
    sources.argument("--listen", &args.listen, fallback, |text| {
        text.to_socket_addrs()
            .map_err(|error| {
                format!("must be HOST:PORT, such as {}:8003 ({error})", limits::DEFAULT_HOST)
            })?
            .next()
            .ok_or_else(|| "the name has no address".to_owned())
    })
}

fn token(args: &Args, sources: &Sources<'_>) -> Result<Option<Token>, ConfigError> {
    let (origin, text) = match &args.token_file {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| ConfigError::Path {
                origin: "--token-file",
                path: path.clone(),
                error,
            })?;
            (format!("the content of --token-file {}", path.display()), text)
        }
        None => match sources.variable("CC_EXECUTOR_TOKEN") {
            Some(text) => ("the environment variable CC_EXECUTOR_TOKEN".to_owned(), text),
            None => return Ok(None),
        },
    };
    // The value itself stays out of the error.
    Token::new(text.trim()).map(Some).map_err(|problem| ConfigError::Value {
        origin,
        value: "…".to_owned(),
        problem: problem.to_owned(),
    })
}

fn state_dir(argument: Option<&Path>, sources: &Sources<'_>) -> Result<PathBuf, ConfigError> {
    use etcetera::BaseStrategy as _;
    let path = match argument {
        Some(path) => path.to_owned(),
        None => match sources.variable("STATE_DIRECTORY") {
            // systemd joins several by colons; the first is ours.
            Some(value) => PathBuf::from(value.split(':').next().unwrap_or_default()),
            None => etcetera::base_strategy::Xdg::new()
                .ok()
                .and_then(|xdg| xdg.state_dir())
                .ok_or(ConfigError::NoStateDir)?
                .join("cc-executor"),
        },
    };
    std::path::absolute(&path).map_err(|error| ConfigError::Path {
        origin: "--state-dir",
        path,
        error,
    })
}

fn worker(argument: Option<&Path>, sources: &Sources<'_>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = argument {
        return path.canonicalize().map_err(|error| ConfigError::Path {
            origin: "--worker",
            path: path.to_owned(),
            error,
        });
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("cc-worker"));
    let search = sources.variable("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&search).map(|directory| directory.join("cc-worker")))
        .find(|candidate| candidate.is_file())
        .and_then(|found| found.canonicalize().ok())
        .ok_or(ConfigError::NoWorker)
}

fn cwd(argument: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let path = argument.unwrap_or_else(|| Path::new("."));
    let problem = |error| ConfigError::Path { origin: "--cwd", path: path.to_owned(), error };
    let absolute = path.canonicalize().map_err(problem)?;
    if absolute.is_dir() {
        Ok(absolute)
    } else {
        Err(problem(std::io::ErrorKind::NotADirectory.into()))
    }
}

fn allowed_commands(args: &Args, sources: &Sources<'_>) -> Vec<String> {
    if !args.allow_command.is_empty() {
        return args.allow_command.clone();
    }
    let listed = sources.variable("ALLOWED_COMMANDS").unwrap_or_default();
    listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
