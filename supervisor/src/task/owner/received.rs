//! What a worker says, and what its task's owner does about it.

use bytes::BytesMut;
use cc_events::{Completed, EndReason, Event, Started};
use cc_link::notice::Notice;
use cc_state::ResultSummary;

use crate::{
    ops::{clock::now_ms, uptime},
    task::{
        feed::Feed,
        handle::{ControlReply, StartOutcome},
        owner::Owner,
        relay::{Relay, Relayed, TaskEnd},
        state::{Effect, Input, transition},
        worker_error::WorkerError,
    },
};

impl Owner {
    /// Publishes the whole records in `buffer` and acts on them. Returns the terminal event if it is among them.
    pub(super) fn on_received(
        &mut self,
        feed: &Feed,
        buffer: &mut BytesMut,
    ) -> Result<Option<Box<Completed>>, WorkerError> {
        for relayed in Relay::of(feed, buffer)? {
            match relayed? {
                Relayed::Event(event) => self.on_event(event)?,
                Relayed::Notice(notice) => self.on_notice(&notice)?,
                Relayed::End(end) => {
                    self.before_end(&end);
                    return Ok(Some(end.publish()));
                }
            }
        }
        Ok(None)
    }

    /// A client that has seen the end and then lists the running tasks must not find this one.
    fn before_end(&mut self, end: &TaskEnd<'_>) {
        let at_ms = self.note_end(&end.completed, end.time_ms);
        // The end of an adopted task is recorded in `finish`, when its log has been searched for a result.
        if self.born.is_some() {
            let ended = self.record_of_end((*end.completed).clone(), at_ms, end.position);
            self.is_end_queued = self.context.store.note(ended);
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), WorkerError> {
        match event {
            Event::Started(started) => self.on_started(started)?,
            Event::Paused => {
                self.step(Input::Paused)?;
                self.watchdog.paused(uptime::now());
                self.pausing.answer_all(ControlReply::Done);
            }
            Event::Resumed => {
                self.step(Input::Resumed)?;
                self.watchdog.resumed(uptime::now());
                self.resuming.answer_all(ControlReply::Done);
            }
            Event::Canceled { reason } => self.on_ending(reason)?,
            Event::ClaudeResult(result) => self.result = Some(ResultSummary::from(&*result)),
            // The terminal event comes as `Relayed::End`.
            Event::Completed(_)
            | Event::OutputDropped(_)
            | Event::ClaudeRetrying(_)
            | Event::RateLimited(_)
            | Event::TokenLimited(_) => {}
        }
        Ok(())
    }

    fn on_started(&mut self, started: Started) -> Result<(), WorkerError> {
        self.started = Some(started.clone());
        self.step(Input::Started)?;
        self.watchdog.started(uptime::now());
        self.context.spawner.guard().worked();
        let containment = started.containment;
        self.side.worker.change(|facts| facts.containment = Some(containment));
        if let Some(accepted) = self.accepted {
            self.context.metrics.tasks.started(accepted.elapsed());
        }
        tracing::info!(
            task_id = self.task_id(),
            session_id = self.side.info.session_id,
            batch_id = self.side.info.batch_id,
            label = self.label(),
            pid = started.pid,
            worker_pid = started.worker_pid,
            containment = started.containment.as_str(),
            "task started"
        );
        self.record_start(&started, now_ms());
        self.start_reply.send(StartOutcome::Started(started));
        Ok(())
    }

    fn on_notice(&mut self, notice: &Notice) -> Result<(), WorkerError> {
        match notice {
            // Any byte is a sign of life; see `Owner::watch`.
            Notice::Pong { nonce: _, version } => {
                if let Some(version) = version {
                    self.side.worker.change(|facts| facts.version = Some(version.clone()));
                }
                Ok(())
            }
            Notice::Ending { reason } => self.on_ending(*reason),
            Notice::Adopted(_) | Notice::AdoptionRefused { .. } => Err(WorkerError::UnaskedAnswer),
        }
    }

    fn on_ending(&mut self, reason: EndReason) -> Result<(), WorkerError> {
        self.step(Input::Ending(reason))?;
        self.watchdog.ending(uptime::now());
        self.refuse_waiting();
        Ok(())
    }

    fn step(&mut self, input: Input) -> Result<(), WorkerError> {
        let (next, effect) = transition(self.state, input);
        let state = std::mem::replace(&mut self.state, next);
        self.show_status();
        if effect == Effect::Violation {
            return Err(WorkerError::Violation { input, state });
        }
        Ok(())
    }
}
