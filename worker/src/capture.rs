//! Reads what the task prints and passes it on in order: split into lines, bounded, observed as a Claude stream.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use cc_claude::{
    StreamObserver, Summary, Work,
    version::{Version, WAITS_FOR_OUTPUT_SINCE},
};
use cc_events::{ClaudeStream, Event, OutputCounts};
use cc_link::{
    record::Stream,
    spec::{OnOutputLimit, TaskSpec},
};
use cc_tasklog::{Fragment, HeadTail, Placed, Splitter};
use rustix::{buffer::spare_capacity, io::Errno};

use crate::{
    journal::{Journal, wall_clock_ms},
    output_pipe::Room,
};

/// One read; also the default capacity of a pipe (pipe(7)).
const READ_BYTES: usize = 64 * 1024;
/// More than the largest pipe can hold (`/proc/sys/fs/pipe-max-size`, 1 MiB), so that reading the rest ends even if a
/// process outside the task was handed its pipe and continues to write.
const LAST_READS_LIMIT: usize = 64;
/// An unfinished line is shown after this time: prompts and progress dots have no newline.
const PARTIAL_LINE_WAIT: Duration = Duration::from_millis(100);

/// Both streams of a task.
#[derive(Debug)]
pub(crate) struct Capture {
    stdout: Source,
    stderr: Source,
    bound: Bound,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Source {
    file: File,
    splitter: Splitter,
    is_at_end: bool,
    partial_since: Option<Instant>,
    room: Room,
}

/// What every fragment passes: the total bound, then the journal, then the observer.
#[derive(Debug)]
struct Bound {
    head_tail: HeadTail,
    is_kill_at_limit: bool,
    observer: Option<StreamObserver>,
    is_version_known: bool,
}

impl Capture {
    pub(crate) fn new(spec: &TaskSpec, stdout: File, stderr: File) -> Self {
        let now = Instant::now();
        let source = |file, stream, room| Source {
            file,
            room,
            splitter: Splitter::new(stream, spec.bounds.line_bytes_limit),
            is_at_end: false,
            partial_since: None,
        };
        let (observer, room) = match spec.claude {
            ClaudeStream::No => (None, Room::fixed(now)),
            ClaudeStream::Observed | ClaudeStream::Required => {
                (Some(StreamObserver::new()), Room::growing(&stdout, now))
            }
        };
        Self {
            stdout: source(stdout, Stream::Stdout, room),
            stderr: source(stderr, Stream::Stderr, Room::fixed(now)),
            bound: Bound {
                head_tail: HeadTail::new(spec.bounds.output_bytes_limit),
                is_kill_at_limit: spec.bounds.on_output_limit == OnOutputLimit::Kill,
                is_version_known: observer.is_none(),
                observer,
            },
            buffer: Vec::with_capacity(READ_BYTES),
        }
    }

    fn source(&mut self, stream: Stream) -> &mut Source {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// The descriptor of a stream that has not ended, for poll(2).
    pub(crate) fn fd(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        let source = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        (!source.is_at_end).then(|| source.file.as_fd())
    }

    /// Reads a stream once. Says whether anything came.
    pub(crate) fn read(
        &mut self,
        stream: Stream,
        now: Instant,
        journal: &mut Journal,
    ) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(&mut buffer, stream, now, journal);
        self.buffer = buffer;
        result
    }

    fn read_into(
        &mut self,
        buffer: &mut Vec<u8>,
        stream: Stream,
        now: Instant,
        journal: &mut Journal,
    ) -> io::Result<bool> {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        buffer.clear();
        match rustix::io::read(&source.file, spare_capacity(buffer)) {
            Ok(0) => {
                source.is_at_end = true;
                return Ok(false);
            }
            Ok(bytes) => source.room.after_read(&source.file, bytes, now),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => {
                source.is_at_end = true;
                return Err(error.into());
            }
        }
        let time_ms = wall_clock_ms();
        let bound = &mut self.bound;
        source.splitter.push(buffer, &mut |fragment| bound.pass(&fragment, time_ms, journal));
        if stream == Stream::Stdout && bound.learns_that_it_does_not_wait() {
            source.room.keep_most(&source.file);
            journal.let_more_wait();
        }
        source.partial_since = source.splitter.has_partial().then_some(now);
        Ok(true)
    }

    /// When the next unfinished line is to be shown.
    pub(crate) fn next_partial(&self) -> Option<Instant> {
        [self.stdout.partial_since, self.stderr.partial_since]
            .into_iter()
            .flatten()
            .min()
            .map(|since| since + PARTIAL_LINE_WAIT)
    }

    /// Shows unfinished lines that have waited long enough.
    pub(crate) fn flush_partials(&mut self, now: Instant, journal: &mut Journal) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let is_due = self
                .source(stream)
                .partial_since
                .is_some_and(|since| since + PARTIAL_LINE_WAIT <= now);
            if is_due {
                self.source(stream).partial_since = None;
                self.pass_on(stream, journal, Splitter::flush_partial);
            }
        }
    }

    fn pass_on(
        &mut self,
        stream: Stream,
        journal: &mut Journal,
        step: impl Fn(&mut Splitter, &mut dyn FnMut(Fragment<'_>)),
    ) {
        let source = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let bound = &mut self.bound;
        let time_ms = wall_clock_ms();
        step(&mut source.splitter, &mut |fragment| bound.pass(&fragment, time_ms, journal));
    }

    /// Reads what is still in the pipes, without waiting, and passes on everything that was held back.
    /// To be called when no process of the task is left.
    pub(crate) fn finish(&mut self, now: Instant, journal: &mut Journal) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            for _ in 0..LAST_READS_LIMIT {
                if self.fd(stream).is_none() || !self.read(stream, now, journal)? {
                    break;
                }
            }
            self.pass_on(stream, journal, Splitter::finish);
        }
        let (dropped, tail) = self.bound.head_tail.finish();
        if let Some(dropped) = dropped {
            journal.event(Event::OutputDropped(dropped));
        }
        for held in tail {
            journal.output(held.time_ms, held.stream, held.piece, held.truncated, &held.data);
        }
        if let Some(result) = self.summary().and_then(|summary| summary.result) {
            journal.event(Event::ClaudeResult(Box::new(result)));
        }
        Ok(())
    }

    /// Whether the task has printed more than it may and is to be ended for that.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.bound.is_kill_at_limit && self.bound.head_tail.is_over()
    }

    /// What a Claude task reports as running.
    pub(crate) fn work(&self) -> Work {
        self.bound.observer.as_ref().map(StreamObserver::work).unwrap_or_default()
    }

    pub(crate) fn summary(&self) -> Option<Summary> {
        self.bound.observer.as_ref().map(StreamObserver::summary)
    }

    pub(crate) fn counts(&self) -> OutputCounts {
        let (stdout, stderr) = (self.stdout.splitter.counts(), self.stderr.splitter.counts());
        let dropped = self.bound.head_tail.dropped();
        OutputCounts {
            lines: stdout.lines + stderr.lines,
            bytes: stdout.bytes + stderr.bytes,
            dropped_lines: dropped.lines,
            dropped_bytes: dropped.bytes,
            truncated_lines: stdout.truncated_lines + stderr.truncated_lines,
        }
    }
}

impl Bound {
    /// Whether the CLI has just reported its version, and it is one that loses at its exit what the pipe does not hold. The
    /// version comes long before the result.
    fn learns_that_it_does_not_wait(&mut self) -> bool {
        if self.is_version_known {
            return false;
        }
        let said = self.observer.as_ref().and_then(StreamObserver::cli_version);
        self.is_version_known = said.is_some();
        said.and_then(Version::read).is_some_and(|version| version < WAITS_FOR_OUTPUT_SINCE)
    }

    fn pass(&mut self, fragment: &Fragment<'_>, time_ms: u64, journal: &mut Journal) {
        match self.head_tail.place(fragment, time_ms) {
            Placed::Now => journal.output(
                time_ms,
                fragment.stream,
                fragment.piece,
                fragment.truncated,
                fragment.data,
            ),
            Placed::Held => {}
        }
        if let Some(observer) = &mut self.observer
            && fragment.stream == Stream::Stdout
        {
            observer.fragment(
                fragment.data,
                fragment.starts_line,
                fragment.ends_line,
                fragment.truncated,
                &mut |event| journal.event(event),
            );
        }
    }
}
