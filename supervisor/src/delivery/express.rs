//! The short way of a task's messages to the socket: many of them at once, as frames that are complete, past the
//! codec of the connection.
//!
//! The codec costs more for each message than a short line does. It still answers pings, closes, and sends all
//! that is not a task's; so the two must not cut into each other's frames. That is kept on both sides: the writer
//! gives frames to the [`Lane`] only when the codec has nothing under way, and the stream writes all of them before
//! anything else. Used by [`crate::delivery`] and [`crate::connection::heartbeat::LivelyStream`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes};

/// A final frame of text.
const FINAL_TEXT: u8 = 0x81;
/// Lengths that do not fit the first byte for them, and those that do not fit two further ones.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// Most that a frame has before its text.
pub const HEADER_BYTES_LIMIT: usize = 10;

/// Begins the frame of a text of so many bytes, as a server sends it: not masked.
pub fn push_header(frames: &mut Vec<u8>, text_bytes: usize) {
    frames.push(FINAL_TEXT);
    match (u8::try_from(text_bytes), u16::try_from(text_bytes)) {
        (Ok(bytes), _) if bytes < TWO_BYTES => frames.push(bytes),
        (_, Ok(bytes)) => {
            frames.push(TWO_BYTES);
            frames.extend_from_slice(&bytes.to_be_bytes());
        }
        (_, Err(_)) => {
            frames.push(EIGHT_BYTES);
            frames.extend_from_slice(&(text_bytes as u64).to_be_bytes());
        }
    }
}

/// Frames that the socket has not taken yet: what its writer gave last.
#[derive(Clone, Debug, Default)]
pub struct Lane(Arc<Mutex<Bytes>>);

impl Lane {
    /// Takes whole frames, to be written before whatever the codec writes from now on. The codec must have been
    /// flushed, which empties the lane too: otherwise a frame of which it has written a part would be torn.
    pub fn put(&self, frames: Bytes) {
        *self.frames() = frames;
    }

    /// What is to be written next; empty if there is nothing.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.frames().clone()
    }

    /// The socket has taken so much of it.
    pub fn advance(&self, bytes: usize) {
        let mut frames = self.frames();
        frames.advance(bytes);
        if frames.is_empty() {
            // Its memory goes with it.
            *frames = Bytes::new();
        }
    }

    fn frames(&self) -> MutexGuard<'_, Bytes> {
        // Whoever panicked has left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, protocol::Role},
    };

    use super::*;
    use crate::{
        connection::heartbeat::{Life, LivelyStream},
        delivery::texts::Texts,
    };

    const ROUNDS: usize = 200;
    const LINES: usize = 1_000;

    /// Far more than sockets hold, so that writing stops in the middle of frames again and again.
    fn line() -> String {
        "x".repeat(100)
    }

    /// The writer and the reader of a connection: whatever its client says, it is answered beside the lines.
    async fn serve(server: TcpStream) {
        let lane = Lane::default();
        let server = LivelyStream::new(server, Life::default(), lane.clone());
        let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let (mut sink, mut stream) = socket.split();
        let writing = async {
            for _ in 0..ROUNDS {
                let mut texts = Texts::default();
                (0..LINES).for_each(|_| texts.push(&line()));
                sink.flush().await.unwrap();
                lane.put(texts.into_frames());
                sink.flush().await.unwrap();
            }
            sink.send(Message::text("end")).await.unwrap();
        };
        let reading = async { while let Some(Ok(_)) = stream.next().await {} };
        tokio::join!(writing, reading);
    }

    #[tokio::test]
    async fn frames_that_go_past_the_codec_and_its_answers_to_pings_do_not_cut_into_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let serving = tokio::spawn(serve(listener.accept().await.unwrap().0));
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        client.send(Message::Ping(Bytes::new())).await.unwrap();
        let (mut lines, mut pongs, mut has_ended) = (0, 0, false);
        while !has_ended || pongs == 0 {
            match client.next().await.unwrap().unwrap() {
                Message::Text(text) if text.as_str() == "end" => has_ended = true,
                Message::Text(text) => {
                    assert_eq!(text.as_str(), line());
                    lines += 1;
                    if lines % LINES == 0 {
                        client.send(Message::Ping(Bytes::new())).await.unwrap();
                    }
                }
                Message::Pong(_) => pongs += 1,
                other @ (Message::Binary(_)
                | Message::Ping(_)
                | Message::Close(_)
                | Message::Frame(_)) => panic!("{other:?}"),
            }
        }
        assert_eq!(lines, ROUNDS * LINES);
        drop(client);
        serving.await.unwrap();
    }
}
