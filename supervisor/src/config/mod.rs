//! The configuration: settings from the command line, the environment and a file become one checked [`Config`].
//!
//! An argument wins over its environment variable, that over the configuration files, and those over the default. Every
//! error names the argument, the variable or the line that it comes from. What is in force is in [`live`].
//!
//! A setting is defined in [`settings::table`] alone. What no operator can change is in [`limits`].

/// `--check-config`.
pub(crate) mod check;
/// The command line, made from the table.
pub(crate) mod command_line;
/// Which environment variables a task gets.
pub(crate) mod environment;
/// A configuration file with all defaults.
pub(crate) mod default_file;
/// What can be wrong with a configuration.
pub(crate) mod error;
/// One configuration file.
mod file;
/// The operator's hooks for batches.
pub(crate) mod hooks;
/// What depends on the machine or on several settings.
pub(crate) mod machine;
/// What tasks are kept from.
pub(crate) mod isolation;
/// Where to listen.
pub(crate) mod listen;
/// Limits that are no settings, and bounds that settings and requests share.
pub(crate) mod limits;
/// Which configuration files are read.
mod layers;
/// What is in force.
pub(crate) mod live;
/// Certificates.
mod tls;
/// Where a value comes from.
pub(crate) mod origin;
/// The settings: one table in code.
pub(crate) mod settings;
/// The tokens that clients present.
pub(crate) mod tokens;
/// Reading the small files that settings name.
mod text_file;
/// Values as text.
mod shown;
/// Command line and environment, over the life of the supervisor.
pub(crate) mod programs;

pub(crate) mod sources;
/// All sources of values, and their order.
pub(crate) mod values;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cc_link::spec::{Fsync, OnOutputLimit, OnSupervisorLoss};
use cc_proctree::cgroup;

use self::{
    environment::Pattern,
    error::ConfigError,
    hooks::HookDefaults,
    isolation::IsolationSettings,
    listen::ListenAddress,
    machine::Machine,
    origin::Origin,
    settings::{
        choices::{LogFormat, OnStop},
        table,
    },
    tokens::TokenSetting,
    values::Values,
};

/// The whole configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: Vec<ListenAddress>,
    /// What the TCP addresses show to their clients; `None`: they speak plainly.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// It may listen beyond loopback: there is a token, and either a certificate, or --insecure-remote was given.
    pub(crate) may_be_remote: bool,
    /// An inherited socket must listen on the address that was given.
    pub(crate) is_listen_given: bool,
    /// Absolute.
    pub(crate) state_dir: PathBuf,
    /// The worker program, absolute.
    pub(crate) worker: PathBuf,
    pub(crate) sessions_limit: usize,
    /// How long a session without a connection waits for its client.
    pub(crate) resume_grace: Duration,
    pub(crate) tasks_limit: usize,
    /// Claude tasks with one credential that run at once, over all batches.
    pub(crate) claude_jobs: usize,
    pub(crate) hooks: HookDefaults,
    pub(crate) restart_limit: RestartLimit,
    /// Run for each alert.
    pub(crate) alert_command: Option<String>,
    pub(crate) on_stop: OnStop,
    pub(crate) keep: Keep,
    /// Program and first arguments of prompt tasks.
    pub(crate) agent: Vec<String>,
    /// It was chosen, so it must be there.
    pub(crate) is_agent_given: bool,
    pub(crate) shell: String,
    /// First words of commands; empty allows all.
    pub(crate) allowed_commands: Vec<String>,
    /// Tasks run below these alone; empty allows all.
    pub(crate) allowed_directories: Vec<PathBuf>,
    pub(crate) audit: AuditLimits,
    pub(crate) task: TaskDefaults,
    pub(crate) isolation: IsolationSettings,
    /// Whether debuggers of this user may look into this program and its workers.
    pub(crate) allow_core_dumps: bool,
    pub(crate) fsync: Fsync,
    /// If not empty, only these variables are passed on.
    pub(crate) env_allow: Vec<Pattern>,
    pub(crate) env_deny: Vec<Pattern>,
    pub(crate) cgroup: cgroup::Setting,
    pub(crate) heartbeat: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) message_bytes_limit: usize,
    /// If there are any, every client must present one.
    pub(crate) tokens: TokenSetting,
    /// Web origins whose pages may connect.
    pub(crate) allowed_origins: Vec<String>,
    /// Names in `Host` that a proxy in front passes on.
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
    pub(crate) stop_on_stdin_eof: bool,
}

/// More abnormal ends of workers and keepers than this within the window are too many: the restart intensity of Erlang/OTP's
/// supervisors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestartLimit {
    pub(crate) count: usize,
    pub(crate) window: Duration,
}

/// What a task gets unless its request says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct TaskDefaults {
    pub(crate) line_bytes_limit: u64,
    pub(crate) output_bytes_limit: u64,
    pub(crate) on_output_limit: OnOutputLimit,
    /// Longest silence; `None`: unbounded.
    pub(crate) idle_timeout: Option<Duration>,
    /// Total time.
    pub(crate) timeout: Duration,
    /// Longest that a request may ask for.
    pub(crate) timeout_limit: Duration,
    /// Until the first output of a prompt task; `None`: unbounded.
    pub(crate) first_output_timeout: Option<Duration>,
    /// From a Claude task's result to its exit.
    pub(crate) linger: Duration,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
    pub(crate) umask: u32,
    /// Absolute.
    pub(crate) cwd: PathBuf,
    /// Whether setuid programs gain nothing.
    pub(crate) no_new_privs: bool,
    pub(crate) on_supervisor_loss: OnSupervisorLoss,
}

/// How long the audit log may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuditLimits {
    /// Size of a file; 0: there is no audit log.
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// How long the logs of tasks that have ended are kept: until the first of these limits is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Since a task's end.
    pub(crate) age: Duration,
    pub(crate) tasks: usize,
    /// `None`: the default, which depends on the file system.
    pub(crate) bytes: Option<u64>,
}

impl Config {
    #[cfg(test)]
    /// Puts the command line, the environment and the configuration files together.
    ///
    /// # Errors
    /// The first mistakes. [`check::check`] finds all.
    pub(crate) fn load(
        arguments: command_line::Arguments,
        lookup: origin::Lookup<'_>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut values = Values::gather(arguments, lookup)?;
        let mistakes = values.take_mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let machine = Machine::examine(&values)?;
        Self::resolve(&values, machine).map_err(|mistake| vec![mistake])
    }

    /// Reads every other setting.
    ///
    /// # Errors
    /// For the first value that cannot be used.
    pub(crate) fn resolve(values: &Values<'_>, machine: Machine) -> Result<Self, ConfigError> {
        Ok(Self {
            may_be_remote: machine.may_be_remote,
            is_listen_given: is_listen_given(values)?,
            listen: machine.listen,
            tls: machine.tls,
            state_dir: machine.state_dir.clone(),
            worker: machine.worker,
            sessions_limit: values.value(&table::MAX_SESSIONS)?,
            resume_grace: values.value(&table::RESUME_GRACE)?,
            tasks_limit: values.value(&table::MAX_TASKS)?,
            claude_jobs: values.value(&table::CLAUDE_JOBS)?,
            hooks: hooks(values)?,
            restart_limit: RestartLimit {
                count: values.value(&table::RESTART_LIMIT)?,
                window: values.value(&table::RESTART_WINDOW)?,
            },
            alert_command: values.optional(&table::ALERT_COMMAND)?.map(|(command, _)| command),
            on_stop: values.value(&table::ON_STOP)?,
            keep: keep(values)?,
            agent: values.value(&table::AGENT)?,
            is_agent_given: values.given(&table::AGENT)?.is_some(),
            shell: values.value(&table::SHELL)?,
            allowed_commands: values.value(&table::ALLOW_COMMAND)?,
            audit: AuditLimits {
                bytes: values.value(&table::AUDIT_BYTES)?,
                files: values.value(&table::AUDIT_FILES)?,
            },
            allowed_directories: values.value(&table::ALLOW_DIR)?,
            task: task_defaults(values, machine.cwd)?,
            isolation: isolation::read(values, &machine.state_dir)?,
            allow_core_dumps: values.value(&table::ALLOW_CORE_DUMPS)?,
            fsync: values.value(&table::FSYNC)?,
            env_allow: patterns(values.value(&table::ENV_ALLOW)?),
            env_deny: patterns(values.value(&table::ENV_DENY)?),
            cgroup: values.value(&table::CGROUP)?,
            heartbeat: values.value(&table::HEARTBEAT)?,
            handshake_timeout: values.value(&table::HANDSHAKE_TIMEOUT)?,
            message_bytes_limit: values.value(&table::MAX_MESSAGE_BYTES)? as usize,
            tokens: machine.tokens,
            allowed_origins: values.value(&table::ALLOW_ORIGIN)?,
            allowed_hosts: values.value(&table::ALLOW_HOST)?,
            log_format: values.value(&table::LOG_FORMAT)?,
            log_filter: values.value(&table::LOG_LEVEL)?,
            stop_on_stdin_eof: values.value(&table::STOP_ON_STDIN_EOF)?,
        })
    }
}

/// The predecessor's variable has only a port, and says nothing about an inherited socket.
fn is_listen_given(values: &Values<'_>) -> Result<bool, ConfigError> {
    let origin = values.given(&table::LISTEN)?.map(|given| given.origin);
    Ok(match origin {
        Some(Origin::Argument | Origin::File(_)) => true,
        Some(Origin::Variable(_) | Origin::Default) | None => false,
    })
}

fn task_defaults(values: &Values<'_>, cwd: PathBuf) -> Result<TaskDefaults, ConfigError> {
    Ok(TaskDefaults {
        line_bytes_limit: values.value(&table::MAX_LINE_BYTES)?,
        output_bytes_limit: values.value(&table::MAX_OUTPUT_BYTES)?,
        on_output_limit: values.value(&table::ON_OUTPUT_LIMIT)?,
        idle_timeout: values.value(&table::IDLE_TIMEOUT)?,
        timeout: values.value(&table::TIMEOUT)?,
        timeout_limit: values.value(&table::MAX_TIMEOUT)?,
        first_output_timeout: values.value(&table::FIRST_OUTPUT_TIMEOUT)?,
        linger: values.value(&table::LINGER)?,
        grace: values.value(&table::GRACE)?,
        umask: values.value(&table::UMASK)?,
        cwd,
        no_new_privs: !values.value(&table::ALLOW_NEW_PRIVILEGES)?,
        on_supervisor_loss: values.value(&table::ON_SUPERVISOR_LOSS)?,
    })
}

fn keep(values: &Values<'_>) -> Result<Keep, ConfigError> {
    Ok(Keep {
        age: values.value(&table::KEEP_DAYS)?,
        tasks: values.value(&table::KEEP_TASKS)?,
        bytes: values.optional(&table::KEEP_BYTES)?.map(|(bytes, _)| bytes),
    })
}

fn hooks(values: &Values<'_>) -> Result<HookDefaults, ConfigError> {
    let command = |setting| Ok(values.optional(setting)?.map(|(command, _)| command));
    Ok(HookDefaults {
        before_task: command(&table::BEFORE_TASK)?,
        after_task: command(&table::AFTER_TASK)?,
        after_batch: command(&table::AFTER_BATCH)?,
    })
}

fn patterns(texts: Vec<String>) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

#[cfg(fuzzing)]
pub use self::check::fuzz_settings;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
