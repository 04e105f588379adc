//! The filter of the log, which a reload can change.

use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::{filter::Targets, reload};

/// Changes the filter. Its type depends on the form of the log.
type Change = Box<dyn Fn(Targets) -> Result<(), reload::Error> + Send + Sync>;

static CHANGE: OnceLock<Change> = OnceLock::new();

/// The filter as a layer of the log.
pub(super) fn layer<S: Subscriber + 'static>(targets: Targets) -> reload::Layer<Targets, S> {
    let (layer, handle) = reload::Layer::new(targets);
    // There is one log in a process; a second one cannot be started.
    CHANGE.set(Box::new(move |targets| handle.reload(targets))).ok();
    layer
}

/// Changes the filter, to a text that the setting has been checked to be.
pub(crate) fn set(filter: &str) {
    let changed = filter.parse::<Targets>().map(|targets| CHANGE.get().map(|set| set(targets)));
    match changed {
        Ok(Some(Ok(())) | None) => {}
        Ok(Some(Err(error))) => tracing::warn!(%error, "the log level cannot be changed"),
        Err(error) => tracing::warn!(%error, "the log level cannot be changed"),
    }
}
