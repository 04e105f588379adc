//! From fragments of stdout to lines whose members can be asked for by name.
//!
//! Owns the list of the members that matter ([`WANTED`]) and how each kind of value is read. A value of an
//! unexpected type costs itself and nothing else. Plain text is never kept, and of a line that is an object only the
//! values of wanted members. Called by [`crate::stream`].

use std::sync::LazyLock;

use cc_events::TRUNCATION_MARK;
use serde_json::Value as Json;

use crate::{
    bounds::{
        RESULT_JSON_BYTES_LIMIT, STRUCTURED_BYTES_LIMIT, TEXT_BYTES_LIMIT, USAGE_BYTES_LIMIT,
        cut_text,
    },
    json, known,
    scan::{
        Keep::{Any, Each, Scalar},
        Paths, Scanner, Shape, Value, Wanted,
    },
};

/// As written, a text can be six times as long as it is.
const TEXT: usize = 6 * TEXT_BYTES_LIMIT + 2;
const WORD: usize = 1_024;

/// Every member that is used, wherever it stands. All others are passed over.
const WANTED: &[Wanted] = &[
    Wanted { path: "type", keep: Scalar(WORD) },
    Wanted { path: "subtype", keep: Scalar(WORD) },
    Wanted { path: "session_id", keep: Scalar(WORD) },
    Wanted { path: "parent_tool_use_id", keep: Scalar(WORD) },
    // Init.
    Wanted { path: "model", keep: Scalar(WORD) },
    Wanted { path: "claude_code_version", keep: Scalar(WORD) },
    Wanted { path: "apiKeySource", keep: Scalar(WORD) },
    Wanted { path: "mcp_servers.name", keep: Scalar(WORD) },
    Wanted { path: "mcp_servers.status", keep: Scalar(WORD) },
    Wanted { path: "mcp_server_errors.name", keep: Scalar(WORD) },
    Wanted { path: "mcp_server_errors.message", keep: Scalar(TEXT) },
    Wanted { path: "plugin_errors.plugin", keep: Scalar(WORD) },
    Wanted { path: "plugin_errors.message", keep: Scalar(TEXT) },
    // Answers.
    Wanted { path: "message.id", keep: Scalar(WORD) },
    Wanted { path: "message.model", keep: Scalar(WORD) },
    Wanted { path: "message.content.type", keep: Scalar(WORD) },
    Wanted { path: "message.content.id", keep: Scalar(WORD) },
    Wanted { path: "message.content.name", keep: Scalar(WORD) },
    Wanted { path: "message.content.tool_use_id", keep: Scalar(WORD) },
    Wanted { path: "message.content.text", keep: Scalar(TEXT) },
    Wanted { path: "error", keep: Scalar(TEXT) },
    // Results.
    Wanted { path: "is_error", keep: Scalar(WORD) },
    // Three times as much as is kept of it, so that escapes do not cut what would fit.
    Wanted { path: "result", keep: Scalar(3 * RESULT_JSON_BYTES_LIMIT) },
    Wanted { path: "structured_output", keep: Any(STRUCTURED_BYTES_LIMIT) },
    Wanted { path: "errors", keep: Each(TEXT) },
    Wanted { path: "api_error_status", keep: Scalar(WORD) },
    Wanted { path: "api_error_type", keep: Scalar(WORD) },
    Wanted { path: "api_error", keep: Scalar(WORD) },
    Wanted { path: "startup_failure_reason", keep: Scalar(WORD) },
    Wanted { path: "terminal_reason", keep: Scalar(WORD) },
    Wanted { path: "stop_reason", keep: Scalar(WORD) },
    Wanted { path: "num_turns", keep: Scalar(WORD) },
    Wanted { path: "total_cost_usd", keep: Scalar(WORD) },
    Wanted { path: "usage", keep: Any(USAGE_BYTES_LIMIT) },
    Wanted { path: "modelUsage", keep: Any(USAGE_BYTES_LIMIT) },
    Wanted { path: "permission_denials.tool_name", keep: Scalar(WORD) },
    Wanted { path: "permission_denials.tool_use_id", keep: Scalar(WORD) },
    Wanted { path: "origin", keep: Scalar(WORD) },
    Wanted { path: "origin.kind", keep: Scalar(WORD) },
    // Retries and limits.
    Wanted { path: "attempt", keep: Scalar(WORD) },
    Wanted { path: "max_retries", keep: Scalar(WORD) },
    Wanted { path: "retry_delay_ms", keep: Scalar(WORD) },
    Wanted { path: "error_status", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.status", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.resetsAt", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.rateLimitType", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.overageStatus", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.overageDisabledReason", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.isUsingOverage", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.overageInUse", keep: Scalar(WORD) },
    Wanted { path: "rate_limit_info.errorCode", keep: Scalar(WORD) },
    // Tools and work in the background.
    Wanted { path: "tool_name", keep: Scalar(WORD) },
    Wanted { path: "tool_use_id", keep: Scalar(WORD) },
    Wanted { path: "hook_id", keep: Scalar(WORD) },
    Wanted { path: "task_id", keep: Scalar(WORD) },
    Wanted { path: "task_type", keep: Scalar(WORD) },
    Wanted { path: "description", keep: Scalar(TEXT) },
    Wanted { path: "status", keep: Scalar(WORD) },
    Wanted { path: "ambient", keep: Scalar(WORD) },
    Wanted { path: "skip_transcript", keep: Scalar(WORD) },
    Wanted { path: "is_backgrounded", keep: Scalar(WORD) },
    Wanted { path: "patch.status", keep: Scalar(WORD) },
    Wanted { path: "patch.is_backgrounded", keep: Scalar(WORD) },
    Wanted { path: "tasks.task_id", keep: Scalar(WORD) },
    Wanted { path: "tasks.task_type", keep: Scalar(WORD) },
    Wanted { path: "tasks.description", keep: Scalar(TEXT) },
    Wanted { path: "tasks.ambient", keep: Scalar(WORD) },
    // What else a person should know.
    Wanted { path: "lost", keep: Each(WORD) },
    Wanted { path: "error_code", keep: Scalar(WORD) },
    Wanted { path: "trigger", keep: Scalar(WORD) },
    Wanted { path: "original_model", keep: Scalar(WORD) },
    Wanted { path: "fallback_model", keep: Scalar(WORD) },
];

static PATHS: LazyLock<Paths> = LazyLock::new(|| Paths::new(WANTED, known::is_member));

/// Puts fragments together.
#[derive(Debug)]
pub(crate) struct LineReader {
    scanner: Scanner,
    is_reading: bool,
}

/// How much of a line there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One object, from its brace to its end.
    Whole,
    /// The beginning of one, which was cut at the line limit.
    Cut,
    /// The beginning of one, after which the output ended.
    Unfinished,
}

/// A line that is an object.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    scanner: &'a Scanner,
    extent: Extent,
}

impl Default for LineReader {
    fn default() -> Self {
        Self { scanner: Scanner::new(&PATHS), is_reading: false }
    }
}

impl LineReader {
    /// Takes the next fragment, and hands over the line that it ends, if that is an object.
    pub(crate) fn fragment(
        &mut self,
        data: &[u8],
        starts_line: bool,
        ends_line: bool,
        truncated: bool,
    ) -> Option<Line<'_>> {
        if starts_line {
            self.scanner.restart();
            self.is_reading = true;
        }
        if !self.is_reading {
            return None;
        }
        let content = data.strip_suffix(b"\n");
        let has_newline = content.is_some();
        let content = content.unwrap_or(data);
        // A file in "UTF-8 with signature" begins with this mark.
        let content = match starts_line {
            true => content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content),
            false => content,
        };
        let mark = if truncated { TRUNCATION_MARK } else { b"" };
        self.scanner.walk(content.strip_suffix(mark).unwrap_or(content));
        self.is_reading = !ends_line && !self.scanner.is_broken();
        if !ends_line {
            return None;
        }
        let extent = match self.scanner.finish() {
            Shape::Object if !truncated => Extent::Whole,
            Shape::Object | Shape::Beginning if truncated => Extent::Cut,
            Shape::Beginning if !has_newline => Extent::Unfinished,
            Shape::Object | Shape::Beginning | Shape::Other => return None,
        };
        Some(Line { scanner: &self.scanner, extent })
    }
}

impl<'a> Line<'a> {
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// The line is cut, and what there is of it is a result's: newer versions of the CLI write the type behind it.
    pub(crate) fn is_cut_result(&self) -> bool {
        let has = |path| self.value(path).is_some();
        let is_results = has("is_error") || has("num_turns") || has("total_cost_usd");
        self.extent != Extent::Whole && has("result") && is_results
    }

    /// The first few names of members that this version does not know.
    pub(crate) fn unknown_members(&self) -> &'a [String] {
        self.scanner.unknown()
    }

    /// All texts of a member, in their order, each with the object in which it stands.
    pub(crate) fn texts(&self, path: &str) -> impl Iterator<Item = (u32, String)> {
        self.all(path).filter_map(|value| Some((value.object, text(value)?)))
    }

    /// All values of a member, in their order.
    pub(crate) fn all(&self, path: &str) -> impl Iterator<Item = Value<'a>> {
        self.scanner.values().filter(move |value| value.path == path)
    }

    /// A member that comes twice counts as it came last; one that is null is the same as none.
    pub(crate) fn value(&self, path: &str) -> Option<Value<'a>> {
        let last = self.scanner.values().rev().find(|value| value.path == path)?;
        (last.raw != b"null").then_some(last)
    }

    /// The member that stands in this object, as text.
    pub(crate) fn text_in(&self, object: u32, path: &str) -> Option<String> {
        self.all(path).filter(|value| value.object == object).last().and_then(text)
    }

    /// The member that stands in this object, as a truth value.
    pub(crate) fn is_true_in(&self, object: u32, path: &str) -> bool {
        self.all(path).any(|value| value.object == object && value.raw == b"true")
    }

    /// The member as text, if it is text, as far as it was kept.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        text(self.value(path)?)
    }

    /// The member as text, cut to [`TEXT_BYTES_LIMIT`].
    pub(crate) fn short_text(&self, path: &str) -> Option<String> {
        self.text(path).map(|text| cut_text(&text, TEXT_BYTES_LIMIT))
    }

    /// Whether the member is exactly this text.
    pub(crate) fn is(&self, path: &str, expected: &str) -> bool {
        self.text(path).as_deref() == Some(expected)
    }

    /// The member as a truth value, if it is one.
    pub(crate) fn boolean(&self, path: &str) -> Option<bool> {
        match self.value(path)?.raw {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The member as a number, also where it is written as text.
    pub(crate) fn number(&self, path: &str) -> Option<f64> {
        let value = self.value(path).filter(|value| value.is_whole)?;
        let raw = std::str::from_utf8(value.raw).ok()?;
        let number: f64 = raw.trim_matches('"').parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// The member as a count: rounded, because the CLI writes delays with fractions.
    pub(crate) fn count(&self, path: &str) -> Option<u64> {
        let number = self.number(path)?;
        // Beyond 2^53 nothing that the CLI counts is real.
        (0.0..9e15).contains(&number).then(|| number.round() as u64)
    }

    /// The member as it is, if all of it was kept.
    pub(crate) fn json(&self, path: &str) -> Option<Json> {
        let value = self.value(path).filter(|value| value.is_whole)?;
        json::value(value.raw)
    }
}

/// A value as text, if it is text, as far as it was kept.
fn text(value: Value<'_>) -> Option<String> {
    let inside = value.raw.strip_prefix(b"\"")?;
    let inside = if value.is_whole { inside.strip_suffix(b"\"")? } else { inside };
    Some(json::unescape(inside))
}
