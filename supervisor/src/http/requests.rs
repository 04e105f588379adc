//! Answers HTTP requests on the one port: pages, and the upgrade to a WebSocket (RFC 6455 section 4.2).
//!
//! Every request passes [`crate::http::admission`] first. After an upgrade the socket belongs to
//! [`crate::connection`]; this room never sees a message.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use cc_protocol::WEBSOCKET_PATHS;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{
        CONNECTION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL,
        UPGRADE, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
    upgrade::{Parts, Upgraded},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    config::limits,
    connection,
    http::{
        admission::{Admitted, Refusal},
        handshake::handshake_key,
        pages,
        peer::{KnownPeer, Peer},
        response::{HttpResponse, text, with},
        server::Server,
    },
    ops::{identity::Identity, metrics::HandshakeFailure},
};

/// Serves one TCP connection until it ends or is upgraded. `permit` is its place among the connections; a
/// session that comes of it keeps the place.
pub(super) async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: Arc<OwnedSemaphorePermit>,
) {
    let Ok(own) = stream.local_addr() else { return };
    let (KnownPeer { peer, uid }, address) = (KnownPeer::look_up(peer, own).await, peer);
    let context = Arc::new(Context { server: Arc::clone(&server), peer, uid, address, permit });
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(context.answer(request)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.tasks().config().handshake_timeout)
        .max_buf_size(limits::REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        outcome = connection => {
            if let Err(error) = outcome {
                let cause = if error.is_timeout() {
                    HandshakeFailure::Timeout
                } else {
                    HandshakeFailure::BadRequest
                };
                server.tasks().metrics.connections.handshake_failed(cause);
                tracing::debug!(%error, "HTTP connection");
            }
        }
        () = server.tasks().stage.stopping() => {}
    }
}

/// An HTTP connection, as its requests see it.
struct Context {
    server: Arc<Server>,
    peer: Peer,
    uid: Option<u32>,
    address: SocketAddr,
    permit: Arc<OwnedSemaphorePermit>,
}

impl Context {
    fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        if let Err(refusal) = self.server.rules.check_request(self.peer, request.headers()) {
            return self.refused(refusal);
        }
        let path = request.uri().path();
        if WEBSOCKET_PATHS.contains(&path) {
            return self.upgrade(request);
        }
        pages::answer(&self.server, request.method(), path)
    }

    fn upgrade(&self, request: Request<Incoming>) -> HttpResponse {
        let Admitted { token, subprotocol } =
            match self.server.rules.check_session(self.peer, request.headers()) {
                Ok(admitted) => admitted,
                Err(refusal) => return self.refused(refusal),
            };
        let identity = Identity { uid: self.uid, address: Some(self.address), token };
        if self.server.tasks().stage.is_stopping() {
            self.failed(HandshakeFailure::Stopping);
            let response = text(StatusCode::SERVICE_UNAVAILABLE, "the supervisor is stopping");
            return with(response, RETRY_AFTER, "5");
        }
        let key = match handshake_key(request.method(), request.headers()) {
            Ok(key) => key,
            Err(response) => {
                self.failed(HandshakeFailure::BadRequest);
                return *response;
            }
        };
        let connections = Arc::clone(&self.server.connections);
        let permit = Arc::clone(&self.permit);
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            match upgrade.await.map(Upgraded::downcast::<TokioIo<TcpStream>>) {
                Ok(Ok(Parts { io, read_buf, .. })) => {
                    let stream = io.into_inner();
                    // A tokio task of its own, which keeps nothing of what came before.
                    tokio::spawn(connection::serve(
                        connections,
                        identity,
                        stream,
                        read_buf,
                        permit,
                    ));
                }
                Ok(Err(_)) => tracing::error!("an upgraded connection was no TCP stream"),
                Err(error) => tracing::debug!(%error, "upgrade"),
            }
        });
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = subprotocol {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        with(with(response, CONNECTION, "Upgrade"), UPGRADE, "websocket")
    }

    fn refused(&self, refusal: Refusal) -> HttpResponse {
        tracing::warn!(%refusal, "request refused");
        let response = text(refusal.status(), &refusal.to_string());
        match refusal {
            Refusal::Token => {
                self.failed(HandshakeFailure::Token);
                with(response, WWW_AUTHENTICATE, "Bearer")
            }
            Refusal::ForeignUser | Refusal::UnknownUser | Refusal::Host | Refusal::Origin => {
                self.failed(HandshakeFailure::Forbidden);
                response
            }
        }
    }

    fn failed(&self, cause: HandshakeFailure) {
        self.server.tasks().metrics.connections.handshake_failed(cause);
    }
}
