//! What requests are answered with.

use std::{sync::Arc, time::Instant};

use crate::{
    batch::Batches, connection::ConnectionContext, http::admission::AdmissionRules,
    task::context::TaskContext,
};

#[derive(Debug)]
pub(crate) struct Server {
    /// Who may connect.
    pub(crate) rules: AdmissionRules,
    pub(crate) started_at: Instant,
    pub(crate) connections: Arc<ConnectionContext>,
}

impl Server {
    pub(super) fn tasks(&self) -> &TaskContext {
        self.connections.tasks()
    }

    pub(super) fn batches(&self) -> &Batches {
        &self.connections.services.batches
    }
}
