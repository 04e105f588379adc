//! Rounds and their statistics: contenders take turns, in an order that changes, so that a machine that
//! slows down slows all of them.

use std::time::{Duration, Instant};

/// What one contender came to, a value a round.
#[derive(Clone, Debug)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// At least one value.
    pub fn new(values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        Self(values)
    }

    /// How many rounds there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle value; of an even number, the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        median(&self.0)
    }

    /// The least value.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The greatest value.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Each value against that of the same round. Where the two have not taken turns, all against the
    /// other's median.
    pub fn ratios_to(&self, baseline: &Self) -> Self {
        let median = baseline.median();
        let is_paired = self.count() == baseline.count();
        let other = |round: usize| if is_paired { baseline.0[round] } else { median };
        Self(self.0.iter().enumerate().map(|(round, value)| value / other(round)).collect())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// Something that is measured in turns with others: each call is one measurement.
pub type Contender<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// Lets the contenders take turns for so many rounds; a sample each, in their order. What is done for
/// the first time is slow for the contender that comes first, so a first round is not counted.
pub fn in_turns(rounds: usize, contenders: Vec<Contender<'_>>) -> Vec<Sample> {
    in_turns_of(1, rounds, contenders)
}

/// Time in which the aftermath of one block ends, such as the exit of its last worker, before the next begins.
const SETTLE: Duration = Duration::from_millis(50);

/// The same for what is so short that a round's value has to be the median of several turns. A contender's turns of a
/// round follow one another as a block, and the machine settles between blocks: the exit of a worker of ours would
/// otherwise slow the contender that follows.
pub fn in_turns_of(turns: usize, rounds: usize, mut contenders: Vec<Contender<'_>>) -> Vec<Sample> {
    let count = contenders.len();
    let mut values = vec![Vec::new(); count];
    for round in 0..=rounds {
        for place in 0..count {
            let number = (round + place) % count;
            if turns > 1 {
                std::thread::sleep(SETTLE);
            }
            let block: Vec<f64> = (0..turns).map(|_| contenders[number]()).collect();
            if round > 0 {
                values[number].push(median(&block));
            }
        }
    }
    values.into_iter().map(Sample::new).collect()
}

/// How long that took.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// How long that took, milliseconds.
pub fn timed_ms(work: impl FnOnce()) -> f64 {
    timed(work).as_secs_f64() * 1_000.0
}
