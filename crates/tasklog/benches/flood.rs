//! How fast a flood passes the splitter and the head and tail bound, for lines of several lengths:
//! `cargo bench -p cc-tasklog`. The figures are for people; nothing is judged.

use std::{hint::black_box, time::Instant};

use cc_link::record::{PIECE_BYTES_LIMIT, Stream};
use cc_tasklog::{HeadTail, Placed, Splitter};

const FLOOD_BYTES: usize = 1 << 30;
const OUTPUT_BYTES_LIMIT: u64 = 10 * 1024 * 1024;

fn main() {
    for line_bytes in [2, 20, 100, 1000, 100_000, 10_000_000] {
        let line: Vec<u8> = (1..line_bytes).map(|_| b'x').chain([b'\n']).collect();
        let flood = line.repeat((16 << 20) / line_bytes + 1);
        let split = bytes_per_second(&flood, |splitter, read| {
            splitter.push(read, &mut |fragment| {
                black_box(fragment);
            });
        });
        let mut bound = HeadTail::new(OUTPUT_BYTES_LIMIT);
        let bounded = bytes_per_second(&flood, |splitter, read| {
            splitter.push(read, &mut |fragment| match bound.place(&fragment, 1) {
                Placed::Now | Placed::Held => {}
            });
        });
        println!(
            "lines of {line_bytes:>8} bytes: splitter {:>6.0} MB/s, splitter and bound {:>6.0} MB/s",
            split / 1e6,
            bounded / 1e6
        );
    }
}

/// Pushes the flood again and again in reads of the size of a pipe.
fn bytes_per_second(flood: &[u8], mut push: impl FnMut(&mut Splitter, &[u8])) -> f64 {
    let mut splitter = Splitter::new(Stream::Stdout, u64::MAX);
    let start = Instant::now();
    let mut pushed = 0;
    while pushed < FLOOD_BYTES {
        for read in flood.chunks(PIECE_BYTES_LIMIT) {
            push(&mut splitter, read);
        }
        pushed += flood.len();
    }
    pushed as f64 / start.elapsed().as_secs_f64()
}
