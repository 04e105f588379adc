//! Frames of the wire: where a client's frames end, and what another library reads of those that the supervisor writes.
#![no_main]

use std::io::Cursor;

use cc_supervisor::fuzzing::{fuzz_frames, fuzz_written_frames};
use libfuzzer_sys::fuzz_target;
use tokio_tungstenite::tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

fuzz_target!(|bytes: &[u8]| {
    fuzz_frames(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Some are as long as the frames whose header has another form.
    let texts: Vec<String> =
        text.split('\n').map(|line| line.repeat(1 + line.len() % 1_500)).collect();
    let frames = fuzz_written_frames(texts.iter().map(String::as_str));
    let config = WebSocketConfig::default();
    let mut reader =
        WebSocket::from_raw_socket(Cursor::new(frames.to_vec()), Role::Client, Some(config));
    for text in &texts {
        let Ok(Message::Text(read)) = reader.read() else { panic!("a frame is missing") };
        assert_eq!(read.as_str(), text);
    }
});
