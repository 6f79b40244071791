//! A figure by the length of texts: whether a model is worse with short or long ones. Must not know texts, or what the figure is of.

use serde::{Deserialize, Serialize};

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
}
