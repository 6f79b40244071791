//! How long texts are: counts by length, and what is read off them. It knows nothing of what is counted.

use serde::Serialize;
use std::collections::BTreeMap;

/// Lengths of many texts, in a unit of the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lengths {
    /// The mean.
    pub mean: f64,
    /// Half of the texts are at most so long.
    pub median: usize,
    /// 95 of 100 are.
    pub p95: usize,
    /// 99 of 100 are.
    pub p99: usize,
    /// All are.
    pub longest: usize,
}

/// How many texts have each length: its memory grows with the number of different lengths alone.
#[derive(Default)]
pub(crate) struct Histogram(BTreeMap<usize, usize>);

impl Histogram {
    pub(crate) fn add(&mut self, length: usize) {
        *self.0.entry(length).or_insert(0) += 1;
    }

    /// `None` without any text.
    pub(crate) fn lengths(&self) -> Option<Lengths> {
        let texts: usize = self.0.values().sum();
        let (&longest, _) = self.0.last_key_value()?;
        let total: f64 = self.0.iter().map(|(&length, &count)| length as f64 * count as f64).sum();
        // The smallest length that at least this share of the texts does not exceed.
        let quantile = |percent: usize| {
            let mut seen = 0;
            let at = |(&length, &count): (&usize, &usize)| {
                seen += count;
                (seen * 100 >= texts * percent).then_some(length)
            };
            self.0.iter().find_map(at).unwrap_or(longest)
        };
        let mean = total / texts as f64;
        Some(Lengths { mean, median: quantile(50), p95: quantile(95), p99: quantile(99), longest })
    }
}
