//! Every setting of the supervisor: name, kind with its limits, default, help text, environment variable.
//!
//! All of that stands here and nowhere else. What is used elsewhere as well has a name in
//! [`crate::config::limits`].

use cc_link::spec::{Fsync, OnOutputLimit, OnSupervisorLoss};

use crate::config::{
    limits,
    listen::Addresses,
    settings::{
        choices::{self, LogFormat, OnStop},
        numbers::{Bytes, Count, Days, PositiveSeconds, Seconds, SecondsOrUnbounded, Umask},
        setting::{
            AnySetting, Computed,
            Fixed::{self, Nothing, Number},
            Setting,
        },
        texts::{
            Cgroup, Choice, CommandLine, Directories, FilePath, List, LogLevel, ServiceDirectory,
            Shell, Switch, Text, Words,
        },
    },
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

// What the default of keep-bytes says.
const _: () = assert!(limits::DEFAULT_KEEP_BYTES == 10 * 1024 * MIB);
const _: () = assert!(limits::KEEP_BYTES_SHARE == 10);

/// Defines the settings, and the list of them all by groups.
macro_rules! settings {
    ($($group:literal { $($name:ident: $kind:ty, $default:ty = $setting:expr;)* })*) => {
        $($(pub(crate) static $name: Setting<$kind, $default> = $setting;)*)*

        /// All settings in the order of the help text, by groups.
        pub(crate) static GROUPS: &[(&str, &[&dyn AnySetting])] = &[
            $(($group, &[$(&$name),*])),*
        ];
    };
}

settings! {
    "Clients" {
        LISTEN: Addresses, Fixed = Setting::new(
            "listen", Addresses, Fixed::Text("127.0.0.1:8003"),
            "Where to listen, several with commas between; port 0 picks a free one; unix:PATH is a Unix socket of this user",
        ).variable_with("DEFAULT_PORT", "the port alone");
        TOKEN_FILE: FilePath, Computed = Setting::new(
            "token-file", FilePath("PATH"), Computed(None),
            "A file with the token that every client must present",
        ).secret_variable("CC_EXECUTOR_TOKEN", "the token itself").reloadable();
        ALLOW_ORIGIN: List, Fixed = Setting::new(
            "allow-origin", List("ORIGIN"), Nothing,
            "A web origin, such as https://example.org, whose pages may connect; repeatable",
        ).reloadable();
        ALLOW_HOST: List, Fixed = Setting::new(
            "allow-host", List("NAME[:PORT]"), Nothing,
            "A name that a proxy in front passes on in Host, such as ci.example.org; repeatable",
        ).reloadable();
        TLS_CERT: FilePath, Computed = Setting::new(
            "tls-cert", FilePath("FILE"), Computed(None),
            "The certificate with its chain, as PEM: the TCP addresses speak TLS",
        ).reloadable();
        TLS_KEY: FilePath, Computed = Setting::new(
            "tls-key", FilePath("FILE"), Computed(None),
            "The key of the certificate, as PEM",
        ).reloadable();
        TLS_CLIENT_CA: FilePath, Computed = Setting::new(
            "tls-client-ca", FilePath("FILE"), Computed(None),
            "The certificates, as PEM, one of which must have signed that of a client; each client must show one then",
        ).reloadable();
        INSECURE_REMOTE: Switch, Fixed = Setting::new(
            "insecure-remote", Switch, Nothing,
            "Listen beyond loopback without TLS: everyone on the way can read the token and everything else",
        );
        MAX_SESSIONS: Count, Fixed = Setting::new(
            "max-sessions", Count { least: 1, most: 100_000 }, Number(100),
            "Sessions at once",
        ).variable("MAX_SESSIONS").reloadable();
        RESUME_GRACE: Seconds, Fixed = Setting::new(
            "resume-grace", Seconds, Number(300),
            "Time that a session without a connection waits for its client to resume it; then its task is canceled; \
             0 = at once",
        ).reloadable();
        HEARTBEAT: PositiveSeconds, Fixed = Setting::new(
            "heartbeat", PositiveSeconds, Number(30),
            "Time between WebSocket pings; two without an answer end a connection",
        ).reloadable();
        HANDSHAKE_TIMEOUT: PositiveSeconds, Fixed = Setting::new(
            "handshake-timeout", PositiveSeconds, Number(10),
            "Time for a connection to complete its handshake",
        ).reloadable();
        MAX_MESSAGE_BYTES: Bytes, Fixed = Setting::new(
            "max-message-bytes", Bytes { least: 1, most: 256 * MIB }, Number(16 * MIB),
            "Longest message of a client",
        ).reloadable();
    }
    "Tasks" {
        MAX_TASKS: Count, Fixed = Setting::new(
            "max-tasks", Count { least: 1, most: limits::MOST_TASKS }, Number(200),
            "Tasks at once, those included whose client is away",
        ).reloadable();
        AGENT: CommandLine, Fixed = Setting::new(
            "agent", CommandLine, Fixed::Text("claude"),
            "Program and first arguments of prompt tasks",
        ).reloadable();
        SHELL: Shell, Fixed = Setting::new(
            "shell", Shell, Fixed::Text("sh"),
            "What runs a command line, with -c",
        ).variable("CC_EXECUTOR_SHELL").reloadable();
        ALLOW_COMMAND: List, Fixed = Setting::new(
            "allow-command", List("NAME"), Nothing,
            "Allow only commands with this first word, without a shell; repeatable. What the program itself runs is not limited",
        ).variable_with("ALLOWED_COMMANDS", "names with commas between").reloadable();
        ALLOW_DIR: Directories, Fixed = Setting::new(
            "allow-dir", Directories, Nothing,
            "Let tasks run only below this directory, which symbolic links cannot leave; repeatable",
        ).reloadable();
        CWD: FilePath, Computed = Setting::new(
            "cwd", FilePath("DIR"), Computed(Some("this program's own")),
            "Working directory of tasks that name none",
        ).reloadable();
        UMASK: Umask, Fixed = Setting::new(
            "umask", Umask, Fixed::Text("022"),
            "File mode creation mask of tasks",
        ).reloadable();
        ENV_ALLOW: List, Fixed = Setting::new(
            "env-allow", List("NAME|GLOB*"), Nothing,
            "Pass only variables of this name to tasks; a * in it stands for anything; repeatable",
        ).reloadable();
        ENV_DENY: List, Fixed = Setting::new(
            "env-deny", List("NAME|GLOB*"), Nothing,
            "Never pass variables of this name to tasks; a * in it stands for anything; repeatable",
        ).reloadable();
        ALLOW_NEW_PRIVILEGES: Switch, Fixed = Setting::new(
            "allow-new-privileges", Switch, Nothing,
            "Let tasks gain privileges by setuid programs; those cannot be killed without a cgroup",
        ).reloadable();
        CGROUP: Cgroup, Fixed = Setting::new(
            "cgroup", Cgroup, Fixed::Text("auto"),
            "Where tasks' cgroups are made: auto, off, or a cgroup v2 directory",
        ).variable("CC_EXECUTOR_CGROUP");
    }
    "What tasks are kept from" {
        ALLOW_OUTSIDE_SIGNALS: Switch, Fixed = Setting::new(
            "allow-outside-signals", Switch, Nothing,
            "Let tasks signal, trace and reach by abstract sockets processes that are not their own (see the threat model)",
        );
        CONFINE: List, Fixed = Setting::new(
            "confine", List("DIR"), Nothing,
            "Let tasks write only below this directory, their working directory, the temporary directories and what the \
             Claude CLI needs of the home directory; repeatable",
        );
        WRAP: Words, Fixed = Setting::new(
            "wrap", Words, Nothing,
            "Program and arguments that start every task, such as bwrap: the task's own follow them; one text is split as \
             a shell does",
        );
        TASK_USER: Text, Computed = Setting::new(
            "task-user", Text("NAME"), Computed(None),
            "Run tasks as this user; only root can",
        );
        TASK_MEMORY: Bytes, Computed = Setting::new(
            "task-memory", Bytes { least: MIB, most: 1 << 50 }, Computed(None),
            "Memory of a task; without the cgroup controller, of each of its processes",
        );
        TASK_PROCESSES: Count, Computed = Setting::new(
            "task-processes", Count { least: 1, most: 4_194_304 }, Computed(None),
            "Processes and threads of a task; without the cgroup controller, of its user, who must not be root",
        );
        TASK_CPU: Count, Computed = Setting::new(
            "task-cpu", Count { least: 1, most: 1_000_000 }, Computed(None),
            "CPU time of a task, in percent of one CPU; nothing without the cgroup controller",
        );
        TASK_OPEN_FILES: Count, Computed = Setting::new(
            "task-open-files", Count { least: 16, most: 1 << 30 }, Computed(None),
            "Open files of each process of a task",
        );
    }
    "Time limits of tasks" {
        TIMEOUT: PositiveSeconds, Fixed = Setting::new(
            "timeout", PositiveSeconds, Number(86_400),
            "Total time after which a task is ended",
        ).reloadable();
        MAX_TIMEOUT: PositiveSeconds, Fixed = Setting::new(
            "max-timeout", PositiveSeconds, Number(31_536_000),
            "Longest timeout and idle timeout that a client may ask for",
        ).reloadable();
        IDLE_TIMEOUT: SecondsOrUnbounded, Fixed = Setting::new(
            "idle-timeout", SecondsOrUnbounded, Number(300),
            "Silence after which a task is ended; 0 = never",
        ).variable("STREAM_TIMEOUT").reloadable();
        FIRST_OUTPUT_TIMEOUT: SecondsOrUnbounded, Fixed = Setting::new(
            "first-output-timeout", SecondsOrUnbounded, Number(120),
            "Time to the first output of a prompt task; 0 = any",
        ).reloadable();
        LINGER: PositiveSeconds, Fixed = Setting::new(
            "linger", PositiveSeconds, Number(10),
            "Time from a Claude task's result to its exit",
        ).reloadable();
        GRACE: Seconds, Fixed = Setting::new(
            "grace", Seconds, Number(10),
            "Time from SIGTERM to SIGKILL whenever a task is ended",
        ).reloadable();
    }
    "Output of tasks" {
        MAX_LINE_BYTES: Bytes, Fixed = Setting::new(
            "max-line-bytes", Bytes { least: 1, most: limits::MOST_LINE_BYTES }, Number(8 * MIB),
            "Longest line of a task's output before it is cut",
        ).variable("MAX_BUFFER_SIZE").reloadable();
        MAX_OUTPUT_BYTES: Bytes, Fixed = Setting::new(
            "max-output-bytes", Bytes { least: 1, most: limits::MOST_OUTPUT_BYTES }, Number(10 * MIB),
            "Most output of a task",
        ).reloadable();
        ON_OUTPUT_LIMIT: Choice<OnOutputLimit>, Fixed = Setting::new(
            "on-output-limit", choices::ON_OUTPUT_LIMIT, Fixed::Text("drop"),
            "What happens to a task at that limit",
        ).reloadable();
    }
    "Batches" {
        CLAUDE_JOBS: Count, Fixed = Setting::new(
            "claude-jobs", Count { least: 1, most: limits::MOST_TASKS },
            Number(cc_batch::limits::CREDENTIAL_JOBS_DEFAULT as u64),
            "Claude tasks with one login or key that run at once, over all batches",
        ).reloadable();
        BEFORE_TASK: Text, Computed = Setting::new(
            "before-task", Text("COMMAND"), Computed(None),
            "Run before the first attempt of each task of a batch that has no such hook; if it fails, the task has failed",
        ).reloadable();
        AFTER_TASK: Text, Computed = Setting::new(
            "after-task", Text("COMMAND"), Computed(None),
            "Run after each task of a batch that has no such hook",
        ).reloadable();
        AFTER_BATCH: Text, Computed = Setting::new(
            "after-batch", Text("COMMAND"), Computed(None),
            "Run after each batch that has no such hook, such as a notification",
        ).reloadable();
    }
    "Alerts" {
        RESTART_LIMIT: Count, Fixed = Setting::new(
            "restart-limit", Count { least: 0, most: limits::MOST_RESTARTS }, Number(5),
            "Workers and keepers that may end abnormally within --restart-window; more are an alert",
        );
        RESTART_WINDOW: PositiveSeconds, Fixed = Setting::new(
            "restart-window", PositiveSeconds, Number(60),
            "The time in which --restart-limit counts",
        );
        ALERT_COMMAND: Text, Computed = Setting::new(
            "alert-command", Text("COMMAND"), Computed(None),
            "Run for each alert that is raised or cleared, at most 60 s, with the alert as JSON on its standard input",
        );
    }
    "State and logs of tasks" {
        STATE_DIR: ServiceDirectory, Computed = Setting::new(
            "state-dir", ServiceDirectory, Computed(Some("cc-executor in the XDG state directory")),
            "Where task logs, the database and the lock are",
        ).variable_with("STATE_DIRECTORY", "the first of several");
        FSYNC: Choice<Fsync>, Fixed = Setting::new(
            "fsync", choices::FSYNC, Fixed::Text("never"),
            "Whether logs and state wait for the disk, so that a power failure loses nothing either",
        );
        KEEP_DAYS: Days, Fixed = Setting::new(
            "keep-days", Days { most: 36_500.0 }, Number(30),
            "Time after which the log of a task that has ended is removed; 0 = as soon as no session waits for it",
        ).reloadable();
        KEEP_TASKS: Count, Fixed = Setting::new(
            "keep-tasks", Count { least: 0, most: limits::MOST_KEEP_TASKS }, Number(10_000),
            "Tasks that have ended whose logs are kept; the oldest are removed first; 0 = as with --keep-days",
        ).reloadable();
        KEEP_BYTES: Bytes, Computed = Setting::new(
            "keep-bytes", Bytes { least: 0, most: 1 << 60 },
            Computed(Some("10 GiB, at most a tenth of the file system")),
            "Bytes of the logs of all tasks that have ended; the oldest are removed first; 0 = as with --keep-days",
        ).reloadable();
    }
    "Audit log" {
        AUDIT_BYTES: Bytes, Fixed = Setting::new(
            "audit-bytes", Bytes { least: 0, most: 1 << 40 }, Number(10 * MIB),
            "Size at which audit.log in the state directory, who asked for what, is rotated; 0 = there is none",
        );
        AUDIT_FILES: Count, Fixed = Setting::new(
            "audit-files", Count { least: 1, most: 1_000 }, Number(5),
            "Files of the audit log that are kept, the current one included",
        );
    }
    "The supervisor" {
        WORKER: FilePath, Computed = Setting::new(
            "worker", FilePath("PATH"), Computed(Some("cc-worker beside this program, else on the PATH")),
            "The worker program",
        );
        ON_STOP: Choice<OnStop>, Fixed = Setting::new(
            "on-stop", choices::ON_STOP, Fixed::Text("end-tasks"),
            "What becomes of running tasks at SIGTERM; SIGINT always ends them, SIGUSR1 always keeps them",
        ).reloadable();
        ON_SUPERVISOR_LOSS: Choice<OnSupervisorLoss>, Fixed = Setting::new(
            "on-supervisor-loss", choices::ON_SUPERVISOR_LOSS, Fixed::Text("keep"),
            "What a worker does when the supervisor dies; with kill, tasks are ended at every stop",
        ).reloadable();
        LOG_LEVEL: LogLevel, Fixed = Setting::new(
            "log-level", LogLevel, Fixed::Text("info"),
            "What is logged: a level, or a list of target=level",
        ).variable("LOG_LEVEL").reloadable();
        LOG_FORMAT: Choice<LogFormat>, Fixed = Setting::new(
            "log-format", choices::LOG_FORMAT, Fixed::Text("auto"),
            "Form of the log on standard error",
        );
        ALLOW_CORE_DUMPS: Switch, Fixed = Setting::new(
            "allow-core-dumps", Switch, Nothing,
            "Let this program and its workers dump core and be traced, which then every task of their user can do too",
        );
        STOP_ON_STDIN_EOF: Switch, Fixed = Setting::new(
            "stop-on-stdin-eof", Switch, Nothing,
            "Stop when standard input ends",
        );
    }
}

/// Groups that concern the service and not what it runs.
const OF_SERVICE: [&str; 3] = ["Clients", "State and logs of tasks", "The supervisor"];

/// Whether the setting concerns the service and not what it runs.
pub(crate) fn is_of_service(name: &str) -> bool {
    GROUPS
        .iter()
        .filter(|(group, _)| OF_SERVICE.contains(group))
        .any(|(_, settings)| settings.iter().any(|setting| setting.about().name == name))
}

/// All settings in the order of the help text.
pub(crate) fn all() -> impl Iterator<Item = &'static dyn AnySetting> {
    GROUPS.iter().flat_map(|(_, settings)| settings.iter().copied())
}
