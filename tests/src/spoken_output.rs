//! What a talkative task prints, known in advance: the fixture prints it and the suites compare.
//!
//! Called by `misbehave speak` and `misbehave pour`, and by the suites that expect their output.

use crate::random::Random;

/// Where a part of a speech goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One `write` of a speech: a line, several, a part of one, or one of hundreds of kilobytes.
#[derive(Clone, Debug)]
pub struct Part {
    pub stream: Stream,
    pub text: String,
}

/// Words of one to four bytes a character, so that cuts meet the middle of one.
const WORDS: [&str; 6] = ["build", "тест", "完了", "ok", "🦀", "\t\"quoted\\\""];

/// At least `bytes` of text on both streams; the same seed says the same.
#[must_use]
pub fn speech(seed: u64, bytes: usize) -> Vec<Part> {
    let mut random = Random::new(seed);
    let mut parts = Vec::new();
    let mut said = 0;
    while said < bytes {
        let stream = if random.below(3) == 0 { Stream::Stderr } else { Stream::Stdout };
        let text = match random.below(40) {
            0 => format!("{} {}\n", words(&mut random, 20_000), parts.len()),
            1..=3 => words(&mut random, 1),
            4..=6 => words(&mut random, 4) + "\n" + &words(&mut random, 3) + "\n\nand ",
            _ => format!("{} {}\n", parts.len(), words(&mut random, 9)),
        };
        said += text.len();
        parts.push(Part { stream, text });
    }
    parts
}

fn words(random: &mut Random, most: u64) -> String {
    let count = 1 + random.below(most);
    (0..count).map(|_| *random.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// All that a speech says on one stream.
#[must_use]
pub fn said(parts: &[Part], stream: Stream) -> String {
    parts.iter().filter(|part| part.stream == stream).map(|part| part.text.as_str()).collect()
}

/// The line with this number of a task that pours: see [`check_poured`].
#[must_use]
pub fn poured_line(number: u64) -> String {
    format!("{number} {:.<40}\n", "poured")
}

/// The last line of a task that pours.
#[must_use]
pub fn poured_end(count: u64) -> String {
    format!("poured {count}\n")
}

/// Checks that this is everything that a task which was told to stop pouring has printed.
pub fn check_poured(stdout: &str) {
    let lines = stdout.lines().count() as u64;
    assert!(lines > 0, "nothing was poured");
    let mut expected: String = (0..lines - 1).map(poured_line).collect();
    expected.push_str(&poured_end(lines - 1));
    assert!(stdout == expected, "{lines} lines were poured, but not as they should be");
}

/// Checks that this is the beginning of what a pouring task prints.
pub fn check_poured_prefix(stdout: &str) {
    let lines = stdout.lines().count() as u64;
    let expected: String = (0..=lines).map(poured_line).collect();
    assert!(expected.starts_with(stdout), "{lines} lines were poured, but not as they should be");
}
