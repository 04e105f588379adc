//! What ends a command: one line for people, and by `exit_code` a number for scripts.

use std::io;

use cc_protocol::error::ErrorObject;

/// Printed as `ccx: TEXT`; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The command line, a task file or a report's path is wrong.
    #[error("{0}")]
    Usage(String),
    #[error(
        "the agent {program:?} is not found; install Claude Code (npm install -g @anthropic-ai/claude-code) or try --agent stand-in, which calls no model"
    )]
    AgentNotFound { program: String },
    /// The supervisor refused to start the task.
    #[error("{}", .0.message)]
    NotStarted(ErrorObject),
    /// A signal came before there was anything to cancel.
    #[error("interrupted {when}")]
    Interrupted { signal: i32, when: &'static str },
    #[error(
        "no supervisor answers at {url} ({source}); start one with `cc-supervisor`, or say where one runs with --url"
    )]
    NoSupervisor { url: String, source: io::Error },
    #[error("{}{}", .0, advice_on(.0))]
    Client(#[from] cc_client::Error),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Anything else that this command cannot do.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// For `map_err`: `what` says what could not be done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}

fn advice_on(error: &cc_client::Error) -> &'static str {
    const UNAUTHORIZED: u16 = 401;
    if matches!(error, cc_client::Error::Rejected { status: UNAUTHORIZED, .. }) {
        " (with ccx: --token-file FILE, or the variable CC_EXECUTOR_TOKEN)"
    } else {
        ""
    }
}
