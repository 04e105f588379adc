//! What a signal does to a batch that is followed: detach from it, cancel it, or ask which.

use cc_client::BatchRequest;

use super::{Live, Next, Ownership, Recorder, Stop};
use crate::{command::batch::interrupt_prompt::Choice, connect::interrupts::Interrupt};

impl<R: Recorder> Live<'_, R> {
    pub(super) fn interrupted(&mut self, interrupt: Interrupt) -> Result<Next, Stop> {
        if self.canceling.is_some() {
            return Err(Stop::GivenUp(interrupt));
        }
        match self.ownership {
            Ownership::Viewed => Err(Stop::Detached(interrupt)),
            Ownership::Private => {
                self.progress.note("ccx: canceling; press Ctrl-C again to exit without waiting");
                Ok(self.cancel(interrupt))
            }
            // The terminal is gone, which does not say that the batch should end.
            Ownership::Started if interrupt == Interrupt::HangUp => Err(Stop::Detached(interrupt)),
            Ownership::Started if interrupt == Interrupt::CtrlC && self.prompt.ask() => {
                self.progress.note(
                    "ccx: the batch runs in the supervisor. [d]etach and leave it running, [c]ancel it, or Enter to go on?",
                );
                Ok(Next::Continue)
            }
            Ownership::Started => {
                self.progress.note(&format!(
                    "ccx: canceling batch {}; press Ctrl-C again to exit without waiting",
                    self.batch_id
                ));
                Ok(self.cancel(interrupt))
            }
        }
    }

    pub(super) fn chosen(&mut self, choice: Choice) -> Result<Next, Stop> {
        match choice {
            Choice::Continue => Ok(Next::Continue),
            Choice::Detach => Err(Stop::Detached(Interrupt::CtrlC)),
            Choice::Cancel => Ok(self.cancel(Interrupt::CtrlC)),
        }
    }

    fn cancel(&mut self, interrupt: Interrupt) -> Next {
        self.canceling = Some(interrupt);
        Next::Ask(BatchRequest::Cancel(self.batch_id.to_owned()))
    }
}
