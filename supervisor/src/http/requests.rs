//! Answers HTTP requests on the one port: pages, and the upgrade to a WebSocket (RFC 6455 section 4.2).
//!
//! Every request passes [`crate::http::admission`] first. After an upgrade the socket belongs to
//! [`crate::connection`]; this room never sees a message.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cc_protocol::WEBSOCKET_PATHS;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ACCEPT, CONNECTION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL,
        UPGRADE, WWW_AUTHENTICATE,
    },
    server::conn::http1,
    service::service_fn,
    upgrade::{Parts, Upgraded},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    config::limits,
    connection,
    delivery::transport::Transport,
    http::{
        admission::{Admitted, Refusal},
        door::{Door, log_refusal},
        handshake::handshake_key,
        pages::{self, PageRequest},
        peer::KnownPeer,
        preauth::Ticket,
        response::{HttpResponse, text, with},
    },
    ops::{
        identity::Identity,
        metrics::{HandshakeFailure, Label as _, Timeout},
        repeated::Repeated,
    },
};

/// Who is at the other end of a connection, and its place until it is admitted.
pub(super) struct Arrival {
    pub(super) peer: KnownPeer,
    pub(super) address: Option<SocketAddr>,
    pub(super) ticket: Ticket,
}

/// Serves one connection until it ends or is upgraded.
pub(super) async fn serve(
    door: Arc<Door>,
    stream: Transport,
    tls: Option<Arc<ServerConfig>>,
    arrival: Arrival,
) {
    let answered = AtomicUsize::new(0);
    let context = Arc::new(Context { door, arrival, answered });
    let stream = match (stream, tls) {
        (Transport::Tcp(stream), Some(tls)) => match context.shake_hands(stream, tls).await {
            Some(stream) => Transport::Tls(Box::new(stream)),
            None => return,
        },
        (stream, _) => stream,
    };
    context.serve(stream).await;
}

/// An HTTP connection, as its requests see it.
struct Context {
    door: Arc<Door>,
    arrival: Arrival,
    /// Requests so far.
    answered: AtomicUsize,
}

impl Context {
    /// The TLS handshake.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        tls: Arc<ServerConfig>,
    ) -> Option<TlsStream<TcpStream>> {
        let tasks = self.door.server.tasks();
        tokio::select! {
            outcome = TlsAcceptor::from(tls).accept(stream) => match outcome {
                Ok(stream) => Some(stream),
                Err(error) => {
                    static LINES: Repeated = Repeated::new("TLS handshakes failed");
                    let (uid, address) = (self.arrival.peer.uid, self.arrival.address);
                    LINES.log(|| tracing::warn!(%error, uid, ?address, "a TLS handshake failed"));
                    self.door.failed(HandshakeFailure::BadRequest);
                    None
                }
            },
            () = self.arrival.ticket.dropped() => { self.gave_way(); None }
            () = tasks.stage.stopping() => None,
            () = sleep(tasks.config().handshake_timeout) => { self.took_too_long(); None }
        }
    }

    async fn serve(self: Arc<Self>, stream: Transport) {
        let handshake_timeout = self.door.server.tasks().config().handshake_timeout;
        let of_requests = Arc::clone(&self);
        let service = service_fn(move |request| {
            let context = Arc::clone(&of_requests);
            async move { Ok::<_, Infallible>(context.answer(request).await) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(handshake_timeout)
                .max_buf_size(limits::REQUEST_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        let mut is_closing = false;
        loop {
            let patience = if is_closing { handshake_timeout } else { limits::HTTP_LIFETIME };
            tokio::select! {
                outcome = connection.as_mut() => return self.ended(outcome),
                () = self.arrival.ticket.dropped() => return self.gave_way(),
                () = self.door.server.tasks().stage.stopping() => return,
                () = sleep(patience) => {
                    if is_closing {
                        return self.took_too_long();
                    }
                    // The answer under way is still sent.
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        let is_last = self.answered.fetch_add(1, Ordering::Relaxed) + 1 >= limits::HTTP_REQUESTS;
        let rules = self.door.server.rules();
        let admitted = match rules.check_session(self.arrival.peer.peer, request.headers()) {
            // A page needs no token.
            Err(refusal) if refusal != Refusal::Token => return self.refused(refusal).await,
            admitted => admitted,
        };
        let path = request.uri().path();
        #[cfg(debug_assertions)]
        if connection::echo::is_at(path) {
            return self.echo(request);
        }
        if WEBSOCKET_PATHS.contains(&path) {
            return match admitted {
                Ok(admitted) => self.upgrade(request, admitted),
                Err(refusal) => self.refused(refusal).await,
            };
        }
        let page = PageRequest {
            path: path.to_owned(),
            query: request.uri().query().map(str::to_owned),
            method: request.method().clone(),
            accept: accept(request.headers()),
            is_client: admitted.is_ok(),
        };
        // Boxed: a connection that becomes a WebSocket never asks for one.
        let page = Box::pin(pages::answer(&self.door.server, page)).await;
        if is_last { with(page, CONNECTION, "close") } else { page }
    }

    fn upgrade(&self, request: Request<Incoming>, admitted: Admitted) -> HttpResponse {
        let server = &self.door.server;
        let Admitted { token, subprotocol } = admitted;
        let identity =
            Identity { uid: self.arrival.peer.uid, address: self.arrival.address, token };
        if server.tasks().stage.is_stopping() {
            self.door.failed(HandshakeFailure::Stopping);
            return come_again("the supervisor is stopping", "5");
        }
        let key = match handshake_key(request.method(), request.headers()) {
            Ok(key) => key,
            Err(response) => {
                self.door.failed(HandshakeFailure::BadRequest);
                return *response;
            }
        };
        let Some(place) = self.door.places.take().filter(|_| self.arrival.ticket.admitted()) else {
            static LINES: Repeated = Repeated::new("all places of connections are taken");
            LINES.log(|| tracing::warn!("all places of connections are taken: refused"));
            self.door.failed(HandshakeFailure::Places);
            return come_again("too many connections; try again", "1");
        };
        let connections = Arc::clone(&server.connections);
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            match upgrade.await.map(Upgraded::downcast::<TokioIo<Transport>>) {
                Ok(Ok(Parts { io, read_buf, .. })) => {
                    let stream = io.into_inner();
                    // A tokio task of its own, which keeps nothing of what came before.
                    tokio::spawn(connection::serve(connections, identity, stream, read_buf, place));
                }
                Ok(Err(_)) => {
                    tracing::error!("an upgraded connection was not the one that was accepted")
                }
                Err(error) => tracing::debug!(%error, "upgrade"),
            }
        });
        switching_protocols(&key, subprotocol)
    }

    /// An endpoint for tests: what a session's connection has, without a session.
    #[cfg(debug_assertions)]
    fn echo(&self, request: Request<Incoming>) -> HttpResponse {
        let key = match handshake_key(request.method(), request.headers()) {
            Ok(key) => key,
            Err(response) => return *response,
        };
        let connections = Arc::clone(&self.door.server.connections);
        let upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            if let Ok(Ok(Parts { io, read_buf, .. })) =
                upgrade.await.map(Upgraded::downcast::<TokioIo<Transport>>)
            {
                connection::echo::serve(connections, io.into_inner(), read_buf).await;
            }
        });
        switching_protocols(&key, None)
    }

    /// The answer to a request that is refused. It comes later the more of them its sender had refused, and is the last on
    /// its connection.
    async fn refused(&self, refusal: Refusal) -> HttpResponse {
        let (peer, address) = (self.arrival.peer, self.arrival.address);
        log_refusal(refusal, peer.uid);
        let who = Identity { uid: peer.uid, address, token: None };
        self.door.server.tasks().audit.record_turned_away(&who, &refusal.to_string());
        tokio::time::sleep_until(self.door.answer_refusal_at(peer, address)).await;
        let response = text(refusal.status(), &refusal.to_string());
        let response = with(response, CONNECTION, "close");
        match refusal {
            Refusal::Token => {
                self.door.failed(HandshakeFailure::Token);
                with(response, WWW_AUTHENTICATE, "Bearer")
            }
            Refusal::ForeignUser | Refusal::UnknownUser | Refusal::Host | Refusal::Origin => {
                self.door.failed(HandshakeFailure::Forbidden);
                response
            }
        }
    }

    fn ended(&self, outcome: hyper::Result<()>) {
        let Err(error) = outcome else { return };
        tracing::debug!(%error, "HTTP connection");
        if !error.is_timeout() {
            self.door.failed(HandshakeFailure::BadRequest);
        } else if self.answered.load(Ordering::Relaxed) == 0 {
            self.took_too_long();
        }
    }

    fn took_too_long(&self) {
        static LINES: Repeated = Repeated::new("connections sent no request in time");
        let (uid, address) = (self.arrival.peer.uid, self.arrival.address);
        let tasks = self.door.server.tasks();
        let (kind, limit) = (Timeout::Handshake, tasks.config().handshake_timeout);
        let text = "a connection sent no request in time: closed";
        LINES.log(|| {
            tracing::warn!(uid, ?address, timeout = kind.value(), ?limit, "{text}");
        });
        tasks.metrics.timeouts.passed(kind);
        self.door.failed(HandshakeFailure::Timeout);
    }

    fn gave_way(&self) {
        static LINES: Repeated = Repeated::new("connections gave way to newer ones");
        let (uid, address) = (self.arrival.peer.uid, self.arrival.address);
        LINES.log(|| {
            tracing::warn!(
                uid,
                ?address,
                "too many connections without a request: the oldest is closed"
            );
        });
        self.door.failed(HandshakeFailure::Places);
    }
}

/// The values of all `Accept` headers.
fn accept(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn come_again(problem: &'static str, seconds: &'static str) -> HttpResponse {
    let response = text(StatusCode::SERVICE_UNAVAILABLE, problem);
    with(with(response, RETRY_AFTER, seconds), CONNECTION, "close")
}

fn switching_protocols(key: &str, subprotocol: Option<HeaderValue>) -> HttpResponse {
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
