//! The writing half of a connection: what goes out, in which order.
//!
//! Two sources feed it. The control queue (answers and orders of the session) has priority; the cursor of
//! the task that is followed is read when the queue is empty. All that is ready is written before one
//! flush; nothing waits to be batched. A slow client makes this wait and nobody else.

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    feed::{Cursor, Item},
    limits,
    translate::Translator,
};

/// What a session has its writer do.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this text.
    Text(String),
    /// Send a WebSocket ping.
    Ping,
    /// Read no more of the cursor, so that an answer can be sent before the event that it causes.
    Hold,
    /// Go on with the cursor.
    Release,
    /// Send a task's notifications from here on.
    Follow(Box<Follow>),
}

/// A task to follow to its end.
#[derive(Debug)]
pub struct Follow {
    /// Where to read.
    pub cursor: Cursor,
    /// How to put it.
    pub translator: Translator,
    /// Told when the terminal event has been handed to the socket.
    pub delivered: oneshot::Sender<()>,
}

/// The writing half of a connection.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Receiver<Outgoing>,
    following: Option<Box<Follow>>,
    is_held: bool,
}

/// What it comes to next.
enum Next {
    Control(Outgoing),
    Records(Item),
    EndOfTask,
}

impl Writer {
    /// Serves this queue.
    #[must_use]
    pub fn new(queue: mpsc::Receiver<Outgoing>) -> Self {
        Self { queue, following: None, is_held: false }
    }

    /// Writes until the socket fails. Dropping the future between two messages loses at most the message that
    /// waits for the socket.
    ///
    /// # Errors
    /// Always ends with one: that of the socket.
    pub async fn run<S>(&mut self, sink: &mut S) -> Error
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        loop {
            let next = self.next().await;
            let written = match next {
                Next::Control(first) => self.write_control(first, sink).await,
                Next::Records(item) => self.write_records(item, sink).await,
                Next::EndOfTask => {
                    if let Some(follow) = self.following.take() {
                        // A session that has gone does not care.
                        follow.delivered.send(()).ok();
                    }
                    Ok(())
                }
            };
            if let Err(error) = written {
                return error;
            }
        }
    }

    /// The texts that were queued and not taken.
    pub fn leftovers(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(outgoing) = self.queue.try_recv() {
            if let Outgoing::Text(text) = outgoing {
                texts.push(text);
            }
        }
        texts
    }

    /// The control queue first: an answer that was queued before an event was caused goes out before it.
    async fn next(&mut self) -> Next {
        let is_held = self.is_held;
        let records = async {
            match &mut self.following {
                Some(follow) if !is_held => follow.cursor.next(limits::WRITER_TAKE_BYTES).await,
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(outgoing) = self.queue.recv() => Next::Control(outgoing),
            item = records => item.map_or(Next::EndOfTask, Next::Records),
        }
    }

    async fn write_control<S>(&mut self, first: Outgoing, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Text(text) => sink.feed(Message::text(text)).await?,
                Outgoing::Ping => sink.feed(Message::Ping(Bytes::new())).await?,
                Outgoing::Hold => self.is_held = true,
                Outgoing::Release => self.is_held = false,
                // The session starts no task before the one before it is delivered.
                Outgoing::Follow(follow) => self.following = Some(follow),
            }
            next = self.queue.try_recv().ok();
        }
        sink.flush().await
    }

    async fn write_records<S>(&mut self, item: Item, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let Some(follow) = &mut self.following else { return Ok(()) };
        // All of it is taken before anything is written: a `Hold` may be queued while this waits.
        for text in take(follow, item) {
            sink.feed(Message::text(text)).await?;
        }
        sink.flush().await
    }
}

/// The notifications of this item and of what the ring has ready after it.
fn take(follow: &mut Follow, item: Item) -> Vec<String> {
    let mut frames = match item {
        Item::Frames(frames) => frames,
        Item::Lost { bytes, error } => return vec![follow.translator.lost(bytes, &error)],
    };
    let mut texts = Vec::new();
    let mut taken_bytes = 0;
    loop {
        taken_bytes += frames.len();
        if let Err(error) = follow.translator.translate(&frames, &mut texts) {
            texts.push(follow.translator.lost(frames.len() as u64, &error.to_string()));
        }
        if taken_bytes >= limits::WRITER_TAKE_BYTES {
            return texts;
        }
        match follow.cursor.ready() {
            Some(more) => frames = more,
            None => return texts,
        }
    }
}
