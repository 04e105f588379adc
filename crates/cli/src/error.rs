//! Why a command of `ccx` itself failed: one line for people and an exit code.

use crate::exit_code;

/// Ends a command. Printed as `ccx: TEXT`; the text names what to do.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    /// See [`exit_code`].
    pub(crate) exit_code: u8,
    /// Lowercase fragment.
    pub(crate) text: String,
}

impl Failure {
    /// Something on `ccx`'s side: no connection, no supervisor, no disk.
    pub(crate) fn own(text: impl Into<String>) -> Self {
        Self { exit_code: exit_code::OWN_FAILURE, text: text.into() }
    }

    /// The command line or a task file is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit_code: exit_code::USAGE, text: text.into() }
    }

    /// A program that is needed is not there.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self { exit_code: exit_code::NOT_FOUND, text: text.into() }
    }
}

impl From<cc_client::Error> for Failure {
    fn from(error: cc_client::Error) -> Self {
        const UNAUTHORIZED: u16 = 401;
        let is_unauthorized =
            matches!(error, cc_client::Error::Rejected { status: UNAUTHORIZED, .. });
        let advice = if is_unauthorized {
            " (with ccx: --token-file FILE, or the variable CC_EXECUTOR_TOKEN)"
        } else {
            ""
        };
        Self::own(format!("{error}{advice}"))
    }
}
