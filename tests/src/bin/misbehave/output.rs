//! Output that is too much, too long or too mixed.

use std::io::{BufWriter, Write};

/// The last line of a flood: what a client must get, whatever else is dropped.
const LAST_LINE: &str = "the last line";

/// A build log, a `find /`, a debug trace: numbered lines of 100 bytes, at least `bytes` in all, and
/// then one that matters.
pub fn flood(bytes: u64) {
    let mut stdout = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    for number in 0..bytes.div_ceil(100) {
        writeln!(stdout, "{number:010} {:x<88}", "").unwrap();
    }
    writeln!(stdout, "{LAST_LINE}").unwrap();
    stdout.flush().unwrap();
}

/// A word a line: `line 0`, `line 1`, ….
pub fn lines(count: u64) {
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    for number in 0..count {
        writeln!(stdout, "line {number}").unwrap();
    }
    stdout.flush().unwrap();
}

/// A minified bundle or a tool result in one JSON line: letters in alphabetical order, over and over,
/// with a newline (`newline`) or without (`bare`), or with a line after it (`more`).
pub fn long_line(bytes: usize, end: &str) {
    let alphabet: Vec<u8> = (b'a'..=b'z').cycle().take(26 * 1024).collect();
    let mut stdout = std::io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(alphabet.len());
        stdout.write_all(&alphabet[..piece]).unwrap();
        left -= piece;
    }
    match end {
        "bare" => {}
        "newline" => stdout.write_all(b"\n").unwrap(),
        "more" => stdout.write_all(b"\nafter the long line\n").unwrap(),
        unknown => panic!("no such end: {unknown}"),
    }
    stdout.flush().unwrap();
}

/// A compiler with its warnings: one line to stdout, one to stderr, in turn.
pub fn interleave(count: u64) {
    for number in 0..count {
        std::io::stdout().write_all(format!("out {number}\n").as_bytes()).unwrap();
        std::io::stderr().write_all(format!("err {number}\n").as_bytes()).unwrap();
    }
}
