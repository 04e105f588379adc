use std::time::Duration;

use super::*;
use crate::{
    batch::Batches,
    ops::identity::Identity,
    session::{budget::MessageBudget, registry::Sessions},
    task::context::TaskContext,
};

/// A session on a connection, whose writer reads from the receiver.
async fn begun(
    directory: &std::path::Path,
    grace: Duration,
) -> (Handler, mpsc::Receiver<Box<Outgoing>>) {
    let tasks = TaskContext::for_tests(directory);
    let (registry, store) = (Arc::clone(&tasks.registry), tasks.store.clone());
    let metrics = Arc::clone(&tasks.metrics);
    let sessions = Arc::new(Sessions::new(grace, registry, store, metrics));
    let batches = Arc::new(Batches::new(Arc::clone(&tasks)));
    let budget = Arc::new(MessageBudget::new(1024));
    let services = Services { sessions: Arc::clone(&sessions), budget, batches, tasks };
    let (outgoing, queue) = mpsc::channel(100);
    let connection = sessions.connection_handle();
    (Handler::begin(services, Identity::for_tests(), connection, outgoing).await.unwrap(), queue)
}

#[tokio::test]
async fn a_session_whose_connection_panics_waits_for_its_client_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let (handler, _queue) = begun(directory.path(), Duration::from_secs(3600)).await;
    let sessions = Arc::clone(&handler.services.sessions);
    let connection = tokio::spawn(async move {
        let _handler = handler;
        panic!("a mistake");
    });
    assert!(connection.await.unwrap_err().is_panic());
    while sessions.waiting_count() == 0 {
        tokio::task::yield_now().await;
    }
}
