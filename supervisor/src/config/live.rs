//! The configuration in force. A reload replaces it as a whole; who needs a setting takes it from here when it is
//! needed, once for each request, task or connection.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::{Config, environment::Base};

/// What is in force until the next reload.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) config: Arc<Config>,
    /// What tasks get of the supervisor's environment.
    pub(crate) environment: Arc<Base>,
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Live(watch::Sender<Current>);

impl Live {
    #[must_use]
    pub(crate) fn new(config: Config, environment: Base) -> Self {
        let current = Current { config: Arc::new(config), environment: Arc::new(environment) };
        Self(watch::Sender::new(current))
    }

    /// What is in force now, each part of the same reload.
    #[must_use]
    pub(crate) fn current(&self) -> Current {
        self.0.borrow().clone()
    }

    #[must_use]
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow().config)
    }

    #[must_use]
    pub(crate) fn environment(&self) -> Arc<Base> {
        Arc::clone(&self.0.borrow().environment)
    }
}
