//! Which pairs of rows are worth comparing: those that share a key. It knows nothing of texts.

use super::minhash::BANDS;
use rayon::slice::ParallelSliceMut;
use std::ops::Range;

/// A bucket gives about so many pairs of rows between two splits at most.
const PAIRS: usize = 4096;

/// The keys of rows as they come: 4 bytes for each band and 8 for each deletion.
#[derive(Default)]
pub(crate) struct Keys {
    rows: Vec<u32>,
    bands: Vec<[u32; BANDS]>,
    /// A key in the upper half, a row in the lower.
    deletions: Vec<u64>,
}

impl Keys {
    /// Adds a row; rows come in ascending order.
    pub(crate) fn add(&mut self, row: u32, bands: [u32; BANDS], deletions: &[u32]) {
        self.rows.push(row);
        self.bands.push(bands);
        self.deletions.extend(deletions.iter().map(|&key| entry(key, row)));
    }

    /// Pairs that share a key, each as the later row in the upper half and the earlier in the lower, ascending and without repeats. In a bucket of
    /// up to 64 rows all pairs count; in a larger one each row is paired with the nearest earlier ones, in its own split and in each earlier
    /// one, so that a thousand rows of one pattern do not make a million pairs. `splits` are the rows of each split.
    pub(crate) fn pairs(self, splits: &[Range<u32>]) -> Vec<u64> {
        let mut pairs = Vec::new();
        let mut entries = self.deletions;
        pairs_of(&mut entries, splits, &mut pairs);
        for band in 0..BANDS {
            entries.clear();
            entries.extend(self.rows.iter().zip(&self.bands).map(|(&row, bands)| entry(bands[band], row)));
            pairs_of(&mut entries, splits, &mut pairs);
            // Alike texts share most bands: without this there would be 25 times as many pairs.
            pairs.par_sort_unstable();
            pairs.dedup();
        }
        pairs
    }
}

fn entry(key: u32, row: u32) -> u64 {
    u64::from(key) << 32 | u64::from(row)
}

fn pairs_of(entries: &mut [u64], splits: &[Range<u32>], pairs: &mut Vec<u64>) {
    entries.par_sort_unstable();
    for bucket in entries.chunk_by(|a, b| a >> 32 == b >> 32).filter(|bucket| bucket.len() > 1) {
        let row = |entry: &u64| *entry as u32;
        let partners = (PAIRS / bucket.len()).clamp(2, 64);
        for (n, later) in bucket.iter().map(row).enumerate().skip(1) {
            for split in splits.iter().take_while(|split| split.start <= later) {
                let end = bucket[..n].partition_point(|entry| row(entry) < split.end);
                let start = bucket[..end].partition_point(|entry| row(entry) < split.start);
                let nearest = start.max(end.saturating_sub(partners))..end;
                pairs.extend(bucket[nearest].iter().map(row).map(|earlier| entry(later, earlier)));
            }
        }
    }
}
