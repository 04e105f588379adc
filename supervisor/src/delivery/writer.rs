//! The writing half of a connection: what goes out, in which order.
//!
//! There are two kinds of sources. The control queue (answers and orders of the session) goes before everything that was
//! not handed to the socket yet. The cursors of the followed tasks are read in turn, a bounded piece each, so that a long
//! replay cannot delay a live task. All that is ready is written before one flush; nothing waits for more to come.
//!
//! A slow client makes only its own writer wait. What is held for it are the records of one read, and the messages of a
//! small part of them; of one that has stopped reading for a second, the frame that is under way. Driven by [`crate::connection`].

use std::{collections::VecDeque, io};

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink, SinkExt as _, future::select_all};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    config::limits,
    delivery::{
        outgoing::{Follow, Outgoing},
        pending::PendingRecords,
        socket::{FrameLane, MessageBuffer, text_frame},
        turn::Turn,
    },
    ops::memory,
    task::feed::Item,
};

#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Receiver<Box<Outgoing>>,
    /// Takes the messages of tasks; everything else goes through the sink.
    lane: FrameLane,
    /// The session's own tasks: the first one is followed, the others wait.
    own: VecDeque<Box<Follow>>,
    /// Other tasks, all followed at the same time.
    attached: Vec<Follow>,
    /// The number of the next turn, never reset.
    turn: usize,
    is_held: bool,
    is_batching: bool,
    idle: Vec<oneshot::Sender<()>>,
}

/// What is to be done next.
enum Next {
    Control(Box<Outgoing>),
    /// Records of the followed task in this place.
    Records(usize, Records),
}

/// The records of a followed task.
enum Records {
    /// Records of an earlier read are not all sent.
    Pending,
    Read(Item),
    /// The task has ended, and all its records are sent.
    End,
}

impl Follow {
    /// Waits until there are records to send. Dropping the future loses nothing.
    async fn next(&mut self) -> Records {
        if !self.pending.is_empty() {
            return Records::Pending;
        }
        let item = self.cursor.next(limits::WRITER_TAKE_BYTES).await;
        item.map_or(Records::End, Records::Read)
    }

    /// Gives the memory of its pending records back: they are read again in its next turn.
    fn put_back(&mut self) {
        self.cursor.put_back(std::mem::take(&mut self.pending).whole_bytes());
    }
}

impl Writer {
    /// `lane` belongs to the socket behind the sink that [`Writer::run`] is given.
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

    /// Writes until the socket fails, and returns its error. Dropping the future loses at most the messages that wait
    /// for what was written before them.
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

    /// The messages that are still in the queue.
    pub(crate) fn leftovers(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        while let Ok(outgoing) = self.queue.try_recv() {
            if let Outgoing::Text(text) | Outgoing::Awaited(text, _) = *outgoing {
                messages.push(text);
            }
        }
        messages
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
            // Each turn begins with another task.
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
            Outgoing::Text(text) => self.send_text(text, sink).await?,
            Outgoing::Awaited(text, taken) => {
                self.send_text(text, sink).await?;
                // The receiver may have stopped waiting; so may those of `TellWhenIdle`.
                taken.send(()).ok();
            }
            Outgoing::Ping => sink.feed(Message::Ping(Bytes::new())).await?,
            Outgoing::Hold => self.is_held = true,
            Outgoing::Release => self.is_held = false,
            Outgoing::Follow(follow) => self.own.push_back(follow),
            // It may have been detached before its answer was queued.
            Outgoing::Attach(follow) if follow.delivered.is_closed() => {}
            Outgoing::Attach(follow) => self.attached.push(*follow),
            Outgoing::Detach(task_id) => {
                self.attached.retain(|follow| follow.task_id != task_id);
            }
            Outgoing::Batch(is_batching) => self.is_batching = is_batching,
            Outgoing::TellWhenIdle(idle) => {
                self.idle.retain(|idle| !idle.is_closed());
                self.idle.push(idle);
            }
        }
        Ok(())
    }

    /// Sends a text. The codec keeps the room that a long one takes for ever, so a long one goes past it; and it is not kept
    /// for ever for a client that does not read it.
    async fn send_text<S>(&mut self, text: String, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        if text.len() < limits::LONG_TEXT_BYTES {
            return sink.feed(Message::text(text)).await;
        }
        sink.flush().await?;
        self.lane.put(text_frame(&text));
        drop(text);
        loop {
            let unsent = self.lane.unsent();
            if let Ok(written) = timeout(limits::LONG_TEXT_WAIT, sink.flush()).await {
                return written;
            }
            if self.lane.unsent() == unsent {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
        }
    }

    /// Sends the notifications of this item, and of the records that the ring has ready after it, up to the bound of a
    /// turn.
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
            // What was queued meanwhile goes before the next messages.
            while let Ok(outgoing) = self.queue.try_recv() {
                self.obey(outgoing, sink).await?;
            }
            let Some(turn) = self.take(place, &task_id) else { break };
            sent_bytes += turn.frames().len();
            self.send_frames(place, turn, sink).await?;
        }
        if self.attached.len() + usize::from(!self.own.is_empty()) > 1
            && let Some(follow) = nth(&mut self.own, &mut self.attached, place)
        {
            // Many may be followed: only the one whose turn it is holds records.
            follow.put_back();
        }
        self.tell_if_idle();
        sink.flush().await
    }

    /// Writes the frames. Of a client that does not read them nothing is kept for long: the rest of the frame that is under
    /// way, and a position in the task's log.
    async fn send_frames<S>(
        &mut self,
        place: usize,
        mut turn: Turn,
        sink: &mut S,
    ) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        match timeout(limits::STALLED_READER, sink.flush()).await {
            Ok(flushed) => flushed?,
            Err(_) => {
                let all = turn.frames().len();
                let follow = nth(&mut self.own, &mut self.attached, place);
                // Not one of them is under way.
                if follow.is_some_and(|follow| turn.take_back(all, follow) == 0) {
                    drop(turn);
                    return sink.flush().await;
                }
                sink.flush().await?;
            }
        }
        // The codec has nothing under way, and no other future writes to the sink in between.
        self.lane.put(turn.frames());
        let mut unsent = self.lane.unsent();
        loop {
            if let Ok(written) = timeout(limits::STALLED_READER, sink.flush()).await {
                return written;
            }
            let rest = self.lane.unsent();
            if rest == unsent {
                break;
            }
            unsent = rest;
        }
        if let Some(follow) = nth(&mut self.own, &mut self.attached, place) {
            self.lane.keep(turn.take_back(unsent, follow));
            memory::may_have_shrunk();
        }
        drop(turn);
        sink.flush().await
    }

    /// Makes messages of the records of a task that can be sent without waiting.
    fn take(&mut self, place: usize, task_id: &str) -> Option<Turn> {
        let follow = nth(&mut self.own, &mut self.attached, place)?;
        // An order of the queue may have changed what is followed, and whether anything is.
        if self.is_held || follow.task_id != task_id {
            return None;
        }
        if follow.pending.is_empty() {
            follow.pending = PendingRecords::new(follow.cursor.ready()?);
        }
        let mut messages = MessageBuffer::default();
        let offset = follow.cursor.offset_before(follow.pending.whole_bytes());
        let before = follow.translator.after_seq();
        follow.translator.translate_or_report(&mut follow.pending, self.is_batching, &mut messages);
        let (frames, seqs) = messages.into_frames();
        Some(Turn::new(frames, seqs, offset, before))
    }

    /// Takes the task in this place, which has ended, off the list.
    async fn end<S>(&mut self, place: usize, sink: &mut S) -> Result<(), Error>
    where
        S: Sink<Message, Error = Error> + Unpin,
    {
        let has_own = !self.own.is_empty();
        let ended = match place.checked_sub(usize::from(has_own)) {
            None => self.own.pop_front(),
            // Boxed, because this future is a part of every connection's.
            Some(index) => Some(Box::new(self.attached.remove(index))),
        };
        if let Some(mut ended) = ended {
            let terminal = ended.terminal.take().filter(|_| !ended.translator.has_ended());
            if let Some(terminal) = terminal {
                sink.send(Message::text(terminal)).await?;
            }
            // The session may have gone.
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
