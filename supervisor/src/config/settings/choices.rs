//! The words of the settings that choose between a few, each with what it means.

use cc_link::spec::{Fsync, OnOutputLimit, OnSupervisorLoss};

use crate::config::settings::texts::Choice;

/// What becomes of running tasks at a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnStop {
    EndTasks,
    KeepTasks,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Auto,
    Pretty,
    Json,
}

pub(crate) const ON_STOP: Choice<OnStop> = Choice {
    name: "ON_STOP",
    words: &[
        ("end-tasks", OnStop::EndTasks, "They are canceled"),
        ("keep-tasks", OnStop::KeepTasks, "They run on; the next supervisor adopts them"),
    ],
};

pub(crate) const ON_SUPERVISOR_LOSS: Choice<OnSupervisorLoss> = Choice {
    name: "ON_SUPERVISOR_LOSS",
    words: &[
        ("keep", OnSupervisorLoss::Keep, "Run its task to the end; the next supervisor adopts it"),
        ("kill", OnSupervisorLoss::Kill, "End its task at once"),
    ],
};

pub(crate) const ON_OUTPUT_LIMIT: Choice<OnOutputLimit> = Choice {
    name: "ON_OUTPUT_LIMIT",
    words: &[
        ("drop", OnOutputLimit::DropMiddle, "Keep the head and the tail, count the middle"),
        ("kill", OnOutputLimit::Kill, "End the task"),
    ],
};

pub(crate) const FSYNC: Choice<Fsync> = Choice {
    name: "FSYNC",
    words: &[
        ("never", Fsync::Never, "No: what is written survives kill -9, but not a power failure"),
        ("always", Fsync::Always, "Every group of records and every transaction"),
    ],
};

pub(crate) const LOG_FORMAT: Choice<LogFormat> = Choice {
    name: "LOG_FORMAT",
    words: &[
        ("auto", LogFormat::Auto, "pretty on a terminal, else json"),
        ("pretty", LogFormat::Pretty, "For people"),
        ("json", LogFormat::Json, "One JSON object a line"),
    ],
};
