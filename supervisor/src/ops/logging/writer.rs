//! Writes the lines of the log from a thread of its own, so that a reader who does not read stops nothing else.
//!
//! Standard error may be a pipe that is full, a terminal that is held (Ctrl-S), or a file on a disk that hangs: a write
//! to it then waits, perhaps for ever. So lines wait in a bounded queue. A line that does not fit is dropped and counted,
//! and once there is room again a line says how many are missing.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tracing_subscriber::fmt::MakeWriter;

use crate::config::limits;

/// Lines that were dropped since the start, for `/metrics`: there is one log in the process.
static DROPPED: AtomicU64 = AtomicU64::new(0);

#[must_use]
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Gives lines to the thread. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LogWriter {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines, one after the other.
    waiting: Vec<u8>,
    /// Lines that found no room since the last that did.
    missing: u64,
    /// The thread has taken lines and is writing them.
    is_writing: bool,
}

impl LogWriter {
    /// Starts the thread, which writes to `to`.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self::default();
        let shared = Arc::clone(&writer.shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                let lines = shared.next();
                // The reader may be gone: that ends nothing.
                drop(to.write_all(&lines).and_then(|()| to.flush()));
                let missing = shared.written();
                if missing > 0 {
                    tracing::warn!(
                        missing,
                        "lines of the log were dropped: standard error was not read in time"
                    );
                }
            }
        })?;
        Ok(writer)
    }

    /// Waits until all lines are written, but not longer than a moment.
    pub(super) fn flush(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let queue = self.shared.queue();
        let patience = limits::LOG_FLUSH;
        drop(self.shared.changed.wait_timeout_while(queue, patience, is_busy));
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.shared.queue();
        if queue.waiting.len() + line.len() > limits::LOG_QUEUE_BYTES {
            queue.missing += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.waiting.extend_from_slice(line);
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits for lines.
    fn next(&self) -> Vec<u8> {
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty();
        let waited = self.changed.wait_while(self.queue(), is_idle);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        queue.is_writing = true;
        std::mem::take(&mut queue.waiting)
    }

    /// What [`Shared::next`] has returned is written. Returns how many lines are missing that would have followed.
    fn written(&self) -> u64 {
        let mut queue = self.queue();
        queue.is_writing = false;
        let missing = std::mem::take(&mut queue.missing);
        drop(queue);
        self.changed.notify_all();
        missing
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The subscriber makes one write of each line.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a write only when it is told to.
    struct Slow {
        may_write: mpsc::Receiver<()>,
        written: mpsc::SyncSender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may_write.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whoever_logs_never_waits_for_the_reader_and_what_does_not_fit_is_counted() {
        let (allow, may_write) = mpsc::sync_channel(8);
        let (written, output) = mpsc::sync_channel(8);
        let writer = LogWriter::start(Slow { may_write, written }).unwrap();
        let line = [b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        let before = dropped_lines();
        for _ in 0..2_000 {
            writer.push(&line);
        }
        assert!(dropped_lines() - before >= 2_000 - 2 * limits::LOG_QUEUE_BYTES as u64 / 1024);
        // What was queued is written by one or two writes.
        for _ in 0..3 {
            allow.send(()).unwrap();
        }
        let first: Vec<u8> = output.recv().unwrap();
        assert_eq!(first[..1024], line, "whole lines, the first ones first");
        writer.flush();
        writer.push(b"later\n");
        assert!(output.iter().any(|written| written.ends_with(b"later\n")), "it goes on");
    }
}
