//! `process.output`, `process.output_batch` and `output.dropped`: what a task prints.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::position::Position;

/// `process.output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessOutput<'a> {
    /// `stdout` or `stderr`.
    #[serde(rename = "type")]
    pub stream: Cow<'a, str>,
    /// The text; bytes that are no UTF-8 became U+FFFD.
    pub data: Cow<'a, str>,
    /// The line was longer than the line limit.
    pub truncated: bool,
    /// Place of a piece within its line, from 0; null for a whole line.
    pub chunk_index: Option<u32>,
    /// Always null: lines are sent before their length is known.
    pub total_chunks: Option<u32>,
    /// Whether this is the last piece of its line; only with `chunk_index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_chunk: Option<bool>,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}

impl ProcessOutput<'_> {
    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> ProcessOutput<'static> {
        ProcessOutput {
            stream: Cow::Owned(self.stream.into_owned()),
            data: Cow::Owned(self.data.into_owned()),
            truncated: self.truncated,
            chunk_index: self.chunk_index,
            total_chunks: self.total_chunks,
            last_chunk: self.last_chunk,
            position: self.position,
        }
    }
}

/// `process.output_batch`: consecutive lines of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputBatch<'a> {
    /// uuid v7.
    pub task_id: String,
    /// In their order, at least one.
    #[serde(borrow)]
    pub items: Vec<OutputItem<'a>>,
}

/// One of them: [`ProcessOutput`] without the task, and without what is null there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputItem<'a> {
    /// From 1 without gaps.
    pub seq: u64,
    /// `stdout` or `stderr`.
    #[serde(rename = "type")]
    pub stream: Cow<'a, str>,
    /// The text; bytes that are no UTF-8 became U+FFFD.
    pub data: Cow<'a, str>,
    /// The line was longer than the line limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Place of a piece within its line, from 0; not there for a whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_index: Option<u32>,
    /// Whether this is the last piece of its line; only with `chunk_index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_chunk: Option<bool>,
}

impl OutputBatch<'_> {
    /// The same, independent of the text that it was read from.
    #[must_use]
    pub fn into_owned(self) -> OutputBatch<'static> {
        let own = |item: OutputItem<'_>| OutputItem {
            seq: item.seq,
            stream: Cow::Owned(item.stream.into_owned()),
            data: Cow::Owned(item.data.into_owned()),
            truncated: item.truncated,
            chunk_index: item.chunk_index,
            last_chunk: item.last_chunk,
        };
        OutputBatch { task_id: self.task_id, items: self.items.into_iter().map(own).collect() }
    }
}

/// `output.dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDropped {
    /// Lines of which at least a part is missing.
    pub lines: u64,
    /// Bytes that are missing.
    pub bytes: u64,
    /// Task and seq.
    #[serde(flatten)]
    pub position: Position,
}
