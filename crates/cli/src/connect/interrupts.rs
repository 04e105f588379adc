//! Signals that ask `ccx` to stop, as values to wait for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{error::CommandError, exit_code};

/// A request to stop `ccx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    CtrlC,
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Interrupt {
    /// 128 + the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        exit_code::of_signal(self.signal())
    }

    /// The error of a command that was interrupted at this point.
    pub(crate) fn error(self, when: &'static str) -> CommandError {
        CommandError::Interrupted { signal: self.signal(), when }
    }

    fn signal(self) -> i32 {
        let kind = match self {
            Self::CtrlC => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
            Self::HangUp => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}

/// Catches the three signals from its creation on.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupts {
    pub(crate) fn catch() -> Result<Self, CommandError> {
        let catch = |kind| signal(kind).map_err(CommandError::io("cannot catch signals"));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::CtrlC,
            _ = self.terminate.recv() => Interrupt::Terminate,
            _ = self.hang_up.recv() => Interrupt::HangUp,
        }
    }
}
