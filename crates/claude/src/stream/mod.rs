//! What a Claude task's stdout says: retries, limits, results, what runs, and what a person should know.
//!
//! The worker feeds [`StreamObserver`] with every fragment of stdout; the bytes themselves go their
//! own way untouched. Only what the CLI states in structured form counts: words in an answer or in a
//! tool's output never do. Owns the [`Summary`] from which [`crate::verdict`] judges the end. `activity` follows
//! what runs, `answer` makes one result of several, `notes` collects what a person should know.

mod summary;

mod reports;

mod reader;

use cc_events::Event;

use self::reader::Reader;
pub use self::summary::{Summary, Work};
use crate::{line::LineReader, refusal::Refusal};

/// Reads a task's stdout as it is split into lines and pieces. Memory: what is wanted of one line, and a few small
/// sets.
#[derive(Debug, Default)]
pub struct StreamObserver {
    lines: LineReader,
    reader: Reader,
}

impl StreamObserver {
    /// An observer for one task.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next fragment of stdout: a whole line, or a piece of one in its order.
    ///
    /// `emit` gets [`Event::ClaudeRetrying`], [`Event::RateLimited`] and [`Event::TokenLimited`].
    /// [`Event::ClaudeResult`] is the caller's to make, from [`Summary::result`], when the task is
    /// over: only then is a result known to be the last one.
    pub fn fragment(
        &mut self,
        data: &[u8],
        starts_line: bool,
        ends_line: bool,
        truncated: bool,
        emit: &mut dyn FnMut(Event),
    ) {
        if let Some(line) = self.lines.fragment(data, starts_line, ends_line, truncated) {
            self.reader.line(&line, emit);
        }
    }

    /// What runs, and what is to be expected.
    #[must_use]
    pub fn work(&self) -> Work {
        self.reader.work()
    }

    /// The API's last word was a refusal: nothing was answered since.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.reader.refusal()
    }

    /// The CLI's version, by itself, as soon as it has said it.
    #[must_use]
    pub fn cli_version(&self) -> Option<&str> {
        self.reader.cli_version()
    }

    /// What is known so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.reader.summary()
    }
}

#[cfg(test)]
mod tests;
