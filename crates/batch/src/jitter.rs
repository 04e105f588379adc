//! Chance that can be repeated: a number that depends on a seed and on what it is for.
//!
//! No generator is kept, because the state machine is stored at each transition and a restart must
//! not begin a sequence anew.

/// A number from 0 to `bound` inclusive, which depends on nothing but the arguments.
#[must_use]
pub(crate) fn up_to(bound: u64, seed: u64, purpose: &[u64]) -> u64 {
    let mixed = purpose.iter().fold(mix(seed), |state, word| mix(state ^ mix(*word)));
    // Modulo's bias is far below what a jitter of milliseconds could show.
    bound.checked_add(1).map_or(mixed, |range| mixed % range)
}

/// The finalizer of SplitMix64 after one step: every bit of the input reaches every bit.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_has_the_same_answer_and_another_one_another() {
        assert_eq!(up_to(1_000_000, 7, &[1, 2]), up_to(1_000_000, 7, &[1, 2]));
        assert_ne!(up_to(1_000_000, 7, &[1, 2]), up_to(1_000_000, 7, &[2, 1]));
        assert_ne!(up_to(1_000_000, 7, &[1, 2]), up_to(1_000_000, 8, &[1, 2]));
    }

    #[test]
    fn the_whole_range_is_used_and_never_left() {
        let mut seen = [0_u32; 4];
        for purpose in 0..4_000 {
            seen[up_to(3, 1, &[purpose]) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 800), "{seen:?}");
        assert_eq!(up_to(0, 1, &[5]), 0);
        assert_ne!(up_to(u64::MAX, 1, &[5]), up_to(u64::MAX, 1, &[6]));
    }
}
