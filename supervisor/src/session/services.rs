//! What a session asks for: its client's tasks, batches and sessions.

use std::sync::Arc;

use crate::{batch::Batches, session::registry::Sessions, task::context::TaskContext};

/// What a session asks for. Clones mean the same.
#[derive(Clone, Debug)]
pub struct Services {
    /// The sessions, with a connection or without.
    pub sessions: Arc<Sessions>,
    /// The batches that are not over.
    pub batches: Arc<Batches>,
    /// What tasks are started with, and the tasks that are not over.
    pub tasks: Arc<TaskContext>,
}
