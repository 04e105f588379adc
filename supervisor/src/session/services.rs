//! What a session asks for: its client's tasks, batches and sessions.

use std::sync::Arc;

use crate::{
    batch::Batches,
    session::{budget::MessageBudget, registry::Sessions},
    task::context::TaskContext,
};

/// Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) sessions: Arc<Sessions>,
    /// What the messages of all clients may take.
    pub(crate) budget: Arc<MessageBudget>,
    /// The batches that are not over.
    pub(crate) batches: Arc<Batches>,
    /// What tasks are started with, and the tasks that are not over.
    pub(crate) tasks: Arc<TaskContext>,
}
