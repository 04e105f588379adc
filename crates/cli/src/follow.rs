//! Drives one task from `execute` to its terminal event, and passes on what happens.
//!
//! ```text
//!   execute ──▶ running ──first signal, or nobody reads──▶ cancelling ──▶ completed
//!                  │                                           │
//!                  └───────────────▶ completed                 └─second signal──▶ given up
//! ```
//! Cancelling waits for `process.completed`, which comes when the task's processes are gone; that is
//! what makes a Ctrl-C of `ccx` different from one at the task itself.

use std::time::{Duration, Instant};

use cc_client::{Connection, Event, Received};
use cc_protocol::{
    control::ControlType,
    execute::Execute,
    notification::{Notification, ProcessCompleted, TaskResult},
};

use crate::interrupts::{Interrupt, Interrupts};

/// Who is told what happens to a task.
pub(crate) trait Audience {
    /// Takes what happened. Must not wait.
    fn hear(&mut self, received: &Received);

    /// Whether [`Audience::write`] has something to do.
    fn has_unwritten(&self) -> bool;

    /// Whether nothing more may be heard before it is written.
    fn is_full(&self) -> bool;

    /// Writes what was heard. Cancel safe: what was not written stays.
    async fn write(&mut self) -> Wish;
}

/// What an audience wants of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It shall go on.
    GoOn,
    /// Nobody reads its output any more.
    Cancel,
}

/// Why this end asked for the task's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelCause {
    /// A signal.
    Interrupt(Interrupt),
    /// Nobody reads the output any more.
    NobodyReads,
}

/// A task that ran to its terminal event.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) completed: Box<ProcessCompleted>,
    /// Of a prompt task: its last result.
    pub(crate) result: Option<Box<TaskResult>>,
    /// Whether this end asked for it.
    pub(crate) cancel_cause: Option<CancelCause>,
    /// From sending `execute` to receiving `process.completed`.
    pub(crate) round_trip: Duration,
}

/// A task that did not run to its terminal event, as seen from here.
#[derive(Debug)]
pub(crate) enum NoEnd {
    /// The server did not start it, or the connection is lost.
    Client(cc_client::Error),
    /// A second signal: whoever sent it does not want to wait.
    GivenUp(Interrupt),
}

/// Runs one task. `on_started` learns its id.
pub(crate) async fn run(
    connection: &mut Connection,
    task: &Execute,
    interrupts: &mut Interrupts,
    audience: &mut impl Audience,
    on_started: impl FnOnce(String),
) -> Result<End, NoEnd> {
    let sent_at = Instant::now();
    let mut following = Following { cancel_cause: None, result: None };
    let started = {
        let mut answer = std::pin::pin!(connection.execute(task));
        loop {
            tokio::select! {
                biased;
                interrupt = interrupts.next() => following.interrupted(interrupt)?,
                answer = &mut answer => break answer.map_err(NoEnd::Client)?,
            }
        }
    };
    on_started(started.task_id);
    if following.cancel_cause.is_some() {
        cancel(connection).await?;
    }
    let completed = following.await_terminal_event(connection, interrupts, audience).await?;
    let round_trip = sent_at.elapsed();
    following.write_rest(interrupts, audience).await?;
    let Following { cancel_cause, result } = following;
    Ok(End { completed, result, cancel_cause, round_trip })
}

/// What is known of the task meanwhile.
struct Following {
    cancel_cause: Option<CancelCause>,
    result: Option<Box<TaskResult>>,
}

impl Following {
    async fn await_terminal_event(
        &mut self,
        connection: &mut Connection,
        interrupts: &mut Interrupts,
        audience: &mut impl Audience,
    ) -> Result<Box<ProcessCompleted>, NoEnd> {
        loop {
            // What is there already is heard before anything is written, so that many short lines
            // make one write. The runtime ends such a run now and then, so signals get their turn.
            let at_hand = if audience.is_full() { None } else { at_hand(connection).await };
            let event = match at_hand {
                Some(event) => event,
                None => tokio::select! {
                    biased;
                    interrupt = interrupts.next() => {
                        self.interrupted(interrupt)?;
                        cancel(connection).await?;
                        continue;
                    }
                    wish = audience.write(), if audience.has_unwritten() => {
                        self.obey(wish, connection).await?;
                        continue;
                    }
                    event = connection.next_event(), if !audience.has_unwritten() => event,
                },
            };
            let Event::Notification(received) = event.map_err(NoEnd::Client)? else {
                // The answer to a cancel. If it was refused, the task has ended by itself.
                continue;
            };
            audience.hear(&received);
            match received.notification {
                Notification::Completed(completed) => return Ok(completed),
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
                | Notification::TaskRetrying(_) => {}
            }
        }
    }

    async fn write_rest(
        &mut self,
        interrupts: &mut Interrupts,
        audience: &mut impl Audience,
    ) -> Result<(), NoEnd> {
        while audience.has_unwritten() {
            tokio::select! {
                biased;
                interrupt = interrupts.next() => self.interrupted(interrupt)?,
                wish = audience.write() => {
                    if wish == Wish::Cancel {
                        self.cancel_cause.get_or_insert(CancelCause::NobodyReads);
                    }
                }
            }
        }
        Ok(())
    }

    async fn obey(&mut self, wish: Wish, connection: &mut Connection) -> Result<(), NoEnd> {
        match wish {
            Wish::GoOn => Ok(()),
            Wish::Cancel if self.cancel_cause.is_some() => Ok(()),
            Wish::Cancel => {
                self.cancel_cause = Some(CancelCause::NobodyReads);
                cancel(connection).await
            }
        }
    }

    /// The first signal is remembered as the reason, the second one gives up.
    fn interrupted(&mut self, interrupt: Interrupt) -> Result<(), NoEnd> {
        match self.cancel_cause {
            Some(CancelCause::Interrupt(_)) => Err(NoEnd::GivenUp(interrupt)),
            Some(CancelCause::NobodyReads) | None => {
                self.cancel_cause = Some(CancelCause::Interrupt(interrupt));
                Ok(())
            }
        }
    }
}

/// The next event, if it has come already.
async fn at_hand(connection: &mut Connection) -> Option<Result<Event, cc_client::Error>> {
    tokio::select! {
        biased;
        event = connection.next_event() => Some(event),
        () = std::future::ready(()) => None,
    }
}

async fn cancel(connection: &mut Connection) -> Result<(), NoEnd> {
    connection.control(ControlType::Cancel).await.map(drop).map_err(NoEnd::Client)
}
