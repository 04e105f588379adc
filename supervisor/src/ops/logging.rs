//! The log of the supervisor itself: one line an event on standard error.
//!
//! Owns the form and the filter. Standard output is not for logs: its first line is read by programs.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    filter::{LevelFilter, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::{Config, args::LogFormat};

/// Starts logging.
///
/// # Errors
/// When something else in this process logs already.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let targets: Targets = config.log_filter.parse()?;
    let most = targets.iter().map(|(_, level)| level).chain(targets.default_level()).max();
    let builder = tracing_subscriber::fmt()
        // Known beforehand, what is not logged by anybody costs nothing.
        .with_max_level(most.unwrap_or(LevelFilter::OFF))
        // It would be reported by `eprintln!`, which panics when standard error is closed: whoever read the
        // log may be gone, and that must end nothing.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let outcome = match config.log_format {
        LogFormat::Pretty => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            builder.finish().with(targets).with(filter_fn(may_be_logged)).try_init()
        }
        LogFormat::Json => {
            builder.json().finish().with(targets).with(filter_fn(may_be_logged)).try_init()
        }
    };
    outcome.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
}

/// Never the WebSocket library's traces, whatever the filter says: they are every message as it is on
/// the wire, resume tokens, prompts and output included.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_wire = target.starts_with("tungstenite") || target.starts_with("tokio_tungstenite");
    !(is_wire && *metadata.level() == Level::TRACE)
}

/// Reads a level, by this program's words or the predecessor's, or a list of `target=level`.
///
/// # Errors
/// A text that says what is allowed.
pub fn filter(text: &str) -> Result<String, String> {
    let text = text.trim();
    let filter = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        "trace" | "debug" | "info" | "warn" | "error" | "off" => text,
        // A lone unknown word would be taken for a target, and silence everything else.
        _ if !text.contains('=') => return Err(LEVELS.to_owned()),
        _ => text,
    };
    match filter.parse::<Targets>() {
        Ok(_) => Ok(filter.to_owned()),
        Err(error) => Err(format!("{LEVELS} ({error})")),
    }
}

const LEVELS: &str = "must be trace, debug, info, warning, error or off, or a list of target=level";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_levels_for_targets_are_taken_and_nothing_else_silences_the_log() {
        for text in
            ["info", " WARN ", "off", "cc_supervisor=debug", "info,cc_supervisor::owner=trace"]
        {
            assert_eq!(filter(text).as_deref(), Ok(text.trim()));
        }
        assert_eq!(filter("Warning").as_deref(), Ok("warn"));
        assert_eq!(filter("critical").as_deref(), Ok("error"));
        for text in ["", "loud", "cc_supervisor", "info,cc_supervisor=loud"] {
            assert!(filter(text).is_err_and(|error| error.starts_with(LEVELS)), "{text:?}");
        }
    }
}
