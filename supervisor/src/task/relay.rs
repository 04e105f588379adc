//! Takes records off what a worker has sent, and publishes those that belong to the log in the task's feed.
//!
//! The order is kept here, by types:
//! - an event is in the feed when [`Relay`] yields it, so a follower can see it before anything is done about it;
//! - the terminal event is yielded as a [`TaskEnd`] that is not in the feed yet, so its owner notes the end first and
//!   then publishes it;
//! - the records between two events, which are nearly all, go to the feed as one chunk, without a copy.
//!
//! It checks that records are numbered without gaps and knows nothing of their meaning. Called by
//! [`crate::task::owner`] for each read from a worker.

use bytes::{Bytes, BytesMut};
use cc_events::{Completed, Event};
use cc_link::{
    notice::Notice,
    record::{Body, Record, RecordError, decode_frame, frame_bytes, verified_frame_bytes},
};

use crate::task::feed::{Feed, Position};

/// What a worker sent makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the worker sent what is no record: {0}")]
    Record(#[from] RecordError),
    #[error("the worker sent event {seq} after {last_seq}")]
    Gap { seq: u64, last_seq: u64 },
}

/// What a worker said beside output.
#[derive(Debug)]
pub(crate) enum Relayed<'a> {
    /// Any event but the terminal one. It is in the feed.
    Event(Event),
    /// The terminal event. It is not in the feed, and nothing follows it.
    End(TaskEnd<'a>),
    /// Not in the log, and never in the feed.
    Notice(Notice),
}

/// The terminal event of a task, with the records before it that are not published yet.
#[derive(Debug)]
#[must_use = "followers wait for the terminal event"]
pub(crate) struct TaskEnd<'a> {
    pub completed: Box<Completed>,
    pub time_ms: u64,
    /// How far the feed will reach when this is published.
    pub position: Position,
    feed: &'a Feed,
    frames: Bytes,
}

impl TaskEnd<'_> {
    /// Adds the terminal event to the feed.
    pub(crate) fn publish(self) -> Box<Completed> {
        self.feed.append(self.frames, self.position.last_seq, true);
        self.completed
    }
}

/// Iterates over what a worker said beside output; publishes the records that belong to the log on its way. An error is
/// the last item.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    feed: &'a Feed,
    /// Whole frames whose checksums are verified.
    frames: Bytes,
    /// Where the records begin that have been read and are not in the feed.
    unpublished: usize,
    /// Where the next record begins.
    next: usize,
    last_seq: u64,
}

impl<'a> Relay<'a> {
    /// Takes all whole records off `buffer`.
    ///
    /// # Errors
    /// When what is in `buffer` is no record.
    pub(crate) fn of(feed: &'a Feed, buffer: &mut BytesMut) -> Result<Self, RelayError> {
        let mut whole = 0;
        while let Some(length) = frame_bytes(&buffer[whole..])? {
            whole += length;
        }
        let frames = buffer.split_to(whole).freeze();
        let last_seq = feed.position().last_seq;
        Ok(Self { feed, frames, unpublished: 0, next: 0, last_seq })
    }

    fn advance(&mut self) -> Result<Option<Relayed<'a>>, RelayError> {
        while let Some(length) = verified_frame_bytes(&self.frames[self.next..])? {
            let frame = self.next..self.next + length;
            let record = decode_frame(self.frames.slice(frame.clone()))?;
            if let Body::Notice(notice) = record.body {
                self.publish();
                self.next = frame.end;
                self.unpublished = frame.end;
                return Ok(Some(Relayed::Notice(notice)));
            }
            if record.seq != self.last_seq + 1 {
                return Err(RelayError::Gap { seq: record.seq, last_seq: self.last_seq });
            }
            self.last_seq = record.last_seq();
            self.next = frame.end;
            match record {
                Record { body: Body::Event(Event::Completed(completed)), time_ms, .. } => {
                    return Ok(Some(Relayed::End(self.end(completed, time_ms))));
                }
                Record { body: Body::Event(event), .. } => {
                    self.publish();
                    return Ok(Some(Relayed::Event(event)));
                }
                Record { body: Body::Output(_) | Body::Lines(_) | Body::Notice(_), .. } => {}
            }
        }
        self.publish();
        Ok(None)
    }

    fn end(&mut self, completed: Box<Completed>, time_ms: u64) -> TaskEnd<'a> {
        let frames = self.frames.slice(self.unpublished..self.next);
        let end_offset = self.feed.position().end_offset + frames.len() as u64;
        let position = Position { end_offset, last_seq: self.last_seq, is_done: true };
        self.skip_rest();
        TaskEnd { completed, time_ms, position, feed: self.feed, frames }
    }

    fn publish(&mut self) {
        if self.unpublished < self.next {
            let frames = self.frames.slice(self.unpublished..self.next);
            self.feed.append(frames, self.last_seq, false);
            self.unpublished = self.next;
        }
    }

    fn skip_rest(&mut self) {
        self.next = self.frames.len();
        self.unpublished = self.next;
    }
}

impl<'a> Iterator for Relay<'a> {
    type Item = Result<Relayed<'a>, RelayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let relayed = self.advance();
        if relayed.is_err() {
            self.skip_rest();
        }
        relayed.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use cc_events::{EndReason, OutputCounts, Verdict};
    use cc_link::record::{Output, Stream};

    use super::*;

    fn record(seq: u64, body: Body) -> Vec<u8> {
        let mut bytes = Vec::new();
        Record { seq, time_ms: 7, body }.encode(&mut bytes).unwrap();
        bytes
    }

    fn line(seq: u64) -> Vec<u8> {
        let (stream, data) = (Stream::Stdout, Bytes::from_static(b"line\n"));
        record(seq, Body::Output(Output { stream, piece: None, truncated: false, data }))
    }

    fn event(seq: u64, event: Event) -> Vec<u8> {
        record(seq, Body::Event(event))
    }

    fn end(seq: u64) -> Vec<u8> {
        event(seq, Event::Completed(Box::new(completed())))
    }

    fn completed() -> Completed {
        Completed {
            pid: 1,
            reason: EndReason::Exit,
            verdict: Verdict::Succeeded,
            exit_code: 0,
            signal: None,
            error: None,
            duration_ms: 1,
            cpu_ms: 0,
            max_rss_bytes: 0,
            output: OutputCounts::default(),
            killed_leftovers: 0,
            unkillable: 0,
            warnings: Vec::new(),
            claude: None,
            spawn_failure: None,
        }
    }

    fn feed() -> Arc<Feed> {
        Feed::new(PathBuf::from("/nonexistent"), 1 << 20)
    }

    fn buffer(records: &[Vec<u8>]) -> BytesMut {
        BytesMut::from(&records.concat()[..])
    }

    fn published(feed: &Feed) -> Vec<u8> {
        feed.frames_from(cc_tasklog::FIRST_RECORD_OFFSET).unwrap().concat()
    }

    #[test]
    fn an_event_and_the_output_before_it_are_in_the_feed_when_it_is_yielded() {
        let feed = feed();
        let records = [line(1), line(2), event(3, Event::Paused), line(4)];
        let mut buffer = buffer(&records);
        let mut relay = Relay::of(&feed, &mut buffer).unwrap();
        assert_eq!(feed.position().last_seq, 0);
        let Some(Ok(Relayed::Event(Event::Paused))) = relay.next() else { panic!("no event") };
        assert_eq!(published(&feed), records[..3].concat());
        assert_eq!(feed.position().last_seq, 3);
        assert!(relay.next().is_none());
        assert_eq!(
            published(&feed),
            records.concat(),
            "output after the last event is published too"
        );
        assert!(!feed.position().is_done);
    }

    #[test]
    fn the_end_is_not_in_the_feed_before_it_is_published() {
        let feed = feed();
        let records = [event(1, Event::Paused), line(2), end(3)];
        let mut buffer = buffer(&records);
        let mut relay = Relay::of(&feed, &mut buffer).unwrap();
        assert!(matches!(relay.next(), Some(Ok(Relayed::Event(Event::Paused)))));
        let Some(Ok(Relayed::End(end))) = relay.next() else { panic!("no end") };
        assert_eq!((feed.position().last_seq, feed.position().is_done), (1, false));
        assert_eq!((&*end.completed, end.time_ms), (&completed(), 7));
        let announced = end.position;
        assert_eq!(*end.publish(), completed());
        assert_eq!(
            feed.position(),
            announced,
            "the position that was announced is the one reached"
        );
        assert_eq!(published(&feed), records.concat());
        assert!(announced.is_done);
    }

    #[test]
    fn nothing_after_the_end_is_published() {
        let feed = feed();
        let mut buffer = buffer(&[end(1), line(2), line(9)]);
        let mut relay = Relay::of(&feed, &mut buffer).unwrap();
        let Some(Ok(Relayed::End(end))) = relay.next() else { panic!("no end") };
        end.publish();
        assert!(relay.next().is_none());
        assert_eq!((feed.position().last_seq, feed.position().is_done), (1, true));
    }

    #[test]
    fn a_notice_is_never_in_the_feed_and_what_came_before_it_is() {
        let feed = feed();
        let notice = record(0, Body::Notice(Notice::Pong { nonce: 5, version: None }));
        let mut buffer = buffer(&[line(1), notice, line(2)]);
        let mut relay = Relay::of(&feed, &mut buffer).unwrap();
        let Some(Ok(Relayed::Notice(Notice::Pong { nonce: 5, .. }))) = relay.next() else {
            panic!("no notice")
        };
        assert_eq!(published(&feed), line(1));
        assert!(relay.next().is_none());
        assert_eq!(published(&feed), [line(1), line(2)].concat());
    }

    #[test]
    fn a_gap_in_the_numbers_is_an_error_and_the_last_item() {
        let feed = feed();
        let mut buffer = buffer(&[event(1, Event::Paused), line(2), line(4), line(5)]);
        let mut relay = Relay::of(&feed, &mut buffer).unwrap();
        assert!(matches!(relay.next(), Some(Ok(Relayed::Event(Event::Paused)))));
        let Some(Err(error)) = relay.next() else { panic!("no error") };
        assert_eq!(error.to_string(), "the worker sent event 4 after 2");
        assert!(relay.next().is_none());
        assert_eq!(feed.position().last_seq, 1, "what is left is read from the log");
    }

    #[test]
    fn the_beginning_of_a_record_stays_in_the_buffer_until_its_rest_comes() {
        let feed = feed();
        let bytes = [line(1), line(2)].concat();
        let mut buffer = BytesMut::from(&bytes[..bytes.len() - 1]);
        assert!(Relay::of(&feed, &mut buffer).unwrap().next().is_none());
        assert_eq!(published(&feed), line(1));
        buffer.extend_from_slice(&bytes[bytes.len() - 1..]);
        assert!(Relay::of(&feed, &mut buffer).unwrap().next().is_none());
        assert_eq!(published(&feed), bytes);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_is_no_record_is_an_error_and_publishes_nothing() {
        let feed = feed();
        let mut buffer = buffer(&[line(1), vec![0xff; 64]]);
        let error = Relay::of(&feed, &mut buffer).unwrap_err().to_string();
        assert!(error.starts_with("the worker sent what is no record: "), "{error}");
        assert_eq!(feed.position().last_seq, 0);
    }
}
