//! Whether an operator lets the supervisor run empty: what runs goes on, and nothing new is started. A supervisor starts
//! without this, also one that takes over from another that was drained: that is what a drain is for.

use tokio::sync::watch;

/// Clones share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain(watch::Sender<bool>);

impl Drain {
    #[must_use]
    pub(crate) fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    pub(crate) fn set(&self, is_on: bool) {
        self.0.send_replace(is_on);
    }

    /// Changes when a drain begins or ends.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}
