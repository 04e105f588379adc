//! A task's command in one cell of a joblog, by which a later run recognizes the task.

use std::fmt::Write as _;

use cc_protocol::execute::{Execute, Program};

/// Longest part of a command that is written.
const COMMAND_BYTES_LIMIT: usize = 4 * 1024;
/// What stands before the checksum of a command that was cut.
const CRC_MARK: &str = ", crc32 ";

/// What a task runs, in one cell: tabs and line breaks escaped, and a very long command cut, with its
/// size and a checksum so that a resume still sees a change.
pub(crate) fn command_cell(execute: &Execute) -> String {
    let text = match &execute.program {
        Program::Prompt(prompt) => format!("prompt: {}", prompt.prompt),
        Program::Argv { argv } => shell_words::join(argv),
        Program::Command { command } => command.clone(),
    };
    let end = text.floor_char_boundary(COMMAND_BYTES_LIMIT);
    let mut cell = String::with_capacity(end);
    for letter in text[..end].chars() {
        match letter {
            '\\' => cell.push_str("\\\\"),
            '\t' => cell.push_str("\\t"),
            '\n' => cell.push_str("\\n"),
            '\r' => cell.push_str("\\r"),
            letter => cell.push(letter),
        }
    }
    if end < text.len() {
        let checksum = crc32fast::hash(text.as_bytes());
        // Writing to a text cannot fail.
        write!(cell, " … ({} bytes{CRC_MARK}{checksum:08x})", text.len()).ok();
    }
    cell
}

/// The part of a command that stays the same while an agent ticks boxes in it. The checksum of a cut command changes, but its
/// beginning and its size do.
pub(crate) fn key(command: &str) -> String {
    let whole = command.split_once(CRC_MARK).map_or(command, |(before, _)| before);
    whole.replace("[x]", "[ ]").replace("[X]", "[ ]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_the_same_one_when_boxes_in_it_are_ticked_and_another_one_otherwise() {
        let cell = |prompt: &str| {
            let program = Program::Prompt(Box::new(cc_protocol::execute::Prompt {
                prompt: prompt.to_owned(),
                ..Default::default()
            }));
            command_cell(&Execute { program, ..Execute::default() })
        };
        let long = "y".repeat(2 * COMMAND_BYTES_LIMIT);
        for rest in ["", long.as_str()] {
            let with = |mark: &str, word: &str| {
                key(&cell(&format!("a\n- {mark} {word}\n{rest}\n- {mark} c")))
            };
            assert_eq!(with("[ ]", "b"), with("[x]", "b"));
            assert_eq!(with("[ ]", "b"), with("[X]", "b"));
            assert_ne!(with("[ ]", "b"), with("[ ]", "d"));
            assert_ne!(with("[ ]", "b"), with("[-]", "b"));
        }
        assert_ne!(key(&cell(&long)), key(&cell(&format!("{long}y"))));
    }
}
