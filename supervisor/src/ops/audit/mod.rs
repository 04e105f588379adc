//! The audit log: who asked for what, and whether it was done. One JSON object a line, in `audit.log` of the state
//! directory.
//!
//! It never holds up a client: an entry is queued, and a thread of its own (`writer`) waits for the disk. What does not
//! fit into the queue is counted, and the count is written when there is room. `time` is how its lines tell the time, and `escape` keeps them readable.

mod escape;
mod setting;
mod time;
mod writer;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use serde::Serialize;

pub(crate) use self::setting::AuditSetting;
use self::writer::Writer;
use crate::{
    config::limits,
    ops::{clock::now_ms, health::Health, identity::Identity},
};

/// What was asked, of what, and how it ended.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Entry<'a> {
    /// The method, or `connect`.
    pub(crate) action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gate_id: Option<&'a str>,
    /// The first word of what runs: never its arguments or a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<&'a str>,
    /// Why it was refused; `None`: it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    /// Entries of this kind that were left out before this one, because there were too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) omitted: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    outcome: &'static str,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The audit log, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    open: Mutex<Option<Open>>,
    door: Mutex<Door>,
}

#[derive(Debug)]
struct Open {
    lines: SyncSender<String>,
    /// Lines that did not fit into the queue, or could not be written.
    lost: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

/// Bounds what is written of clients that are turned away: anyone can knock as often as he likes.
#[derive(Debug, Default)]
struct Door {
    second: Option<Instant>,
    in_second: u32,
    omitted: u64,
}

impl Door {
    /// How many were left out before; `None`: this one is, too.
    fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|since| now.duration_since(since) >= limits::AUDIT_DOOR_TIME) {
            self.second = Some(now);
            self.in_second = 0;
        }
        self.in_second += 1;
        if self.in_second > limits::AUDIT_DOOR_LINES {
            self.omitted += 1;
            return None;
        }
        Some(std::mem::take(&mut self.omitted))
    }
}

impl Audit {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread can be made.
    pub(crate) fn start(setting: AuditSetting, health: Arc<Health>) -> io::Result<Self> {
        let (lines, queue) = sync_channel(limits::AUDIT_QUEUE_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::open(setting, Arc::clone(&lost), health)?;
        let thread = thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&queue))?;
        Ok(Self { open: Mutex::new(Some(Open { lines, lost, thread })), door: Mutex::default() })
    }

    /// Writes what a client asked for.
    pub(crate) fn record(&self, who: &Identity, entry: &Entry<'_>) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &*open else { return };
        let line = Line {
            time: time::utc(now_ms()),
            uid: who.uid,
            token: who.token.as_ref().map(|token| &*token.name),
            address: who.address.map(|address| address.to_string()),
            outcome: if entry.reason.is_some() { "refused" } else { "done" },
            entry,
        };
        let Ok(text) = serde_json::to_string(&line) else { return };
        let mut text = escape::invisible(text);
        text.push('\n');
        if open.lines.try_send(text).is_err() {
            open.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes that a client was turned away before it had a session. Of very many, some.
    pub(crate) fn record_turned_away(&self, who: &Identity, reason: &str) {
        let passed = self.door.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
        let Some(omitted) = passed else { return };
        let reason = Some(reason);
        self.record(who, &Entry { action: "connect", reason, omitted, ..Entry::default() });
    }

    /// Writes what is queued, and ends. It waits for the disk.
    pub(crate) fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { lines, thread, lost: _ }) = open {
            drop(lines);
            // A thread that panicked has written what it could.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_very_many_that_are_turned_away_some_are_written_and_the_rest_counted() {
        let (mut door, start) = (Door::default(), Instant::now());
        let many = 1_000;
        let passed = (0..many).filter(|_| door.pass(start).is_some()).count();
        assert_eq!(passed, limits::AUDIT_DOOR_LINES as usize);
        let later = start + limits::AUDIT_DOOR_TIME + Duration::from_millis(1);
        assert_eq!(door.pass(later), Some(many - passed as u64));
        assert_eq!(door.pass(later), Some(0));
    }
}
