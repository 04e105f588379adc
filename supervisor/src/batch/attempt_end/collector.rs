//! Reads the records of a task, live or from its log, and keeps what its end is judged by. Memory is bounded.

use bytes::Bytes;
use cc_batch::{Scope, limits::AUTH_REFUSALS_LIMIT};
use cc_claude::{Refusal, StreamObserver, limit};
use cc_events::{ClaudeResult, ClaudeRetry, Completed, Event, LimitReport};
use cc_link::record::{Body, Output, Piece, Stream, decode_frame, frame_bytes};

use crate::{
    batch::{last_words::Tails, time_zone},
    config::limits,
};

#[derive(Debug)]
pub(crate) struct Collector {
    pub(super) result: Option<Box<ClaudeResult>>,
    pub(super) last_retry: Option<ClaudeRetry>,
    /// How many retries in a row were for refused credentials.
    pub(super) auth_refusals: u32,
    pub(super) report: Option<LimitReport>,
    /// The scope of a usage limit that was reported and not yet followed by an answer.
    pub(super) suspected: Option<Scope>,
    pub(super) completed: Option<Box<Completed>>,
    pub(super) observer: StreamObserver,
    /// The beginning of standard output.
    pub(super) stdout: Vec<u8>,
    pub(super) stdout_truncated: bool,
    pub(super) tails: Tails,
}

impl Collector {
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            result: None,
            last_retry: None,
            auth_refusals: 0,
            report: None,
            suspected: None,
            completed: None,
            observer: StreamObserver::new(),
            stdout: Vec::new(),
            stdout_truncated: false,
            tails: Tails::default(),
        }
    }

    /// `frames` are whole records. Those that cannot be decoded are skipped.
    pub(crate) fn take(&mut self, frames: &Bytes) {
        let mut offset = 0;
        while let Ok(Some(length)) = frame_bytes(&frames[offset..]) {
            let record = decode_frame(frames.slice(offset..offset + length));
            offset += length;
            match record.map(|record| record.body) {
                Ok(Body::Output(Output { stream, piece, truncated, data })) => {
                    self.output(stream, piece, truncated, &data);
                }
                Ok(Body::Lines(lines)) => {
                    for line in lines.iter() {
                        self.output(lines.stream(), None, false, line);
                    }
                }
                Ok(Body::Event(event)) => self.event(event),
                Ok(Body::Notice(_)) | Err(_) => {}
            }
        }
    }

    /// The credentials were refused so often in a row that no retry will help.
    #[must_use]
    pub(crate) fn is_auth_refused(&self) -> bool {
        self.auth_refusals >= AUTH_REFUSALS_LIMIT
    }

    /// The scope of a usage limit that was reported and not yet followed by an answer.
    #[must_use]
    pub(crate) fn suspected_limit(&self) -> Option<&Scope> {
        self.suspected.as_ref()
    }

    fn output(&mut self, stream: Stream, piece: Option<Piece>, truncated: bool, data: &[u8]) {
        match stream {
            Stream::Stderr => return self.tails.stderr(data),
            Stream::Stdout => {}
        }
        let (starts_line, ends_line) =
            piece.map_or((true, true), |piece| (piece.index == 0, piece.last));
        // Only for what it says of tools: everything else is in the events.
        let ignore = &mut |_| {};
        self.observer.fragment(data, starts_line, ends_line, truncated, ignore);
        self.tails.stdout(data, starts_line, ends_line);
        if self.observer.refusal().is_none() {
            self.note_answer();
        }
        let room = limits::BATCH_RESULT_BYTES - self.stdout.len();
        let taken = data.len().min(room);
        self.stdout.extend_from_slice(&data[..taken]);
        self.stdout_truncated |= truncated || taken < data.len();
    }

    /// The API answered: an earlier refusal is not the cause of a later failure.
    fn note_answer(&mut self) {
        self.auth_refusals = 0;
        self.suspected = None;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ClaudeRetrying(retry) => {
                self.auth_refusals = match Refusal::of_retry(&retry) {
                    Some(Refusal::Auth) => self.auth_refusals.saturating_add(1),
                    Some(Refusal::RateLimit | Refusal::Account) | None => 0,
                };
                self.last_retry = Some(retry);
            }
            Event::RateLimited(report) => {
                // A block that time does not lift is judged at the end of the task.
                let found = limit::usage_limit(Some(&report), None, 0, time_zone::of_machine());
                self.suspected =
                    found.map(|limit| limit.model).filter(|_| report.blocked_by.is_none());
                self.report = Some(report);
            }
            Event::ClaudeResult(result) => self.result = Some(result),
            Event::Completed(completed) => self.completed = Some(completed),
            Event::OutputDropped(_) => self.stdout_truncated = true,
            Event::Started(_)
            | Event::Paused
            | Event::Resumed
            | Event::Canceled { .. }
            | Event::TokenLimited(_) => {}
        }
    }
}
