//! Inputs that the benches share: random numbers and the lengths of one batch. Must not know what is timed.
#![forbid(unsafe_code)]

/// Tokens of each of 32 rows, shaped like SST-2 with MiniLM's tokenizer: 746 in all, the longest 67. Made up, and fixed so that
/// timings of different days are of the same work.
pub const LENGTHS: [u32; 32] = [
    8, 45, 12, 31, 22, 19, 67, 9, 27, 15, 38, 24, 11, 33, 18, 29, 6, 41, 21, 14, 26, 35, 10, 23, 17, 30, 13, 28, 20,
    25, 16, 13,
];

/// Where each row of [`LENGTHS`] starts, and at last the number of tokens.
pub fn offsets() -> Vec<u32> {
    let mut offsets = vec![0];
    for length in LENGTHS {
        offsets.push(offsets[offsets.len() - 1] + length);
    }
    offsets
}

/// `n` numbers in -1..1, the same for the same seed (xorshift, Marsaglia 2003, <https://doi.org/10.18637/jss.v008.i14>).
pub fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_has_the_tokens_that_the_results_name() {
        assert_eq!(offsets().last(), Some(&746));
        assert_eq!(LENGTHS.iter().max(), Some(&67));
    }

    #[test]
    fn values_fill_their_range() {
        let values = values(1, 10_000);
        assert!(values.iter().all(|v| (-1.0..1.0).contains(v)));
        // The mean of 10 000 uniform numbers has a standard error of 0.0058; five of them.
        assert!((values.iter().sum::<f32>() / 10_000.0).abs() < 0.03);
    }
}
