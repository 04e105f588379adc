//! Why a worker was given up. The texts stand in the terminal events of the tasks that lost their workers.

use std::io;

use cc_tasklog::LogError;

use crate::{
    config::limits,
    ops::metrics::AbnormalEnd,
    task::{
        relay::RelayError,
        state::{Input, State},
        watchdog::Hang,
    },
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("reading from the worker: {0}")]
    Read(#[source] io::Error),
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error("the worker said {input:?} while the task was {state:?}")]
    Violation { input: Input, state: State },
    #[error("the worker answered a question that was not asked")]
    UnaskedAnswer,
    #[error(transparent)]
    Hung(#[from] Hang),
    /// The worker did not fail: the tokio task that owned its task panicked.
    #[error(
        "the supervisor failed while it followed the task, which is a mistake of its own: its log has the details"
    )]
    OwnerPanicked,
    /// When a supervisor starts: the worker is gone.
    #[error("the worker died while no supervisor was there")]
    DiedAlone,
    /// When a supervisor starts: the worker closed its socket instead of an answer.
    #[error("the worker died")]
    HungUp,
    #[error(
        "the worker did not answer a new supervisor within {} s",
        (limits::ADOPT_SOON + limits::ADOPT_ANSWER).as_secs()
    )]
    NotAdopted,
    #[error("its log cannot be read: {0}")]
    Log(#[source] LogError),
}

impl WorkerError {
    /// How it is counted.
    #[must_use]
    pub(crate) fn abnormal_end(&self) -> AbnormalEnd {
        match self {
            Self::Read(_) | Self::DiedAlone | Self::HungUp => AbnormalEnd::Died,
            Self::Hung(_) | Self::NotAdopted => AbnormalEnd::Unresponsive,
            Self::Relay(_) | Self::Violation { .. } | Self::UnaskedAnswer | Self::Log(_) => {
                AbnormalEnd::Misbehaved
            }
            Self::OwnerPanicked => AbnormalEnd::OwnerFailed,
        }
    }
}
