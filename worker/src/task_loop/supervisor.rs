//! What supervisors ask of a worker: to obey, to be adopted, and what follows when one is gone.

use std::{io, path::Path, time::Instant};

use cc_events::{EndReason, Event};
use cc_link::{
    adopt::{Adopted, VersionRange},
    control::Control,
    spec::OnSupervisorLoss,
};

use super::{Phase, TaskLoop};
use crate::{adoption::Adopter, control_channel::Received, ending::Cause, heartbeat::pong};

impl TaskLoop<'_> {
    pub(super) fn receive_adopters(&mut self, now: Instant) -> anyhow::Result<()> {
        let adopters = self.channels.adoption.as_mut().map(|socket| socket.receive(now));
        for adopter in adopters.into_iter().flatten() {
            self.adopt(adopter, now)?;
        }
        Ok(())
    }

    /// Makes the sender the supervisor, if both speak one version of the link.
    fn adopt(&mut self, adopter: Adopter, now: Instant) -> anyhow::Result<()> {
        let own = VersionRange::OWN;
        let Some(link_version) = adopter.versions.common(own) else {
            adopter.refuse(own);
            return Ok(());
        };
        // Where no descriptors are free for it, its connection is closed.
        let Ok((control, pipe)) = adopter.into_channels() else { return Ok(()) };
        let ending = match &self.phase {
            Phase::Running => None,
            Phase::Ending { cause, .. } => Some(cause.reason),
        };
        self.journal.switch_to(pipe, |end| Adopted {
            link_version,
            task_id: self.spec.task_id.clone(),
            started: self.facts.clone(),
            end_offset: end.end_offset,
            last_seq: end.last_seq,
            is_paused: self.clocks.is_paused(),
            ending,
            deadlines: self.spec.deadlines,
            total_left_ms: self.clocks.total_left_ms(now),
            leaf: self.tree.leaf_path().map(Path::to_owned),
        });
        self.channels.control = control;
        self.is_adopted = true;
        // Control lines that the supervisor sent together with its request to adopt.
        let early = self.channels.control.pending();
        self.obey(early, now)?;
        Ok(())
    }

    pub(super) fn obey(&mut self, received: Received, now: Instant) -> io::Result<()> {
        for complaint in received.complaints {
            crate::stdio::complain(format_args!("task {}: {complaint}", self.spec.task_id));
        }
        for command in received.commands {
            match command {
                Control::Pause => self.pause(now)?,
                Control::Resume => self.resume(now)?,
                Control::Cancel { reason } => {
                    if matches!(self.phase, Phase::Running) {
                        self.journal.event(Event::Canceled { reason });
                        self.begin_end(Cause::requested(reason), now)?;
                    }
                }
                Control::Kill { reason } => self.kill_now(Cause::requested(reason), now),
                Control::Ping { nonce } => self.journal.notice(pong(nonce)),
                Control::Run(_) => {
                    let task_id = &self.spec.task_id;
                    crate::stdio::complain(format_args!(
                        "task {task_id}: a worker runs one task only"
                    ));
                }
                Control::Adopt(_) => {
                    let task_id = &self.spec.task_id;
                    crate::stdio::complain(format_args!(
                        "task {task_id}: adoption is asked for on the socket"
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn supervisor_lost(&mut self, now: Instant) {
        if self.is_adopted {
            // Both directions are one connection.
            self.channels.control.close();
            self.journal.close_pipe();
        }
        match self.spec.on_supervisor_loss {
            OnSupervisorLoss::Keep => {}
            OnSupervisorLoss::Kill => {
                let error = "the supervisor went away while the task ran";
                self.kill_now(Cause::new(EndReason::SupervisorLost, error), now);
            }
        }
    }

    fn pause(&mut self, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Running) && !self.clocks.is_paused() {
            self.tree.pause()?;
            self.clocks.pause(now);
            self.journal.event(Event::Paused);
        }
        Ok(())
    }

    fn resume(&mut self, now: Instant) -> io::Result<()> {
        if matches!(self.phase, Phase::Running) && self.clocks.is_paused() {
            self.tree.resume()?;
            self.clocks.resume(now);
            self.journal.event(Event::Resumed);
        }
        Ok(())
    }
}
