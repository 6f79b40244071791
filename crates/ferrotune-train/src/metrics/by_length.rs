//! A figure by the length of texts: whether a model is worse with short or long ones. Must not know texts, or what the figure is of.

use super::quantiles;
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

/// Divides rows by length into at most `bins` groups of about as many rows, shortest first: [`quantiles`], whose upper ends are those of numpy's
/// `inverted_cdf`, so that rows of the same length are in one group and there are fewer groups where one length is common.
///
/// # Panics
/// If there is not one value for each length, or no bin is asked for.
pub fn by_length(lengths: &[usize], values: &[f64], bins: usize) -> Vec<LengthBin> {
    assert!(lengths.len() == values.len(), "by_length: expected one value a length");
    let numbers: Vec<f64> = lengths.iter().map(|&length| length as f64).collect();
    let bin = |(_, _, rows): (f64, f64, Vec<usize>)| {
        let of = || rows.iter().map(|&row| lengths[row]);
        let (from, to) = of().min().zip(of().max())?;
        let mean = rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64;
        Some(LengthBin { from, to, rows: rows.len() as u64, mean })
    };
    quantiles(&numbers, bins).into_iter().filter_map(bin).collect()
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
