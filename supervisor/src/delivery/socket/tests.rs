//! Messages come out as they went in, as frames that others understand; the bypass and the codec do not cut into each
//! other's frames.

use std::io::Cursor;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, frame::FrameSocket},
    },
};

use super::*;

#[test]
fn messages_come_out_as_they_went_in() {
    let mut messages = MessageBuffer::default();
    messages.push("one", 1);
    messages.push("", 2);
    messages.open().push_str("thr");
    messages.open().push_str("ee");
    assert_eq!((messages.iter().count(), messages.bytes()), (2, 8));
    messages.close(3);
    assert_eq!(messages.iter().collect::<Vec<_>>(), ["one", "", "three"]);
}

#[test]
fn a_message_of_any_length_is_a_frame_that_others_understand() {
    let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];
    let mut messages = MessageBuffer::default();
    for length in lengths {
        messages.push(&"x".repeat(length), 0);
    }
    let (frames, _) = messages.into_frames();
    // The least header that says the length is the only one that is allowed.
    let header_bytes = 3 * 2 + 3 * 4 + 2 * 10;
    assert_eq!(frames.len(), lengths.iter().sum::<usize>() + header_bytes);
    let mut socket = FrameSocket::new(Cursor::new(frames.to_vec()));
    for length in lengths {
        let frame = socket.read(None).unwrap().unwrap();
        assert!(frame.header().is_final);
        assert_eq!(frame.into_text().unwrap().as_str(), "x".repeat(length));
    }
    assert!(socket.read(None).unwrap().is_none());
}

const ROUNDS: usize = 200;
const LINES: usize = 1_000;

/// Far more than sockets hold, so that writing stops in the middle of frames again and again.
fn line() -> String {
    "x".repeat(100)
}

/// The writer and the reader of a connection: whatever its client says, it is answered beside the lines.
async fn serve(server: TcpStream) {
    let lane = FrameLane::default();
    let server = Socket::new(Transport::Tcp(server), Liveness::default(), lane.clone());
    let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
    let (mut sink, mut stream) = socket.split();
    let writing = async {
        for _ in 0..ROUNDS {
            let mut messages = MessageBuffer::default();
            (0..LINES).for_each(|_| messages.push(&line(), 0));
            sink.flush().await.unwrap();
            lane.put(messages.into_frames().0);
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
