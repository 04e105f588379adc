//! The sending half: owns the sink, sends requests in order, and shows that the client lives.
//!
//! It is a task of its own, so that a client that is blocked elsewhere, for example by the reader of its
//! standard output, still shows that it is alive: the server counts every frame. It ends with a close frame
//! when the last sender of its queue is dropped.

use std::time::Duration;

use futures_util::{Sink, SinkExt};
use tokio::{sync::mpsc, time};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

/// Requests that wait to be sent.
pub(crate) const REQUEST_QUEUE_LIMIT: usize = 16;
/// Longest time without a sign of life.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest one, whatever the server wants.
const SIGN_OF_LIFE_INTERVAL_LEAST: Duration = Duration::from_millis(100);
/// Well below the server's patience of two heartbeats.
const SIGNS_OF_LIFE_PER_HEARTBEAT: f64 = 3.0;

/// Sends until the queue is closed or the connection breaks; the reading half reports the latter.
pub(crate) async fn run<S>(
    mut sink: S,
    mut requests: mpsc::Receiver<Utf8Bytes>,
    heartbeat_interval_s: f64,
) where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    let mut sign_of_life = time::interval(sign_of_life_interval(heartbeat_interval_s));
    sign_of_life.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    sign_of_life.reset();
    loop {
        let message = tokio::select! {
            request = requests.recv() => match request {
                Some(text) => Message::Text(text),
                None => break,
            },
            // An unasked-for pong is what RFC 6455 (5.5.3) provides as a one-sided heartbeat.
            _ = sign_of_life.tick() => Message::Pong(Default::default()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    drop(sink.send(Message::Close(None)).await);
}

fn sign_of_life_interval(heartbeat_interval_s: f64) -> Duration {
    Duration::try_from_secs_f64(heartbeat_interval_s / SIGNS_OF_LIFE_PER_HEARTBEAT)
        .unwrap_or(SIGN_OF_LIFE_INTERVAL)
        .clamp(SIGN_OF_LIFE_INTERVAL_LEAST, SIGN_OF_LIFE_INTERVAL)
}
