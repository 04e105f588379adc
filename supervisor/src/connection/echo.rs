//! An endpoint that sends back what it receives, so that a conformance suite for WebSockets can judge the socket, the intake
//! and the codec that sessions have. Only builds for tests have it, and only where `CC_EXECUTOR_TEST_ECHO` is set.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    connection::{
        context::ConnectionContext,
        intake::{ClaimSlot, Intake, Pause},
        websocket::{self, End, Patience, Sink, Stream},
    },
    delivery::{
        socket::{FrameLane, Liveness, Socket},
        transport::Transport,
    },
};

const PATH: &str = "/test/echo";

/// Whether a request for this path is to be served by [`serve`].
pub(crate) fn is_at(path: &str) -> bool {
    path == PATH && std::env::var_os("CC_EXECUTOR_TEST_ECHO").is_some()
}

/// As [`crate::connection::serve`], without a session.
pub(crate) async fn serve(context: Arc<ConnectionContext>, stream: Transport, early: Bytes) {
    let socket = Socket::new(stream, Liveness::default(), FrameLane::default());
    let message_bytes = context.tasks().config().message_bytes_limit;
    let (claims, budget) = (ClaimSlot::default(), Arc::clone(&context.services.budget));
    let intake =
        Intake::new(early, socket, budget, message_bytes, claims.clone(), Pause::default());
    let (mut sink, mut stream) = websocket::accept(intake, message_bytes).await;
    if let End::Orderly(frame) = echo(&mut sink, &mut stream, &claims).await {
        drop(websocket::finish(sink, stream, Vec::new(), frame, &Patience::USUAL).await);
    }
}

async fn echo(sink: &mut Sink, stream: &mut Stream, claims: &ClaimSlot) -> End {
    loop {
        let message = match stream.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(_))) => return End::Orderly(None),
            Some(Err(error)) => return End::of_error(&error),
            None => return End::Lost("the client closed it"),
        };
        if sink.send(message).await.is_err() {
            return End::Lost("the connection broke");
        }
        drop(claims.take());
    }
}
