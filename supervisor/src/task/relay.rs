//! Takes records off what a worker has sent and publishes those that belong to the log.
//!
//! As few chunks as possible go to the feed, and what depends on an event happens when the event can be seen, not
//! before. It only knows that records are numbered without gaps; what they mean is [`crate::task::owner`]'s business.

use bytes::{Bytes, BytesMut};
use cc_events::{Completed, Event};
use cc_link::{
    notice::Notice,
    record::{Body, Record, decode_frame, frame_bytes},
};

use crate::task::feed::{Feed, Position};

/// What a worker says beside output.
pub trait Listener {
    /// The terminal event, before anybody can see it, and how far the log will reach then.
    fn before_end(&mut self, completed: &Completed, time_ms: u64, end: Position);

    /// An event, which the feed has already. Returns the terminal event if it is that.
    ///
    /// # Errors
    /// A text: the worker has failed.
    fn on_event(&mut self, event: Event) -> Result<Option<Box<Completed>>, String>;

    /// Something that is not in the log.
    ///
    /// # Errors
    /// As for an event.
    fn on_notice(&mut self, notice: &Notice) -> Result<(), String>;
}

/// Takes all whole records off `buffer`. Returns the terminal event if it is among them.
///
/// # Errors
/// What the worker sent makes no sense: it has failed.
pub fn publish(
    feed: &Feed,
    buffer: &mut BytesMut,
    listener: &mut impl Listener,
) -> Result<Option<Box<Completed>>, String> {
    let unreadable = |error| format!("the worker sent what is no record: {error}");
    let mut whole = 0;
    // Finding a frame's end computes its checksum: once is enough.
    let mut lengths = Vec::new();
    while let Some(length) = frame_bytes(&buffer[whole..]).map_err(unreadable)? {
        whole += length;
        lengths.push(length);
    }
    let frames = buffer.split_to(whole).freeze();
    let mut run = Run { frames: &frames, start: 0, end: 0, last_seq: feed.position().last_seq };
    for length in lengths {
        let record = decode_frame(frames.slice(run.end..run.end + length)).map_err(unreadable)?;
        if let Body::Notice(notice) = record.body {
            run.append_to(feed, false);
            run.end += length;
            run.start = run.end;
            listener.on_notice(&notice)?;
            continue;
        }
        if record.seq != run.last_seq + 1 {
            return Err(format!("the worker sent event {} after {}", record.seq, run.last_seq));
        }
        run.last_seq = record.last_seq();
        run.end += length;
        if let Record { body: Body::Event(event), time_ms, .. } = record {
            let is_terminal = matches!(event, Event::Completed(_));
            if let Event::Completed(completed) = &event {
                let end_offset = feed.position().end_offset + (run.end - run.start) as u64;
                let end = Position { end_offset, last_seq: run.last_seq, is_done: true };
                listener.before_end(completed, time_ms, end);
            }
            run.append_to(feed, is_terminal);
            if let Some(completed) = listener.on_event(event)? {
                return Ok(Some(completed));
            }
        }
    }
    run.append_to(feed, false);
    Ok(None)
}

/// Records of the log that follow each other without a notice between them.
struct Run<'a> {
    frames: &'a Bytes,
    start: usize,
    end: usize,
    last_seq: u64,
}

impl Run<'_> {
    fn append_to(&mut self, feed: &Feed, is_done: bool) {
        if self.start < self.end {
            feed.append(self.frames.slice(self.start..self.end), self.last_seq, is_done);
            self.start = self.end;
        }
    }
}
