//! Output that is too much, too long or too mixed.

use std::{
    fs::OpenOptions,
    io::{BufWriter, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use cc_tests::spoken_output::{self, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The last line of a flood: what a client must get, whatever else is dropped.
const LAST_LINE: &str = "the last line";

/// A build log, a `find /`, a debug trace: numbered lines of `line_bytes`, at least `bytes` in all, and
/// then one that matters.
pub fn flood(bytes: u64, line_bytes: usize) {
    let mut stdout = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    for number in 0..bytes.div_ceil(line_bytes as u64) {
        writeln!(stdout, "{number:010} {:x<1$}", "", line_bytes - 12).unwrap();
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

/// An agent at full speed: both streams, long lines, unfinished ones, all of it known in advance.
pub fn speak(seed: u64, bytes: usize) {
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    for part in spoken_output::speech(seed, bytes) {
        match part.stream {
            Stream::Stdout => {
                stdout.write_all(part.text.as_bytes()).unwrap();
                stdout.flush().unwrap();
            }
            Stream::Stderr => stderr.write_all(part.text.as_bytes()).unwrap(),
        }
    }
}

/// A long build: numbered lines, on and on, until there is something to read in the named pipe; then
/// how many there were.
pub fn pour(stop: &str) {
    /// Lines at once, and how long it rests between: about a tenth of a megabyte in a second, which no bound
    /// stops in a test, and which a test can read faster than it comes on a machine that is busy with others.
    const BURST: u64 = 50;
    const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let stop = OpenOptions::new().read(true).write(true).open(stop).unwrap();
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    let mut count = 0;
    loop {
        for _ in 0..BURST {
            stdout.write_all(spoken_output::poured_line(count).as_bytes()).unwrap();
            count += 1;
        }
        stdout.flush().unwrap();
        let mut descriptors = [PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
        if poll(&mut descriptors, Some(&REST)).unwrap() > 0 {
            break;
        }
    }
    stdout.write_all(spoken_output::poured_end(count).as_bytes()).unwrap();
    stdout.flush().unwrap();
}

/// A busy service that logs: lines of 200 bytes at an even rate, on and on.
pub fn steady(bytes_a_second: u64) {
    const LINE_BYTES: u64 = 200;
    const TICKS_A_SECOND: u64 = 50;
    let mut burst = format!("{:x<1$}", "", LINE_BYTES as usize - 1);
    burst.push('\n');
    let burst = burst.repeat((bytes_a_second / LINE_BYTES / TICKS_A_SECOND) as usize);
    let start = Instant::now();
    let mut stdout = std::io::stdout().lock();
    for tick in 1.. {
        stdout.write_all(burst.as_bytes()).unwrap();
        // What the reader has held up is caught up with, so that the rate holds on the whole.
        let due = Duration::from_micros(1_000_000 / TICKS_A_SECOND) * tick;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
}
