//! What is measured, one file each, in the order of the table.

mod cancel;
mod claude;
mod connections;
mod crowd;
mod growth;
mod idle;
mod latency;
mod output;
mod processor;
mod resume;
mod tasks_per_second;
mod worker_memory;
mod yes;

use crate::{arguments::Effort, peers::Peers, row::Row};

/// One of them.
pub struct Measurement {
    /// For `--only`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Does it; ends with a panic where something breaks.
    pub run: fn(Effort, &Peers) -> Vec<Row>,
}

/// All of them.
pub const MEASUREMENTS: &[Measurement] = &[
    latency::LATENCY,
    processor::PROCESSOR,
    tasks_per_second::TASKS_PER_SECOND,
    output::LINES,
    output::SHORT_LINES,
    claude::CLAUDE,
    connections::CONNECTIONS,
    yes::YES,
    worker_memory::WORKER_MEMORY,
    resume::RESUME,
    cancel::CANCEL,
    crowd::CROWD,
    growth::HISTORY,
    growth::SESSIONS,
    growth::BATCH,
    idle::IDLE,
];
