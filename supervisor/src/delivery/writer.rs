//! The writing half of a connection: what goes out, in which order.
//!
//! Two kinds of sources feed it. The control queue (answers and orders of the session) has priority over
//! everything that is not handed to the socket yet; the cursors of the tasks that are followed are read in
//! turn, a bounded piece each, so that a long replay cannot keep a live task waiting. All that is ready is
//! written before one flush; nothing waits to be batched. A slow client makes this wait and nobody else: what is
//! held for it are the records of one read, and the texts of a small part of them.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink, SinkExt as _, future::select_all};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    config::limits,
    delivery::{
        notification::Translator,
        pending::PendingRecords,
        socket::{FrameLane, MessageBuffer},
    },
    task::feed::{Cursor, Item},
};

/// What a session has its writer do.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this text.
    Text(String),
    /// Send this text, and tell when it was handed to the socket.
    Awaited(String, oneshot::Sender<()>),
    /// Send a WebSocket ping.
    Ping,
    /// Read no more of any cursor, so that an answer can be sent before the event that it causes.
    Hold,
    /// Go on with the cursors.
    Release,
    /// Send a task's notifications after those of the session's earlier tasks.
    Follow(Box<Follow>),
    /// Send a task's notifications beside whatever else is followed.
    Attach(Box<Follow>),
    /// Send nothing more of this attached task.
    Detach(String),
    /// Whether lines that are ready together are sent together.
    Batch(bool),
    /// Tell when nothing is followed any more.
    TellWhenIdle(oneshot::Sender<()>),
}

/// A task to follow to its end.
#[derive(Debug)]
pub(crate) struct Follow {
    /// Which one.
    pub task_id: String,
    /// Where to read.
    pub cursor: Cursor,
    /// What was read and is still to be sent.
    pub pending: PendingRecords,
    /// How to put it.
    pub translator: Translator,
    /// The terminal event, as a text, in case that the log cannot tell it any more.
    pub terminal: Option<String>,
    /// Told when the terminal event has been handed to the socket.
    pub delivered: oneshot::Sender<()>,
}

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Receiver<Box<Outgoing>>,
    /// The way of tasks' messages; everything else goes through the sink.
    lane: FrameLane,
    /// The session's own tasks, one after the other.
    own: VecDeque<Box<Follow>>,
    /// Any others, side by side.
    attached: Vec<Follow>,
    /// Whose turn it is, counted without end.
    turn: usize,
    is_held: bool,
    is_batching: bool,
    idle: Vec<oneshot::Sender<()>>,
}

/// What it comes to next.
enum Next {
    Control(Box<Outgoing>),
    /// From the followed task in this place.
    Records(usize, Records),
}

/// What there is of a followed task.
enum Records {
    /// Some were read before and not all of them sent.
    Pending,
    /// These come next.
    Read(Item),
    /// It has no more to say.
    End,
}

impl Follow {
    /// Waits until there is something to send. Dropping the future loses nothing.
    async fn next(&mut self) -> Records {
        if !self.pending.is_empty() {
            return Records::Pending;
        }
        let item = self.cursor.next(limits::WRITER_TAKE_BYTES).await;
        item.map_or(Records::End, Records::Read)
    }

    /// Holds nothing until its next turn.
    fn put_back(&mut self) {
        self.cursor.put_back(std::mem::take(&mut self.pending).whole_bytes());
    }
}

impl Writer {
    /// Serves this queue; `lane` is that of the stream behind the sink.
    #[must_use]
    pub(crate) fn new(queue: mpsc::Receiver<Box<Outgoing>>, lane: FrameLane) -> Self {
        Self {
            queue,
            lane,
            own: VecDeque::new(),
            attached: Vec::new(),
            turn: 0,
            is_held: false,
            is_batching: false,
            idle: Vec::new(),
        }
    }

    /// Writes until the socket fails. Dropping the future loses at most the messages that wait for what was written
    /// before them.
    ///
    /// # Errors
    /// Always ends with one: that of the socket.
    pub(crate) async fn run<S>(&mut self, sink: &mut S) -> Error
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        loop {
            let written = match self.next().await {
                Next::Control(first) => self.write_control(first, sink).await,
                Next::Records(place, Records::End) => self.end(place, sink).await,
                Next::Records(place, Records::Read(item)) => {
                    self.send_turn(place, Some(item), sink).await
                }
                Next::Records(place, Records::Pending) => self.send_turn(place, None, sink).await,
            };
            if let Err(error) = written {
                return error;
            }
        }
    }

    /// The texts that were queued and not taken.
    pub(crate) fn leftovers(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(outgoing) = self.queue.try_recv() {
            if let Outgoing::Text(text) = *outgoing {
                texts.push(text);
            }
        }
        texts
    }

    /// The control queue first: an answer that was queued before an event was caused goes out before it.
    async fn next(&mut self) -> Next {
        let first = self.turn;
        let own = self.own.front_mut().map(|follow| &mut **follow);
        let follows = own.into_iter().chain(&mut self.attached);
        let mut readings: Vec<_> = if self.is_held {
            Vec::new()
        } else {
            follows
                .enumerate()
                .map(|(place, follow)| follow.next().map(move |records| (place, records)).boxed())
                .collect()
        };
        let count = readings.len();
        let records = async {
            if readings.is_empty() {
                return std::future::pending().await;
            }
            // Who is asked first goes round.
            readings.rotate_left(first % count);
            select_all(readings).await.0
        };
        let next = tokio::select! {
            biased;
            Some(outgoing) = self.queue.recv() => Next::Control(outgoing),
            (place, records) = records => Next::Records(place, records),
        };
        if let Next::Records(place, _) = next {
            self.turn = place + 1;
        }
        next
    }

    async fn write_control<S>(&mut self, first: Box<Outgoing>, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            self.obey(outgoing, sink).await?;
            next = self.queue.try_recv().ok();
        }
        self.tell_if_idle();
        sink.flush().await
    }

    async fn obey<S>(&mut self, outgoing: Box<Outgoing>, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        match *outgoing {
            Outgoing::Text(text) => sink.feed(Message::text(text)).await?,
            Outgoing::Awaited(text, taken) => {
                sink.feed(Message::text(text)).await?;
                // Whoever has stopped waiting does not care.
                taken.send(()).ok();
            }
            Outgoing::Ping => sink.feed(Message::Ping(Bytes::new())).await?,
            Outgoing::Hold => self.is_held = true,
            Outgoing::Release => self.is_held = false,
            Outgoing::Follow(follow) => self.own.push_back(follow),
            Outgoing::Attach(follow) => self.attached.push(*follow),
            Outgoing::Detach(task_id) => {
                self.attached.retain(|follow| follow.task_id != task_id);
            }
            Outgoing::Batch(is_batching) => self.is_batching = is_batching,
            Outgoing::TellWhenIdle(idle) => {
                // Whoever asked before may have stopped waiting.
                self.idle.retain(|idle| !idle.is_closed());
                self.idle.push(idle);
            }
        }
        Ok(())
    }

    /// Sends notifications of this item and of what the ring has ready after it, up to the bound of a turn.
    async fn send_turn<S>(
        &mut self,
        place: usize,
        item: Option<Item>,
        sink: &mut S,
    ) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let Some(follow) = nth(&mut self.own, &mut self.attached, place) else { return Ok(()) };
        let task_id = follow.task_id.clone();
        match item {
            Some(Item::Frames(frames)) => follow.pending = PendingRecords::new(frames),
            Some(Item::Lost { bytes, error }) => {
                let text = follow.translator.lost(bytes, &error);
                sink.feed(Message::text(text)).await?;
            }
            None => {}
        }
        let mut sent_bytes = 0;
        while sent_bytes < limits::WRITER_TURN_BYTES {
            // What is queued meanwhile goes before what is made next.
            while let Ok(outgoing) = self.queue.try_recv() {
                self.obey(outgoing, sink).await?;
            }
            let Some(frames) = self.take(place, &task_id) else { break };
            sent_bytes += frames.len();
            sink.flush().await?;
            // Nothing is under way, and nobody else gets a turn in between.
            self.lane.put(frames);
            sink.flush().await?;
        }
        if self.attached.len() + usize::from(!self.own.is_empty()) > 1
            && let Some(follow) = nth(&mut self.own, &mut self.attached, place)
        {
            // The others may be many.
            follow.put_back();
        }
        self.tell_if_idle();
        sink.flush().await
    }

    /// Makes messages of what can be sent of a task without waiting for anything.
    fn take(&mut self, place: usize, task_id: &str) -> Option<Bytes> {
        let follow = nth(&mut self.own, &mut self.attached, place)?;
        // What was queued meanwhile may have changed who is followed, and whether anybody is.
        if self.is_held || follow.task_id != task_id {
            return None;
        }
        if follow.pending.is_empty() {
            follow.pending = PendingRecords::new(follow.cursor.ready()?);
        }
        let mut texts = MessageBuffer::default();
        follow.translator.translate_or_tell(&mut follow.pending, self.is_batching, &mut texts);
        Some(texts.into_frames())
    }

    /// The followed task in this place has no more to say.
    async fn end<S>(&mut self, place: usize, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let has_own = !self.own.is_empty();
        let ended = match place.checked_sub(usize::from(has_own)) {
            None => self.own.pop_front(),
            // Boxed, as every connection has room for what is kept here.
            Some(index) => Some(Box::new(self.attached.remove(index))),
        };
        if let Some(mut ended) = ended {
            let terminal = ended.terminal.take().filter(|_| !ended.translator.has_ended());
            if let Some(terminal) = terminal {
                sink.send(Message::text(terminal)).await?;
            }
            // A session that has gone does not care.
            ended.delivered.send(()).ok();
        }
        self.tell_if_idle();
        Ok(())
    }

    fn tell_if_idle(&mut self) {
        if self.own.is_empty() && self.attached.is_empty() {
            for idle in self.idle.drain(..) {
                idle.send(()).ok();
            }
        }
    }
}

/// The followed task in this place: the session's own one first, then the attached ones.
fn nth<'a>(
    own: &'a mut VecDeque<Box<Follow>>,
    attached: &'a mut [Follow],
    place: usize,
) -> Option<&'a mut Follow> {
    own.front_mut().map(|follow| &mut **follow).into_iter().chain(attached).nth(place)
}
