//! Follows one task to its terminal event.
//!
//! ```text
//!   own:      execute ──▶ running ──first signal, or stdout closed──▶ canceling ──▶ completed
//!                            │                                            │
//!                            └───────────────▶ completed                  └─second signal──▶ given up
//!   attached: ──▶ running ──signal, or stdout closed──▶ detached
//!                    └──────▶ completed
//! ```
//! A cancel waits for `process.completed`, which comes when the task's processes are gone; that is
//! what makes a Ctrl-C of `ccx` different from one at the task itself. A lost connection is reported;
//! the session reconnects.
//!
//! `output` writes what the task prints, `ending` says how it ended and chooses the exit code.

pub(crate) mod ending;
pub(crate) mod output;

use cc_client::{Error, Session, SessionEvent};
use cc_protocol::{
    control::ControlType,
    execute::Execute,
    notification::{Notification, ProcessCompleted, TaskResult},
};

use self::output::{RunOutput, Wish};
use crate::connect::interrupts::{Interrupt, Interrupts};

/// Printed when a signal comes during an outage.
const WAITING_TO_CANCEL: &str = "ccx: the task is canceled as soon as the connection is back; press Ctrl-C again to exit now and leave it to the server";

/// Why this command ends the task, or stops following it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelCause {
    Interrupt(Interrupt),
    OutputClosed,
}

/// A task that ran to its terminal event.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) completed: Box<ProcessCompleted>,
    /// Of a prompt task: its last result.
    pub(crate) result: Option<Box<TaskResult>>,
    /// Why this command asked for it, if it did.
    pub(crate) cancel_cause: Option<CancelCause>,
}

/// Why the terminal event was not seen.
#[derive(Debug)]
pub(crate) enum NoEnd {
    /// The supervisor refused the request, or the session is over.
    Client(Error),
    GivenUp(Interrupt),
    /// This command detached from a task that it did not start.
    Detached(CancelCause),
    /// The requested part of the log is complete.
    PartComplete,
    /// The rest of its log cannot be read; the error has been printed.
    Unreadable,
}

pub(crate) async fn run(
    session: &mut Session,
    task: &Execute,
    interrupts: &mut Interrupts,
    output: &mut RunOutput,
) -> Result<End, NoEnd> {
    session.execute(task).await.map_err(NoEnd::Client)?;
    Following::new(Ownership::Asked).finish(session, interrupts, output).await
}

/// The part of a task's log to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The events after this one.
    pub(crate) after_seq: u64,
    /// Up to this one; `None`: to the task's end.
    pub(crate) until_seq: Option<u64>,
    /// The task has ended: after a read error of its log nothing more comes.
    pub(crate) is_stored: bool,
}

/// Follows a task that another command started.
pub(crate) async fn attach(
    session: &mut Session,
    task_id: &str,
    part: Part,
    interrupts: &mut Interrupts,
    output: &mut RunOutput,
) -> Result<End, NoEnd> {
    session.attach(task_id, part.after_seq).await.map_err(NoEnd::Client)?;
    let Part { after_seq: _, until_seq, is_stored } = part;
    let following = Following { until_seq, is_stored, ..Following::new(Ownership::Attached) };
    following.finish(session, interrupts, output).await
}

/// How this command relates to the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ownership {
    /// `execute` was sent and is not answered yet.
    Asked,
    Own,
    /// Another command started it.
    Attached,
}

/// The state while the task runs.
struct Following {
    ownership: Ownership,
    until_seq: Option<u64>,
    is_stored: bool,
    cancel_cause: Option<CancelCause>,
    result: Option<Box<TaskResult>>,
}

impl Following {
    fn new(ownership: Ownership) -> Self {
        Self { ownership, until_seq: None, is_stored: false, cancel_cause: None, result: None }
    }

    async fn finish(
        mut self,
        session: &mut Session,
        interrupts: &mut Interrupts,
        output: &mut RunOutput,
    ) -> Result<End, NoEnd> {
        let heard = self.await_end(session, interrupts, output).await;
        if let Err(NoEnd::Unreadable) = heard {
            self.write_rest(interrupts, output).await?;
        }
        let heard = heard?;
        self.write_rest(interrupts, output).await?;
        let Self { ownership: _, until_seq: _, is_stored: _, cancel_cause, result } = self;
        match heard {
            Some(completed) => Ok(End { completed, result, cancel_cause }),
            None => Err(NoEnd::PartComplete),
        }
    }

    /// The terminal event; `None` if the requested part ends before it.
    async fn await_end(
        &mut self,
        session: &mut Session,
        interrupts: &mut Interrupts,
        output: &mut RunOutput,
    ) -> Result<Option<Box<ProcessCompleted>>, NoEnd> {
        loop {
            // Events that have arrived are handled before anything is written, so that many short lines
            // make one write. The runtime's cooperative budget interrupts this, so signals are still handled.
            let at_hand = if output.is_full() { None } else { at_hand(session).await };
            let event = match at_hand {
                Some(event) => event,
                None => tokio::select! {
                    biased;
                    interrupt = interrupts.next() => {
                        self.interrupted(interrupt)?;
                        self.cancel(session).await?;
                        if !session.is_connected() {
                            output.note(WAITING_TO_CANCEL);
                        }
                        continue;
                    }
                    wish = output.write(), if output.has_unwritten() => {
                        self.obey(wish, session).await?;
                        continue;
                    }
                    event = session.next_event(), if !output.has_unwritten() => event,
                },
            };
            match event.map_err(NoEnd::Client)? {
                SessionEvent::Started(_) => {
                    self.ownership = Ownership::Own;
                    if self.cancel_cause.is_some() {
                        self.cancel(session).await?;
                    }
                }
                SessionEvent::NotStarted(error) | SessionEvent::AttachRefused { error, .. } => {
                    return Err(NoEnd::Client(Error::Server(error)));
                }
                SessionEvent::Notification(received) => {
                    output.hear(&received);
                    if self.is_stored && matches!(received.notification, Notification::Error(_)) {
                        return Err(NoEnd::Unreadable);
                    }
                    let seq = received.notification.position().map(|position| position.seq);
                    if let Some(completed) = self.noted(received.notification) {
                        return Ok(Some(completed));
                    }
                    if seq.is_some() && seq == self.until_seq {
                        return Ok(None);
                    }
                }
                // The answer to a cancel; a refused one means that the task has ended. This session sends
                // no requests about batches.
                SessionEvent::Controlled { .. } | SessionEvent::Batch { .. } => {}
                SessionEvent::Reconnecting { attempt: 1, error, .. } => {
                    let cause = loss_cause(&error);
                    output.note(&format!("ccx: connection lost ({cause}); reconnecting…"));
                }
                SessionEvent::Reconnecting { .. } => {}
                SessionEvent::Reconnected => output.note("ccx: reconnected, nothing was lost"),
            }
        }
    }

    /// Keeps what the end needs; returns the end.
    fn noted(&mut self, notification: Notification<'static>) -> Option<Box<ProcessCompleted>> {
        match notification {
            Notification::Completed(completed) => return Some(completed),
            Notification::TaskResult(result) => self.result = Some(result),
            Notification::Connected(_)
            | Notification::Started(_)
            | Notification::Output(_)
            | Notification::OutputBatch(_)
            | Notification::Paused(_)
            | Notification::Resumed(_)
            | Notification::Canceled(_)
            | Notification::Error(_)
            | Notification::RateLimited(_)
            | Notification::TokenLimited(_)
            | Notification::OutputDropped(_)
            | Notification::TaskRetrying(_)
            | Notification::BatchProgress(_)
            | Notification::BatchCompleted(_)
            | Notification::Alert(_) => {}
        }
        None
    }

    async fn write_rest(
        &mut self,
        interrupts: &mut Interrupts,
        output: &mut RunOutput,
    ) -> Result<(), NoEnd> {
        while output.has_unwritten() {
            tokio::select! {
                biased;
                interrupt = interrupts.next() => self.interrupted(interrupt)?,
                wish = output.write() => {
                    if wish == Wish::Cancel {
                        self.cancel_cause.get_or_insert(CancelCause::OutputClosed);
                    }
                }
            }
        }
        Ok(())
    }

    async fn obey(&mut self, wish: Wish, session: &mut Session) -> Result<(), NoEnd> {
        match (wish, self.ownership) {
            (Wish::Continue, _) => Ok(()),
            (Wish::Cancel, Ownership::Attached) => Err(NoEnd::Detached(CancelCause::OutputClosed)),
            (Wish::Cancel, _) if self.cancel_cause.is_some() => Ok(()),
            (Wish::Cancel, _) => {
                self.cancel_cause = Some(CancelCause::OutputClosed);
                self.cancel(session).await
            }
        }
    }

    /// The first signal cancels the task, the second one gives up.
    fn interrupted(&mut self, interrupt: Interrupt) -> Result<(), NoEnd> {
        let cause = CancelCause::Interrupt(interrupt);
        match (self.ownership, self.cancel_cause) {
            (Ownership::Attached, _) => Err(NoEnd::Detached(cause)),
            (Ownership::Asked | Ownership::Own, Some(CancelCause::Interrupt(_))) => {
                Err(NoEnd::GivenUp(interrupt))
            }
            (Ownership::Asked | Ownership::Own, Some(CancelCause::OutputClosed) | None) => {
                self.cancel_cause = Some(cause);
                Ok(())
            }
        }
    }

    /// Cancels an own task; one that has not started yet is canceled when it starts.
    async fn cancel(&self, session: &mut Session) -> Result<(), NoEnd> {
        match self.ownership {
            Ownership::Asked | Ownership::Attached => Ok(()),
            Ownership::Own => {
                session.control(ControlType::Cancel).await.map(drop).map_err(NoEnd::Client)
            }
        }
    }
}

/// The cause, without the words that the connection is lost.
pub(crate) fn loss_cause(error: &Error) -> String {
    if let Error::Lost(source) = error {
        source.to_string()
    } else if let Error::Silent { limit } = error {
        format!("nothing came for {} s", limit.as_secs_f64())
    } else {
        error.to_string()
    }
}

/// The next event, if it has arrived.
async fn at_hand(session: &mut Session) -> Option<Result<SessionEvent, Error>> {
    tokio::select! {
        biased;
        event = session.next_event() => Some(event),
        () = std::future::ready(()) => None,
    }
}
