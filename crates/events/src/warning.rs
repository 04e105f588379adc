//! What a person should know of a task's end, whatever its verdict.

use serde::{Deserialize, Serialize};

/// A warning in the terminal event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Its class, for programs.
    pub kind: WarningKind,
    /// A sentence that names what is concerned.
    pub message: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// A tool's call was denied.
    PermissionDenied,
    /// Background work was announced and has not ended.
    BackgroundUnfinished,
    /// The task was ended after its result, while something of it still ran.
    EndedAfterResult,
    /// The answer is empty.
    EmptyAnswer,
    /// The result line was cut, or its answer is longer than what is kept.
    ResultTruncated,
    /// An MCP server did not start.
    McpServer,
    /// A plugin, or a part of one, did not load.
    Plugin,
    /// The CLI could not save the conversation or its settings.
    WritesLost,
    /// The CLI started a new conversation in the middle of the run.
    ConversationReset,
    /// The model refused, or another model answered in its place.
    Refusal,
    /// A limit is used up, and the run continues on paid extra usage.
    ExtraUsage,
    /// The loop of the CLI ended for an unusual reason.
    TerminalReason,
    /// Background notifications were answered with results of their own.
    SeveralResults,
    /// It is not proven that no process of the task is left: its worker and the keeper were killed.
    LeftoversUnproven,
    /// The kernel killed processes of the task for lack of memory.
    OutOfMemory,
}

impl WarningKind {
    /// Every kind of warning, in the order of the enum.
    pub const ALL: [Self; 15] = [
        Self::PermissionDenied,
        Self::BackgroundUnfinished,
        Self::EndedAfterResult,
        Self::EmptyAnswer,
        Self::ResultTruncated,
        Self::McpServer,
        Self::Plugin,
        Self::WritesLost,
        Self::ConversationReset,
        Self::Refusal,
        Self::ExtraUsage,
        Self::TerminalReason,
        Self::SeveralResults,
        Self::LeftoversUnproven,
        Self::OutOfMemory,
    ];

    /// The word for it on the wire and on the screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission_denied",
            Self::BackgroundUnfinished => "background_unfinished",
            Self::EndedAfterResult => "ended_after_result",
            Self::EmptyAnswer => "empty_answer",
            Self::ResultTruncated => "result_truncated",
            Self::McpServer => "mcp_server",
            Self::Plugin => "plugin",
            Self::WritesLost => "writes_lost",
            Self::ConversationReset => "conversation_reset",
            Self::Refusal => "refusal",
            Self::ExtraUsage => "extra_usage",
            Self::TerminalReason => "terminal_reason",
            Self::SeveralResults => "several_results",
            Self::LeftoversUnproven => "leftovers_unproven",
            Self::OutOfMemory => "out_of_memory",
        }
    }
}
