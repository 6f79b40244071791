//! A figure by the length of texts: whether a model is worse with short or long ones. Must not know texts, or what the figure is of.

use super::Interval;
use serde::{Deserialize, Serialize};

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Rows of neighbouring lengths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthBin {
    /// The shortest length in it.
    pub from: usize,
    /// The longest.
    pub to: usize,
    /// Rows.
    pub rows: u64,
    /// The mean of their values.
    pub mean: f64,
}

/// Divides rows by length into at most `bins` groups of about as many rows, shortest first. The upper end of the i-th is the quantile `i / bins` of the
/// lengths: the smallest length that so large a share of the rows does not exceed (numpy's `inverted_cdf`). Rows of the same length are in one group,
/// so that there are fewer groups where one length is common.
///
/// # Panics
/// If there is not one value for each length, or no bin is asked for.
pub fn by_length(lengths: &[usize], values: &[f64], bins: usize) -> Vec<LengthBin> {
    assert!(lengths.len() == values.len() && bins > 0, "by_length: expected one value a length, and a bin");
    let mut rows: Vec<(usize, f64)> = lengths.iter().copied().zip(values.iter().copied()).collect();
    rows.sort_by_key(|&(length, _)| length);
    let mut found = Vec::new();
    let mut first = 0;
    for bin in 1..=bins {
        let share = (rows.len() * bin).div_ceil(bins);
        let Some(to) = share.checked_sub(1).map(|last| rows[last].0) else { break };
        let end = first + rows[first..].partition_point(|&(length, _)| length <= to);
        let of = &rows[first..end];
        if let Some(&(from, _)) = of.first() {
            let mean = of.iter().map(|(_, value)| value).sum::<f64>() / of.len() as f64;
            found.push(LengthBin { from, to, rows: of.len() as u64, mean });
        }
        first = end;
    }
    found
}

/// The 95 % interval of a share of which `right` of `rows` were counted (Wilson 1927, without correction for continuity). It is narrower than 0 to 1
/// and holds the share itself for few rows too. `None` without rows.
pub fn wilson(right: u64, rows: u64) -> Option<Interval> {
    if rows == 0 {
        return None;
    }
    let (n, p) = (rows as f64, right as f64 / rows as f64);
    let centre = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends the terms cancel but for rounding.
    let low = if right == 0 { 0.0 } else { centre - half };
    let high = if right == rows { 1.0 } else { centre + half };
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../../../tests/golden/by_length.json")).unwrap()
    }

    #[test]
    fn bins_end_at_the_quantiles_of_numpy() {
        let cases = golden();
        let cases = cases["bins"].as_array().unwrap();
        assert!(cases.len() > 5);
        for case in cases {
            let lengths: Vec<usize> = serde_json::from_value(case["lengths"].clone()).unwrap();
            let values: Vec<f64> = serde_json::from_value(case["values"].clone()).unwrap();
            let found = by_length(&lengths, &values, case["asked"].as_u64().unwrap() as usize);
            let wanted: Vec<LengthBin> = serde_json::from_value(case["bins"].clone()).unwrap();
            let whole = |bins: &[LengthBin]| bins.iter().map(|bin| (bin.from, bin.to, bin.rows)).collect::<Vec<_>>();
            assert_eq!(whole(&found), whole(&wanted), "{case}");
            assert!(found.iter().zip(&wanted).all(|(a, b)| (a.mean - b.mean).abs() < 1e-12), "{found:?} {wanted:?}");
        }
        assert_eq!(by_length(&[], &[], 3), []);
    }

    #[test]
    fn intervals_of_shares_are_those_of_scipy() {
        let cases = golden();
        let cases = cases["wilson"].as_array().unwrap();
        assert!(cases.len() > 5);
        for case in cases {
            let [right, rows] = [&case["right"], &case["rows"]].map(|value| value.as_u64().unwrap());
            let Interval { low, high } = wilson(right, rows).unwrap();
            let [want_low, want_high] = [&case["low"], &case["high"]].map(|value| value.as_f64().unwrap());
            // scipy computes in the same precision by another order of operations.
            assert!((low - want_low).abs() < 1e-12 && (high - want_high).abs() < 1e-12, "{case}: {low} {high}");
        }
        assert_eq!(wilson(0, 0), None);
    }
}
