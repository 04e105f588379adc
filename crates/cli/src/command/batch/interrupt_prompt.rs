//! Asks at the terminal what Ctrl-C means: leave the batch running, cancel it, or neither.

use std::io::IsTerminal as _;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Continue,
    Detach,
    Cancel,
}

#[derive(Debug, Default)]
pub(super) struct InterruptPrompt {
    is_open: bool,
    lines: Option<Lines<BufReader<Stdin>>>,
}

impl InterruptPrompt {
    /// Asks, unless there is no terminal or the question is already open: a second Ctrl-C is an answer, too.
    pub(super) fn ask(&mut self) -> bool {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.is_open || !is_terminal {
            return false;
        }
        self.is_open = true;
        self.lines.get_or_insert_with(|| BufReader::new(tokio::io::stdin()).lines());
        true
    }

    /// Waits for the answer, forever if nothing was asked. Cancel safe.
    pub(super) async fn answer(&mut self) -> Choice {
        let Some(lines) = self.lines.as_mut().filter(|_| self.is_open) else {
            return std::future::pending().await;
        };
        let line = lines.next_line().await;
        self.is_open = false;
        match line {
            Ok(Some(line)) => read(&line),
            // The terminal is gone; a hang-up follows.
            Ok(None) | Err(_) => Choice::Continue,
        }
    }
}

fn read(line: &str) -> Choice {
    match line.trim().to_ascii_lowercase().chars().next() {
        Some('d') => Choice::Detach,
        Some('c') => Choice::Cancel,
        Some(_) | None => Choice::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_clearly_said_ends_or_leaves_a_batch() {
        for (line, expected) in [
            ("d", Choice::Detach),
            (" Detach\n", Choice::Detach),
            ("C", Choice::Cancel),
            ("", Choice::Continue),
            ("x", Choice::Continue),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
    }
}
