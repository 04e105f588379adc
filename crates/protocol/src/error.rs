//! Error codes, error objects and WebSocket close codes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every error code of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The text is no JSON.
    ParseError,
    /// The JSON is no call.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// A parameter is missing, unknown, of the wrong type or out of range; or a task runs already.
    InvalidParams,
    /// The server's own fault.
    InternalError,
    /// The command is not on the operator's list.
    CommandNotAllowed,
    /// No task runs on this session.
    NoProcess,
    /// As many sessions as there may be.
    SessionLimit,
    /// A token limit. Reserved: the server does not send it.
    TokenLimit,
    /// There is no such session, or the token is not its own.
    SessionUnknown,
    /// The session is over: closed, or without a connection for longer than the grace period.
    SessionExpired,
    /// No new tasks: the supervisor is ending.
    Draining,
    /// The caller's token does not allow this.
    NotAuthorized,
    /// No such task.
    NoSuchTask,
    /// No such batch.
    NoSuchBatch,
    /// As many tasks, or batches, run as may.
    QueueFull,
    /// The task or its worker could not be started.
    SpawnFailed,
    /// The supervisor's settings cannot be read again.
    ConfigurationInvalid,
    /// The directory is not below one that the operator allows.
    DirectoryNotAllowed,
    /// The tasks of the caller's token have cost what they may.
    BudgetSpent,
}

impl ErrorCode {
    /// All of them, for documentation and tests.
    pub const ALL: [Self; 20] = [
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::InternalError,
        Self::CommandNotAllowed,
        Self::NoProcess,
        Self::SessionLimit,
        Self::TokenLimit,
        Self::SessionUnknown,
        Self::SessionExpired,
        Self::Draining,
        Self::NotAuthorized,
        Self::NoSuchTask,
        Self::NoSuchBatch,
        Self::QueueFull,
        Self::SpawnFailed,
        Self::ConfigurationInvalid,
        Self::DirectoryNotAllowed,
        Self::BudgetSpent,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::InternalError => -32603,
            Self::CommandNotAllowed => -32001,
            Self::NoProcess => -32002,
            Self::SessionLimit => -32003,
            Self::TokenLimit => -32004,
            Self::SessionUnknown => -32010,
            Self::SessionExpired => -32011,
            Self::Draining => -32012,
            Self::NotAuthorized => -32013,
            Self::NoSuchTask => -32014,
            Self::NoSuchBatch => -32015,
            Self::QueueFull => -32016,
            Self::SpawnFailed => -32017,
            Self::ConfigurationInvalid => -32018,
            Self::DirectoryNotAllowed => -32019,
            Self::BudgetSpent => -32020,
        }
    }

    /// `error.data.kind`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::ParseError => "parse_error",
            Self::InvalidRequest => "invalid_request",
            Self::MethodNotFound => "method_not_found",
            Self::InvalidParams => "invalid_params",
            Self::InternalError => "internal_error",
            Self::CommandNotAllowed => "command_not_allowed",
            Self::NoProcess => "no_process",
            Self::SessionLimit => "session_limit",
            Self::TokenLimit => "token_limit",
            Self::SessionUnknown => "session_unknown",
            Self::SessionExpired => "session_expired",
            Self::Draining => "draining",
            Self::NotAuthorized => "not_authorised",
            Self::NoSuchTask => "no_such_task",
            Self::NoSuchBatch => "no_such_batch",
            Self::QueueFull => "queue_full",
            Self::SpawnFailed => "spawn_failed",
            Self::ConfigurationInvalid => "configuration_invalid",
            Self::DirectoryNotAllowed => "directory_not_allowed",
            Self::BudgetSpent => "budget_spent",
        }
    }

    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::SessionLimit | Self::Draining | Self::TokenLimit | Self::QueueFull)
    }
}

/// The `error` member of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// See [`ErrorCode`].
    pub code: i64,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// For programs: `kind`, `retryable`, and the field or limit concerned.
    #[serde(default)]
    pub data: Map<String, Value>,
}

impl ErrorObject {
    /// Whether the caller's token does not allow the call.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.code == ErrorCode::NotAuthorized.code()
    }

    /// An error with `kind` and `retryable` filled in.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut data = Map::new();
        data.insert("kind".to_owned(), code.kind().into());
        data.insert("retryable".to_owned(), code.retryable().into());
        Self { code: code.code(), message: message.into(), data }
    }

    /// The same with one more member of `data`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}

/// WebSocket close codes (RFC 6455 section 7.4) that the server sends, as numbers.
pub mod close {
    /// Done.
    pub const NORMAL: u16 = 1000;
    /// The supervisor shuts down.
    pub const GOING_AWAY: u16 = 1001;
    /// Bytes that are no WebSocket frame.
    pub const PROTOCOL: u16 = 1002;
    /// Binary messages are not understood.
    pub const UNSUPPORTED: u16 = 1003;
    /// A text message that is no UTF-8.
    pub const INVALID_TEXT: u16 = 1007;
    /// Session limit or another policy.
    pub const POLICY: u16 = 1008;
    /// A message over the size limit.
    pub const TOO_BIG: u16 = 1009;
    /// The server's own fault.
    pub const INTERNAL: u16 = 1011;
    /// The supervisor is replaced: connect again and resume.
    pub const RESTART: u16 = 1012;
    /// There is no room for the message now: try again later.
    pub const TRY_AGAIN: u16 = 1013;
    /// Another connection has resumed this session.
    pub const TAKEN_OVER: u16 = 4001;
}
