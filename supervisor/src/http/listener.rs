//! Accepts TCP connections, bounds how many there are, and hands each to [`crate::http::requests`] in a tokio task of
//! its own. It never reads from one.

use std::sync::Arc;

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    config::limits,
    http::{requests, server::Server},
    ops::metrics::HandshakeFailure,
};

/// Bounds TCP connections, and knows when all have ended.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    limit: u32,
}

impl Connections {
    /// For this many sessions, and a few connections beside them.
    #[must_use]
    pub(crate) fn new(sessions_limit: usize) -> Self {
        let limit = sessions_limit + limits::EXTRA_CONNECTIONS;
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        }
    }

    fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Returns when all connections have ended. No new ones may be admitted meanwhile.
    pub(crate) async fn ended(&self) {
        drop(self.permits.acquire_many(self.limit).await);
    }
}

/// Accepts until the supervisor stops; then the listening socket is closed.
pub(crate) async fn accept_connections(
    listener: TcpListener,
    server: Arc<Server>,
    connections: Connections,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.tasks().stage.stopping() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(permit) = connections.admit() else {
            server.tasks().metrics.connections.handshake_failed(HandshakeFailure::Places);
            tracing::warn!(%peer, "too many connections: closed at once");
            continue;
        };
        // Messages are small and each matters at once; without this they wait for acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        tokio::spawn(requests::serve(Arc::clone(&server), stream, peer, Arc::new(permit)));
    }
}
