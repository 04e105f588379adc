//! The log of the supervisor itself: one line an event on standard error.
//!
//! Owns the form and the filter. It never writes to standard output, whose first line is read by programs.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{LevelFilter, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    config::{Config, settings::choices::LogFormat},
    ops::log_filter,
};

/// # Errors
/// When something else in this process logs already.
pub(crate) fn init(config: &Config) -> anyhow::Result<()> {
    let targets: Targets = config.log_filter.parse()?;
    let builder = tracing_subscriber::fmt()
        // The filter decides, which a reload can change.
        .with_max_level(LevelFilter::TRACE)
        // They are reported by `eprintln!`, which panics when standard error is closed: the reader of the log may be
        // gone, and that must end nothing.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let outcome = match config.log_format {
        LogFormat::Pretty => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            builder
                .finish()
                .with(log_filter::layer(targets))
                .with(filter_fn(may_be_logged))
                .try_init()
        }
        LogFormat::Json => builder
            .json()
            .finish()
            .with(log_filter::layer(targets))
            .with(filter_fn(may_be_logged))
            .try_init(),
    };
    outcome.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}

/// Whether a line may be logged whatever the filter says. Traces of the WebSocket library may not: they have every
/// message as it is on the wire, resume tokens, prompts and output included.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_wire = target.starts_with("tungstenite") || target.starts_with("tokio_tungstenite");
    !(is_wire && *metadata.level() == Level::TRACE)
}
