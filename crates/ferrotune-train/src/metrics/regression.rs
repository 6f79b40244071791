//! Metrics of predicted numbers, defined as scipy and scikit-learn define them. Must not know models, batches or files.

use super::{MetricName, Summary, nan_if_null};
use serde::{Deserialize, Serialize};

/// The result of one evaluation of a regression on one split. A value that is not finite is `null` in JSON and NaN when read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// Linear correlation, in -1..=1; NaN if either side is constant.
    #[serde(deserialize_with = "nan_if_null")]
    pub pearson: f64,
    /// Correlation of ranks, equal values sharing their mean rank.
    #[serde(deserialize_with = "nan_if_null")]
    pub spearman: f64,
    /// Mean squared error.
    #[serde(deserialize_with = "nan_if_null")]
    pub mse: f64,
    /// Mean absolute error.
    #[serde(deserialize_with = "nan_if_null")]
    pub mae: f64,
    /// Rows evaluated.
    pub rows: u64,
    /// Whether all predictions are the same number. Not in JSON, and false when read back.
    #[serde(skip)]
    pub constant: bool,
}

impl RegressionReport {
    /// Compares predictions with targets.
    ///
    /// # Panics
    /// If their numbers differ.
    pub fn of(predicted: &[f64], targets: &[f64]) -> RegressionReport {
        assert_eq!(predicted.len(), targets.len(), "RegressionReport::of: predictions, expected one a target");
        let mean = |error: fn(f64) -> f64| {
            predicted.iter().zip(targets).map(|(p, t)| error(p - t)).sum::<f64>() / targets.len() as f64
        };
        RegressionReport {
            pearson: pearson(predicted, targets),
            spearman: pearson(&ranks(predicted), &ranks(targets)),
            mse: mean(|e| e * e),
            mae: mean(f64::abs),
            rows: targets.len() as u64,
            constant: is_constant(predicted),
        }
    }

    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::Pearson, self.pearson),
            (MetricName::Spearman, self.spearman),
            (MetricName::Mse, self.mse),
            (MetricName::Mae, self.mae),
        ];
        Summary { values, rows: self.rows }
    }
}

/// Pearson's r; NaN where one side does not vary, as in `scipy.stats.pearsonr`.
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    if x.is_empty() || is_constant(x) || is_constant(y) {
        return f64::NAN;
    }
    // Means first: sums of squares of large numbers would lose their differences.
    let (x, y) = (centred(x), centred(y));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    (dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt())).clamp(-1.0, 1.0)
}

fn is_constant(x: &[f64]) -> bool {
    x.iter().all(|&value| value == x[0])
}

fn centred(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|x| x - mean).collect()
}

/// The rank of each value from 1, equal values sharing the mean of theirs.
fn ranks(x: &[f64]) -> Vec<f64> {
    if x.iter().any(|value| value.is_nan()) {
        return vec![f64::NAN; x.len()];
    }
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut first = 0;
    while first < order.len() {
        let same = order[first..].iter().take_while(|&&i| x[i] == x[order[first]]).count();
        let shared = first as f64 + 0.5 * (same as f64 + 1.0);
        order[first..first + same].iter().for_each(|&i| ranks[i] = shared);
        first += same;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_scipy_and_scikit_learn() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/golden/tasks.json")).unwrap();
        let cases = golden["regression"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let numbers = |key: &str| case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let (predicted, targets): (Vec<f64>, Vec<f64>) = (numbers("predictions"), numbers("targets"));
            let report = RegressionReport::of(&predicted, &targets);
            for (name, value) in report.summary().values {
                let want = case[name.name()].as_f64().unwrap();
                assert!((value - want).abs() <= 1e-9 * want.abs().max(1.0), "{name}: {value}, expected {want}");
            }
        }
    }

    #[test]
    fn constant_and_missing_predictions_have_no_correlation() {
        let report = RegressionReport::of(&[1.0, 1.0], &[1.0, 2.0]);
        assert!(report.pearson.is_nan() && report.spearman.is_nan());
        assert_eq!((report.mse, report.mae), (0.5, 0.5));
        let nan = RegressionReport::of(&[f64::NAN, 1.0], &[1.0, 2.0]);
        assert!(nan.pearson.is_nan() && nan.spearman.is_nan() && nan.mse.is_nan());
        let text = serde_json::to_string(&nan).unwrap();
        assert!(serde_json::from_str::<RegressionReport>(&text).unwrap().pearson.is_nan());
        assert_eq!(ranks(&[3.0, -0.0, 3.0, 0.0]), [3.5, 1.5, 3.5, 1.5]);
    }
}
