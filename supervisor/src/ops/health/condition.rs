//! The conditions, and in which words they are told.

/// Something that can be wrong. Each stands at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Condition {
    /// The log of the last task that ended could not be written, and the state directory cannot either, or that was just now.
    TaskLog,
    /// The last transaction failed.
    Database,
    /// The state directory is gone, or cannot be written.
    StateDirectory,
    /// The file system of the state directory has little room left.
    StateNearlyFull,
    /// The audit log cannot be written.
    AuditLog,
    /// The worker program is missing, wrong or fails at its start: no task is started.
    WorkerBroken,
    /// Workers or keepers end abnormally more often than the configured rate.
    RestartRate,
    /// The program of prompt tasks is not found.
    AgentMissing,
    /// No file descriptor is left for a new connection or task.
    DescriptorsExhausted,
    /// No process can be forked.
    ProcessesExhausted,
    /// Code of the supervisor panicked lately.
    Panicked,
    /// An operator asked that no new task is started.
    Draining,
    /// The last reload found mistakes: the old configuration is in force.
    Configuration,
}

/// What a condition means for those who would send work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// What works keeps working: no reason to send clients elsewhere.
    Degraded,
    /// New tasks cannot be started.
    NotReady,
}

impl Condition {
    /// Every condition.
    pub(crate) const ALL: [Self; 13] = [
        Self::TaskLog,
        Self::Database,
        Self::StateDirectory,
        Self::StateNearlyFull,
        Self::AuditLog,
        Self::WorkerBroken,
        Self::RestartRate,
        Self::AgentMissing,
        Self::DescriptorsExhausted,
        Self::ProcessesExhausted,
        Self::Panicked,
        Self::Draining,
        Self::Configuration,
    ];

    /// Its name in pages, metrics and notifications.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TaskLog => "task_log",
            Self::Database => "database",
            Self::StateDirectory => "state_directory",
            Self::StateNearlyFull => "state_nearly_full",
            Self::AuditLog => "audit_log",
            Self::WorkerBroken => "worker_broken",
            Self::RestartRate => "restart_rate",
            Self::AgentMissing => "agent_missing",
            Self::DescriptorsExhausted => "descriptors_exhausted",
            Self::ProcessesExhausted => "processes_exhausted",
            Self::Panicked => "panicked",
            Self::Draining => "draining",
            Self::Configuration => "configuration",
        }
    }

    /// What it means and what to do, for whoever may ask: it names no path and no program.
    #[must_use]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::TaskLog => {
                "a task could not be logged: make room on the disk of the state directory, or correct its permissions"
            }
            Self::Database => {
                "the state database cannot be written: make room on its disk, or correct its permissions"
            }
            Self::StateDirectory => {
                "the state directory cannot be written or is gone: correct its permissions, or look after its disk"
            }
            Self::StateNearlyFull => {
                "the file system of the state directory is nearly full: make room, or keep fewer logs"
            }
            Self::AuditLog => {
                "the audit log cannot be written: make room, or correct its permissions"
            }
            Self::WorkerBroken => {
                "workers cannot be started or fail at once: install the worker program anew"
            }
            Self::RestartRate => "workers end abnormally too often: see the log for how they ended",
            Self::AgentMissing => {
                "the program for prompts is not found: install it, or name another"
            }
            Self::DescriptorsExhausted => {
                "no file descriptor is left: raise the limit of open files, or allow fewer sessions"
            }
            Self::ProcessesExhausted => {
                "no process can be started: raise the limit of processes, or allow fewer tasks"
            }
            Self::Panicked => "code of the supervisor panicked: see its log, and report it",
            Self::Draining => "an operator asked that no new task is started",
            Self::Configuration => {
                "the configuration has mistakes, and the old one is in force: correct it and read it again"
            }
        }
    }

    /// What is said when it stands no more.
    #[must_use]
    pub(super) fn recovery(self) -> &'static str {
        match self {
            Self::TaskLog => "tasks can be logged again",
            Self::Database => "the state database can be written again",
            Self::StateDirectory => "the state directory can be written again",
            Self::StateNearlyFull => "the file system of the state directory has room again",
            Self::AuditLog => "the audit log can be written again",
            Self::WorkerBroken => "workers can be started again",
            Self::RestartRate => {
                "workers and keepers end abnormally no more often than --restart-limit allows"
            }
            Self::AgentMissing => "the program for prompts is found again, or another one is named",
            Self::DescriptorsExhausted => "file descriptors are left again",
            Self::ProcessesExhausted => "processes can be started again",
            Self::Panicked => "no code of the supervisor has panicked lately",
            Self::Draining => "new tasks are started again",
            Self::Configuration => "the configuration that was read last is in force",
        }
    }

    #[must_use]
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::TaskLog
            | Self::AuditLog
            | Self::RestartRate
            | Self::Panicked
            | Self::Configuration => Severity::Degraded,
            Self::Database
            | Self::StateDirectory
            | Self::StateNearlyFull
            | Self::WorkerBroken
            | Self::AgentMissing
            | Self::DescriptorsExhausted
            | Self::ProcessesExhausted
            | Self::Draining => Severity::NotReady,
        }
    }
}
