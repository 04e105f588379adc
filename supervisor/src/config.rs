//! Command line and environment become one checked configuration.
//!
//! An argument wins over its environment variable, an empty variable counts as none. Every error names
//! the argument or the variable that it comes from. Nothing here is changed after the start.

use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    time::Duration,
};

use cc_link::spec::{Fsync, OnOutputLimit};
use cc_proctree::cgroup::Setting;

use crate::{
    admission::Token,
    args::{Args, FsyncPolicy, LogFormat, OutputLimitPolicy},
    environment::Pattern,
    limits,
};

/// Why the supervisor does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value cannot be used.
    #[error("{origin} is {value:?}: {problem}")]
    Value {
        /// The argument or variable.
        origin: String,
        /// As it came.
        value: String,
        /// What it must be.
        problem: String,
    },
    /// Beyond loopback without what that takes.
    #[error(
        "--listen {0} is not a loopback address: everyone who reaches it could run commands; \
         give a token (--token-file) and --insecure-remote, or listen on 127.0.0.1"
    )]
    Remote(SocketAddr),
    /// There is no place for state.
    #[error("no state directory: set HOME, or give --state-dir")]
    NoStateDir,
    /// The worker program is nowhere.
    #[error("cc-worker is neither beside this program nor on the PATH: give --worker")]
    NoWorker,
    /// The default working directory cannot be used.
    #[error("{origin}: {path}: {error}")]
    Path {
        /// The argument.
        origin: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// Reads an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
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
}

impl Config {
    /// Puts the command line and the environment together.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub fn resolve(args: Args, lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let sources = Sources { lookup };
        let token = token(&args, &sources)?;
        let listen = listen(&args, &sources)?;
        let may_be_remote = args.insecure_remote && token.is_some();
        if !(listen.ip().is_loopback() || may_be_remote) {
            return Err(ConfigError::Remote(listen));
        }
        Ok(Self {
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
            resume_grace: sources.value(
                "--resume-grace",
                args.resume_grace.as_deref(),
                None,
                limits::DEFAULT_RESUME_GRACE,
                |text| Ok(any_time(text)?.unwrap_or_default()),
            )?,
            tasks_limit: sources.value(
                "--max-tasks",
                args.max_tasks.as_deref(),
                None,
                limits::DEFAULT_TASKS,
                |text| count(text, limits::MOST_TASKS as u64).map(|count| count as usize),
            )?,
            agent: sources.value(
                "--agent",
                args.agent.as_deref(),
                None,
                vec!["claude".to_owned()],
                words,
            )?,
            shell: sources.value(
                "--shell",
                args.shell.as_deref(),
                Some("CC_EXECUTOR_SHELL"),
                "sh".to_owned(),
                shell,
            )?,
            allowed_commands: allowed_commands(&args, &sources),
            task: task_defaults(&args, &sources)?,
            fsync: match args.fsync {
                FsyncPolicy::Never => Fsync::Never,
                FsyncPolicy::Always => Fsync::Always,
            },
            env_allow: args.env_allow.iter().map(|text| Pattern::new(text)).collect(),
            env_deny: args.env_deny.iter().map(|text| Pattern::new(text)).collect(),
            cgroup: sources.value(
                "--cgroup",
                args.cgroup.as_deref(),
                Some("CC_EXECUTOR_CGROUP"),
                Setting::Auto,
                cgroup,
            )?,
            heartbeat: sources.value(
                "--heartbeat",
                args.heartbeat.as_deref(),
                None,
                limits::DEFAULT_HEARTBEAT,
                some_time,
            )?,
            handshake_timeout: sources.value(
                "--handshake-timeout",
                args.handshake_timeout.as_deref(),
                None,
                limits::DEFAULT_HANDSHAKE_TIMEOUT,
                some_time,
            )?,
            message_bytes_limit: sources.value(
                "--max-message-bytes",
                args.max_message_bytes.as_deref(),
                None,
                limits::DEFAULT_MESSAGE_BYTES,
                |text| count(text, limits::MOST_MESSAGE_BYTES as u64).map(|count| count as usize),
            )?,
            token,
            allowed_origins: args.allow_origin,
            log_format: args.log_format,
            log_filter: sources.value(
                "LOG_LEVEL",
                None,
                Some("LOG_LEVEL"),
                "info".to_owned(),
                crate::logging::filter,
            )?,
            stop_on_stdin_eof: args.stop_on_stdin_eof,
        })
    }
}

/// Where values come from.
struct Sources<'a> {
    lookup: Lookup<'a>,
}

impl Sources<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
    }

    /// The argument, else the variable, else the default.
    fn value<T>(
        &self,
        argument_name: &str,
        argument: Option<&str>,
        variable_name: Option<&str>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let from_variable = || {
            let name = variable_name?;
            Some((format!("the environment variable {name}"), self.variable(name)?))
        };
        let Some((origin, value)) = argument
            .map(|value| (argument_name.to_owned(), value.to_owned()))
            .or_else(from_variable)
        else {
            return Ok(default);
        };
        parse(&value).map_err(|problem| ConfigError::Value { origin, value, problem })
    }
}

fn task_defaults(args: &Args, sources: &Sources<'_>) -> Result<TaskDefaults, ConfigError> {
    let seconds = |name, argument: &Option<String>, default| {
        sources.value(name, argument.as_deref(), None, default, some_time)
    };
    Ok(TaskDefaults {
        line_bytes_limit: sources.value(
            "--max-line-bytes",
            args.max_line_bytes.as_deref(),
            Some("MAX_BUFFER_SIZE"),
            limits::DEFAULT_LINE_BYTES,
            |text| count(text, limits::MOST_LINE_BYTES),
        )?,
        output_bytes_limit: sources.value(
            "--max-output-bytes",
            args.max_output_bytes.as_deref(),
            None,
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
        first_output_timeout: sources.value(
            "--first-output-timeout",
            args.first_output_timeout.as_deref(),
            None,
            Some(limits::DEFAULT_FIRST_OUTPUT_TIMEOUT),
            any_time,
        )?,
        linger: seconds("--linger", &args.linger, limits::DEFAULT_LINGER)?,
        grace: sources.value(
            "--grace",
            args.grace.as_deref(),
            None,
            limits::DEFAULT_GRACE,
            |text| Ok(any_time(text)?.unwrap_or_default()),
        )?,
        umask: sources.value(
            "--umask",
            args.umask.as_deref(),
            None,
            limits::DEFAULT_UMASK,
            umask,
        )?,
        cwd: cwd(args.cwd.as_deref())?,
        no_new_privs: !args.allow_new_privileges,
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
    sources.value("--listen", args.listen.as_deref(), None, fallback, |text| {
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

fn count(text: &str, most: u64) -> Result<u64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| format!("must be a whole number from 1 to {most}"))
}

fn some_time(text: &str) -> Result<Duration, String> {
    any_time(text)?.ok_or_else(|| "must be more than 0 seconds".to_owned())
}

/// Zero is none.
fn any_time(text: &str) -> Result<Option<Duration>, String> {
    let seconds = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|seconds| (0.0..=limits::MOST_SECONDS).contains(seconds))
        .ok_or_else(|| {
            format!("must be a number of seconds from 0 to {} (a year)", limits::MOST_SECONDS)
        })?;
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim(), 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "must be an octal number from 000 to 777".to_owned())
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let words = shell_words::split(text).map_err(|error| error.to_string())?;
    if words.is_empty() { Err("must name a program".to_owned()) } else { Ok(words) }
}

/// `default` is what the predecessor called its shell of last resort.
fn shell(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must be the name or path of a shell".to_owned()),
        "default" => Ok("sh".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn cgroup(text: &str) -> Result<Setting, String> {
    match text {
        "auto" => Ok(Setting::Auto),
        "off" => Ok(Setting::Off),
        path if path.starts_with('/') => Ok(Setting::Path(PathBuf::from(path))),
        _ => Err("must be auto, off or an absolute path".to_owned()),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
