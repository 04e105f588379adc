//! What requests are answered with.

use std::{sync::Arc, time::Instant};

use crate::{
    batch::Batches, connection::ConnectionContext, http::admission::AdmissionRules,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct Server {
    /// It listens on a loopback address.
    pub(crate) is_loopback: bool,
    pub(crate) started_at: Instant,
    pub(crate) connections: Arc<ConnectionContext>,
}

impl Server {
    /// Who may connect, by the configuration that is in force now.
    pub(super) fn rules(&self) -> AdmissionRules {
        let config = self.tasks().config();
        AdmissionRules {
            is_loopback: self.is_loopback,
            tokens: Arc::clone(&self.tasks().tokens),
            allowed_origins: config.allowed_origins.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
        }
    }

    pub(super) fn tasks(&self) -> &TaskContext {
        self.connections.tasks()
    }

    pub(super) fn batches(&self) -> &Batches {
        &self.connections.services.batches
    }
}
