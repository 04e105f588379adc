//! The log of the supervisor itself: one line an event on standard error.
//!
//! Owns the form and the filter. It never writes to standard output, whose first line is read by programs, and nothing
//! that logs waits for standard error ([`writer`]).

mod writer;

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{LevelFilter, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::writer::LogWriter;
pub(crate) use self::writer::dropped_lines;
use crate::{
    config::{Config, settings::choices::LogFormat},
    ops::{log_filter, threads::NO_THREAD},
};

/// Dropped at the end of the program, it waits a moment for the last lines to be written.
#[derive(Debug)]
pub(crate) struct LogGuard(LogWriter);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// # Errors
/// When something else in this process logs already, or no thread can be made.
pub(crate) fn init(config: &Config) -> anyhow::Result<LogGuard> {
    let writer = LogWriter::start(stderr()).context(NO_THREAD)?;
    let targets: Targets = config.log_filter.parse()?;
    let builder = tracing_subscriber::fmt()
        // The filter decides, which a reload can change.
        .with_max_level(LevelFilter::TRACE)
        // They are reported by `eprintln!`, which panics when standard error is closed: the reader of the log may be
        // gone, and that must end nothing.
        .log_internal_errors(false)
        .with_writer(writer.clone());
    let is_for_people = match config.log_format {
        LogFormat::Auto => stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let outcome = if is_for_people {
        let builder = builder.with_ansi(stderr().is_terminal()).with_target(false);
        builder.finish().with(log_filter::layer(targets)).with(filter_fn(may_be_logged)).try_init()
    } else {
        // Fields on the level of the message, as log collectors have them.
        let builder = builder.json().flatten_event(true).with_current_span(false);
        let builder = builder.with_span_list(false);
        builder.finish().with(log_filter::layer(targets)).with(filter_fn(may_be_logged)).try_init()
    };
    outcome.map_err(|error| anyhow::anyhow!("starting the log: {error}"))?;
    Ok(LogGuard(writer))
}

/// Whether a line may be logged whatever the filter says. Traces of the WebSocket library may not: they have every
/// message as it is on the wire, resume tokens, prompts and output included.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_wire = target.starts_with("tungstenite") || target.starts_with("tokio_tungstenite");
    !(is_wire && *metadata.level() == Level::TRACE)
}
