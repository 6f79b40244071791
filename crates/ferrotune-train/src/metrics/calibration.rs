//! Whether probabilities keep what they promise: reliability bins and the calibration error. Must not know classes.

use serde::{Deserialize, Serialize};

/// Number of bins, all equally wide.
pub const BINS: usize = 15;

/// The rows whose predicted class has a probability in one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Above this probability; the first bin also holds 0.
    pub above: f64,
    /// Up to this probability, which belongs to the bin.
    pub up_to: f64,
    /// Rows.
    pub rows: u64,
    /// The mean probability of their predicted classes; `None` without rows.
    pub confidence: Option<f64>,
    /// The share of them that was predicted right; `None` without rows.
    pub accuracy: Option<f64>,
}

/// [`BINS`] bins of rows, each given as the probability of its predicted class (in 0..=1) and whether that class is right.
pub(crate) fn reliability(rows: impl Iterator<Item = (f64, bool)>) -> Vec<ReliabilityBin> {
    let edge = |number: usize| number as f64 / BINS as f64;
    let mut sums = [(0_u64, 0.0, 0_u64); BINS];
    for (probability, right) in rows {
        let bin = (1..BINS).filter(|&number| probability > edge(number)).count();
        let (count, confidence, correct) = &mut sums[bin];
        *count += 1;
        *confidence += probability;
        *correct += u64::from(right);
    }
    let bin = |(number, &(rows, confidence, correct)): (usize, &(u64, f64, u64))| ReliabilityBin {
        above: edge(number),
        up_to: edge(number + 1),
        rows,
        confidence: (rows > 0).then(|| confidence / rows as f64),
        accuracy: (rows > 0).then(|| correct as f64 / rows as f64),
    };
    sums.iter().enumerate().map(bin).collect()
}

/// Expected calibration error (Naeini et al. 2015; Guo et al. 2017): the mean over rows of the distance between confidence and accuracy of their
/// bin. `None` without rows.
pub(crate) fn calibration_error(bins: &[ReliabilityBin]) -> Option<f64> {
    let rows: u64 = bins.iter().map(|bin| bin.rows).sum();
    let gap = |bin: &ReliabilityBin| Some(bin.rows as f64 * (bin.confidence? - bin.accuracy?).abs());
    (rows > 0).then(|| bins.iter().filter_map(gap).sum::<f64>() / rows as f64)
}
