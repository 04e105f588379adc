//! Supervisors that come and go while a task prints without end.

use crate::support::{Worker, end_of_gapless, numbers, stdout};
use cc_events::EndReason;
use cc_tasklog::FIRST_RECORD_OFFSET;

/// Supervisors come and go at random places of a flood; each reads from where the one before it stopped.
#[test]
fn whatever_way_supervisors_change_in_a_flood_together_they_read_what_was_printed() {
    const NUMBERS: u64 = 100_000;
    const CUTS: usize = 100;
    let expected = numbers(1..=NUMBERS);
    let mut cuts = 0;
    // On a busy machine a flood can be over after a few cuts; then there are more floods.
    for seed in 1..=100 {
        if cuts >= CUTS {
            break;
        }
        let mut random = Random(seed);
        let mut worker = Worker::run(&format!("seq 1 {NUMBERS}"));
        let mut records = worker.starter().records.until_started();
        let mut offset = FIRST_RECORD_OFFSET;
        let mut current = None;
        loop {
            // Mostly the one before is still there when the next one comes.
            if random.below(4) == 0 {
                current = None;
                worker.starter = None;
            }
            let Some(mut connection) = worker.try_connect() else { break };
            let Some(adopted) = connection.try_adopt() else { break };
            cuts += 1;
            drop(current.take());
            let known = records.len();
            let log = worker.log(offset, Some(adopted.end_offset));
            records.extend(log.into_iter().skip_while(|record| record.seq <= known as u64));
            assert_eq!(records.len() as u64, adopted.last_seq, "seed {seed}");
            offset = adopted.end_offset;
            for _ in 0..random.below(2_000) {
                match connection.records.next() {
                    Some(record) => records.push(record),
                    None => break,
                }
            }
            current = Some(connection);
        }
        // It would wait for one who does not read.
        drop(current);
        worker.starter = None;
        assert!(worker.wait().success());
        let known = records.len();
        let log = worker.log(offset, None);
        records.extend(log.into_iter().skip_while(|record| record.seq <= known as u64));
        assert_eq!(end_of_gapless(&records).reason, EndReason::Exit);
        assert!(stdout(&records) == expected, "seed {seed}: the bytes differ");
        assert!(records == worker.whole_log(), "seed {seed}: the log differs");
    }
    assert!(cuts >= CUTS, "only {cuts} supervisors had a turn");
}

/// A xorshift generator: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
